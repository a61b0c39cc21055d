"""The vision transformer and its switches (Dosovitskiy et al. 2020)."""

# V views  N tokens of a view  D width  H heads  K head dim  Y, X patch rows and columns

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sightline.core.geometry import Grid
from sightline.nn.attention import attend
from sightline.nn.linear import Joint, Linear
from sightline.nn.masks import BoundMask
from sightline.nn.mlp import GatedMlp, PlainMlp
from sightline.nn.norm import RmsNorm, build_norm
from sightline.nn.rope import Rotary
from sightline.spec.layers import RmsNormSpec
from sightline.spec.vision import VitSpec
from sightline.vision.embed import ConvStem, PatchEmbed, positions_for
from sightline.vision.rope2d import patch_rotary
from sightline.vision.window import attend_in_windows


@dataclass(frozen=True, slots=True)
class VitContext:
    """What a block may know of the pass it runs in: patches, their rotations, who sees whom."""

    grid: Grid
    rotary: Rotary | None = None
    mask: BoundMask = field(default_factory=BoundMask)


class VitAttention(nn.Module):
    """Self-attention among the tokens of one view: all of them, or those of a window."""

    def __init__(self, spec: VitSpec, layer: int) -> None:
        super().__init__()
        self.heads, self.scale = spec.heads, spec.head_dim**-0.5
        self.window = spec.window_of(layer)
        self.q = Linear(spec.width, spec.width, bias=spec.qkv_bias)
        self.k = Linear(spec.width, spec.width, bias=spec.qkv_bias)
        self.v = Linear(spec.width, spec.width, bias=spec.qkv_bias)
        self.out = Linear(spec.width, spec.width, bias=spec.out_bias)
        self.qkv = Joint(self.q, self.k, self.v)
        norm, full_width = RmsNormSpec(eps=spec.norm_eps), spec.qk_norm == "rms"
        self.q_norm = RmsNorm(spec.width, norm) if full_width else None
        self.k_norm = RmsNorm(spec.width, norm) if full_width else None

    def forward(self, x_VND: Tensor, ctx: VitContext) -> Tensor:
        q, k, v = self.qkv(x_VND)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in (q, k, v))
        if ctx.rotary is not None:  # in float32, as Qwen2-VL does
            q, k = (ctx.rotary.turn(x.float()).to(v.dtype) for x in (q, k))
        if self.window is not None:
            return self.out(attend_in_windows(q, k, v, ctx.grid, self.window, self.scale))
        return self.out(attend(q, k.transpose(1, 2), v.transpose(1, 2), ctx.mask, self.scale))


class VitBlock(nn.Module):
    """Attention and MLP, normed before (or after, EVA2-E), each optionally scaled per channel."""

    def __init__(self, spec: VitSpec, layer: int) -> None:
        super().__init__()
        self.norm_after = spec.norm_place == "after"
        self.norm1 = build_norm(spec.norm_spec, spec.width)
        self.norm2 = build_norm(spec.norm_spec, spec.width)
        self.attn = VitAttention(spec, layer)
        mlp = PlainMlp if spec.mlp == "plain" else GatedMlp
        activation = "silu" if spec.mlp == "swiglu" else spec.activation
        self.mlp = mlp(spec.width, spec.mlp_width, activation, bias=spec.mlp_bias)
        self.scale1 = nn.Parameter(torch.empty(spec.width)) if spec.layer_scale else None
        self.scale2 = nn.Parameter(torch.empty(spec.width)) if spec.layer_scale else None

    def forward(self, x_VND: Tensor, ctx: VitContext) -> Tensor:
        if self.norm_after:
            x_VND = x_VND + _scaled(self.norm1(self.attn(x_VND, ctx)), self.scale1)
            return x_VND + _scaled(self.norm2(self.mlp(x_VND)), self.scale2)
        x_VND = x_VND + _scaled(self.attn(self.norm1(x_VND), ctx), self.scale1)
        return x_VND + _scaled(self.mlp(self.norm2(x_VND)), self.scale2)

    def residual_writers(self) -> tuple[Linear, Linear]:
        """The matrices whose products are added to the residual stream."""
        return self.attn.out, self.mlp.down


def _scaled(x: Tensor, scale: Tensor | None) -> Tensor:
    return x if scale is None else x * scale


class VitEncoder(nn.Module):
    """Views of equal size to feature rows; blocks beyond the chosen hidden states do not run."""

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.spec, self.width = spec, spec.width
        self.patch_embed = ConvStem(spec) if spec.stem == "conv" else PatchEmbed(spec)
        present = spec.class_token != "absent"
        self.class_token = nn.Parameter(torch.empty(spec.width)) if present else None
        self.registers = (
            nn.Parameter(torch.empty(spec.registers, spec.width)) if spec.registers else None
        )
        rows = spec.position_rows
        self.positions = nn.Parameter(torch.empty(rows, spec.width)) if rows else None
        self.pre_norm = build_norm(spec.norm_spec, spec.width) if spec.pre_norm else None
        self.blocks = nn.ModuleList(VitBlock(spec, layer) for layer in range(spec.depth))
        has_post = spec.post_norm != "absent"
        self.post_norm = build_norm(spec.norm_spec, spec.width) if has_post else None

    def forward(self, pixels_VCHW: Tensor) -> Tensor:
        """float[V, 3 · frames, height, width] -> features [V, tokens, out_width]."""
        grid = self.spec.grid(pixels_VCHW.shape[3], pixels_VCHW.shape[2])
        ctx = VitContext(grid, patch_rotary(self.spec, grid, pixels_VCHW.device))
        x_VND = self.embed(pixels_VCHW)
        deep: dict[int, Tensor] = {}
        for state, block in enumerate(self.blocks[: self.spec.blocks_used], start=1):
            x_VND = block(x_VND, ctx)
            if state in self.spec.deep_layers:
                deep[state] = x_VND
        if self.post_norm is not None and self.spec.post_norm == "applied":
            x_VND = self.post_norm(x_VND)
        levels = [self._left(x) for x in (x_VND, *(deep[i] for i in self.spec.deep_layers))]
        return levels[0] if len(levels) == 1 else torch.cat(levels, -1)

    def _left(self, x_VND: Tensor) -> Tensor:
        """The rows that leave: registers never do, the class token where it is kept."""
        kept = x_VND[:, self.spec.extra_tokens :]
        return torch.cat((x_VND[:, :1], kept), 1) if self.spec.class_token == "keep" else kept

    def embed(self, pixels_VCHW: Tensor) -> Tensor:
        """Hidden state 0: patches with positions, class token and registers before them."""
        x_VND = self.patch_embed(pixels_VCHW)
        if self.class_token is not None:
            x_VND = torch.cat((self.class_token.expand(len(x_VND), 1, -1), x_VND), dim=1)
        if self.positions is not None:
            grid = self.spec.grid(pixels_VCHW.shape[3], pixels_VCHW.shape[2])
            x_VND = x_VND + positions_for(self.positions, self.spec, grid)
        if self.registers is not None:
            registers = self.registers.expand(len(x_VND), -1, -1)
            first = int(self.class_token is not None)
            x_VND = torch.cat((x_VND[:, :first], registers, x_VND[:, first:]), dim=1)
        return x_VND if self.pre_norm is None else self.pre_norm(x_VND)
