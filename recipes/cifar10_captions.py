"""Lay CIFAR-10 out as captioned pictures: python recipes/cifar10_captions.py DATA FOLDER [COPIES]

DATA holds train.zip (class/number.jpg) and prompts.json (classes and CLIP's templates). FOLDER gets
`train.jsonl` (a picture and a caption a row, as LLaVA writes captions), the pictures, and a
tokenizer of whole words. Every picture is there as it is and in COPIES (default 19) that are
mirrored, zoomed, shifted, and changed in brightness, contrast and colour, each with a template of
its own.
"""

from __future__ import annotations

import json
import random
import re
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from sightline.prompt.files import save_tokenizer
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig

SIDE, ROOM = 32, 4  # pixels of a picture, and beyond its edges
CONTROL = ("<begin>", "<end>", "<pad>", "<unknown>")
WORD = r"[a-z]+|[^a-z\s]"


def changed(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A picture that shows the same thing: another cut of it and of its reflection at the edges."""
    side = SIDE * rng.uniform(0.75, 1.0)
    left, top = (rng.uniform(0, SIDE + 2 * ROOM - side) for _ in range(2))
    wide = np.pad(np.asarray(picture), ((ROOM, ROOM), (ROOM, ROOM), (0, 0)), mode="reflect")
    box = (left, top, left + side, top + side)
    out = Image.fromarray(wide).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.5:
        out = out.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    out = ImageEnhance.Brightness(out).enhance(rng.uniform(0.75, 1.25))
    out = ImageEnhance.Contrast(out).enhance(rng.uniform(0.75, 1.25))
    return ImageEnhance.Color(out).enhance(rng.uniform(0.6, 1.4))


def rows(data: Path, folder: Path, copies: int) -> Iterator[dict[str, object]]:
    """Write the pictures; one row for each."""
    prompts = json.loads((data / "prompts.json").read_text())
    rng = random.Random(0)
    with zipfile.ZipFile(data / "train.zip") as pictures:
        for name in sorted(pictures.namelist()):
            label, number = Path(name).parent.name, Path(name).stem
            picture = Image.open(BytesIO(pictures.read(name))).convert("RGB")
            for copy in range(copies + 1):
                place = Path("pictures", label, f"{number}-{copy}.png")
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                shown = picture if copy == 0 else changed(picture, rng)
                shown.save(folder / place)
                yield {
                    "id": f"{label}/{number}-{copy}",
                    "image": str(place),
                    "conversations": [
                        {"from": "human", "value": "<image>"},
                        {"from": "gpt", "value": rng.choice(prompts["templates"]).format(label)},
                    ],
                }


def tokenizer(data: Path) -> Tokenizer:
    """A token a word of the templates and classes."""
    prompts = json.loads((data / "prompts.json").read_text())
    found = {w for text in prompts["templates"] for w in re.findall(WORD, text.format("").lower())}
    words = [*CONTROL, *sorted(found | set(prompts["classes"]))]
    source = {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": text, "special": True} for i, text in enumerate(CONTROL)
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": WORD},
            "behavior": "Removed",
            "invert": True,
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(words)},
            "unk_token": "<unknown>",
        },
    }
    return Tokenizer(json.dumps(source), TokenizerConfig(named={"pad_token": "<pad>"}))


def main(data: Path, folder: Path, copies: int = 19) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer(data), folder / "tokenizer")
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for row in rows(data, folder, copies):
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    data, folder, *copies = sys.argv[1:]
    main(Path(data), Path(folder), *map(int, copies))
