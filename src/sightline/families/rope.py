"""Rotary positions in both dialects of config.json.

4.x and the hub write `rope_theta`, `rope_scaling` and `partial_rotary_factor` beside each other;
transformers 5.x writes one `rope_parameters`. The meaning is that of its modeling_rope_utils.
"""

from __future__ import annotations

import math
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.spec.language import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    PositionsSpec,
    RopeScaling,
    RopeSpec,
    YarnScaling,
)

KINDS = ("default", "linear", "dynamic", "llama3", "yarn")


def read_rope(config: Config, *, context: int, fraction: float | None = None) -> RopeSpec:
    """`context` is max_position_embeddings, `fraction` the default of a class that turns only a
    part of each head; the others have no such key, whatever config.json says.
    """
    scaling_4x, parameters_5x = (
        config.maybe("rope_scaling", dict),
        config.maybe("rope_parameters", dict),
    )
    rope = Config(
        {**(scaling_4x or parameters_5x or {}), **_original_context(config)},
        where=config.name("rope_scaling" if scaling_4x else "rope_parameters"),
        defaults=_beside(config),
    )
    kind = rope.maybe("rope_type", str) or rope.maybe("type", str) or "default"
    rope.maybe("type", str)
    theta = rope.take("rope_theta", float, 10_000.0)
    if fraction is None:
        rope.expect("partial_rotary_factor", 1.0, None, why="this family turns whole heads")
    turned = rope.take("partial_rotary_factor", float, 1.0 if fraction is None else fraction)
    scaling = _scaling(kind, rope, context)
    rope.finish(f"rope {kind}", harmless=_unused_by(kind))
    return RopeSpec(theta=theta, fraction=turned, scaling=scaling)


def write_rope(rope: PositionsSpec) -> dict[str, Any]:
    """`rope_parameters` as transformers 5.x reads it, with the 4.x keys beside it.

    Nothing for other positions: the config then reads as another spec.
    """
    if not isinstance(rope, RopeSpec):
        return {}
    parameters: dict[str, Any] = {"rope_theta": rope.theta, **_write_scaling(rope.scaling)}
    old = {k: v for k, v in parameters.items() if k != "rope_theta"} if rope.scaling else None
    beside: dict[str, Any] = {"rope_theta": rope.theta, "rope_scaling": old}
    if rope.fraction != 1.0:
        parameters["partial_rotary_factor"] = beside["partial_rotary_factor"] = rope.fraction
    return {"rope_parameters": parameters, **beside}


def _beside(config: Config) -> dict[str, Any]:
    """The keys of the 4.x dialect that stand beside `rope_scaling`; inside, they win."""
    keys = ("rope_theta", "partial_rotary_factor")
    return {key: value for key in keys if (value := config.maybe(key, float)) is not None}


def _original_context(config: Config) -> dict[str, Any]:
    """Phi-3's spelling, outside of the dict, wins over the one inside."""
    value = config.maybe("original_max_position_embeddings", int)
    return {} if value is None else {"original_max_position_embeddings": value}


def _scaling(kind: str, rope: Config, context: int) -> RopeScaling | None:
    match kind:
        case "default":
            return None
        case "linear":
            return LinearScaling(factor=rope.take("factor", float))
        case "dynamic":
            return DynamicScaling(factor=rope.take("factor", float), original_context=context)
        case "llama3":
            return Llama3Scaling(
                factor=rope.take("factor", float),
                low_freq_factor=rope.take("low_freq_factor", float),
                high_freq_factor=rope.take("high_freq_factor", float),
                original_context=rope.take("original_max_position_embeddings", int, context),
            )
        case "yarn":
            return _yarn(rope, context)
        case _:
            raise FamilyError(
                rope.name("rope_type"), f"{kind!r} is not supported", f"known: {', '.join(KINDS)}"
            )


def _yarn(rope: Config, context: int) -> YarnScaling:
    original = rope.take("original_max_position_embeddings", int, context)
    factor = rope.maybe("factor", float) or context / original
    rope.expect("truncate", True, None, why="the ramp's ends are rounded here")
    scale, scale_all = rope.maybe("mscale", float), rope.maybe("mscale_all_dim", float)
    attention = rope.maybe("attention_factor", float)
    if attention is None and scale and scale_all:
        attention = _attention_factor(factor, scale) / _attention_factor(factor, scale_all)
    if attention is None and factor <= 1:
        attention = 1.0
    return YarnScaling(
        factor=factor,
        original_context=original,
        beta_fast=rope.maybe("beta_fast", float) or 32.0,
        beta_slow=rope.maybe("beta_slow", float) or 1.0,
        attention_factor=attention,
    )


def _attention_factor(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _unused_by(kind: str) -> tuple[str, ...]:
    """Keys that the reference accepts and does not read with this kind."""
    match kind:
        case "default" | "linear" | "dynamic":
            return ("factor", "original_max_position_embeddings")
        case _:
            return ()


def _write_scaling(scaling: RopeScaling | None) -> dict[str, Any]:
    if scaling is None:
        return {"rope_type": "default"}
    values = scaling.model_dump(exclude={"kind", "original_context"}, exclude_none=True)
    if isinstance(scaling, Llama3Scaling | YarnScaling):
        values["original_max_position_embeddings"] = scaling.original_context
    return {"rope_type": scaling.kind, **values}
