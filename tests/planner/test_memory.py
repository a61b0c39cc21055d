"""What a memory costs, against what is built and what torch counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.tiny import tiny_spec
from tests.parity.memories import conversation
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sightline.model.batch import collate
from sightline.model.build import build_model
from sightline.planner.encoder import encoder_rows
from sightline.planner.report import plan
from sightline.planner.tensors import weights
from sightline.planner.work import (
    attention_flops,
    decode_work,
    encode_work,
    kv_bytes,
    prefill_work,
)
from sightline.planner.workload import workload
from sightline.spec import ModelSpec
from sightline.spec.train import PARTS

CROSS: dict[str, Any] = {"kind": "cross_attention", "layers": [0, 2]}
FUSIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "heads": {"heads": 6, "head_dim": 4, "qk_norm": "rms"},
    "grouped": {"heads": 4, "kv_heads": 2},
    "flamingo": {
        "norm": {"kind": "layer"},
        "mlp": {"kind": "plain", "width": 40, "activation": "gelu"},
        "gate": "vector",
        "memory_width": 12,
    },
    "mllama": {"sees": "run", "blind": "everything", "qk_norm": "rms"},
}
RESAMPLERS: dict[str, dict[str, Any]] = {
    "resampler": {"latents": 3, "depth": 2, "heads": 2, "head_dim": 4},
    "resampler, normed": {
        "latents": 3, "depth": 1, "heads": 3, "head_dim": 6, "qk_norm": "layer", "mlp_ratio": 2,
    },
}  # fmt: skip
TILED: dict[str, Any] = {
    "resolution": {"kind": "canvas", "size": 8},
    "vision": {
        "kind": "tiled_vit", "width": 12, "depth": 2, "global_depth": 1, "heads": 2,
        "mlp_width": 20, "patch": 4, "image_size": 8, "taps": [0],
    },
}  # fmt: skip


def spec_of(vision: str, connector: dict[str, Any], fusion: dict[str, Any]) -> ModelSpec:
    sections: dict[str, Any] = {} if vision == "vit" else dict(TILED)
    if vision == "tiled, all rows":
        sections["vision"] = TILED["vision"] | {"rows": "all"}
    joined = {"connector": connector, "fusion": CROSS | fusion}
    return ModelSpec.parse(tiny_spec().model_dump() | sections | joined)


LINEAR = {"kind": "linear"}
CASES = {
    **{name: spec_of("vit", LINEAR, change) for name, change in FUSIONS.items()},
    **{
        name: spec_of("vit", {"kind": "resampler"} | change, {"memory_width": 12})
        for name, change in RESAMPLERS.items()
    },
    "resampler, projected": spec_of("vit", {"kind": "resampler", "latents": 2, "depth": 1}, {}),
    "tiled": spec_of("tiled", LINEAR, {}),
    "tiled, all rows": spec_of("tiled, all rows", LINEAR, FUSIONS["mllama"]),
}


@pytest.mark.parametrize("name", CASES)
def test_every_name_and_shape_is_the_built_models(name: str) -> None:
    spec = CASES[name]
    built = {name: tuple(p.shape) for name, p in build_model(spec).named_parameters()}
    planned = {n: w.shape for part in PARTS for w in weights(spec, part) for n in w.names()}
    assert planned == built


def counted(run: Any) -> int:
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        run()
    return counter.get_total_flops()


def hidden_pairs(spec: ModelSpec, tokens: int) -> int:
    """FLOPs of pairs that causality hides and the plain kernel computes."""
    language = spec.language
    width = 4 * language.attention.heads * language.attention.head_dim
    return width * tokens**2 * language.depth - attention_flops(language, tokens)


@pytest.mark.parametrize("name", CASES)
def test_flops_are_torchs(name: str) -> None:
    spec = CASES[name]
    model = build_model(spec).requires_grad_(False)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    item = conversation(spec, [5, 6, 7], "wide", [8, 9], "small", [10])
    batch, tokens = collate([item], 0, "left"), len(item.token_ids)
    laid, cache = item.visual.layout, model.language.new_cache(1, tokens + 1)
    memory = laid.memory_tokens
    rows = model.encode(batch.visuals)

    def prefill() -> None:
        hidden = model(batch, cache=cache, visual_ND=rows, last_only=False)
        model.language.logits(hidden[:, -1])

    def decode() -> None:
        x_B1D = model.language.embed_tokens(torch.tensor([[5]]))
        hidden = model.language(x_B1D, torch.tensor([[[tokens]]]), batch.mask, cache=cache)
        model.language.logits(hidden[:, -1])

    assert len(rows) == memory
    assert encode_work(spec, laid, "fp32").flops == counted(lambda: model.encode(batch.visuals))
    planned = prefill_work(spec, tokens, "fp32", memory_tokens=memory).flops
    assert planned == counted(prefill) - hidden_pairs(spec, tokens)
    planned = decode_work(spec, tokens + 1, "fp32", memory_tokens=memory).flops
    assert planned == counted(decode)


@pytest.mark.parametrize("name", ["plain", "mllama"])
def test_flops_without_a_picture_are_torchs(name: str) -> None:
    """Blocks that read stand still, wholly or but for their MLP."""
    spec = CASES[name]
    model = build_model(spec)
    batch = collate([conversation(spec, [5, 6, 7, 8])], 0, "left")
    run = counted(lambda: model.language.logits(model(batch)[:, -1]))
    assert prefill_work(spec, 4, "fp32").flops == run - hidden_pairs(spec, 4)


@pytest.mark.parametrize("name", CASES)
def test_cache_bytes_are_what_is_allocated(name: str) -> None:
    spec = CASES[name]
    model = build_model(spec)
    item = conversation(spec, [5, 6, 7], "tall", [8])
    tokens, memory = len(item.token_ids), item.visual.layout.memory_tokens
    cache = model.language.new_cache(1, tokens)
    with torch.inference_mode():
        model(collate([item], 0, "left"), cache=cache)
    assert cache.num_bytes == kv_bytes(spec, tokens, "fp32", memory)
    assert kv_bytes(spec, tokens, "fp32", memory) > kv_bytes(spec, tokens, "fp32")


def test_a_picture_takes_one_token_of_the_context_and_its_memory() -> None:
    spec = CASES["tiled, all rows"]
    one = workload(spec, [(60, 20)], text_tokens=20)
    assert (one.prompt_tokens, one.layout.memory_tokens) == (21, 4 * 5)
    assert one.kv_bytes - workload(spec, [], text_tokens=21).kv_bytes == 2 * 2 * 8 * 2 * 20 * 2
    assert encoder_rows(spec.vision, one.layout.views[0].size) == 4 * 8
    [told] = plan(spec, [(60, 20)], text_tokens=20, answer_tokens=5).pictures
    assert (told.tokens, told.memory_tokens) == (1, 20)
