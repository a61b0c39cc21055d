"""From a spec to modules: the one place where choices become code."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import nn

from sightline.connectors.mlp import LinearConnector, MlpConnector
from sightline.core.errors import SpecError
from sightline.language.decoder import Decoder, build_block
from sightline.model.vlm import Vlm
from sightline.spec.connector import ConnectorSpec, LinearSpec, MlpSpec
from sightline.spec.fusion import InterleaveSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.model import ModelSpec
from sightline.spec.vision import ModuleSpec, VisionSpec, VitSpec
from sightline.vision.vit import VitEncoder


def build_vision(spec: VisionSpec) -> nn.Module:
    """The encoder, parameters uninitialised."""
    match spec:
        case VitSpec():
            return VitEncoder(spec)
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
        case _:
            assert_never(spec)


def build_decoder(spec: DecoderSpec) -> Decoder:
    """The language model alone, parameters uninitialised."""
    return Decoder(spec, [build_block(spec, layer) for layer in range(spec.depth)])


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
        connector = build_connector(spec.connector, spec.vision.out_width, spec.language.width)
        match spec.fusion:
            case InterleaveSpec():
                language = build_decoder(spec.language)
            case _:
                assert_never(spec.fusion)
    return Vlm(spec, encoder, connector, language).to(dtype)
