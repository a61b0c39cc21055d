"""Blocks that read a memory: closed gates, batches, beams, packed weights, training."""

# V vocabulary

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.tiny import DECODERS, merged, randomise, tiny_spec
from tests.parity.memories import conversation
from torch.nn import functional as F

from sightline.core.errors import SpecError
from sightline.model.batch import collate
from sightline.model.beam import beam_search
from sightline.model.build import build_decoder, build_model
from sightline.model.generate import Decoding, generate
from sightline.model.init import initialise
from sightline.model.reference import reference_greedy, reference_logits
from sightline.model.vlm import Vlm
from sightline.nn.masks import Mask
from sightline.nn.packed import pack, unpack
from sightline.spec import ModelSpec
from sightline.spec.sampling import Sampling

FUSIONS: dict[str, dict[str, Any]] = {
    "flamingo": {
        "layers": (1, 2),
        "norm": {"kind": "layer"},
        "mlp": {"kind": "plain", "width": 40, "activation": "gelu"},
        "heads": 3,
        "head_dim": 4,
    },
    "idefics": {"layers": (0, 2), "qk_norm": "rms", "gate": "vector", "memory_width": 12},
    "mllama": {"layers": (1,), "sees": "run", "blind": "everything", "qk_norm": "rms"},
}


def spec_of(fusion: dict[str, Any], language: dict[str, Any] | None = None) -> ModelSpec:
    data = tiny_spec(language=language or {}).model_dump()
    return ModelSpec.parse(data | {"fusion": {"kind": "cross_attention", **fusion}})


def built(fusion: dict[str, Any], language: dict[str, Any] | None = None) -> Vlm:
    """Loud weights, open gates."""
    model = build_model(spec_of(fusion, language))
    randomise(model, 0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("_gate"):
                p.fill_(0.8)
    return model.eval()


@pytest.fixture(params=FUSIONS)
def model(request: pytest.FixtureRequest) -> Vlm:
    return built(FUSIONS[request.param])


def items(spec: ModelSpec) -> list[Any]:
    return [
        conversation(spec, [5, 6, 7], "wide", [8, 9], "tall", [10, 11], seed=1),
        conversation(spec, [12, 13]),
        conversation(spec, "small", "wide", [14, 15, 16], seed=2),
    ]


def test_a_batch_changes_nobody(model: Vlm) -> None:
    """Text alone beside pictures, prompts and memories of unequal lengths."""
    steps = list(generate(model, items(model.spec), Sampling(max_tokens=8)))
    for row, item in enumerate(items(model.spec)):
        answer = [step[row] for step in steps if step[row] is not None]
        assert answer == reference_greedy(model, item, 8)


def test_encodings_made_before_are_used(model: Vlm) -> None:
    item = items(model.spec)[0]
    with torch.inference_mode():
        rows = model.encode([item.visual])
        given = Decoding(model, [item], 1, rows).logits_BV
        torch.testing.assert_close(given, Decoding(model, [item], 1).logits_BV)
        without = Decoding(model, [item], 1, 0 * rows).logits_BV
    assert not torch.allclose(given, without, atol=1e-3)


def test_beams_keep_their_memory(model: Vlm) -> None:
    """The log-probability of the best answer is that of the slow path."""
    item = items(model.spec)[0]
    best = beam_search(model, item, Sampling(beams=3, max_tokens=4))[0]
    answer = list(best.token_ids)
    log_p_TV = reference_logits(model, item, answer)[-len(answer) - 1 : -1].log_softmax(-1)
    total = sum(log_p_TV[i, token] for i, token in enumerate(answer))
    assert abs(float(total) - best.log_probability) < 1e-4


def test_packed_weights_give_the_same(model: Vlm) -> None:
    item = items(model.spec)[2]
    plain = reference_logits(model, item)
    pack(model)
    torch.testing.assert_close(reference_logits(model, item), plain, rtol=0, atol=1e-4)
    unpack(model)
    assert torch.equal(reference_logits(model, item), plain)


def test_a_picture_changes_only_what_comes_after_it() -> None:
    """In Flamingo; in Mllama tokens before a picture read it, too."""
    for name, alike in (("flamingo", True), ("mllama", False)):
        model = built(FUSIONS[name])
        seen = reference_logits(model, conversation(model.spec, [5, 6], "wide", [7], seed=1))
        other = reference_logits(model, conversation(model.spec, [5, 6], "wide", [7], seed=2))
        assert torch.equal(seen[:2], other[:2]) is alike
        assert (seen[2:] - other[2:]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("name", ["base", "parallel", "gemma", "window", "layer_norm"])
def test_closed_gates_leave_the_decoder(name: str) -> None:
    """Of every kind, and under the names that its weights have without any reading."""
    model = built({"layers": (0, 1, 2)}, DECODERS[name])
    decoder = build_decoder(model.spec.language)
    found = decoder.load_state_dict(model.language.state_dict(), strict=False)
    assert not found.missing_keys and all(".cross." in key for key in found.unexpected_keys)
    with torch.no_grad():
        for block in model.language.blocks:
            block.cross.attn_gate.zero_()
            block.cross.mlp_gate.zero_()
        item = items(model.spec)[0]
        ids = torch.tensor([item.token_ids])
        hidden = decoder(decoder.embed_tokens(ids), item.positions_AT[:, None], Mask())
        assert torch.equal(reference_logits(model, item), decoder.logits(hidden)[0])


def test_a_new_model_learns_to_look() -> None:
    """Gates start closed, open by training, and the loss falls."""
    model = build_model(spec_of(FUSIONS["flamingo"]))
    initialise(model, 0)
    blocks = [model.language.blocks[layer].cross for layer in (1, 2)]
    assert all(block.attn_gate == 0 for block in blocks)
    bright = conversation(model.spec, [5], "small", [6, 10], seed=1)
    dark = conversation(model.spec, [5], "small", [6, 11], seed=2)
    batch = collate([bright, dark], 0, "right")
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        logits_BTV = model.language.logits(model(batch))
        losses.append(F.cross_entropy(logits_BTV[:, -2], batch.token_ids_BT[:, -1]))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.2 < 0.6 < losses[0]  # without looking, ln 2 at best
    assert all(block.attn_gate.abs() > 1e-3 for block in blocks)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no layer": ({"layers": (3,)}, "fusion.layers"),
    "heads that do not group": ({"layers": (0,), "heads": 4, "kv_heads": 3}, "kv_heads"),
    "none": ({"layers": ()}, "layers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    fusion, field = REFUSED[name]
    with pytest.raises(SpecError, match=field):
        spec_of(fusion)


def test_ids_that_are_read_and_never_spoken() -> None:
    """The placeholder may lie beyond the vocabulary; a tied head cannot have such rows."""
    plain = tiny_spec().model_dump()
    vocab = plain["language"]["vocab"]
    prompt = {"image": {"id": vocab + 1}}
    model = built(FUSIONS["mllama"], {"unspoken": 2})
    spec = ModelSpec.parse(merged(model.spec.model_dump(), {"prompt": prompt}))
    model.spec = spec
    item = conversation(spec, [5, 6], "wide", [7])
    assert reference_logits(model, item).shape == (4, vocab)
    list(generate(model, [item], Sampling(max_tokens=3, repetition_penalty=1.5)))
    with pytest.raises(SpecError, match=r"prompt\.image\.id"):
        ModelSpec.parse(merged(plain, {"prompt": prompt}))
    with pytest.raises(SpecError, match="unspoken"):
        spec_of(FUSIONS["mllama"], {"unspoken": 2, "tied_head": True})
