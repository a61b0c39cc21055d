"""The inventory of parameters against what is really built, here and by transformers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.specs import LLAMA_31_8B, QWEN2_05B, SWITCHES, decoder, model, vit

from sightline.model.build import build_model
from sightline.planner.formats import weight_bytes
from sightline.planner.published import clip_large, llava
from sightline.planner.report import plan
from sightline.planner.tensors import vision_weights, weights
from sightline.planner.work import kv_bytes, parameters
from sightline.spec.connector import LinearSpec, MlpSpec
from sightline.spec.language import MlpBlockSpec
from sightline.spec.layers import LayerNormSpec, RmsNormSpec
from sightline.spec.train import PARTS
from sightline.train.parts import parameters_of

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def assert_same(spec):
    built = {name: tuple(p.shape) for name, p in build_model(spec).named_parameters()}
    planned = {n: w.shape for part in PARTS for w in weights(spec, part) for n in w.names()}
    assert planned == built


@pytest.mark.parametrize("name", SWITCHES)
def test_every_name_and_shape_is_the_built_models(name):
    assert_same(SWITCHES[name])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SWITCHES)
def test_bytes_are_what_is_allocated(name, dtype):
    built = build_model(SWITCHES[name], dtype=DTYPES[dtype])
    allocated = {
        part: sum(p.numel() * p.element_size() for p in own.values())
        for part, own in parameters_of(built).items()
    }
    assert {p: weight_bytes(weights(SWITCHES[name], p), dtype) for p in PARTS} == allocated


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in SWITCHES if n.startswith("language")])
def test_cache_bytes_are_what_is_allocated(name, dtype):
    """Up to a window all layers keep everything; beyond it a windowed layer needs no more."""
    spec = SWITCHES[name]
    built = build_model(spec, dtype=DTYPES[dtype]).language
    window = spec.language.attention.window
    for tokens in (1, 16, 100):
        allocated = built.new_cache(3, tokens).num_bytes
        if window is None or tokens <= window:
            assert 3 * kv_bytes(spec, tokens, dtype) == allocated
        else:
            assert 3 * kv_bytes(spec, tokens, dtype) < allocated


visions = st.builds(
    vit,
    width=st.sampled_from([8, 24]),
    depth=st.integers(1, 3),
    heads=st.sampled_from([1, 4]),
    mlp_width=st.integers(1, 30),
    patch=st.sampled_from([3, 7]),
    image_size=st.integers(14, 40),
    mlp=st.sampled_from(["plain", "swiglu"]),
    class_token=st.sampled_from(["absent", "keep", "drop"]),
    registers=st.integers(0, 3),
    patch_bias=st.booleans(),
    qkv_bias=st.booleans(),
    pre_norm=st.booleans(),
    post_norm=st.sampled_from(["absent", "unused", "applied"]),
    layer_scale=st.booleans(),
)
connectors = st.one_of(
    st.builds(LinearSpec, bias=st.booleans()),
    st.builds(
        MlpSpec,
        depth=st.integers(1, 3),
        hidden=st.none() | st.integers(1, 20),
        bias=st.booleans(),
    ),
)
attentions = st.fixed_dictionaries(
    {
        "heads": st.just(4),
        "kv_heads": st.sampled_from([1, 2, 4]),
        "head_dim": st.sampled_from([4, 8]),
        "qkv_bias": st.booleans(),
        "out_bias": st.booleans(),
        "qk_norm": st.sampled_from(["none", "rms"]),
    }
)
languages = st.builds(
    decoder,
    attentions,
    vocab=st.integers(4, 60),
    width=st.integers(4, 40),
    depth=st.integers(1, 3),
    mlp=st.builds(
        MlpBlockSpec,
        kind=st.sampled_from(["gated", "plain"]),
        width=st.integers(1, 30),
        bias=st.booleans(),
    ),
    norm=st.sampled_from([RmsNormSpec(), RmsNormSpec(unit_offset=True), LayerNormSpec()]),
    block=st.sampled_from(["sequential", "sandwich", "parallel", "parallel_two_norms"]),
    tied_head=st.booleans(),
    head_bias=st.booleans(),
)


@settings(max_examples=60)
@given(vision=visions, connector=connectors, language=languages)
def test_any_combination_of_switches_is_counted(vision, connector, language):
    assert_same(model(language, vision, connector))


def test_the_largest_published_model_is_counted_without_allocating():
    spec = llava("13b")
    with torch.device("meta"):
        built = build_model(spec, device="meta")
    assert sum(p.numel() for p in built.parameters()) == sum(parameters(spec)) == 13_351_494_656


@pytest.mark.parametrize("size", ["7b", "13b"])
def test_llava_has_as_many_parameters_as_in_transformers(size):
    transformers = pytest.importorskip("transformers")
    spec = llava(size)
    d = spec.language
    text = transformers.LlamaConfig(
        vocab_size=d.vocab,
        hidden_size=d.width,
        intermediate_size=d.mlp.width,
        num_hidden_layers=d.depth,
        num_attention_heads=d.attention.heads,
    )
    config = transformers.LlavaConfig(vision_config=_clip(transformers), text_config=text)
    with torch.device("meta"):
        theirs = transformers.LlavaForConditionalGeneration(config)
    counts = [_count(theirs.model.vision_tower), _count(theirs.model.multi_modal_projector)]
    rest = _count(theirs) - sum(counts)
    assert parameters(spec) == (*counts, rest)


def _clip(transformers):
    v = clip_large()
    return transformers.CLIPVisionConfig(
        hidden_size=v.width,
        intermediate_size=v.mlp_width,
        num_hidden_layers=v.depth,
        num_attention_heads=v.heads,
        image_size=v.image_size,
        patch_size=v.patch,
    )


def _count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("spec", "published"), [(LLAMA_31_8B, 8_030_261_248), (QWEN2_05B, 494_032_768)]
)
def test_language_models_have_their_published_number_of_parameters(spec, published):
    assert parameters(model(spec))[2] == published


def test_blocks_that_never_run_are_stored_but_not_read():
    spec = clip_large()
    stored = sum(w.count for w in vision_weights(spec))
    read = sum(w.count for w in vision_weights(spec, spec.blocks_used))
    assert stored - read == 12_596_224  # one block of width 1024


@pytest.mark.parametrize(("dtype", "bits", "scale_bits"), [("int8", 8, 16), ("int4", 4, 16)])
def test_quantised_bytes(dtype, bits, scale_bits):
    """Matrices of linear layers shrink, with a scale for each 64 inputs; the rest stays 16 bit."""
    spec = SWITCHES["language: qwen2"]
    total = 0
    for name, p in build_model(spec).named_parameters():
        linear = p.ndim == 2 and any(f".{k}." in name for k in ("attn", "mlp", "layers"))
        groups = p.shape[0] * math.ceil(p.shape[-1] / 64) if linear else 0
        total += p.numel() * (bits if linear else 16) + groups * scale_bits
    planned = sum(part.weight_bytes[dtype] for part in plan(spec).parts)
    assert planned == pytest.approx(total / 8, abs=3)
