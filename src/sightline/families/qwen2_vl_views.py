"""How pictures and clips enter Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import refusing
from sightline.families.files import Checkpoint
from sightline.families.tokens import read_tokens
from sightline.families.views import HARMLESS, processor_config, read_pixels
from sightline.prompt.files import load_tokenizer
from sightline.spec.resolution import (
    FramesSpec,
    NativeSpec,
    PixelRange,
    PixelSpec,
    TimestampSpec,
)
from sightline.spec.vision import VitSpec

# As qwen-vl-utils samples for processors that leave it to their caller.
CALLER = FramesSpec(sampling="fps", fps=2.0, min_frames=4, max_frames=768, multiple=2)
CLIP_HARMLESS = (
    "cap_pixels_per_frame default_to_square do_convert_rgb do_pad input_data_format max_duration "
    "max_image_size max_video_tokens num_frames return_metadata video_metadata "
    "video_processor_type image_processor_type do_center_crop crop_size do_sample_frames fps "
    "min_frames max_frames"
).split()
# "<", " seconds>", "." and digits of Qwen's published vocabulary: a config without a tokenizer can
# be planned for, and only their number counts.
PUBLISHED_STAMPS = TimestampSpec(
    digits=tuple(range(15, 25)), point=(13,), open=(27,), close=(6486, 29)
)


@dataclass(frozen=True, slots=True)
class Sides:
    """What a family's processor classes have where the folder says nothing."""

    pictures: PixelRange
    clips: PixelRange
    pixels: PixelSpec
    of: Literal["frame", "clip"]
    frames: FramesSpec | None = None


def read_native(
    checkpoint: Checkpoint, vision: VitSpec, merge: int, sides: Sides
) -> tuple[NativeSpec, tuple[str, ...]]:
    """The views that the folder asks for, pictures and clips.

    Raises FamilyError for preprocessing that cannot be reproduced exactly.
    """
    data, clip_data = processor_config(checkpoint), _clip_config(checkpoint)
    with refusing("qwen2_vl"):
        pictures, pixels = _read(data, "preprocessor_config", vision, merge, sides, sides.pictures)
        clips, clip_pixels = _read(
            clip_data, "video_preprocessor_config", vision, merge, sides, sides.clips
        )
        frames, notes = _frames(clip_data, sides)
    if clip_data and clip_pixels != pixels:
        raise FamilyError(
            "video_preprocessor_config", "has other pixels than pictures have", "make them equal"
        )
    if not data:
        notes = ("no processor file: sizes of the family's processors are used", *notes)
    return NativeSpec(
        multiple=vision.patch * merge,
        pictures=pictures,
        clips=clips.model_copy(update={"of": sides.of}),
        pixels=pixels,
        video=frames,
    ), notes


def _clip_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The video processor's keys; the picture's file stands in, as in the reference."""
    nested = checkpoint.json("processor_config.json").get("video_processor")
    if isinstance(nested, dict):
        return nested
    own = checkpoint.json("video_preprocessor_config.json")
    return own or checkpoint.json("preprocessor_config.json")


def _read(
    data: dict[str, Any], where: str, vision: VitSpec, merge: int, sides: Sides, default: PixelRange
) -> tuple[PixelRange, PixelSpec]:
    config = Config(data, where=where)
    config.expect("do_resize", True, why="every picture is resized")
    config.expect("cap_pixels_per_frame", False, None, why="frames are not capped one by one")
    for key, value in (
        ("patch_size", vision.patch),
        ("temporal_patch_size", vision.frames_per_view),
        ("merge_size", merge),
    ):
        config.expect(key, value, None, why=f"the model's is {value}")
    size = config.sub("size")
    least = size.take("shortest_edge", int, default.min_pixels)
    most = size.take("longest_edge", int, default.max_pixels)
    pixels = PixelRange(
        min_pixels=config.take("min_pixels", int, least),
        max_pixels=config.take("max_pixels", int, most),
    )
    size.finish("qwen2_vl", ("min_pixels", "max_pixels"))
    arithmetic = read_pixels(config, sides.pixels)
    config.finish("qwen2_vl", (*HARMLESS, *CLIP_HARMLESS))
    return pixels, arithmetic


def _frames(data: dict[str, Any], sides: Sides) -> tuple[FramesSpec, tuple[str, ...]]:
    """How clips are sampled; a processor that takes what it is given leaves that to its caller."""
    config = Config(data, where="video_preprocessor_config")
    default = sides.frames or CALLER
    if not config.take("do_sample_frames", bool, sides.frames is not None):
        return CALLER, ("the processor samples no frames: 2 a second, 4 to 768, are taken",)
    if count := config.maybe("num_frames", int):
        return FramesSpec(sampling="uniform", count=count, multiple=default.multiple,
                          placing=default.placing), ()  # fmt: skip
    changed = {
        "fps": config.take("fps", float, default.fps or 2.0),
        "min_frames": config.take("min_frames", int, default.min_frames),
        "max_frames": config.take("max_frames", int, default.max_frames or 768),
    }
    return default.model_copy(update=changed), ()


def read_stamps(
    checkpoint: Checkpoint, around: tuple[int, ...], vocab: int
) -> tuple[TimestampSpec | None, tuple[str, ...]]:
    """The ids of times, as the folder's tokenizer writes them between special tokens; `around`
    stand before and after each view's tokens.

    Raises FamilyError for a tokenizer that joins digits.
    """
    marks = {"start": around[:1], "end": around[1:]}
    if checkpoint.folder is None or read_tokens(checkpoint).first_free is None:
        if max(PUBLISHED_STAMPS.close) >= vocab:
            return None, ("no tokenizer: clips are laid out without the times of their frames",)
        return PUBLISHED_STAMPS.model_copy(update=marks), ()
    encode = load_tokenizer(checkpoint.folder).encode_text
    pieces = [encode(piece) for piece in ("<", "1", "0", ".", "5", " seconds>")]
    digits = [encode(str(digit)) for digit in range(10)]
    joined = encode("<10.5 seconds>") != [id_ for ids in pieces for id_ in ids]
    if joined or any(len(ids) != 1 for ids in digits):
        raise FamilyError(
            "tokenizer", "joins the digits of a time", "give the tokenizer that Qwen3-VL ships"
        )
    return TimestampSpec(
        digits=tuple(ids[0] for ids in digits),
        point=tuple(encode(".")),
        open=tuple(encode("<")),
        close=tuple(encode(" seconds>")),
        **marks,
    ), ()
