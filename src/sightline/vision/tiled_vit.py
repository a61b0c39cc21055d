"""The encoder of Llama 3.2 Vision, as in transformers 5.23.0 models/mllama."""

# V views  P tile places  N rows of a place  S rows of all places  D width  H heads  K head dim
# h, w rows and columns of pixels  R, C tiles down and across  Y, X patches down and across a tile

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.core.geometry import Grid
from sightline.nn.attention import attend
from sightline.nn.linear import Joint, Linear
from sightline.nn.masks import BoundMask
from sightline.nn.mlp import PlainMlp
from sightline.nn.norm import LayerNorm
from sightline.spec.vision import TiledVitSpec

EDGE_EPS = 1e-5  # of the norms before and after the local blocks, whatever the config says


class TiledBlock(nn.Module):
    """Pre-norm attention and MLP; the global ones pass them through tanh gates."""

    def __init__(self, spec: TiledVitSpec, *, gated: bool) -> None:
        super().__init__()
        width = spec.width
        self.heads, self.scale = spec.heads, spec.head_dim**-0.5
        self.norm1, self.norm2 = LayerNorm(width, spec.norm_eps), LayerNorm(width, spec.norm_eps)
        self.q = Linear(width, width, bias=False)
        self.k = Linear(width, width, bias=False)
        self.v = Linear(width, width, bias=False)
        self.out = Linear(width, width, bias=False)
        self.qkv = Joint(self.q, self.k, self.v)
        self.mlp = PlainMlp(width, spec.mlp_width, spec.activation, bias=True)
        self.attn_gate = nn.Parameter(torch.empty(1)) if gated else None
        self.mlp_gate = nn.Parameter(torch.empty(1)) if gated else None

    def forward(self, x_VSD: Tensor, mask: BoundMask) -> Tensor:
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in self.qkv(self.norm1(x_VSD)))
        read = self.out(attend(q, k.transpose(1, 2), v.transpose(1, 2), mask, self.scale))
        x_VSD = x_VSD + _gated(read, self.attn_gate)
        return x_VSD + _gated(self.mlp(self.norm2(x_VSD)), self.mlp_gate)

    def residual_writers(self) -> tuple[Linear, Linear]:
        """The matrices whose products are added to the residual stream."""
        return self.out, self.mlp.down


def _gated(x: Tensor, gate: Tensor | None) -> Tensor:
    return x if gate is None else gate.tanh() * x


class TileEmbedding(nn.Module):
    """A gated vector for each tile place of each arrangement; row 0 is for no picture."""

    def __init__(self, spec: TiledVitSpec) -> None:
        super().__init__()
        rows = len(spec.arrangements) + 1
        self.weight = nn.Parameter(torch.empty(rows, spec.tiles * spec.width))
        self.gate = nn.Parameter(torch.empty(1))

    def forward(self, x_VPND: Tensor, number: int) -> Tensor:
        table_PD = self.weight[number].unflatten(0, (x_VPND.shape[1], -1))
        return x_VPND + self.gate.tanh() * table_PD[:, None]


class PatchPositions(nn.Module):
    """Positions in a tile, and positions in a tile of an arrangement, blended by one gate."""

    def __init__(self, spec: TiledVitSpec) -> None:
        super().__init__()
        self.grid = spec.tile_grid
        rows, each = len(spec.arrangements) + 1, spec.tile_rows * spec.width
        self.weight = nn.Parameter(torch.empty(spec.tile_rows, spec.width))
        self.tiles = nn.Parameter(torch.empty(rows, spec.tiles * each))
        self.gate = nn.Parameter(torch.empty(1))

    def forward(self, x_VPND: Tensor, number: int) -> Tensor:
        share, tiles_PND = self.gate.tanh(), self.tiles[number].reshape(x_VPND.shape[1:])
        return x_VPND + (1 - share) * self.weight + share * tiles_PND


