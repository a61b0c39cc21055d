"""Killed at any step, also while a checkpoint is written: the run ends with the same bits.

Packs of a mixture of a file, a stream and a world, made by two worker processes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.helpers.recipes import recipe
from tests.helpers.speaking import picture

pytestmark = pytest.mark.slow

STEPS, EVERY, FILE_ROWS, STREAM_ROWS = 18, 4, 30, 25
DYING = """
import os, signal, sys
where, number = sys.argv[1], int(sys.argv[2])
import sightline.train.checkpoint as checkpoint
import sightline.train.loop as loop
calls = []
def dying(function):
    def call(*args):
        calls.append(args)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)
    return call
if where == "step":
    loop.Updater.__call__ = dying(loop.Updater.__call__)
else:  # between the files of a checkpoint
    checkpoint.save_file = dying(checkpoint.save_file)
sys.argv = ["sightline", *sys.argv[3:]]
from sightline.cli import main
main()
"""


def rows(name: str, count: int, folder: Path) -> list[dict[str, Any]]:
    """LLaVA rows of unequal lengths, every other one with a picture of its own size."""
    made = []
    for number in range(count):
        talk = [
            {"from": "human", "value": f"Is it {number}? {'What colour? ' * (number % 4)}"},
            {"from": "gpt", "value": f"It is {number}."},
        ]
        row: dict[str, Any] = {"id": f"{name}{number}", "conversations": talk}
        if number % 2:
            path = f"{name}{number}.png"
            Image.fromarray(picture(9 + number, 12, seed=number)).save(folder / path)
            row["image"] = path
            talk[0]["value"] = f"<image>\n{talk[0]['value']}"
        made.append(row)
    return made


def write(path: Path, some: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")


@pytest.fixture(scope="module")
def packing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe whose every part has a state of its own."""
    folder = tmp_path_factory.mktemp("packing")
    write(folder / "file.jsonl", rows("f", FILE_ROWS, folder))
    (folder / "hub").mkdir()
    write(folder / "hub" / "train.jsonl", rows("s", STREAM_ROWS, folder))
    sources = [
        {"kind": "files", "path": "file.jsonl", "weight": 2.0},
        {"kind": "hub", "name": "hub", "media": ".", "shuffle_rows": 7, "weight": 1.0},
        {"kind": "scenes", "sides": [16], "questions": 2, "words": 20, "weight": 0.5},
    ]
    stage = {
        "kind": "instruct",
        "trains": {
            "vision": {"how": "lora", "rank": 2, "dropout": 0.3},
            "connector": {},
            "language": {"lr": 0.003, "layer_decay": 0.8},
        },
        "data": {"kind": "mixture", "sources": sources, "seed": 3},
        "batch": {"kind": "pack", "tokens": 150, "window": 12},
        "accumulate": 2,
        "steps": STEPS,
        "lr": 0.01,
        "ema": 0.9,
        "checkpointing": True,
        "schedule": {"warmup_steps": 2},
    }
    return recipe(
        folder, stages=[stage], workers=2, checkpoint_every=EVERY, log_rows=True, dtype="bfloat16"
    )


def run(path: Path, out: Path, *dying: Any) -> int:
    code = [sys.executable, "-c", DYING, *map(str, dying or ("step", 0))]
    done = subprocess.run(
        [*code, "train", str(path), "--out", str(out)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


def ids_of(out: Path) -> list[list[str]]:
    lines = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(STEPS))
    return [line["rows"] for line in lines]


@pytest.fixture(scope="module")
def undisturbed(packing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert run(packing, out) == 0
    return out


def same(a: Path, b: Path) -> None:
    for name in ("model", "model-ema"):
        left, right = (load_file(x / name / "model.safetensors") for x in (a, b))
        assert left.keys() == right.keys()
        assert all(torch.equal(left[n], right[n]) for n in left), name
    assert ids_of(a) == ids_of(b)


# Updates and calls of `save_file` (four in each checkpoint) of one process: it dies at the last.
PLACES = [("step", n) for n in random.Random(5).sample(range(2, 9), 3)]
PLACES = [PLACES[0], ("save", 3), PLACES[1], ("save", 6), PLACES[2]]


def test_killed_again_and_again_ends_with_the_same_bits(
    packing: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """One run killed five times, two of them while it wrote a checkpoint."""
    out = tmp_path / "run"
    killed = [run(packing, out, where, number) for where, number in PLACES]
    assert killed == [-9] * len(PLACES)
    assert run(packing, out) == 0
    same(undisturbed, out)


def test_no_row_comes_twice_in_a_pass_and_none_is_missing(undisturbed: Path) -> None:
    seen = [id_ for step in ids_of(undisturbed) for id_ in step]
    for name, count in (("file.jsonl", FILE_ROWS), ("hub/train", STREAM_ROWS)):
        drawn = [id_ for id_ in seen if id_.startswith(name)]
        counts = Counter(drawn)
        # Packs of a window come in a seeded order, so a pass ends within a window of its rows.
        assert len(drawn) > 2 * count or name != "file.jsonl"
        assert max(counts.values()) - min(counts.values()) <= 1 + 12 // count
        assert len(counts) == count or len(drawn) < count + 12
