"""First values of parameters that are trained from nothing."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from sightline.connectors.c_abstractor import CAbstractor, Depthwise
from sightline.connectors.grid_resampler import GridResampler
from sightline.connectors.qformer import QFormer, Words
from sightline.connectors.resampler import ResamplerBlock, ResamplerConnector
from sightline.core.geometry import Grid
from sightline.fusion.cross_attention import CrossAttentionBlock, ReadsFirst
from sightline.fusion.deep_stack import DeepStackBlock
from sightline.fusion.visual_expert import VisualExpertBlock
from sightline.language.blocks import ParallelBlock, SequentialBlock
from sightline.language.decoder import Decoder, Embedding, Head
from sightline.language.places import LearnedPositions
from sightline.model.pair import PairHead
from sightline.nn.linear import Linear
from sightline.nn.norm import LayerNorm, RmsNorm
from sightline.vision.cnn import CnnEncoder
from sightline.vision.embed import Halving, PatchEmbed
from sightline.vision.pool import AttentionPool
from sightline.vision.tiled_vit import PatchPositions, TiledBlock, TiledVit, TileEmbedding
from sightline.vision.vit import VitBlock, VitEncoder

TOKEN_STD = 0.02
WRITERS = (
    DeepStackBlock,
    ParallelBlock,
    ReadsFirst,
    ResamplerBlock,
    SequentialBlock,
    TiledBlock,
    VisualExpertBlock,
    VitBlock,
)


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
            if isinstance(child, VitEncoder | Decoder | ResamplerConnector):
                _calm_residuals(child.blocks)
            if isinstance(child, TiledVit):
                _calm_residuals(nn.ModuleList([*child.blocks, *child.global_blocks]))


def _fill(module: nn.Module, generator: Generator) -> None:
    match module:
        case Linear() | PatchEmbed():
            _normal(module.weight, 1 / math.sqrt(module.weight[0].numel()), generator)
            _constant(module.bias, 0.0)
        case nn.ParameterDict():  # vectors that layouts name
            for vector in module.values():
                _normal(vector, TOKEN_STD, generator)
        case CAbstractor():
            _normal(module.positions, TOKEN_STD, generator)
        case QFormer() | GridResampler():
            _normal(module.queries, TOKEN_STD, generator)
        case ResamplerConnector():
            _normal(module.latents, 1.0, generator)
        case CrossAttentionBlock():  # closed: the text model is itself at first (Flamingo)
            _constant(module.attn_gate, 0.0)
            _constant(module.mlp_gate, 0.0)
        case TiledVit():
            _normal(module.class_token, TOKEN_STD, generator)
            std = 1 / math.sqrt(module.patch_embed[0].numel())
            _normal(module.patch_embed, std, generator)
        case TileEmbedding():
            _normal(module.weight, TOKEN_STD, generator)
            _constant(module.gate, 0.0)
        case PatchPositions():
            module.weight.zero_()[1:] = waves(module.grid, module.weight.shape[1])
            _normal(module.tiles, TOKEN_STD, generator)
            _constant(module.gate, 0.0)
        case TiledBlock():  # pi / 4, as the reference has them
            _constant(module.attn_gate, math.pi / 4)
            _constant(module.mlp_gate, math.pi / 4)
        case Words():
            _normal(module.embed, TOKEN_STD, generator)
            _normal(module.positions, TOKEN_STD, generator)
        case Halving() | Depthwise():
            _normal(module.weight, 1 / math.sqrt(module.weight[0].numel()), generator)
        case RmsNorm():
            _constant(module.weight, 0.0 if module.unit_offset else 1.0)
        case LayerNorm():
            _constant(module.weight, 1.0)
            _constant(module.bias, 0.0)
        case Embedding() | LearnedPositions():
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
            if module.positions is not None:
                grid = module.spec.position_grid
                module.positions.zero_()[-grid.area :] = waves(grid, module.spec.width)
        case CnnEncoder():
            module.draw(generator)
        case AttentionPool():
            _normal(module.probe, TOKEN_STD, generator)
        case PairHead():
            module.reset()
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
        if isinstance(block, WRITERS):
            for linear in block.residual_writers():
                linear.weight.mul_(scale)
