"""LLaVA-NeXT (1.6) and LLaVA-NeXT-Video: tiles of any resolution, and pooled frames.

Source: transformers 5.23.0 models/llava_next and models/llava_next_video. Its processor cuts by its
own pinpoints and size, its model stitches by those of config.json: they must agree.
"""

from __future__ import annotations

from typing import Any, Literal

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.family import TowerFamily, refusing
from sightline.families.files import Checkpoint
from sightline.families.llava import DEFAULTS as LLAVA_DEFAULTS
from sightline.families.llava_like import CLIP_L_336, DECODERS, Shape, read_shape
from sightline.families.views import HARMLESS as HARMLESS_OF_VIEWS
from sightline.families.views import processor_config, read_pixels
from sightline.spec.resolution import AnyresSpec, ClipSpec, FramesSpec, PixelSpec, PoolSpec
from sightline.spec.vision import VitSpec

PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
DEFAULTS: dict[str, Any] = LLAVA_DEFAULTS | {"image_grid_pinpoints": PINPOINTS}
VIDEO_DEFAULTS: dict[str, Any] = DEFAULTS | {
    "image_token_index": 32001,
    "video_token_index": 32000,
    "spatial_pool_mode": "average",
    "spatial_pool_stride": 2,
}
# As the published code samples; the processors of transformers take the frames they are given.
FRAMES = FramesSpec(sampling="uniform", count=32, placing="below")
MODES: dict[str, Literal["average", "max"]] = {"average": "average", "max": "max"}
PROOF = "tests/parity/test_llava_next.py: logits and 32 greedy tokens of transformers 5.23.0"
FACTS = FamilyFacts(
    name="llava_next",
    part="model",
    model_types=("llava_next",),
    covers="LLaVA-NeXT (1.6)",
    proof=f"{PROOF}, three spellings, two dialects",
    resolution=("anyres",),
    connector=("mlp",),
    fusion=("interleave",),
    decoders=DECODERS,
)
VIDEO_FACTS = FamilyFacts(
    name="llava_next_video",
    part="model",
    model_types=("llava_next_video",),
    covers="LLaVA-NeXT-Video",
    proof=f"{PROOF}, pictures and clips",
    resolution=("anyres",),
    connector=("mlp",),
    fusion=("interleave",),
    decoders=DECODERS,
    video="frames pooled 2 × 2 before the connector",
)


def read_llava_next(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_shape(checkpoint, LLAVA_NEXT)


def read_llava_next_video(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_shape(checkpoint, LLAVA_NEXT_VIDEO)


def read_tiles(
    checkpoint: Checkpoint, config: Config, tower: TowerFamily, vision: VitSpec, **choices: Any
) -> tuple[AnyresSpec, tuple[str, ...]]:
    """Tiles as large as the tower's pictures; `choices` are further fields of the spec.

    Raises FamilyError where processor and model would not agree.
    """
    config.expect("use_image_newline_parameter", True, why="rows end with it")
    side, pinpoints = vision.position_side, config.take("image_grid_pinpoints", list)
    pixels, notes = _read_processor(checkpoint, tower, side, pinpoints)
    given = {"size": side, "pinpoints": pinpoints, "pixels": pixels, **choices}
    with refusing(tower.name):
        return AnyresSpec.parse(given), notes


def _read_processor(
    checkpoint: Checkpoint, tower: TowerFamily, side: int, pinpoints: list[Any]
) -> tuple[PixelSpec, tuple[str, ...]]:
    data = processor_config(checkpoint)
    if not data:
        return tower.views(side).pixels, (
            f"no processor file: pixels are computed as family {tower.name} has them",
        )
    config = Config(data, where="preprocessor_config")
    config.expect("do_resize", True, why="every picture is resized")
    config.expect("image_grid_pinpoints", pinpoints, None, why="the model stitches by others")
    pixels = read_pixels(config, PixelSpec())
    for key in ("size", "crop_size"):
        _check_side(config, key, side)
    config.expect("aspect_ratio_setting", "anyres", why="pictures are cut into tiles")
    config.expect("do_center_crop", True, False, None, why="tiles are whole")
    config.expect("do_pad", True, None, why="tiles are stacked")
    config.finish(tower.name, HARMLESS_OF_VIEWS)
    return pixels, ()


def _check_side(config: Config, key: str, side: int) -> None:
    if key in config and isinstance(config.data[key], dict):
        given = config.sub(key)
        found = {given.take(name, int) for name in given.data if given.data[name] is not None}
    else:
        found = {config.take(key, int, side)}
    if found != {side}:
        raise FamilyError(
            config.name(key), f"{sorted(found)} are not the tower's {side}", "mend one of the files"
        )


def _views(
    checkpoint: Checkpoint, config: Config, tower: TowerFamily, vision: VitSpec
) -> tuple[AnyresSpec, tuple[str, ...]]:
    return read_tiles(checkpoint, config, tower, vision)


def _video_views(
    checkpoint: Checkpoint, config: Config, tower: TowerFamily, vision: VitSpec
) -> tuple[AnyresSpec, tuple[str, ...]]:
    mode = config.take("spatial_pool_mode", str)
    if mode not in MODES:
        known = f"known: {', '.join(MODES)}"
        raise FamilyError("spatial_pool_mode", f"{mode!r} is not supported", known)
    stride = config.take("spatial_pool_stride", int)
    with refusing("llava_next_video"):
        pool = PoolSpec(at="features", mode=MODES[mode], stride=stride)
    clip = ClipSpec(fit="crop", pool=pool)
    return read_tiles(checkpoint, config, tower, vision, clip=clip, video=FRAMES)


LLAVA_NEXT = Shape(
    family="llava_next", defaults=DEFAULTS, views=_views, tower=CLIP_L_336, newline=True
)
LLAVA_NEXT_VIDEO = Shape(
    family="llava_next_video",
    defaults=VIDEO_DEFAULTS,
    views=_video_views,
    tower=CLIP_L_336,
    newline=True,
    video=True,
)
