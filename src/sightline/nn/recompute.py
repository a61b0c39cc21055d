"""Gradient checkpointing: activations of a block are computed again instead of kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Recomputed(nn.Module):
    """What `recompute` puts before the class of a block; names of its tensors stay as they are."""

    recomputes: bool

    def forward(self, *args: Any, **options: Any) -> Any:
        run = super().forward
        if not (self.recomputes and torch.is_grad_enabled()):
            return run(*args, **options)
        return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=True, **options)


def recompute(blocks: Iterable[nn.Module], on: bool = True) -> None:
    """Let each block keep its inputs only, and run a second time in the backward pass (Chen et al.
    2016); `on` False takes it back.

    Gradients are those without, dropout included: the state of the random generators is kept.
    They reach the parameters of a block whose inputs need none (adapters of a vision encoder). A
    pass with a KV cache must not ask for gradients: the second run would append to it again. Call
    it before `fully_shard` and `torch.compile`.
    """
    for block in blocks:
        if on and not isinstance(block, Recomputed):
            kind = type(block)
            block.__class__ = type(kind.__name__, (Recomputed, kind), {"__doc__": kind.__doc__})
        if isinstance(block, Recomputed):
            block.recomputes = on
