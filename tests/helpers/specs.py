"""Hypothesis strategies over the design space: any valid ModelSpec."""

from __future__ import annotations

from hypothesis import strategies as st

from sightline.spec import (
    AttentionSpec,
    BuiltinTemplate,
    DecoderSpec,
    FixedSpec,
    ImageTokenSpec,
    InterleaveSpec,
    JinjaTemplate,
    LayerNormSpec,
    LinearSpec,
    MlpBlockSpec,
    MlpSpec,
    ModelSpec,
    PixelSpec,
    PromptSpec,
    RmsNormSpec,
    RopeSpec,
    VitSpec,
)
from sightline.spec.language import DynamicScaling, LinearScaling, Llama3Scaling, YarnScaling

WIDTHS = st.integers(1, 8192)
FLAGS = st.booleans()
EPS = st.floats(1e-9, 1e-2)
POSITIVE = st.floats(1e-3, 1e3)
ACTIVATIONS = st.sampled_from(["gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "silu"])
VOCAB = 256_000
IDS = st.integers(0, VOCAB - 1)
TOKEN_IDS = st.lists(IDS, max_size=3).map(tuple)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)

NORMS = st.builds(RmsNormSpec, eps=EPS, unit_offset=FLAGS) | st.builds(LayerNormSpec, eps=EPS)
CONNECTORS = st.builds(LinearSpec, bias=FLAGS) | st.builds(
    MlpSpec,
    depth=st.integers(1, 3),
    activation=ACTIVATIONS,
    hidden=st.none() | WIDTHS,
    bias=FLAGS,
    norms=FLAGS,
)
SCALINGS = st.one_of(
    st.none(),
    st.builds(LinearScaling, factor=POSITIVE),
    st.builds(DynamicScaling, factor=POSITIVE, original_context=WIDTHS),
    st.builds(
        Llama3Scaling,
        factor=POSITIVE,
        low_freq_factor=st.floats(0.1, 2),
        high_freq_factor=st.floats(2.5, 9),
        original_context=WIDTHS,
    ),
    st.builds(
        YarnScaling,
        factor=POSITIVE,
        original_context=WIDTHS,
        beta_fast=st.floats(2, 64),
        beta_slow=st.floats(0.1, 2),
        attention_factor=st.none() | POSITIVE,
    ),
)


@st.composite
def pixels(draw: st.DrawFn) -> PixelSpec:
    rgb, unit = st.tuples(*[st.integers(0, 255)] * 3), st.floats(0, 1)
    return PixelSpec(
        backend=draw(st.sampled_from(["torch", "pillow"])),
        resample=draw(st.sampled_from(["bilinear", "bicubic", "lanczos"])),
        mean=draw(st.tuples(unit, unit, unit)),
        std=draw(st.tuples(*[st.floats(0.01, 2)] * 3)),
        over=draw(rgb),
    )


@st.composite
def resolutions(draw: st.DrawFn, least: int) -> FixedSpec:
    fit = draw(st.sampled_from(["squash", "crop", "pad"]))
    edge = st.none() | st.integers(1, 2048) if fit == "crop" else st.none()
    size = draw(st.integers(least, 2048))
    return FixedSpec(size=size, fit=fit, shortest_edge=draw(edge), pixels=draw(pixels()))


@st.composite
def encoders(draw: st.DrawFn) -> VitSpec:
    heads, depth = draw(st.integers(1, 32)), draw(st.integers(1, 48))
    patch = draw(st.integers(1, 32))
    return VitSpec(
        width=heads * draw(st.integers(1, 128)),
        depth=depth,
        heads=heads,
        mlp_width=draw(WIDTHS),
        patch=patch,
        image_size=draw(st.integers(patch, 1024)),
        activation=draw(ACTIVATIONS),
        mlp=draw(st.sampled_from(["plain", "swiglu"])),
        class_token=draw(st.sampled_from(["absent", "keep", "drop"])),
        registers=draw(st.integers(0, 8)),
        patch_bias=draw(FLAGS),
        qkv_bias=draw(FLAGS),
        pre_norm=draw(FLAGS),
        post_norm=draw(st.sampled_from(["absent", "unused", "applied"])),
        layer_scale=draw(FLAGS),
        norm_eps=draw(EPS),
        position_antialias=draw(FLAGS),
        layer=draw(st.integers(-depth - 1, depth)),
    )


@st.composite
def attentions(draw: st.DrawFn, depth: int) -> AttentionSpec:
    kv_heads = draw(st.integers(1, 16))
    window = draw(st.none() | WIDTHS)
    layers = st.none() | st.lists(st.integers(0, depth - 1), max_size=4).map(tuple)
    return AttentionSpec(
        heads=kv_heads * draw(st.integers(1, 8)),
        kv_heads=kv_heads,
        head_dim=4 * draw(st.integers(1, 64)),
        qkv_bias=draw(FLAGS),
        out_bias=draw(FLAGS),
        qk_norm=draw(st.sampled_from(["none", "rms"])),
        scale=draw(st.none() | POSITIVE),
        soft_cap=draw(st.none() | POSITIVE),
        window=window,
        windowed_layers=None if window is None else draw(layers),
    )


@st.composite
def decoders(draw: st.DrawFn) -> DecoderSpec:
    depth = draw(st.integers(1, 80))
    rope = RopeSpec(
        theta=draw(st.floats(2, 1e7)),
        fraction=draw(st.just(1.0)),
        scaling=draw(SCALINGS),
    )
    return DecoderSpec(
        vocab=VOCAB,
        width=draw(WIDTHS),
        depth=depth,
        context=draw(st.integers(1, 10**6)),
        attention=draw(attentions(depth)),
        mlp=MlpBlockSpec(
            kind=draw(st.sampled_from(["gated", "plain"])),
            width=draw(WIDTHS),
            activation=draw(ACTIVATIONS),
            bias=draw(FLAGS),
        ),
        norm=draw(NORMS),
        block=draw(st.sampled_from(["sequential", "sandwich", "parallel", "parallel_two_norms"])),
        positions=rope,
        embedding_scale=draw(st.none() | POSITIVE),
        tied_head=draw(FLAGS),
        head_bias=draw(FLAGS),
        logit_soft_cap=draw(st.none() | POSITIVE),
    )


@st.composite
def prompts(draw: st.DrawFn) -> PromptSpec:
    templates = st.builds(JinjaTemplate, source=TEXT) | st.builds(
        BuiltinTemplate, name=st.sampled_from(["chatml", "vicuna", "llama3", "gemma", "plain"])
    )
    image = ImageTokenSpec(
        text=draw(TEXT), id=draw(IDS), before=draw(TOKEN_IDS), after=draw(TOKEN_IDS)
    )
    return PromptSpec(
        template=draw(templates),
        image=image,
        bos_id=draw(st.none() | IDS),
        stop_ids=draw(TOKEN_IDS),
        pad_id=draw(IDS),
        grounding=draw(st.sampled_from(["none", "percent", "qwen", "pixels"])),
    )


@st.composite
def models(draw: st.DrawFn) -> ModelSpec:
    """Any valid model."""
    vision = draw(encoders())
    return ModelSpec(
        resolution=draw(resolutions(vision.patch)),
        vision=vision,
        connector=draw(CONNECTORS),
        fusion=InterleaveSpec(),
        language=draw(decoders()),
        prompt=draw(prompts()),
    )
