"""Contrastive losses against the published formulas, in one process and in two."""

# B rows  N rows of all processes  E width

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.helpers.pairs import LIKE_SIGLIP, batch, random_pair, rows
from tests.helpers.two_processes import KINDS, Found, shared_losses
from tests.parity import reference as ref
from tests.parity.reference import TOWER
from tests.parity.test_pairs import clip, siglip
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from sightline.families.pairs import read_pair
from sightline.model.pair import Pair
from sightline.model.pair_prepare import PairBatch
from sightline.train.losses.contrastive import at_most, contrastive, sigmoid_sum, softmax_sum
from sightline.weights import fill_pair

FLOAT64 = NDArray[np.float64]


# The published formulas, written out.


def clip_figure_3(images_BE: FLOAT64, texts_BE: FLOAT64, t: float) -> float:
    """Radford et al. 2021, figure 3: labels on the diagonal, cross-entropy along both axes."""
    logits = images_BE @ texts_BE.T * np.exp(t)

    def cross_entropy(scores: FLOAT64) -> float:
        total = 0.0
        for i, row in enumerate(scores):
            highest = row.max()
            total -= row[i] - highest - math.log(np.exp(row - highest).sum())
        return total / len(scores)

    return (cross_entropy(logits) + cross_entropy(logits.T)) / 2


def siglip_algorithm_1(images_BE: FLOAT64, texts_BE: FLOAT64, t: float, b: float) -> float:
    """Zhai et al. 2023, algorithm 1: -sum(log_sigmoid(labels * logits)) / n."""
    n = len(images_BE)
    logits = images_BE @ texts_BE.T * np.exp(t) + b
    labels = 2 * np.eye(n) - np.ones((n, n))
    return float(np.logaddexp(0.0, -labels * logits).sum() / n)


def units(count: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, count, 6, generator=generator, dtype=torch.float64)
    images, texts = nn.functional.normalize(both, dim=-1)
    return images.to(dtype), texts.to(dtype)


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("t", [-1.0, 0.0, math.log(100)])
def test_losses_are_the_published_formulas(count: int, t: float) -> None:
    images, texts = units(count, count)
    scale, bias = torch.tensor([t], dtype=torch.float64).exp(), torch.tensor([-3.5])
    found = softmax_sum(images, texts, images, texts, scale).item() / count
    assert found == pytest.approx(clip_figure_3(images.numpy(), texts.numpy(), t), rel=1e-12)
    found = sigmoid_sum(images, texts, scale, bias.double()).item() / count
    wanted = siglip_algorithm_1(images.numpy(), texts.numpy(), t, -3.5)
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_pair_is_the_published_formula(kind: str) -> None:
    """Through both towers in float32."""
    pair = random_pair(KINDS[kind])
    given = batch(*rows(7))
    with torch.no_grad():
        images = pair.encode_images(given.pixels_B3HW).double().numpy()
        texts = pair.encode_texts(given.token_ids_BT).double().numpy()
        found = contrastive(pair, given).item() / given.weight
    head = pair.connector
    t = head.log_scale.item()
    wanted = (
        clip_figure_3(images, texts, t)
        if head.bias is None
        else siglip_algorithm_1(images, texts, t, head.bias.item())
    )
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("make", [clip, siglip])
def test_losses_and_gradients_of_transformers(make: Any, tmp_path: Path) -> None:
    """Every gradient within 1e-4 of its tensor's maximum, under their own names."""
    theirs = ref.randomise(make())
    ours = fill_pair(read_pair(ref.saved(theirs, tmp_path))).model
    side = TOWER["image_size"]
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(5, 3, side, side, generator=generator)
    ids = torch.randint(3, 38, (5, 16), generator=generator)
    ids[:, 9] = ours.spec.text.eos_id
    wanted = theirs(input_ids=ids, pixel_values=pixels, return_loss=True).loss
    found = contrastive(ours, batch(pixels, ids)) / 5
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    wanted.backward()
    found.backward()
    for mine, other in (
        (ours.connector.log_scale.grad, theirs.logit_scale.grad.reshape(1)),
        (
            ours.language.embed.weight.grad,
            theirs.text_model.embeddings.token_embedding.weight.grad,
        ),
        (
            ours.vision.patch_embed.weight.grad,
            theirs.vision_model.embeddings.patch_embedding.weight.grad,
        ),
        (
            ours.vision.blocks[0].attn.q.weight.grad,
            theirs.vision_model.encoder.layers[0].self_attn.q_proj.weight.grad,
        ),
    ):
        assert mine is not None
        assert float((mine - other).abs().max()) <= 1e-4 * float(other.abs().max())


