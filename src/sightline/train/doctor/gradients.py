"""Whether gradient reaches what is said to train, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sightline.core.errors import SightlineError
from sightline.data.maker import RowMaker
from sightline.data.sample import Sample
from sightline.nn.lora import LowRank, adapters_of, blocks_of
from sightline.nn.recompute import recompute
from sightline.spec.train import StageSpec
from sightline.train.doctor.finding import Finding
from sightline.train.loop import Loss
from sightline.train.parts import prepare_parts

ROWS = 4  # of the micro-batch; fewer where the stage has fewer


def gradient_findings(
    model: Any,
    stage: StageSpec,
    loss_of: Loss,
    maker: RowMaker[Any],
    samples: Sequence[Sample],
    field: str,
) -> Iterator[Finding]:
    """One forward and backward pass as the stage would make it. Leaves the model adapted."""
    try:
        prepare_parts(model, stage, 0)
        recompute([*blocks_of(model.vision), *blocks_of(model.language)], stage.checkpointing)
        loss = _backward(model, stage, loss_of, maker, samples)
    except SightlineError as error:
        yield Finding.of(error)
        return
    yield from _judged(model, loss, field)
    model.zero_grad(set_to_none=True)


def _backward(
    model: Any, stage: StageSpec, loss_of: Loss, maker: RowMaker[Any], samples: Sequence[Sample]
) -> float:
    with_media = sorted(samples, key=lambda sample: not sample.media)
    rows = [maker.make(sample) for sample in with_media[:ROWS]]
    micro = maker.collate(rows, stage.batch).to(model.device, model.dtype)
    model.train()
    loss = loss_of(model, micro) / micro.weight
    torch.autograd.backward(loss)
    return float(loss.item())


def _judged(model: nn.Module, loss: float, field: str) -> Iterator[Finding]:
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    unread = [name for name, p in trained.items() if p.grad is None]
    waiting = _behind_zeros(model)
    still = [
        name
        for name, p in trained.items()
        if p.grad is not None and not p.grad.any() and id(p) not in waiting
    ]
    where = f"{field}.trains"
    if loss != loss or abs(loss) == float("inf"):
        yield Finding("error", field, f"the first loss is {loss}", "look at the rows' pixels")
    if len(unread) == len(trained):
        yield Finding("error", where, "no gradient reaches anything that is said to train")
        return
    if unread:
        text = f"no gradient reaches {_few(unread)}: nothing reads them"
        yield Finding("warning", where, text, "they stay as they are")
    if still:
        text = f"the gradient of {_few(still)} is exactly zero"
        fix = "closed gates or rows of words that never occur do this; else train what blocks it"
        yield Finding("warning", where, text, fix)
    reached = len(trained) - len(unread) - len(still)
    text = f"gradient reaches {reached} of {len(trained)} tensors, first loss {loss:.4f}"
    yield Finding("ok", where, text)


def _behind_zeros(model: nn.Module) -> set[int]:
    """Parameters whose gradient is zero at first by design: A of an adapter whose B is zero."""
    found: set[int] = set()
    for _, _, adapter in adapters_of(model):
        assert isinstance(adapter, LowRank)
        if not _any(adapter.b):
            found.add(id(adapter.a))
    return found


def _any(x: Tensor) -> bool:
    return bool(x.detach().any())


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