class TiledVit(nn.Module):
    """Views of equal size to feature rows."""

    def __init__(self, spec: TiledVitSpec) -> None:
        super().__init__()
        self.spec, self.width = spec, spec.out_width
        self.patch_embed = nn.Parameter(torch.empty(spec.width, 3, spec.patch, spec.patch))
        self.class_token = nn.Parameter(torch.empty(spec.width))
        self.tile_before, self.tile_after = TileEmbedding(spec), TileEmbedding(spec)
        self.positions = PatchPositions(spec)
        self.pre_norm = LayerNorm(spec.width, EDGE_EPS)
        self.blocks = nn.ModuleList(TiledBlock(spec, gated=False) for _ in range(spec.depth))
        self.post_norm = LayerNorm(spec.width, EDGE_EPS)
        self.global_blocks = nn.ModuleList(
            TiledBlock(spec, gated=True) for _ in range(spec.global_depth)
        )

    def forward(self, pixels_V3hw: Tensor) -> Tensor:
        """float[V, 3, height, width] -> features [V, rows, out width]."""
        spec = self.spec
        cells = spec.grid(pixels_V3hw.shape[3], pixels_V3hw.shape[2])
        shape = spec.arrangement(cells)
        number = 1 + spec.arrangements.index(shape)
        mask = BoundMask(allowed_B1TS=self._pairs(shape.area, pixels_V3hw.device))
        x_VSD, taps = self.embed(pixels_V3hw, shape, number), []
        for block in self.blocks:
            x_VSD = block(x_VSD, mask)
            taps.append(x_VSD)
        places = (spec.tiles, spec.padded_rows)
        normed_VPND = self.post_norm(x_VSD).unflatten(1, places)
        x_VSD = self.tile_after(normed_VPND, number).flatten(1, 2)
        for block in self.global_blocks:
            x_VSD = block(x_VSD, mask)
        chosen = [taps[tap] for tap in spec.taps]
        joined = torch.stack(chosen, -1).flatten(2) if chosen else x_VSD[..., :0]
        x_VPNC = torch.cat((x_VSD, joined), -1).unflatten(1, places)[:, :, : spec.tile_rows]
        return x_VPNC.flatten(1, 2) if spec.rows == "all" else self._in_grid(x_VPNC, shape)

    def embed(self, pixels_V3hw: Tensor, shape: Grid, number: int) -> Tensor:
        """Rows of all tile places [V, S, D]; places beyond the view are black."""
        spec = self.spec
        patches_VtND = self._patches(pixels_V3hw, shape)
        x_VPND = F.pad(patches_VtND, (0, 0, 0, 0, 0, spec.tiles - shape.area))
        x_VPND = self.tile_before(x_VPND, number)
        class_VP1D = self.class_token.expand(*x_VPND.shape[:2], 1, -1)
        x_VPND = self.pre_norm(self.positions(torch.cat((class_VP1D, x_VPND), 2), number))
        return F.pad(x_VPND, (0, 0, 0, spec.padded_rows - spec.tile_rows)).flatten(1, 2)

    def _patches(self, pixels_V3hw: Tensor, shape: Grid) -> Tensor:
        """The view cut into tiles, row-major, these into patches: [V, tiles, patches, D]."""
        side, patch = self.spec.tile_grid.rows, self.spec.patch
        cut = pixels_V3hw.unflatten(3, (shape.cols, side, patch))
        cut = cut.unflatten(2, (shape.rows, side, patch))  # V 3 R Y p C X p
        tiles = cut.permute(0, 2, 5, 3, 6, 1, 4, 7).flatten(5).flatten(3, 4).flatten(1, 2)
        return F.linear(tiles, self.patch_embed.flatten(1))

    def _pairs(self, tiles: int, device: torch.device) -> Tensor:
        """bool[1, 1, S, S]: two rows see each other unless both are padding."""
        shown_PN = torch.zeros(self.spec.tiles, self.spec.padded_rows, dtype=torch.bool)
        shown_PN[:tiles, : self.spec.tile_rows] = True
        shown_S = shown_PN.flatten().to(device)
        return (shown_S[:, None] | shown_S)[None, None]

    def _in_grid(self, x_VPNC: Tensor, shape: Grid) -> Tensor:
        """Patches alone, row-major over the whole view."""
        side = self.spec.tile_grid.rows
        tiles = x_VPNC[:, : shape.area, 1:].unflatten(2, (side, side))
        sheet = tiles.unflatten(1, (shape.rows, shape.cols)).transpose(2, 3)  # V R Y C X width
        return sheet.flatten(1, 4)