def test_a_picture_with_another_text_costs_more() -> None:
    images, texts = units(6, 3)
    texts = nn.functional.normalize(images + 0.3 * texts, dim=-1)
    scale, bias = torch.tensor([10.0]).double(), torch.tensor([-5.0]).double()
    for loss in (
        lambda t: softmax_sum(images, t, images, t, scale),
        lambda t: sigmoid_sum(images, t, scale, bias),
    ):
        assert loss(texts).item() < loss(texts.roll(1, 0)).item()


# The bound of CLIP's scale.


@pytest.mark.parametrize(
    ("x", "gradient", "passed"),
    [(4.0, -1.0, -1.0), (4.0, 1.0, 1.0), (5.0, -1.0, 0.0), (5.0, 1.0, 1.0)],
)
def test_the_scale_may_fall_but_not_rise_beyond_its_bound(
    x: float, gradient: float, passed: float
) -> None:
    value = torch.tensor([x], requires_grad=True)
    bounded = at_most(value, 4.6)
    assert bounded.item() == pytest.approx(min(x, 4.6))
    bounded.backward(torch.tensor([gradient]))
    assert value.grad is not None and value.grad.item() == passed


# Several processes.


SIZES = ((4, 4), (5, 2), (0, 6))  # rows of each process


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What two gloo processes found: for every case, loss and gradients of each one's rows."""
    folder = tmp_path_factory.mktemp("shares")
    cases = [(kind, sizes) for kind in KINDS for sizes in SIZES]
    spawn(shared_losses, (cases, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_are_one(kind: str, sizes: tuple[int, int], shares: list[Found]) -> None:
    """Loss and every gradient, summed over two gloo processes, are those of the joined batch."""
    parts = [found[f"{kind} {sizes}"] for found in shares]
    pair = random_pair(KINDS[kind])
    loss = contrastive(pair, batch(*rows(sum(sizes), 4)))
    loss.backward()
    assert abs(sum(part["loss"] for part in parts) - loss) <= 1e-6 * abs(loss)
    for name, parameter in pair.named_parameters():
        wanted = parameter.grad
        assert wanted is not None, name
        summed = sum(part[name] for part in parts)
        assert float((summed - wanted).abs().max()) <= 1e-6 * max(1.0, float(wanted.abs().max()))


def test_a_silent_row_changes_nothing() -> None:
    """It runs through both towers, and reaches every parameter with zero."""
    pair = random_pair(LIKE_SIGLIP)
    loss = contrastive(pair, batch(*rows(3)).silent())
    loss.backward()
    assert loss.item() == 0.0
    for name, parameter in pair.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_learns_its_rows(kind: str) -> None:
    """Eight rows are told apart after a few updates."""
    pair = random_pair(KINDS[kind])
    given = batch(*rows(8))
    optimizer = torch.optim.Adam(pair.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = contrastive(pair, given) / given.weight
        loss.backward()
        optimizer.step()
    assert right(pair, given) == 1.0


@torch.no_grad()
def right(pair: Pair, given: PairBatch) -> float:
    """Share of rows whose own text is the likeliest."""
    encode = partial(pair.encode_texts, given.token_ids_BT)
    logits = pair.logits(pair.encode_images(given.pixels_B3HW), encode())
    return float((logits.argmax(1) == torch.arange(len(logits))).double().mean())
