"""The vision transformer and its switches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.spec.layers import Activation


class VitSpec(Spec):
    """A plain vision transformer (Dosovitskiy et al. 2020) with the switches of its descendants.

    | switch          | CLIP       | SigLIP     | DINOv2   |
    |-----------------|------------|------------|----------|
    | class_token     | drop       | absent     | drop     |
    | pre_norm        | yes        | no         | no       |
    | patch_bias      | no         | yes        | yes      |
    | activation      | quick_gelu | gelu_tanh  | gelu     |
    | layer_scale     | no         | no         | yes      |

    `layer` is the hidden state that leaves the encoder: 0 is the embedding, `depth` (or -1) the
    last block, -2 the one before. The final norm is `applied` to what leaves, `absent`, or `unused`
    (kept for lossless saving: LLaVA takes features before it).
    `stem`: `patch` multiplies each patch by one matrix; `conv` reads it through overlapping
    convolutions that halve the picture until a patch is one pixel (Xiao et al. 2021), which learns
    from far fewer pictures; `patch` is then a power of two.
    `class_token`: `absent`, or present and `keep` / `drop` on the way out.
    `position_antialias`: learned positions are stretched with antialiasing (DINOv2 with registers).
    """

    kind: Literal["vit"] = "vit"
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    heads: int = Field(ge=1)
    mlp_width: int = Field(ge=1)
    patch: int = Field(ge=1)
    image_size: int = Field(ge=1, description="side of the learned position grid, in pixels")
    activation: Activation = "gelu"
    mlp: Literal["plain", "swiglu"] = "plain"
    class_token: Literal["absent", "keep", "drop"] = "absent"
    registers: int = Field(default=0, ge=0)
    patch_bias: bool = True
    stem: Literal["patch", "conv"] = "patch"
    qkv_bias: bool = True
    pre_norm: bool = False
    post_norm: Literal["absent", "unused", "applied"] = "applied"
    layer_scale: bool = False
    norm_eps: float = Field(default=1e-6, gt=0)
    position_antialias: bool = False
    layer: int = -1

    @model_validator(mode="after")
    def _fits(self) -> VitSpec:
        if self.width % self.heads:
            raise SpecError(
                "heads", f"{self.heads} does not divide width {self.width}", "choose a divisor"
            )
        if self.stem == "conv" and (self.patch < 4 or self.patch & (self.patch - 1)):
            raise SpecError("patch", f"{self.patch} is no power of two", "use 4, 8, 16 or 32")
        if self.image_size < self.patch:
            raise SpecError(
                "patch", f"{self.patch} exceeds image_size {self.image_size}", "use a smaller patch"
            )
        if not -self.depth - 1 <= self.layer <= self.depth:
            raise SpecError(
                "layer",
                f"{self.layer} is not a hidden state of {self.depth} blocks",
                f"use {-self.depth - 1}..{self.depth}",
            )
        return self

    @property
    def blocks_used(self) -> int:
        """Number of blocks that the chosen hidden state needs."""
        return self.layer if self.layer >= 0 else self.depth + 1 + self.layer

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def extra_tokens(self) -> int:
        """Class token and registers: rows before the patches inside the encoder."""
        return (self.class_token != "absent") + self.registers

    @property
    def stem_widths(self) -> tuple[int, ...]:
        """Channels after each halving convolution of a `conv` stem; the last is the width."""
        halvings = self.patch.bit_length() - 1
        return tuple(self.width >> (halvings - 1 - i) for i in range(halvings))

    @property
    def position_grid(self) -> Grid:
        side = self.image_size // self.patch
        return Grid(side, side)

    def grid(self, width: int, height: int) -> Grid:
        """Patches of a view of `width` × `height` pixels (a rest smaller than a patch is cut)."""
        return Grid(height // self.patch, width // self.patch)

    @property
    def out_width(self) -> int:
        """Channels of the rows that leave."""
        return self.width

    @property
    def frames_per_view(self) -> int:
        """Frames of a clip that one view holds."""
        return 1

    def tokens(self, grid: Grid) -> int:
        """Rows that leave the encoder for one view."""
        return grid.area + (self.class_token == "keep")
