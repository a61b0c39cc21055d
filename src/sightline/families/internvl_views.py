"""How pictures and clips enter InternVL in Hugging Face's format."""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import refusing
from sightline.families.files import Checkpoint
from sightline.families.views import HARMLESS, processor_config, read_fixed
from sightline.spec.resolution import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    FixedSpec,
    FramesSpec,
    PixelSpec,
    TilingSpec,
)

IMAGENET = PixelSpec(mean=IMAGENET_MEAN, std=IMAGENET_STD)
ALL = FramesSpec(placing="middles")
CLIP_HARMLESS = ("return_metadata", "video_metadata", "video_processor_type")


def read_tiles(
    checkpoint: Checkpoint, side: int, family: str
) -> tuple[TilingSpec, tuple[str, ...]]:
    """The tiles that the folder asks for, each frame of a clip being one; keys left out have the
    values of the processor's class.

    Raises FamilyError for preprocessing that cannot be reproduced exactly.
    """
    data = processor_config(checkpoint)
    if not data:
        note = f"no processor file: up to 12 tiles of {side} px with ImageNet's colours"
        return TilingSpec(tile=side, pixels=IMAGENET, video=ALL), (note,)
    config = Config(data, where="preprocessor_config")
    config.maybe("crop_to_patches", bool)
    with refusing(family):
        one = _square(config)
        views = TilingSpec(
            tile=one.size,
            min_tiles=config.take("min_patches", int, 1),
            max_tiles=config.take("max_patches", int, 12),
            pixels=one.pixels,
            video=_read_frames(checkpoint, one, family),
        )
    config.finish(family, HARMLESS)
    return views, ()


def _square(config: Config) -> FixedSpec:
    one = read_fixed(config, FixedSpec(size=384))
    if one.fit != "squash":
        raise FamilyError(config.name("size"), f"means {one.fit}", "give a height and a width")
    return one


def _read_frames(checkpoint: Checkpoint, one: FixedSpec, family: str) -> FramesSpec:
    """Frames taken from a clip, in the middles of equal pieces of it where not all are."""
    data = _clip_config(checkpoint)
    if not data:
        return ALL
    config = Config(data, where="video_preprocessor_config")
    config.expect("initial_shift", True, None, why="frames are taken from the middles")
    if _square(config) != one:
        raise FamilyError(
            config.where, "has other views than pictures have", "make size and pixels equal"
        )
    samples = config.take("do_sample_frames", bool, False)
    count, fps = config.maybe("num_frames", int), config.maybe("fps", float)
    config.finish(family, (*HARMLESS, *CLIP_HARMLESS))
    if not samples or (count is None and fps is None):
        return ALL
    if count is not None:
        return FramesSpec(sampling="uniform", count=count, placing="middles")
    return FramesSpec(sampling="fps", fps=fps, placing="middles")


def _clip_config(checkpoint: Checkpoint) -> dict[str, Any]:
    nested = checkpoint.json("processor_config.json").get("video_processor")
    own = checkpoint.json("video_preprocessor_config.json")
    return nested if isinstance(nested, dict) else own
