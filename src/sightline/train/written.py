"""Folders of a model in training: plain matrices, whatever form they train in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from sightline.model.pair import Pair
from sightline.model.vlm import Vlm
from sightline.nn.lora import adapters_of
from sightline.prompt.tokenizer import Tokenizer
from sightline.weights.save import save


def write_model(model: Vlm | Pair, tokenizer: Tokenizer, folder: Path) -> Path:
    """Our own folder, adapters merged into the matrices for as long as it is written."""
    with merged(model):
        save(model, folder, tokenizer=tokenizer)
    return folder


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """The model with plain matrices in place of adapted ones; afterwards as it was."""
    held = [(linear, adapter, linear.store) for _, linear, adapter in adapters_of(model)]
    weights = [linear.weight for linear, _, _ in held]
    for linear, adapter, _ in held:
        values_OI = linear.values
        whole_OI = adapter.merged(values_OI).to("cpu", values_OI.dtype)  # written from there
        linear.adapter = linear.store = None
        linear.weight = nn.Parameter(whole_OI, requires_grad=False)
    try:
        yield
    finally:
        for (linear, adapter, store), weight in zip(held, weights, strict=True):
            linear.weight, linear.adapter, linear.store = weight, adapter, store
