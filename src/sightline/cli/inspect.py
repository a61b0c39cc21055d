"""`sightline inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.table import Table

from sightline.api import load
from sightline.cli.draw import COLOUR, save_picture
from sightline.cli.pictures import Reading, check
from sightline.core.log import output
from sightline.model.prepare import Prepared, visual_runs
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.model import ModelSpec


def inspect_command(
    model: str, file: str, question: str, out: Path | None, as_json: bool, reading: Reading
) -> None:
    """Print the way of one file from pixels to tokens; save what the encoder sees."""
    check([file], reading)
    vlm = load(model)
    content = [reading.part(file), {"type": "text", "text": question}]
    prepared = vlm.prepare([{"role": "user", "content": content}])
    facts = describe(vlm.spec, prepared, vlm.tokenizer)
    if as_json:
        output().print_json(json.dumps(facts))
    else:
        _print(facts, prepared.notes)
    if out is not None:
        save_picture(contact_sheet(vlm.spec, prepared), out)


def describe(spec: ModelSpec, prepared: Prepared, tokenizer: Tokenizer) -> dict[str, Any]:
    """Plain data: each run of visual tokens with its (first) view and its grid, and the prompt with
    runs folded up."""
    views = []
    for item in prepared.layout.features():
        view = prepared.layout.views[item.view]
        views.append(
            {
                "picture": view.media,
                "frames": list(view.frames),
                "tiles": 1 if item.stitch is None else item.stitch.tiles.area,
                "resized": [view.resized.width, view.resized.height],
                "view": [view.size.width, view.size.height],
                "patch": spec.vision.patch,
                "grid": [item.grid.rows, item.grid.cols],
                "visual_tokens": item.tokens,
            }
        )
    return {
        "pictures": [[m.width, m.height] for m in prepared.media],
        "views": views,
        "prompt": folded(prepared, tokenizer),
        "text_tokens": prepared.text_tokens,
        "visual_tokens": prepared.visual_tokens,
        "memory_tokens": prepared.layout.memory_tokens,
        "context": spec.language.context,
    }


def folded(prepared: Prepared, tokenizer: Tokenizer) -> str:
    """The prompt as the model reads it, runs of visual tokens written as their number."""
    pieces, at = [], 0
    for start, stop in visual_runs(prepared.spans, prepared.layout):
        pieces.append(tokenizer.decode(prepared.token_ids[at:start], skip_special=False))
        pieces.append(f"[{stop - start} visual tokens]")
        at = stop
    pieces.append(tokenizer.decode(prepared.token_ids[at:], skip_special=False))
    return "".join(pieces)


def contact_sheet(spec: ModelSpec, prepared: Prepared) -> Image.Image:
    """Every frame of every view as the encoder sees it, enlarged, with its patches outlined."""
    frames = [f for view in prepared.pixels for f in view.reshape(-1, 3, *view.shape[1:])]
    tiles = [_outlined(_seen(spec, frame.numpy()), spec.vision.patch) for frame in frames]
    gap = 8
    width = sum(tile.width + gap for tile in tiles) - gap
    sheet = Image.new("RGB", (width, max(tile.height for tile in tiles)), "white")
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index * (tile.width + gap), 0))
    return sheet


def _seen(spec: ModelSpec, pixels_3HW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Normalised pixels back to 0..255."""
    pixels = spec.resolution.pixels
    mean, std = (np.array(v, dtype=np.float32)[:, None, None] for v in (pixels.mean, pixels.std))
    restored = (pixels_3HW * std + mean) * 255
    return restored.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def _outlined(rgb: NDArray[np.uint8], patch: int) -> Image.Image:
    scale = max(1, 448 // rgb.shape[1])
    height, width = rgb.shape[0] * scale, rgb.shape[1] * scale
    image = Image.fromarray(rgb).resize((width, height), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    for x in range(0, width + 1, patch * scale):
        pen.line((x, 0, x, height), fill=COLOUR)
    for y in range(0, height + 1, patch * scale):
        pen.line((0, y, width, y), fill=COLOUR)
    return image


def _print(facts: dict[str, Any], notes: tuple[str, ...]) -> None:
    table = Table(title="What the model is given")
    for title in ("picture", "frames", "resized to", "view", "patch", "grid", "visual tokens"):
        table.add_column(title, justify="right")
    for view in facts["views"]:
        sides = (f"{a} × {b}" for a, b in (view["resized"], view["view"]))
        rows, cols = view["grid"]
        table.add_row(
            str(view["picture"]),
            ", ".join(map(str, view["frames"])),
            *sides,
            str(view["patch"]),
            f"{rows} × {cols}",
            str(view["visual_tokens"]),
        )
    output().print(table)
    output().print(facts["prompt"], markup=False, soft_wrap=True)
    beside = f", {facts['memory_tokens']} beside it" if facts["memory_tokens"] else ""
    output().print(
        f"{facts['text_tokens']} text + {facts['visual_tokens']} visual tokens of a "
        f"context of {facts['context']}{beside}"
    )
    for note in notes:
        output().print(f"note: {note}", markup=False)
