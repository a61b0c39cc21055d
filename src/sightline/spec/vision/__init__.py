"""Encoders that turn views into a grid of feature vectors."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline.spec.vision.cnn import CnnSpec
from sightline.spec.vision.module import ModuleSpec
from sightline.spec.vision.tiled_vit import TiledVitSpec
from sightline.spec.vision.vit import VitSpec

VisionSpec = Annotated[VitSpec | ModuleSpec | TiledVitSpec | CnnSpec, Field(discriminator="kind")]

__all__ = ["CnnSpec", "ModuleSpec", "TiledVitSpec", "VisionSpec", "VitSpec"]
