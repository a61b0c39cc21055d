"""Published configs as specs, and tiny ones that together turn every switch."""

from __future__ import annotations

from typing import Any

from sightline.planner.published import clip_large
from sightline.spec.connector import (
    CAbstractorSpec,
    ConnectorSpec,
    GluSpec,
    GridResamplerSpec,
    InstructionSpec,
    LinearSpec,
    MergerSpec,
    MlpSpec,
    PatchMergerSpec,
    PixelShuffleSpec,
    PooledSpec,
    QFormerSpec,
)
from sightline.spec.fusion import DeepStackSpec, FusionSpec, InterleaveSpec, VisualExpertSpec
from sightline.spec.language import (
    AttentionSpec,
    DecoderSpec,
    LearnedPositionsSpec,
    Llama3Scaling,
    MlpBlockSpec,
    RopeSpec,
)
from sightline.spec.layers import LayerNormSpec, RmsNormSpec
from sightline.spec.model import ModelSpec
from sightline.spec.prompt import ImageTokenSpec, PromptSpec
from sightline.spec.resolution import FixedSpec
from sightline.spec.vision import VitSpec

LLAMA_2_7B = DecoderSpec(
    vocab=32000,
    width=4096,
    depth=32,
    context=4096,
    attention=AttentionSpec(heads=32, kv_heads=32, head_dim=128),
    mlp=MlpBlockSpec(width=11008),
    norm=RmsNormSpec(eps=1e-5),
)
LLAMA_31_8B = DecoderSpec(
    vocab=128256,
    width=4096,
    depth=32,
    context=131072,
    attention=AttentionSpec(heads=32, kv_heads=8, head_dim=128),
    mlp=MlpBlockSpec(width=14336),
    norm=RmsNormSpec(eps=1e-5),
    positions=RopeSpec(
        theta=500_000,
        scaling=Llama3Scaling(
            factor=8, low_freq_factor=1, high_freq_factor=4, original_context=8192
        ),
    ),
)
QWEN2_05B = DecoderSpec(
    vocab=151936,
    width=896,
    depth=24,
    context=32768,
    attention=AttentionSpec(heads=14, kv_heads=2, head_dim=64, qkv_bias=True),
    mlp=MlpBlockSpec(width=4864),
    positions=RopeSpec(theta=1e6),
    tied_head=True,
)


def model(
    language: DecoderSpec,
    vision: VitSpec | None = None,
    connector: ConnectorSpec | None = None,
    *,
    side: int | None = None,
    image: ImageTokenSpec | None = None,
    fusion: FusionSpec | None = None,
) -> ModelSpec:
    """A model of these parts; by default CLIP-L/14-336 and LLaVA-1.5's projector."""
    vision = vision or clip_large()
    return ModelSpec(
        resolution=FixedSpec(size=side or vision.image_size),
        vision=vision,
        connector=connector or MlpSpec(),
        fusion=fusion or InterleaveSpec(),
        language=language,
        prompt=PromptSpec(image=image or ImageTokenSpec(id=3)),
    )


def vit(**changes: Any) -> VitSpec:
    base = {"width": 32, "depth": 3, "heads": 4, "mlp_width": 48, "patch": 7, "image_size": 28}
    return VitSpec(**(base | changes))


def decoder(attention: dict[str, Any] | None = None, **changes: Any) -> DecoderSpec:
    heads = {"heads": 4, "kv_heads": 2, "head_dim": 8} | (attention or {})
    base = {
        "vocab": 50,
        "width": 24,
        "depth": 2,
        "context": 256,
        "attention": AttentionSpec(**heads),
        "mlp": MlpBlockSpec(width=40),
    }
    return DecoderSpec(**(base | changes))


