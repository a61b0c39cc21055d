"""From a spec to modules: the one place where choices become code."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import nn

from sightline.connectors.c_abstractor import CAbstractor
from sightline.connectors.glu import GluConnector
from sightline.connectors.grid_resampler import GridResampler
from sightline.connectors.merger import MergerConnector
from sightline.connectors.mlp import LinearConnector, MlpConnector
from sightline.connectors.patch_merger import PatchMergerConnector
from sightline.connectors.pixel_shuffle import PixelShuffleConnector
from sightline.connectors.pooled import PooledConnector
from sightline.connectors.qformer import QFormer
from sightline.connectors.resampler import ResamplerConnector
from sightline.core.errors import SpecError
from sightline.fusion.cross_attention import CrossAttentionBlock, ReadsFirst
from sightline.fusion.deep_stack import DeepStackBlock
from sightline.fusion.visual_expert import VisualExpertBlock
from sightline.language.blocks import build_block
from sightline.language.decoder import Decoder
from sightline.model.vlm import Vlm
from sightline.spec.connector import (
    CAbstractorSpec,
    ConnectorSpec,
    GluSpec,
    GridResamplerSpec,
    LinearSpec,
    MergerSpec,
    MlpSpec,
    PatchMergerSpec,
    PixelShuffleSpec,
    PooledSpec,
    QFormerSpec,
    ResamplerSpec,
)
from sightline.spec.fusion import (
    CrossAttentionSpec,
    DeepStackSpec,
    InterleaveSpec,
    VisualExpertSpec,
)
from sightline.spec.language import DecoderSpec
from sightline.spec.model import ModelSpec
from sightline.spec.vision import CnnSpec, ModuleSpec, TiledVitSpec, VisionSpec, VitSpec
from sightline.vision.cnn import CnnEncoder
from sightline.vision.tiled_vit import TiledVit
from sightline.vision.vit import VitEncoder


def build_vision(spec: VisionSpec) -> nn.Module:
    """The encoder, parameters uninitialised."""
    match spec:
        case VitSpec():
            return VitEncoder(spec)
        case TiledVitSpec():
            return TiledVit(spec)
        case CnnSpec():
            return CnnEncoder(spec)
        case ModuleSpec():
            raise SpecError("vision", f"{spec.name} is a module of yours", "pass it as vision=")
        case _:
            assert_never(spec)


def build_connector(spec: ConnectorSpec, inputs: int, outputs: int) -> nn.Module:
    """The bridge from `inputs` to `outputs` channels, parameters uninitialised."""
    match spec:
        case LinearSpec():
            return LinearConnector(spec, inputs, outputs)
        case MlpSpec():
            return MlpConnector(spec, inputs, outputs)
        case MergerSpec():
            return MergerConnector(spec, inputs, outputs)
        case PixelShuffleSpec():
            return PixelShuffleConnector(spec, inputs, outputs)
        case PatchMergerSpec():
            return PatchMergerConnector(spec, inputs, outputs)
        case PooledSpec():
            return PooledConnector(spec, inputs, outputs)
        case CAbstractorSpec():
            return CAbstractor(spec, inputs, outputs)
        case GluSpec():
            return GluConnector(spec, inputs, outputs)
        case GridResamplerSpec():
            return GridResampler(spec, inputs, outputs)
        case QFormerSpec():
            return QFormer(spec, inputs, outputs)
        case ResamplerSpec():
            return ResamplerConnector(spec, inputs, outputs)
        case _:
            assert_never(spec)


def build_decoder(spec: DecoderSpec) -> Decoder:
    """The language model alone, parameters uninitialised."""
    return Decoder(spec, [build_block(spec, layer) for layer in range(spec.depth)])


def deep_blocks(spec: DecoderSpec, levels: int) -> list[nn.Module]:
    """The blocks of a decoder, the first ones with features of their level added after them."""
    blocks = [build_block(spec, layer) for layer in range(spec.depth)]
    return [DeepStackBlock(b, i) if i < levels else b for i, b in enumerate(blocks)]


def reading_blocks(spec: DecoderSpec, fusion: CrossAttentionSpec) -> list[nn.Module]:
    """The blocks of a decoder, one that reads the memory before those that the fusion names."""
    blocks = [build_block(spec, layer) for layer in range(spec.depth)]
    for layer in fusion.layers:
        blocks[layer] = ReadsFirst(CrossAttentionBlock(fusion, spec), blocks[layer])
    return blocks


def build_model(
    spec: ModelSpec,
    *,
    vision: nn.Module | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Vlm:
    """The whole model, parameters uninitialised (use `initialise` or load weights).

    `vision` puts a module of one's own in place of the spec's encoder. Build on device "meta"
    to allocate nothing.
    """
    with torch.device(device):
        encoder = build_vision(spec.vision) if vision is None else vision
        connector = build_connector(spec.connector, spec.vision.out_width, spec.visual_width)
        match spec.fusion:
            case InterleaveSpec():
                language = build_decoder(spec.language)
            case DeepStackSpec(levels=levels):
                language = Decoder(spec.language, deep_blocks(spec.language, levels))
            case VisualExpertSpec():
                blocks = [VisualExpertBlock(spec.language, i) for i in range(spec.language.depth)]
                language = Decoder(spec.language, blocks)
            case CrossAttentionSpec() as fusion:
                language = Decoder(spec.language, reading_blocks(spec.language, fusion))
            case _:
                assert_never(spec.fusion)
    return Vlm(spec, encoder, connector, language).to(dtype)
