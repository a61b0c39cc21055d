"""A running mean of the weights that train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from sightline.core.errors import TrainError


class Ema:
    """mean <- decay · mean + (1 - decay) · master, after every update, in float32.

    In the first steps the decay is (1 + step) / (10 + step) where that is less (TensorFlow's
    ExponentialMovingAverage), so that the random start is forgotten.
    """

    def __init__(self, names: list[str], masters: list[Tensor], decay: float) -> None:
        self.names, self.masters, self.decay = names, masters, decay
        self.means = [master.detach().clone() for master in masters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the masters after update number `step`, counted from 0."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.means, [m.detach() for m in self.masters], weight)

    def tensors(self) -> dict[str, Tensor]:
        """The means by the parameter's name."""
        return dict(zip(self.names, self.means, strict=True))

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` returned. Raises TrainError for those of other parameters."""
        if set(tensors) != set(self.names):
            fix = "resume with the recipe that the run began with"
            raise TrainError("ema", "was saved for other parameters than those that train", fix)
        for name, mean in zip(self.names, self.means, strict=True):
            mean.copy_(tensors[name])


@contextmanager
def exchanged(parameters: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with the means as its weights, for as long as the context lasts."""
    before = {name: parameters[name].detach().clone() for name in means}
    _put(parameters, means)
    try:
        yield
    finally:
        _put(parameters, before)


@torch.no_grad()
def _put(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        parameters[name].copy_(value)
