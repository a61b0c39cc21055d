"""The vision transformer and its switches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.spec.layers import Activation, LayerNormSpec, NormSpec, RmsNormSpec


class VitSpec(Spec):
    """A plain vision transformer (Dosovitskiy et al. 2020) with the switches of its descendants.

    | switch          | CLIP       | SigLIP     | DINOv2   | Qwen2-VL   | Qwen2.5-VL | Qwen3-VL  |
    |-----------------|------------|------------|----------|------------|------------|-----------|
    | class_token     | drop       | absent     | drop     | absent     | absent     | absent    |
    | pre_norm        | yes        | no         | no       | no         | no         | no        |
    | patch_bias      | no         | yes        | yes      | no         | no         | yes       |
    | activation      | quick_gelu | gelu_tanh  | gelu     | quick_gelu | silu       | gelu_tanh |
    | layer_scale     | no         | no         | yes      | no         | no         | no        |
    | norm            | layer      | layer      | layer    | layer      | rms        | layer     |
    | positions       | bicubic    | bicubic    | bicubic  | absent     | absent     | corners   |
    | rope            | absent     | absent     | absent   | shared     | shared     | shared    |
    | window          | no         | no         | no       | no         | 8          | no        |
    | frames_per_view | 1          | 1          | 1        | 2          | 2          | 2         |

    `layer` is the hidden state that leaves the encoder: 0 is the embedding, `depth` (or -1) the
    last block, -2 the one before. The final norm is `applied` to what leaves, `absent`, or `unused`
    (kept for lossless saving: LLaVA takes features before it).
    `stem`: `patch` multiplies each patch by one matrix; `conv` reads it through overlapping
    convolutions that halve the picture until a patch is one pixel (Xiao et al. 2021), which learns
    from far fewer pictures; `patch` is then a power of two.
    `class_token`: `absent`, or present and `keep` / `drop` on the way out.
    `positions`: `absent`, or learned on the grid of `image_size` and stretched to other grids:
    `bicubic`, or `corners` (bilinear, corner cells on corner cells), or not stretched but looked up
    at the same fraction of each side: `buckets` (Idefics3, SmolVLM).
    `position_antialias`: learned positions are stretched with antialiasing (DINOv2 with registers).
    `mlp`: `plain`; `gated` multiplies the activation of one branch with another; `swiglu` is gated
    by SiLU whatever the activation.
    `rope`: `shared` turns half of each head with a patch's row and half with its column, by the
    same frequencies (Qwen2-VL); `alternate` deals the frequencies of a whole head to rows and
    columns in turn (Pixtral).
    `window`: patches on the side of the square in which a patch sees others, in all blocks but
    `full_blocks`.
    `norm_place`: norms of a block stand before its branches or after them, inside the sum (EVA2-E).
    `qk_norm`: RMS norm of queries and keys over the full width, all heads at once (InternViT 6B).
    `deep_layers`: hidden states whose channels leave behind those of `layer` (DeepStack).
    """

    kind: Literal["vit"] = "vit"
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    heads: int = Field(ge=1)
    mlp_width: int = Field(ge=1)
    patch: int = Field(ge=1)
    image_size: int | None = Field(
        default=None, ge=1, description="side of the learned position grid, in pixels"
    )
    activation: Activation = "gelu"
    mlp: Literal["plain", "gated", "swiglu"] = "plain"
    mlp_bias: bool = True
    class_token: Literal["absent", "keep", "drop"] = "absent"
    registers: int = Field(default=0, ge=0)
    patch_bias: bool = True
    stem: Literal["patch", "conv"] = "patch"
    qkv_bias: bool = True
    out_bias: bool = True
    qk_norm: Literal["none", "rms"] = "none"
    pre_norm: bool = False
    post_norm: Literal["absent", "unused", "applied"] = "applied"
    layer_scale: bool = False
    norm: Literal["layer", "rms"] = "layer"
    norm_place: Literal["before", "after"] = "before"
    norm_eps: float = Field(default=1e-6, gt=0)
    positions: Literal["absent", "bicubic", "corners", "buckets"] = "bicubic"
    position_antialias: bool = False
    rope: Literal["absent", "shared", "alternate"] = "absent"
    rope_theta: float = Field(default=10_000.0, gt=1)
    window: int | None = Field(default=None, ge=1)
    full_blocks: tuple[int, ...] = ()
    frames_per_view: int = Field(default=1, ge=1, description="frames of a clip in one view")
    layer: int = -1
    deep_layers: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> VitSpec:
        if self.width % self.heads:
            raise SpecError(
                "heads", f"{self.heads} does not divide width {self.width}", "choose a divisor"
            )
        if self.stem == "conv" and (self.patch < 4 or self.patch & (self.patch - 1)):
            raise SpecError("patch", f"{self.patch} is no power of two", "use 4, 8, 16 or 32")
        if not -self.depth - 1 <= self.layer <= self.depth:
            raise SpecError(
                "layer",
                f"{self.layer} is not a hidden state of {self.depth} blocks",
                f"use {-self.depth - 1}..{self.depth}",
            )
        return self

    @model_validator(mode="after")
    def _has_a_position_grid(self) -> VitSpec:
        if self.positions == "absent":
            return self
        if self.image_size is None:
            raise SpecError(
                "image_size", "is missing", "state the side of the learned position grid in pixels"
            )
        if self.image_size < self.patch:
            raise SpecError(
                "patch", f"{self.patch} exceeds image_size {self.image_size}", "use a smaller patch"
            )
        return self

    @model_validator(mode="after")
    def _turns_patches_only(self) -> VitSpec:
        if self.rope == "absent" and self.window is None:
            return self
        field = "window" if self.rope == "absent" else "rope"
        if self.extra_tokens:
            raise SpecError(field, "has no place for a class token or registers", "leave them out")
        if self.rope != "absent" and self.head_dim % 4:
            raise SpecError(
                "rope", f"cannot halve heads of {self.head_dim} twice", "use a multiple of 4"
            )
        return self

    @model_validator(mode="after")
    def _names_its_blocks(self) -> VitSpec:
        if self.full_blocks and self.window is None:
            raise SpecError("full_blocks", "has no meaning without a window", "remove it")
        for block in self.full_blocks:
            if not 0 <= block < self.depth:
                raise SpecError(
                    "full_blocks",
                    f"{block} is no block of {self.depth}",
                    f"use 0..{self.depth - 1}",
                )
        for state in self.deep_layers:
            if not 1 <= state <= self.blocks_used:
                raise SpecError(
                    "deep_layers",
                    f"{state} is no block's output up to layer {self.layer}",
                    f"use 1..{self.blocks_used}",
                )
        return self

    @property
    def blocks_used(self) -> int:
        """Number of blocks that the chosen hidden state needs."""
        return self.layer if self.layer >= 0 else self.depth + 1 + self.layer

    def window_of(self, block: int) -> int | None:
        """The side of this block's windows in patches, or None where it sees everything."""
        return None if block in self.full_blocks else self.window

    @property
    def norm_spec(self) -> NormSpec:
        """The norm of every block."""
        if self.norm == "rms":
            return RmsNormSpec(eps=self.norm_eps)
        return LayerNormSpec(eps=self.norm_eps)

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
    def position_side(self) -> int:
        """Pixels of a side at which learned positions fit as they are."""
        if self.image_size is None:
            raise SpecError("image_size", "is not stated", "state the size to look at")
        return self.image_size

    @property
    def position_grid(self) -> Grid:
        side = self.position_side // self.patch
        return Grid(side, side)

    @property
    def position_rows(self) -> int:
        """Rows of the table of learned positions: a class token's, then the grid's."""
        if self.positions == "absent":
            return 0
        return (self.class_token != "absent") + self.position_grid.area

    def grid(self, width: int, height: int) -> Grid:
        """Patches of a view of `width` × `height` pixels (a rest smaller than a patch is cut)."""
        return Grid(height // self.patch, width // self.patch)

    @property
    def out_width(self) -> int:
        """Channels of the rows that leave."""
        return self.width * (1 + len(self.deep_layers))

    def tokens(self, grid: Grid) -> int:
        """Rows that leave the encoder for one view."""
        return grid.area + (self.class_token == "keep")
