"""First values of parameters that are trained from nothing."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from sightline.language.decoder import Decoder, Embedding, Head, ParallelBlock, SequentialBlock
from sightline.nn.linear import Linear
from sightline.nn.norm import LayerNorm, RmsNorm
from sightline.vision.vit import PatchEmbed, VitBlock, VitEncoder

TOKEN_STD = 0.02


def initialise(module: nn.Module, seed: int) -> None:
    """Fill the parameters of our own layers from one seed; modules of others keep theirs.

    Norms start as the identity, layer scales at 1, biases at 0, embeddings and learned tokens
    N(0, 0.02²), matrices N(0, 1 / inputs), all truncated at two deviations. Matrices that write
    into the residual stream are divided by sqrt(2 · depth) (GPT-2).
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
            for token in (module.class_token, module.registers, module.positions):
                _normal(token, TOKEN_STD, generator)
        case _:
            pass  # containers, and modules of others


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
