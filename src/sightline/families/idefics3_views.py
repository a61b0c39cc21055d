"""How pictures and clips enter Idefics3, SmolVLM and SmolVLM2, and what stands between tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import refusing
from sightline.families.files import Checkpoint
from sightline.families.siglip import HALF
from sightline.families.tokens import read_tokens
from sightline.families.views import HARMLESS, processor_config, read_pixels
from sightline.prompt.files import load_tokenizer
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.resolution import FramesSpec, PixelSpec, RowTagsSpec, RowTilingSpec

PIXELS = PixelSpec(resample="lanczos", mean=HALF, std=HALF)
TILE, TILES = 364, 4  # of the processor's class: the side of a tile, and tiles on the longest edge
AROUND, WHOLE = "<fake_token_around_image>", "<global-img>"
TOKENS = "give the tokenizer that was published with the model"
# Folders with one file for both have video_sampling among the keys of pictures.
PICTURE_HARMLESS = (*HARMLESS, "return_row_col_info", "video_sampling")
CLIP_HARMLESS = (
    *PICTURE_HARMLESS,
    *"do_image_splitding return_metadata video_metadata video_processor_type".split(),
)
Between = Callable[[str, str, str], tuple[int, ...]]


def read_rows(
    checkpoint: Checkpoint, side: int, family: str, *, clips: bool
) -> tuple[RowTilingSpec, tuple[str, ...]]:
    """The tiles that the folder asks for, without tags; `side` is the tower's picture.

    Raises FamilyError for preprocessing that cannot be reproduced exactly.
    """
    if not (data := processor_config(checkpoint)):
        note = f"no processor file: tiles of {side} px, up to {TILES * side} px along"
        return RowTilingSpec(tile=side, edge=TILES * side, pixels=PIXELS), (note,)
    config = Config(data, where="preprocessor_config")
    with refusing(family):
        spec = RowTilingSpec(
            edge=_edge(config, "size", TILES * TILE),
            tile=_edge(config, "max_image_size", TILE),
            split=config.take("do_image_splitting", bool, True),
            pixels=_pixels(config),
        )
        config.finish(family, PICTURE_HARMLESS)
        return (_with_clips(checkpoint, spec, family) if clips else spec), ()


def _with_clips(checkpoint: Checkpoint, pictures: RowTilingSpec, family: str) -> RowTilingSpec:
    config = Config(_clip_config(checkpoint), where="video_preprocessor_config")
    sampling = config.sub("video_sampling")
    default = _edge(sampling, "video_size", TILES * TILE)
    edge = _edge(config, "size", default)
    if _edge(config, "max_image_size", TILE) != pictures.tile or _pixels(config) != pictures.pixels:
        raise FamilyError(
            config.where,
            "has other views than pictures have",
            "make max_image_size and pixels equal",
        )
    count, fps = config.maybe("num_frames", int), config.maybe("fps", float)
    if "video_sampling" in config:
        count, fps = sampling.maybe("max_frames", int), sampling.maybe("fps", float)
    sampling.finish(family)
    config.maybe("do_sample_frames", bool)  # the processor samples where it has both numbers
    config.finish(family, CLIP_HARMLESS)
    chosen: dict[str, Any] = {"clip_edge": None if edge == pictures.edge else edge}
    if count is not None and fps is not None:
        chosen["video"] = FramesSpec(
            sampling="fps", fps=fps, max_frames=count, placing="below", rounding="nearest", skip_s=1
        )
    return RowTilingSpec(**(pictures.model_dump() | chosen))


def _clip_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The video processor's keys; the picture's stand in, as in the reference."""
    nested = checkpoint.json("processor_config.json").get("video_processor")
    if isinstance(nested, dict):
        return nested
    own = checkpoint.json("video_preprocessor_config.json")
    return own or checkpoint.json("preprocessor_config.json")


def _edge(config: Config, key: str, default: int) -> int:
    size = config.sub(key)
    edge = size.take("longest_edge", int, default)
    size.finish("idefics3")
    return edge


def _pixels(config: Config) -> PixelSpec:
    config.expect("do_resize", True, None, why="every picture is resized")
    config.expect("do_pad", True, None, why="views are stacked")
    return read_pixels(config, PIXELS)


def with_tags(
    checkpoint: Checkpoint, views: RowTilingSpec, image: str, family: str
) -> tuple[RowTilingSpec, tuple[str, ...]]:
    """The same views with tags, as the folder's tokenizer writes them between special tokens.

    Raises FamilyError for a tokenizer without the token around pictures.
    """
    notes: tuple[str, ...] = ()
    if checkpoint.folder is None or read_tokens(checkpoint).first_free is None:
        notes = ("no tokenizer: tags between tiles are counted as one token each",)
        tags = _tags(views.most_tiles, lambda left, text, right: (0,), AROUND, WHOLE, image)
    else:
        tokenizer = load_tokenizer(checkpoint.folder)
        named = tokenizer.config.named
        around = named.get("fake_image_token", AROUND)
        whole = named.get("global_image_token", WHOLE)
        tags = _tags(views.most_tiles, between(tokenizer), around, whole, image)
    with refusing(family):
        return RowTilingSpec(**(views.model_dump() | {"tags": tags.model_dump()})), notes


def _tags(side: int, ids: Between, around: str, whole: str, image: str) -> RowTagsSpec:
    return RowTagsSpec(
        around=ids("", around, ""),
        whole=ids(around, whole, image),
        places=tuple(
            tuple(ids(around, f"<row_{row}_col_{col}>", image) for col in range(1, side + 1))
            for row in range(1, side + 1)
        ),
        row_end=ids(image, "\n", around),
        last_row_end=ids(image, "\n\n", around),
    )


def between(tokenizer: Tokenizer) -> Between:
    """What stands for a text between two special tokens, or for one such token alone."""

    def ids(left: str, text: str, right: str) -> tuple[int, ...]:
        whole = left + text + right
        tokens = tokenizer.encode(whole, b"\1" * len(whole))
        first, stop = int(bool(left)), len(tokens) - int(bool(right))
        ends = tokens[:first] + tokens[stop:] or tokens
        if first >= stop or not all(token.added for token in ends):
            raise FamilyError("tokenizer", f"has no {left or text} and {right or text}", TOKENS)
        return tuple(token.id for token in tokens[first:stop])

    return ids
