"""Every kind of every choice at a tiny size, and what becomes of each combination.

`python -m tests.model.combinations` prints the matrix for docs/recombination.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import torch
from tests.helpers.speaking import chat_spec, picture, tokenizer
from tests.helpers.tiny import Json

from sightline.core.errors import SpecError
from sightline.data.collate import padded
from sightline.data.rows import training_row
from sightline.data.sample import Media, Sample, Text, Turn
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.model.prepare import Preparer
from sightline.spec import ModelSpec
from sightline.train.losses.next_token import next_token

SIDE, PATCH = 16, 4

RESOLUTIONS: dict[str, Json] = {
    "fixed": {"size": SIDE},
    "anyres": {"size": SIDE, "pinpoints": [(SIDE, 2 * SIDE), (2 * SIDE, SIDE)]},
    "tiling": {"tile": SIDE, "max_tiles": 3},
    "rows": {"tile": SIDE, "edge": 2 * SIDE},
    "canvas": {"size": SIDE, "tiles": 2},
    "native": {"multiple": 8, "pictures": {"min_pixels": 64, "max_pixels": 512}},
    "longest_edge": {"edge": 24, "multiple": 8},
}
CONNECTORS: dict[str, Json] = {
    "linear": {},
    "glu": {"hidden": 24},
    "mlp": {},
    "pixel_shuffle": {},
    "merger": {},
    "patch_merger": {},
    "pooled": {"side": 2},
    "qformer": {"queries": 4, "width": 12, "depth": 2, "heads": 2, "mlp_width": 16},
    "resampler": {"latents": 4, "depth": 2, "heads": 2, "head_dim": 8},
    "grid_resampler": {"side": 2, "heads": 2},
    "c_abstractor": {"side": 2, "width": 16, "depth": 1},
}
FUSIONS: dict[str, Json] = {
    "interleave": {},
    "cross_attention": {"layers": [0, 1]},
    "deep_stack": {"levels": 1},
    "visual_expert": {},
}
DECODERS: dict[str, Json] = {
    "llama": {},
    "phi": {
        "block": "parallel",
        "norm": {"kind": "layer"},
        "attention": {"kv_heads": 4, "head_dim": 6, "qkv_bias": True, "out_bias": True},
        "mlp": {"kind": "plain", "activation": "gelu_tanh", "bias": True},
        "positions": {"kind": "rope", "fraction": 0.4},
    },
}
VIT: Json = {"width": 16, "depth": 2, "heads": 2, "mlp_width": 24, "patch": PATCH}


@dataclass(frozen=True, slots=True)
class Combination:
    """One kind of each choice."""

    resolution: str
    connector: str
    fusion: str
    decoder: str

    @property
    def name(self) -> str:
        return " + ".join((self.resolution, self.connector, self.fusion, self.decoder))

    def spec(self) -> ModelSpec:
        """Raises SpecError where the parts do not meet."""
        vision = {**VIT, "kind": "vit", "image_size": SIDE}
        connector = {"kind": self.connector, **CONNECTORS[self.connector]}
        if self.fusion == "deep_stack":
            vision["deep_layers"] = [1]
            if self.connector == "merger":
                connector["levels"] = 1
        base = chat_spec(language=DECODERS[self.decoder]).model_dump()
        parts = {
            "resolution": {"kind": self.resolution, **RESOLUTIONS[self.resolution]},
            "vision": vision,
            "connector": connector,
            "fusion": {"kind": self.fusion, **FUSIONS[self.fusion]},
        }
        return ModelSpec.parse(base | parts)


def combinations() -> list[Combination]:
    """Connectors × resolutions × fusions × two decoders."""
    parts = (RESOLUTIONS, CONNECTORS, FUSIONS, DECODERS)
    return [Combination(*names) for names in itertools.product(*parts)]


def kinds(union: Any) -> set[str]:
    """The kinds of a closed union of specs."""
    members = get_args(get_args(union)[0]) or get_args(union)[:1]
    return {member.model_fields["kind"].default for member in members}


def answered(shown: object, said: str) -> Sample:
    """One question about one picture."""
    asked = Turn("user", (Media("image", shown), Text("Where is it?")))
    return Sample("row", (asked, Turn("assistant", (Text(said),))))


def losses(spec: ModelSpec, steps: int) -> Iterator[float]:
    """Train a fresh model on two rows about pictures of two shapes."""
    model = build_model(spec)
    initialise(model, 0)
    prepare = Preparer(spec, tokenizer())
    rows = [
        training_row(answered(picture(*size, seed=i), said), prepare)
        for i, (size, said) in enumerate((((30, 14), "left above"), ((12, 20), "a star")))
    ]
    batch = padded(rows, spec.prompt.pad_id)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = next_token(model, batch) / batch.weight
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def verdict(combination: Combination) -> str:
    """`✓`, or why the parts do not meet."""
    try:
        combination.spec()
    except SpecError as error:
        return f"{error.field}: {error.problem}"
    return "✓"


def matrix() -> str:
    """Markdown: a table for each fusion, and the reasons of what is refused under it."""
    blocks = []
    for fusion in FUSIONS:
        reasons: dict[str, int] = {}
        lines = [f"| `{fusion}` | " + " | ".join(f"`{c}`" for c in CONNECTORS) + " |"]
        lines.append("|---" * (1 + len(CONNECTORS)) + "|")
        for resolution in RESOLUTIONS:
            cells = []
            for connector in CONNECTORS:
                said = verdict(Combination(resolution, connector, fusion, "llama"))
                number = reasons.setdefault(said, len(reasons)) if said != "✓" else None
                cells.append(said if number is None else chr(ord("a") + number))
            lines.append(f"| `{resolution}` | " + " | ".join(cells) + " |")
        notes = [f"- {chr(ord('a') + number)}: {reason}" for reason, number in reasons.items()]
        blocks.append("\n".join([*lines, "", *notes]).rstrip())
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    print(matrix())
