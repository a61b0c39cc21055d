"""Small runs that one process and several carry out alike; `torchrun` starts this file.

`python -m torch.distributed.run --nproc-per-node 2 -m tests.helpers.shard_cases FOLDER CASE...`
trains each case in a folder of its own; what a test looks at is the log and the model there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tests.helpers.speaking import chat_spec, picture, tokenizer
from tests.helpers.tiny import Json

from sightline.model.vlm import Vlm
from sightline.spec.model import ModelSpec
from sightline.spec.train import TrainSpec
from sightline.train.finish import finish
from sightline.train.loop import Step
from sightline.train.recipe import Made
from sightline.train.run import Run
from sightline.train.trainee import new_model
from sightline.train.world import World, joined_world

SIDE = 16
STEPS = 20
VIT: Json = {
    "kind": "vit",
    "width": 16,
    "depth": 2,
    "heads": 2,
    "mlp_width": 24,
    "patch": 4,
    "image_size": SIDE,
}
FIXED: Json = {"resolution": {"kind": "fixed", "size": SIDE}, "vision": VIT}
NATIVE: Json = {
    "resolution": {
        "kind": "native",
        "multiple": 8,
        "pictures": {"min_pixels": 64, "max_pixels": 512},
    },
    "vision": VIT,
}
ANYRES: Json = {
    "resolution": {
        "kind": "anyres",
        "size": SIDE,
        "pinpoints": [(SIDE, 2 * SIDE), (2 * SIDE, SIDE)],
    },
    "vision": VIT,
}
QFORMER: Json = {
    "kind": "qformer", "queries": 4, "width": 12, "depth": 2, "heads": 2, "mlp_width": 16,
}  # fmt: skip

# What the micro-batches of a step show, over and over: `p` pictures, `s` pictures of two shapes,
# `t` text. Of two processes the first has the even ones.
AGAIN = "@"  # a case under another name
ONE_BLIND, MIXED = "pt", "ptstts"


@dataclass(frozen=True)
class Case:
    """A model, what its micro-batches show, and how it is trained."""

    model: Json = field(default_factory=lambda: FIXED)
    shown: str = ONE_BLIND
    stage: Json = field(default_factory=dict)
    train: Json = field(default_factory=dict)
    steps: int = 6


LANGUAGE: Json = chat_spec().language.model_dump()
WATCH: Json = {
    "every": 2, "rows": 3, "batch": 2, "keep_best": True, "max_tokens": 4,
    "questions": [{"question": "What colour is it?"}],
    "data": {"kind": "scenes", "questions": 2, "words": 24, "sides": [16]},
}  # fmt: skip
LORA: Json = {"how": "lora", "rank": 2, "alpha": 4}
CROSS: Json = {"kind": "cross_attention", "layers": [0, 2]}
ALL_PARTS = ["vision", "connector", "fusion", "language"]

CASES: dict[str, Case] = {
    "interleave": Case(steps=STEPS),
    "mixed": Case(shown=MIXED, stage={"ema": 0.9, "clip": 0.5}, train={"checkpoint_every": 3}),
    "deep_stack": Case({
        **FIXED, "vision": {**VIT, "deep_layers": [1]},
        "connector": {"kind": "merger", "levels": 1}, "fusion": {"kind": "deep_stack", "levels": 1},
    }),
    "visual_expert": Case({**FIXED, "fusion": {"kind": "visual_expert"}}, shown=MIXED),
    "cross_everything": Case({**FIXED, "fusion": {**CROSS, "blind": "everything"}}),
    "cross_nothing": Case({**FIXED, "fusion": {**CROSS, "blind": "nothing"}}, shown=MIXED),
    "native": Case(NATIVE, shown="st"),
    "native_mixed": Case(NATIVE, shown=MIXED, stage={"checkpointing": True}),
    "anyres": Case(ANYRES, shown="st"),
    "qformer": Case({**FIXED, "connector": QFORMER}, shown=MIXED),
    "packed": Case(shown="s" * 4, stage={"batch": {"kind": "pack", "tokens": 64, "window": 8}}),
    "adapters": Case(
        {**FIXED, "language": {**LANGUAGE, "tied_head": True}},
        stage={"checkpointing": True, "trains": {
            "vision": LORA, "connector": {"how": "full"}, "language": {**LORA, "how": "dora"},
        }},
    ),
    "stages": Case(train={"stages": [
        {"trains": {"language": LORA}, "steps": 3},
        {"trains": ["connector", "language"], "steps": 3, "ema": 0.5},
    ]}),
    "watched": Case(train={"watch": WATCH}, steps=3),
    "bfloat16": Case(shown=MIXED, train={"dtype": "bfloat16"}),
}  # fmt: skip


def rows(folder: Path, shown: str, number: int) -> Path:
    """Rows whose micro-batches of two show what is asked for, as LLaVA writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for i in range(2 * number):
        kind = shown[i // 2 % len(shown)]
        row: dict[str, Any] = {"id": f"row{i}"}
        asked = f"What colour is {i}?"
        if kind != "t":
            width, height = ((30, 14), (12, 20))[i % 2 if kind == "s" else 0]
            name = f"{i % 12}-{width}.png"
            Image.fromarray(picture(width, height, seed=i % 12)).save(folder / name)
            row["image"], asked = name, f"<image>\n{asked}"
        said = "a red ring" if i % 3 else "two small blue squares left of it"
        row["conversations"] = [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]
        made.append(json.dumps(row))
    path = folder / "rows.jsonl"
    path.write_text("\n".join(made))
    return path


def model_spec(case: Case) -> ModelSpec:
    return ModelSpec.parse(chat_spec().model_dump() | case.model)


def train_spec(case: Case, data: Path) -> TrainSpec:
    source = {"kind": "files", "path": str(data), "dialect": "llava"}
    mixture = {"kind": "mixture", "sources": [source], "shuffle": False, "bad_rows": 2}
    stage = {
        "kind": "instruct",
        "trains": ALL_PARTS,
        "steps": case.steps,
        "batch": 2,
        "accumulate": len(case.shown),
        "lr": 0.01,
        "schedule": {"warmup_steps": 0},
        "data": mixture,
    } | case.stage
    plan = {"workers": 0, "dtype": "float32", "log_every": 1, "checkpoint_every": 1000}
    plan |= {"stages": [{}]} | case.train
    plan["stages"] = [stage | given for given in plan["stages"]]
    return TrainSpec.parse(plan, field="train")


def carry_out(case: Case, folder: Path, world: World, **changes: Any) -> Run:
    """Train a case in a folder and write its model there."""
    data = folder.parents[1] / f"data-{case.shown}" / "rows.jsonl"
    spec = train_spec(case, data)
    model = new_model(model_spec(case), spec)
    assert isinstance(model, Vlm)
    run = Run(model, tokenizer(), spec, folder, told=lambda _: None, world=world, **changes)
    run()
    for _ in finish(Made(model, tokenizer()), run):
        pass
    return run


def prepare(folder: Path, cases: Sequence[Case]) -> None:
    for shown in {case.shown for case in cases}:
        rows(folder / f"data-{shown}", shown, 2 * len(shown) * STEPS)


def losses(folder: Path) -> list[float]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


class Fault(Exception):
    """What the process with the highest rank runs into."""


def main(folder: Path, names: Sequence[str]) -> None:
    """A case named `fault` is `interleave`, in which one process fails after its second step."""
    torch.set_num_threads(1)
    with joined_world() as world:

        def fail(step: Step) -> None:
            if step.step == 1 and world.rank == world.size - 1:
                raise Fault("a disk is full")

        for name in names:
            case, watchers = name.partition(AGAIN)[0], ()
            if case == "fault":
                case, watchers = "interleave", (fail,)
            carry_out(CASES[case], folder / name, world, watchers=watchers)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
