"""Losses of a pair of towers: every picture is compared with every text, of all processes."""

# n rows of this process  N rows of all processes  B rows of a batch  E width of embeddings

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, assert_never

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from sightline.core.errors import TrainError
from sightline.model.pair import Embedded, Pair
from sightline.model.pair_prepare import PairBatch
from sightline.spec.pair import SigmoidLossSpec, SoftmaxLossSpec
from sightline.train.world import ALONE, World


def contrastive(model: Pair, batch: PairBatch, *, world: World = ALONE) -> Tensor:
    """The sum, over the rows of this process, of their part of the pair's own loss.

    Rows are compared with those of the same micro-batch of every process: embeddings are gathered,
    with gradients. So the sum over processes, divided by the number of all rows, is the published
    loss of the joined batch, and its gradients are the sum of theirs. Micro-batches of one update
    do not see each other.
    """
    found: Embedded = model(batch.pixels_B3HW, batch.token_ids_BT)
    images_nE, texts_nE = found.images_VE[: batch.rows], found.texts_BE[: batch.rows]
    silent = 0.0 * (found.images_VE.sum() + found.texts_BE.sum())  # where a process has no row
    match model.spec.loss:
        case SoftmaxLossSpec(most_scale=most):
            both, first = gathered(torch.cat((images_nE, texts_nE), 1), world)
            all_images_NE, all_texts_NE = both.chunk(2, 1)
            scale = at_most(found.log_scale_1, math.log(most)).exp()
            loss = softmax_sum(images_nE, texts_nE, all_images_NE, all_texts_NE, scale, first)
        case SigmoidLossSpec():
            assert found.bias_1 is not None
            all_texts_NE, first = gathered(texts_nE, world)
            scale = found.log_scale_1.exp()
            loss = sigmoid_sum(images_nE, all_texts_NE, scale, found.bias_1, first)
        case _:
            assert_never(model.spec.loss)
    return loss + silent


def softmax_sum(
    images_nE: Tensor,
    texts_nE: Tensor,
    all_images_NE: Tensor,
    all_texts_NE: Tensor,
    scale: Tensor,
    first: int = 0,
) -> Tensor:
    """CLIP's loss (Radford et al. 2021, figure 3), summed over these n rows, nats.

    Each picture picks its text among all N, each text its picture, and a row's loss is the mean of
    both. Row i of the n is row `first` + i of the N.
    """
    wanted_n = first + torch.arange(len(images_nE), device=images_nE.device)
    of_images = F.cross_entropy(scale * images_nE @ all_texts_NE.T, wanted_n, reduction="sum")
    of_texts = F.cross_entropy(scale * texts_nE @ all_images_NE.T, wanted_n, reduction="sum")
    return (of_images + of_texts) / 2


def sigmoid_sum(
    images_nE: Tensor, all_texts_NE: Tensor, scale: Tensor, bias: Tensor, first: int = 0
) -> Tensor:
    """SigLIP's loss (Zhai et al. 2023, algorithm 1), summed over these n pictures, nats.

    A picture's loss is the sum over all N texts of -log sigmoid(±(scale · cosine + bias)), plus for
    its own text. Texts are gathered once instead of passed round a ring: more memory, equal values.
    """
    logits_nN = scale * images_nE @ all_texts_NE.T + bias
    own_nN = torch.zeros_like(logits_nN)
    own_nN.diagonal(first).fill_(1.0)
    return -F.logsigmoid((2 * own_nN - 1) * logits_nN).sum()


def gathered(rows_nE: Tensor, world: World) -> tuple[Tensor, int]:
    """The rows of all processes in order, [N, E], and the place of this process's first among them.

    Processes may have different numbers of rows. The gradient of a row is summed over processes.
    """
    if world.size == 1:
        return rows_nE, 0
    counts = [torch.zeros(1, dtype=torch.int64, device=rows_nE.device) for _ in range(world.size)]
    dist.all_gather(counts, torch.tensor([len(rows_nE)], device=rows_nE.device))
    sizes = [int(count) for count in counts]
    if not sum(sizes):
        raise TrainError("data", "gives no process a row", "leave such steps out")
    joined: Tensor = _Gather.apply(rows_nE, sizes, world.rank)  # type: ignore[no-untyped-call]
    return joined, sum(sizes[: world.rank])


class _Gather(torch.autograd.Function):
    """All processes' rows; backwards their gradients are summed and each takes its own."""

    @staticmethod
    def forward(ctx: Any, rows_nE: Tensor, sizes: Sequence[int], rank: int) -> Tensor:
        ctx.sizes, ctx.rank = sizes, rank
        padded = rows_nE.new_zeros(max(sizes), rows_nE.shape[1])
        padded[: len(rows_nE)] = rows_nE
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        summed_NE = gradients[0].contiguous().clone()
        dist.all_reduce(summed_NE)
        return torch.split(summed_NE, ctx.sizes)[ctx.rank], None, None


def at_most(x: Tensor, limit: float) -> Tensor:
    """min(x, limit), without gradients that would push x further beyond.

    CLIP clips the parameter after each update; here its value is clipped where it is used.
    """
    bounded: Tensor = _AtMost.apply(x, limit)  # type: ignore[no-untyped-call]
    return bounded


class _AtMost(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: float) -> Tensor:
        ctx.beyond = x >= limit
        return x.clamp(max=limit)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        outward = ctx.beyond & (gradients[0] < 0)
        return gradients[0].masked_fill(outward, 0.0), None
