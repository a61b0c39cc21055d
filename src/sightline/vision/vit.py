"""The vision transformer and its switches (Dosovitskiy et al. 2020)."""

# V views  N tokens of a view  D width  H heads  K head dim  Y, X patch rows and columns

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.core.geometry import Grid
from sightline.nn.attention import attend
from sightline.nn.linear import Joint, Linear
from sightline.nn.masks import BoundMask
from sightline.nn.mlp import GatedMlp, PlainMlp
from sightline.nn.norm import LayerNorm
from sightline.spec.vision import VitSpec


class VitAttention(nn.Module):
    """Full self-attention among the tokens of one view."""

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.heads, self.scale = spec.heads, spec.head_dim**-0.5
        self.q = Linear(spec.width, spec.width, bias=spec.qkv_bias)
        self.k = Linear(spec.width, spec.width, bias=spec.qkv_bias)
        self.v = Linear(spec.width, spec.width, bias=spec.qkv_bias)
        self.out = Linear(spec.width, spec.width, bias=True)
        self.qkv = Joint(self.q, self.k, self.v)

    def forward(self, x_VND: Tensor) -> Tensor:
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in self.qkv(x_VND))
        out_VND = attend(q, k.transpose(1, 2), v.transpose(1, 2), BoundMask(), self.scale)
        return self.out(out_VND)


class VitBlock(nn.Module):
    """Pre-norm attention and MLP, each optionally scaled per channel (CaiT, DINOv2)."""

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.norm1 = LayerNorm(spec.width, spec.norm_eps)
        self.norm2 = LayerNorm(spec.width, spec.norm_eps)
        self.attn = VitAttention(spec)
        mlp = GatedMlp if spec.mlp == "swiglu" else PlainMlp
        activation = "silu" if spec.mlp == "swiglu" else spec.activation
        self.mlp = mlp(spec.width, spec.mlp_width, activation, bias=True)
        self.scale1 = nn.Parameter(torch.empty(spec.width)) if spec.layer_scale else None
        self.scale2 = nn.Parameter(torch.empty(spec.width)) if spec.layer_scale else None

    def forward(self, x_VND: Tensor) -> Tensor:
        x_VND = x_VND + _scaled(self.attn(self.norm1(x_VND)), self.scale1)
        return x_VND + _scaled(self.mlp(self.norm2(x_VND)), self.scale2)

    def residual_writers(self) -> tuple[Linear, Linear]:
        """The matrices whose products are added to the residual stream."""
        return self.attn.out, self.mlp.down


def _scaled(x: Tensor, scale: Tensor | None) -> Tensor:
    return x if scale is None else x * scale


