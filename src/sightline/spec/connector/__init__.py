"""Bridges from vision features to the language model's width."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline.spec.connector.c_abstractor import CAbstractorSpec
from sightline.spec.connector.glu import GluSpec
from sightline.spec.connector.grid_resampler import GridResamplerSpec
from sightline.spec.connector.merger import MergerSpec
from sightline.spec.connector.patch_merger import PatchMergerSpec
from sightline.spec.connector.pixel_shuffle import PixelShuffleSpec
from sightline.spec.connector.pooled import PooledSpec
from sightline.spec.connector.qformer import InstructionSpec, QFormerSpec
from sightline.spec.connector.resampler import ResamplerSpec
from sightline.spec.connector.rows import LinearSpec, MlpSpec

ConnectorSpec = Annotated[
    LinearSpec
    | MlpSpec
    | MergerSpec
    | PatchMergerSpec
    | PixelShuffleSpec
    | PooledSpec
    | QFormerSpec
    | CAbstractorSpec
    | GridResamplerSpec
    | GluSpec
    | ResamplerSpec,
    Field(discriminator="kind"),
]

__all__ = [
    "CAbstractorSpec",
    "ConnectorSpec",
    "GluSpec",
    "GridResamplerSpec",
    "InstructionSpec",
    "LinearSpec",
    "MergerSpec",
    "MlpSpec",
    "PatchMergerSpec",
    "PixelShuffleSpec",
    "PooledSpec",
    "QFormerSpec",
    "ResamplerSpec",
]
