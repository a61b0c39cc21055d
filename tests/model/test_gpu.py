"""The same answers on a GPU as on the CPU."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.tiny import item, tiny_model, tiny_spec

from sightline.model.generate import generate
from sightline.model.reference import reference_logits
from sightline.spec.sampling import Sampling

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


@pytest.mark.parametrize("seed", range(3))
def test_logits_and_greedy_answers_equal_the_cpu(seed: int) -> None:
    on_cpu, on_gpu = tiny_model(tiny_spec(), seed), tiny_model(tiny_spec(), seed).to("cuda")
    items = [item([5, 6], 1, [7, 8], seed=seed), item([7, 9], seed=seed + 1)]
    for one in items:
        here, there = reference_logits(on_cpu, one), reference_logits(on_gpu, one)
        assert (here - there.cpu()).abs().max() <= 1e-4
    sampling = Sampling(max_tokens=16)
    assert list(generate(on_gpu, items, sampling)) == list(generate(on_cpu, items, sampling))