class VitEncoder(nn.Module):
    """Views of equal size to feature rows; blocks beyond the chosen hidden state do not run."""

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.spec, self.width = spec, spec.width
        self.patch_embed = ConvStem(spec) if spec.stem == "conv" else PatchEmbed(spec)
        present = spec.class_token != "absent"
        self.class_token = nn.Parameter(torch.empty(spec.width)) if present else None
        self.registers = (
            nn.Parameter(torch.empty(spec.registers, spec.width)) if spec.registers else None
        )
        self.positions = nn.Parameter(torch.empty(present + spec.position_grid.area, spec.width))
        self.pre_norm = LayerNorm(spec.width, spec.norm_eps) if spec.pre_norm else None
        self.blocks = nn.ModuleList(VitBlock(spec) for _ in range(spec.depth))
        has_post = spec.post_norm != "absent"
        self.post_norm = LayerNorm(spec.width, spec.norm_eps) if has_post else None

    def forward(self, pixels_V3HW: Tensor) -> Tensor:
        """float[V, 3, height, width] -> features [V, tokens, width]."""
        x_VND = self.embed(pixels_V3HW)
        for block in self.blocks[: self.spec.blocks_used]:
            x_VND = block(x_VND)
        if self.post_norm is not None and self.spec.post_norm == "applied":
            x_VND = self.post_norm(x_VND)
        kept = x_VND[:, self.spec.extra_tokens :]
        return torch.cat((x_VND[:, :1], kept), 1) if self.spec.class_token == "keep" else kept

    def embed(self, pixels_V3HW: Tensor) -> Tensor:
        """Hidden state 0: patches with positions, class token and registers before them."""
        grid = self.spec.grid(pixels_V3HW.shape[3], pixels_V3HW.shape[2])
        x_VND = self.patch_embed(pixels_V3HW)
        positions_ND = self._positions(grid)
        views = x_VND.shape[0]
        if self.class_token is None:
            x_VND = x_VND + positions_ND
        else:
            class_V1D = self.class_token.expand(views, 1, -1)
            x_VND = torch.cat((class_V1D, x_VND), dim=1) + positions_ND
        if self.registers is not None:
            registers = self.registers.expand(views, -1, -1)
            first = int(self.class_token is not None)
            x_VND = torch.cat((x_VND[:, :first], registers, x_VND[:, first:]), dim=1)
        return x_VND if self.pre_norm is None else self.pre_norm(x_VND)

    def _positions(self, grid: Grid) -> Tensor:
        """Learned positions, stretched (bicubic, as CLIP, SigLIP and DINOv2 do) to other grids."""
        if grid == self.spec.position_grid:
            return self.positions
        extra = self.positions.shape[0] - self.spec.position_grid.area
        stored = self.spec.position_grid
        table_1DYX = self.positions[extra:].T.unflatten(1, (stored.rows, stored.cols))[None].float()
        resized = F.interpolate(
            table_1DYX,
            (grid.rows, grid.cols),
            mode="bicubic",
            align_corners=False,
            antialias=self.spec.position_antialias,
        )
        stretched_ND = resized[0].flatten(1).T.to(self.positions.dtype)
        return torch.cat((self.positions[:extra], stretched_ND))


class PatchEmbed(nn.Module):
    """Non-overlapping patches times one matrix, stored as a convolution kernel [D, 3, p, p]."""

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.patch = spec.patch
        self.weight = nn.Parameter(torch.empty(spec.width, 3, spec.patch, spec.patch))
        self.bias = nn.Parameter(torch.empty(spec.width)) if spec.patch_bias else None

    def forward(self, pixels_V3HW: Tensor) -> Tensor:
        p = self.patch
        rows, cols = pixels_V3HW.shape[2] // p, pixels_V3HW.shape[3] // p
        cut = (
            pixels_V3HW[:, :, : rows * p, : cols * p]
            .unflatten(3, (cols, p))
            .unflatten(2, (rows, p))
        )
        patches_VNP = cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return F.linear(patches_VNP, self.weight.flatten(1), self.bias)


class ConvStem(nn.Module):
    """Halving 3×3 convolutions with norms between them, then one matrix (Xiao et al. 2021).

    Differs: a norm over channels in place of batch norm, so that no picture depends on another.
    """

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        widths = (3, *spec.stem_widths)
        self.halvings = nn.ModuleList(Halving(a, b) for a, b in itertools.pairwise(widths))
        self.project = Linear(spec.width, spec.width, bias=spec.patch_bias)

    def forward(self, pixels_V3HW: Tensor) -> Tensor:
        x = pixels_V3HW.contiguous(memory_format=torch.channels_last)
        for halving in self.halvings:
            x = halving(x)
        return self.project(x.flatten(2).transpose(1, 2))


class Halving(nn.Module):
    """x[V, in, H, W] -> x[V, out, H/2, W/2]: convolution, norm over channels, GELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.norm = LayerNorm(outputs, eps=1e-6)

    def forward(self, x_VCHW: Tensor) -> Tensor:
        x_VCHW = F.conv2d(x_VCHW, self.weight, stride=2, padding=1)
        return F.gelu(self.norm(x_VCHW.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
