"""Pixtral's vision tower: RMS norms, gated MLPs without biases, rows and columns by rotation.

Source: transformers 5.23.0 models/pixtral (Agrawal et al. 2024).
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.family import activation
from sightline.spec.resolution import LongestEdgeSpec, PixelSpec
from sightline.spec.rules import Rename, Rule, under
from sightline.spec.vision import VitSpec

DEFAULTS: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 1024,
    "patch_size": 16,
    "hidden_act": "gelu",
}
ANCHOR = "patch_conv.weight"
BLOCK = {
    "norm1": "attention_norm",
    "norm2": "ffn_norm",
    **{f"attn.{ours}": f"attention.{theirs}_proj" for ours, theirs in
       (("q", "q"), ("k", "k"), ("v", "v"), ("out", "o"))},
    **{f"mlp.{n}": f"feed_forward.{n}_proj" for n in ("gate", "up", "down")},
}  # fmt: skip


def read(config: Config) -> VitSpec:
    """All norms have an eps of 1e-5, whatever the config says."""
    config.expect("num_channels", 3, why="pictures have three channels")
    heads, width = config.take("num_attention_heads", int), config.take("hidden_size", int)
    config.expect("head_dim", width // heads, None, why="heads share the width")
    return VitSpec(
        width=width,
        depth=config.take("num_hidden_layers", int),
        heads=heads,
        mlp_width=config.take("intermediate_size", int),
        patch=config.side("patch_size"),
        image_size=config.side("image_size"),
        activation=activation(config, "hidden_act"),
        mlp="gated",
        mlp_bias=False,
        patch_bias=False,
        qkv_bias=False,
        out_bias=False,
        pre_norm=True,
        post_norm="absent",
        norm="rms",
        norm_eps=1e-5,
        positions="absent",
        rope="alternate",
        rope_theta=_theta(config),
    )


def _theta(config: Config) -> float:
    """`rope_theta` in 4.x, of kind axial in `rope_parameters` in 5.x."""
    stated = config.take("rope_theta", float, 10_000.0)
    rope = config.sub("rope_parameters")
    rope.expect("rope_type", "axial", "default", None, why="rows and columns turn the heads")
    theta = rope.take("rope_theta", float, stated)
    rope.finish("pixtral")
    return theta


def rules() -> tuple[Rule, ...]:
    block = [Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in BLOCK.items()]
    stack = (
        Rename("patch_conv.{p}", "patch_embed.{p}"),
        Rename("ln_pre.{p}", "pre_norm.{p}"),
        *under(block, disk="transformer.layers.{i}.", ours="blocks.{i}."),
    )
    return under(stack, ours="vision.")


def views(edge: int, multiple: int) -> LongestEdgeSpec:
    """PixtralImageProcessor: bicubic, CLIP's mean and deviation."""
    return LongestEdgeSpec(edge=edge, multiple=multiple, pixels=PixelSpec())