VISIONS = {
    "clip": vit(class_token="drop", patch_bias=False, pre_norm=True, post_norm="unused", layer=-2),
    "clip keeps class": vit(class_token="keep", pre_norm=True),
    "siglip": vit(activation="gelu_tanh", post_norm="absent"),
    "dinov2": vit(class_token="drop", layer_scale=True, registers=4),
    "swiglu": vit(mlp="swiglu", qkv_bias=False),
    "internvit 6b": vit(
        class_token="drop",
        qkv_bias=False,
        qk_norm="rms",
        norm="rms",
        layer_scale=True,
        post_norm="absent",
    ),
    "eva2-e": vit(class_token="drop", norm_place="after", post_norm="absent"),
    "conv stem": vit(stem="conv", patch=4, image_size=16),
    "qwen2-vl": vit(positions="absent", rope="shared", frames_per_view=2, post_norm="absent"),
    "qwen2.5-vl": vit(
        positions="absent",
        rope="shared",
        norm="rms",
        mlp="swiglu",
        window=2,
        full_blocks=(1,),
        post_norm="absent",
    ),
    "pixtral": vit(
        mlp="gated",
        mlp_bias=False,
        patch_bias=False,
        qkv_bias=False,
        out_bias=False,
        pre_norm=True,
        post_norm="absent",
        norm="rms",
        positions="absent",
        rope="alternate",
    ),
    "idefics3": vit(positions="buckets"),
    "qwen3-vl": vit(positions="corners", rope="shared", deep_layers=(1, 3), frames_per_view=2),
}
QFORMER = {"queries": 5, "width": 12, "depth": 3, "heads": 2, "mlp_width": 20}
CONNECTORS: dict[str, ConnectorSpec] = {
    "linear": LinearSpec(),
    "linear without bias": LinearSpec(bias=False),
    "pooled": PooledSpec(side=2),
    "patch merger": PatchMergerSpec(),
    "patch merger, biases": PatchMergerSpec(side=4, bias=True),
    "mlp 1": MlpSpec(depth=1),
    "mlp 2": MlpSpec(),
    "mlp 3, inner 20, without bias": MlpSpec(depth=3, hidden=20, bias=False),
    "merger": MergerSpec(),
    "pixel shuffle": PixelShuffleSpec(),
    "pixel shuffle as in idefics": PixelShuffleSpec(side=4, norm="none", depth=1, bias=False),
    "merger with rms norm": MergerSpec(norm="rms"),
    "c abstractor": CAbstractorSpec(side=2, width=12, depth=2, position_side=4),
    "c abstractor, one width": CAbstractorSpec(side=3, width=32, depth=1, mlp_depth=1),
    "glu": GluSpec(hidden=20),
    "grid resampler": GridResamplerSpec(side=2, heads=4),
    "qformer": QFormerSpec(**QFORMER),
    "qformer that reads": QFormerSpec(**QFORMER, instruction=InstructionSpec(vocab=30, context=9)),
}
LANGUAGES = {
    "llama": decoder(),
    "many heads, wide": decoder({"heads": 4, "kv_heads": 4, "head_dim": 16}),
    "one key head": decoder({"kv_heads": 1}),
    "qwen2": decoder({"qkv_bias": True}, tied_head=True),
    "qwen3": decoder({"qk_norm": "rms"}),
    "phi": decoder(
        {"qkv_bias": True, "out_bias": True},
        norm=LayerNormSpec(),
        block="parallel",
        mlp=MlpBlockSpec(kind="plain", width=40, bias=True, activation="gelu_tanh"),
        head_bias=True,
    ),
    "opt": decoder(
        {"kv_heads": 4, "qkv_bias": True, "out_bias": True},
        norm=LayerNormSpec(),
        mlp=MlpBlockSpec(kind="plain", width=40, bias=True, activation="relu"),
        positions=LearnedPositionsSpec(offset=2),
        tied_head=True,
    ),
    "falcon 40b": decoder(
        norm=LayerNormSpec(),
        block="parallel_two_norms",
        mlp=MlpBlockSpec(kind="plain", width=40, activation="gelu"),
        tied_head=True,
    ),
    "gemma": decoder(norm=RmsNormSpec(unit_offset=True), tied_head=True, embedding_scale=24**0.5),
    "m-rope": decoder(positions=RopeSpec(sections=(1, 1, 2), interleaved=True)),
    "windows": decoder({"window": 16, "windowed_layers": (1,)}, depth=3),
    "gemma 2": decoder(
        {"scale": 0.2, "soft_cap": 50.0, "window": 16, "windowed_layers": (1,)},
        norm=RmsNormSpec(unit_offset=True),
        block="sandwich",
        tied_head=True,
        logit_soft_cap=30.0,
    ),
    "gemma 3": decoder(
        {"qk_norm": "rms", "window": 16, "windowed_layers": (1, 2)},
        depth=3,
        norm=RmsNormSpec(unit_offset=True),
        block="sandwich",
        tied_head=True,
        windowed_positions=RopeSpec(theta=1e3),
    ),
}
DEEP = model(decoder(), VISIONS["qwen3-vl"], MergerSpec(levels=2), fusion=DeepStackSpec(levels=2))
EXPERT = model(decoder(), vit(class_token="drop"), fusion=VisualExpertSpec(positions="shared"))
ENDS = FixedSpec(size=28, ends=("begin", "end"))
SWITCHES = {
    "fusion: visual expert": EXPERT.model_copy(update={"resolution": ENDS}),
    "fusion: deep stack": DEEP,
    **{f"vision: {name}": model(decoder(), spec) for name, spec in VISIONS.items()},
    **{f"connector: {name}": model(decoder(), vit(), spec) for name, spec in CONNECTORS.items()},
    **{f"language: {name}": model(spec, vit()) for name, spec in LANGUAGES.items()},
}
