"""Recipes that train in a blink."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from tests.helpers.speaking import chat_spec, tokenizer

from sightline.prompt.files import save_tokenizer

STAGE: dict[str, Any] = {
    "kind": "align",
    "steps": 4,
    "batch": 2,
    "lr": 0.01,
    "schedule": {"warmup_steps": 0},
    "data": {"kind": "scenes", "questions": 2, "words": 24, "sides": [16]},
}


def recipe(folder: Path, **train: Any) -> Path:
    """Two stages of a tiny model, with its tokenizer beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words").mkdir(exist_ok=True)
    save_tokenizer(tokenizer(), folder / "words")
    stages = [STAGE | {"trains": ["connector", "language"]}, STAGE | {"kind": "instruct"}]
    plan = {"workers": 0, "log_every": 1, "checkpoint_every": 3, "stages": stages} | train
    data = {"model": chat_spec().model_dump(mode="json"), "tokenizer": "words", "train": plan}
    path = folder / "mini.yaml"
    path.write_text(yaml.safe_dump(data))
    return path
