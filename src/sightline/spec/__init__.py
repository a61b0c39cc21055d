"""The design space, without torch: every published model is a point in it."""

from sightline.spec.connector import ConnectorSpec, LinearSpec, MlpSpec
from sightline.spec.fusion import FusionSpec, InSequenceSpec, InterleaveSpec
from sightline.spec.language import AttentionSpec, DecoderSpec, LanguageSpec, MlpBlockSpec, RopeSpec
from sightline.spec.layers import Activation, LayerNormSpec, NormSpec, RmsNormSpec
from sightline.spec.model import ModelSpec
from sightline.spec.prompt import BuiltinTemplate, ImageTokenSpec, JinjaTemplate, PromptSpec
from sightline.spec.resolution import FixedSpec, FramesSpec, PixelSpec, ResolutionSpec
from sightline.spec.vision import ModuleSpec, VisionSpec, VitSpec

__all__ = [
    "Activation",
    "AttentionSpec",
    "BuiltinTemplate",
    "ConnectorSpec",
    "DecoderSpec",
    "FixedSpec",
    "FramesSpec",
    "FusionSpec",
    "ImageTokenSpec",
    "InSequenceSpec",
    "InterleaveSpec",
    "JinjaTemplate",
    "LanguageSpec",
    "LayerNormSpec",
    "LinearSpec",
    "MlpBlockSpec",
    "MlpSpec",
    "ModelSpec",
    "ModuleSpec",
    "NormSpec",
    "PixelSpec",
    "PromptSpec",
    "ResolutionSpec",
    "RmsNormSpec",
    "RopeSpec",
    "VisionSpec",
    "VitSpec",
]
