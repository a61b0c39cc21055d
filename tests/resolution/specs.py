"""Small models that differ in how they see."""

from __future__ import annotations

from typing import Any

from sightline.spec import (
    AttentionSpec,
    ConnectorSpec,
    DecoderSpec,
    FusionSpec,
    ImageTokenSpec,
    InterleaveSpec,
    MlpBlockSpec,
    MlpSpec,
    ModelSpec,
    PromptSpec,
    ResolutionSpec,
    VitSpec,
)


def model(
    resolution: ResolutionSpec,
    *,
    patch: int = 14,
    connector: ConnectorSpec | None = None,
    fusion: FusionSpec | None = None,
    **vit: Any,
) -> ModelSpec:
    shape = {"width": 8, "depth": 2, "heads": 2, "mlp_width": 16}
    image_size = max(patch, resolution.least_side)
    return ModelSpec(
        resolution=resolution,
        vision=VitSpec(**shape, patch=patch, image_size=image_size, **vit),
        connector=connector or MlpSpec(),
        fusion=fusion or InterleaveSpec(),
        language=DecoderSpec(
            vocab=16,
            width=8,
            depth=1,
            context=64,
            attention=AttentionSpec(heads=2, kv_heads=2, head_dim=4),
            mlp=MlpBlockSpec(width=8),
        ),
        prompt=PromptSpec(image=ImageTokenSpec(id=1)),
    )
