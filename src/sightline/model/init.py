"""First values of parameters that are trained from nothing."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from sightline.core.geometry import Grid
from sightline.language.decoder import Decoder, Embedding, Head, ParallelBlock, SequentialBlock
from sightline.nn.linear import Linear
from sightline.nn.norm import LayerNorm, RmsNorm
from sightline.vision.vit import Halving, PatchEmbed, VitBlock, VitEncoder

TOKEN_STD = 0.02


def initialise(module: nn.Module, seed: int) -> None:
    """Fill the parameters of our own layers from one seed; modules of others keep theirs.

    Norms start as the identity, layer scales at 1, biases at 0, embeddings and learned tokens
    N(0, 0.02²), matrices N(0, 1 / inputs), all truncated at two deviations. Matrices that write
    into the residual stream are divided by sqrt(2 · depth) (GPT-2). Position tables start as
    two-dimensional waves, so that a new encoder knows where a patch is (Beyer et al. 2022).
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for child in module.modules():
            _fill(child, generator)
        for child in module.modules():
            if isinstance(child, VitEncoder | Decoder):
                _calm_residuals(child.blocks)


def _fill(module: nn.Module, generator: Generator) -> None:
    match module:
        case Linear() | PatchEmbed():
            _normal(module.weight, 1 / math.sqrt(module.weight[0].numel()), generator)
            _constant(module.bias, 0.0)
        case Halving():
            _normal(module.weight, 1 / math.sqrt(module.weight[0].numel()), generator)
        case RmsNorm():
            _constant(module.weight, 0.0 if module.unit_offset else 1.0)
        case LayerNorm():
            _constant(module.weight, 1.0)
            _constant(module.bias, 0.0)
        case Embedding():
            _normal(module.weight, TOKEN_STD, generator)
        case Head():
            _normal(module.weight, TOKEN_STD, generator)
            _constant(module.bias, 0.0)
        case VitBlock():
            _constant(module.scale1, 1.0)
            _constant(module.scale2, 1.0)
        case VitEncoder():
            for token in (module.class_token, module.registers):
                _normal(token, TOKEN_STD, generator)
            grid = module.spec.position_grid
            module.positions.zero_()[-grid.area :] = waves(grid, module.spec.width)
        case _:
            pass  # containers, and modules of others


def waves(grid: Grid, width: int) -> Tensor:
    """float32[cells, width]: sines and cosines of the row and of the column, amplitude 1/2.

    Wavelengths run geometrically from 4 cells to four grids; width not divisible by 4 leaves zeros.
    """
    count = width // 4
    longest = 4 * max(grid.rows, grid.cols)
    steps = torch.linspace(0, 1, count) if count > 1 else torch.zeros(count)
    frequencies = 2 * math.pi / (4 * (longest / 4) ** steps)
    rows, cols = torch.meshgrid(torch.arange(grid.rows), torch.arange(grid.cols), indexing="ij")
    angles = [place.flatten()[:, None] * frequencies for place in (rows, cols)]
    table = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
    return 0.5 * nn.functional.pad(table, (0, width - 4 * count))


def _normal(p: Tensor | None, std: float, generator: Generator) -> None:
    if p is not None:
        nn.init.trunc_normal_(p, 0.0, std, -2 * std, 2 * std, generator=generator)


def _constant(p: Tensor | None, value: float) -> None:
    if p is not None:
        p.fill_(value)


def _calm_residuals(blocks: nn.ModuleList) -> None:
    scale = 1 / math.sqrt(2 * len(blocks))
    for block in blocks:
        if isinstance(block, VitBlock | SequentialBlock | ParallelBlock):
            for linear in block.residual_writers():
                linear.weight.mul_(scale)
