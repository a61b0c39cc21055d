"""Weights & Biases, of which only the calls are watched: it is not installed here."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from sightline.core.errors import TrainError
from sightline.train.log import wandb


def test_every_line_is_sent_by_its_update(tmp_path, monkeypatch):
    calls = []

    def init(**options):
        calls.append(options)
        return SimpleNamespace(log=lambda line, step: calls.append((line, step)))

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    write = wandb("project", tmp_path)
    write({"update": 7.0, "loss": 1.5})
    assert calls == [
        {"project": "project", "dir": str(tmp_path)},
        ({"update": 7.0, "loss": 1.5}, 7),
    ]


def test_without_the_client_the_way_to_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrainError, match="pip install wandb") as caught:
        wandb("project", tmp_path)
    assert caught.value.field == "train.wandb"
