"""Tiles of any resolution against transformers' processors: counts, pixels, refused sizes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.waves import picture
from tests.resolution.specs import model
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor

from sightline.core.geometry import MediaSize
from sightline.families.llava_next import PINPOINTS
from sightline.families.llava_onevision import CLIP, DEFAULTS
from sightline.resolution import anyres
from sightline.resolution.layout import VisualLayout
from sightline.resolution.policy import layout
from sightline.spec import AnyresSpec, PixelSpec
from sightline.vision.pixels import render_all

PILLOW = PixelSpec(backend="pillow")
NEXT = AnyresSpec(size=336, pinpoints=PINPOINTS, pixels=PILLOW)
ONEVISION = AnyresSpec(
    size=384,
    pinpoints=DEFAULTS["image_grid_pinpoints"],
    max_tiles=9,
    several="pad",
    clip=CLIP,
    pixels=PILLOW,
)
EDGES = [
    (1, 1), (1, 2), (2, 1), (1, 6000), (6000, 1), (6000, 4000), (4000, 6000), (336, 672),
    (672, 336), (673, 336), (335, 671), (671, 673), (1008, 336), (384, 384), (2304, 2304),
    (2305, 2303), (1, 300), (300, 7), (5999, 43), (47, 2999),
]  # fmt: skip


def random_sizes(count: int, largest: tuple[int, int] = (6000, 4000)) -> list[tuple[int, int]]:
    """Half of them any, half of extreme shapes."""
    draw = random.Random(7)
    plain = [tuple(draw.randint(1, side) for side in largest) for _ in range(count // 2)]
    extreme = [
        tuple(round(side ** draw.random()) for side in draw.sample(largest, 2))
        for _ in range(count - len(plain))
    ]
    return [*plain, *extreme]


SIZES = [*EDGES, *random_sizes(500)]


def laid(policy: AnyresSpec, *sizes: tuple[int, int]) -> VisualLayout:
    return layout(model(policy), [MediaSize(*size) for size in sizes])


def processor(kind: type, **facts: Any) -> Any:
    """A processor without tokenizer and image processor: its arithmetic needs neither."""
    made = object.__new__(kind)
    pinpoints = facts.pop("pinpoints")
    for name, value in facts.items():
        setattr(made, name, value)
    made.image_processor = type("Pinpoints", (), {"image_grid_pinpoints": pinpoints})
    return made


def test_counts_of_llava_next() -> None:
    """CLIP's class token is counted and taken off again there; here it is never a token."""
    theirs = processor(
        LlavaNextProcessor, pinpoints=PINPOINTS, patch_size=14, num_additional_image_tokens=1
    )
    for width, height in SIZES:
        wanted = theirs._get_number_of_features(height, width, 336, 336) - 1
        assert laid(NEXT, (width, height)).tokens == wanted, (width, height)


@pytest.mark.parametrize("max_tiles", [1, 4, 9])
def test_counts_of_onevision(max_tiles: int) -> None:
    theirs = processor(
        LlavaOnevisionProcessor,
        pinpoints=DEFAULTS["image_grid_pinpoints"],
        num_image_tokens=729,
        vision_aspect_ratio=f"anyres_max_{max_tiles}",
    )
    policy = ONEVISION.model_copy(update={"max_tiles": max_tiles})
    for width, height in SIZES:
        wanted = theirs._get_number_of_features(height, width, 384, 384)
        assert laid(policy, (width, height)).tokens == wanted, (width, height)


def test_published_counts() -> None:
    assert laid(NEXT, (640, 480)).tokens == 2340
    assert laid(ONEVISION, (640, 480)).tokens == 2929
    assert laid(ONEVISION, (640, 480), (1, 1), (90, 7)).tokens == 3 * 730
    spec = model(ONEVISION)
    assert layout(spec, [MediaSize(640, 480, frames=32, video=True)]).tokens == 32 * 196 + 1


def test_a_clip_does_not_make_a_picture_one_of_several() -> None:
    spec = model(ONEVISION)
    clip = MediaSize(640, 480, frames=2, video=True)
    both = layout(spec, [clip, MediaSize(640, 480)])
    assert [item.tokens for item in both.media] == [393, 2929]


# Smaller tiles in the same shapes: the arithmetic does not know how large they are.
SMALL_NEXT = NEXT.model_copy(
    update={"size": 96, "pinpoints": tuple((a * 96 // 336, b * 96 // 336) for a, b in PINPOINTS)}
)
SMALL_ONEVISION = ONEVISION.model_copy(
    update={
        "size": 64,
        "pinpoints": tuple((a // 6, b // 6) for a, b in ONEVISION.pinpoints),
    }
)
PIXEL_SIZES = [
    *random_sizes(20, (900, 700)), (1, 1), (1, 6), (700, 1), (1, 640), (96, 192), (384, 384),
    (640, 480),
]  # fmt: skip


def points(policy: AnyresSpec) -> list[list[int]]:
    return [list(point) for point in policy.pinpoints]


def their_next(policy: AnyresSpec) -> LlavaNextImageProcessorPil:
    return LlavaNextImageProcessorPil(
        size={"shortest_edge": policy.size},
        crop_size={"height": policy.size, "width": policy.size},
        image_grid_pinpoints=points(policy),
    )


def their_onevision(policy: AnyresSpec) -> LlavaOnevisionImageProcessorPil:
    return LlavaOnevisionImageProcessorPil(
        size={"height": policy.size, "width": policy.size}, image_grid_pinpoints=points(policy)
    )


def same_pixels(policy: AnyresSpec, theirs: Any, size: tuple[int, int]) -> bool:
    rgb = picture(*size)
    wanted = theirs(Image.fromarray(rgb), return_tensors="pt")["pixel_values"][0]
    found = laid(policy, size)
    ours = torch.stack(render_all([rgb], found, policy.pixels))
    if len(ours) == 1:  # the tiles of a picture of which no row of tokens remains are not made
        assert found.tokens == (policy.size // 14) ** 2
        wanted = wanted[:1]
    return torch.equal(ours, wanted)


@pytest.mark.parametrize("size", PIXEL_SIZES)
def test_pixels_are_bit_equal(size: tuple[int, int]) -> None:
    assert same_pixels(SMALL_NEXT, their_next(SMALL_NEXT), size)
    assert same_pixels(SMALL_ONEVISION, their_onevision(SMALL_ONEVISION), size)


@pytest.mark.parametrize("size", [(640, 480), (90, 1000), (1500, 400)])
def test_pixels_of_published_tiles_are_bit_equal(size: tuple[int, int]) -> None:
    assert same_pixels(NEXT, their_next(NEXT), size)
    assert same_pixels(ONEVISION, their_onevision(ONEVISION), size)


def test_pixels_of_several_pictures_are_bit_equal() -> None:
    sizes = PIXEL_SIZES[:6]
    rgb = [picture(*size) for size in sizes]
    theirs = their_onevision(SMALL_ONEVISION)
    wanted = theirs([[Image.fromarray(one) for one in rgb]], return_tensors="pt")["pixel_values"]
    found = laid(SMALL_ONEVISION, *sizes)
    ours = torch.stack(render_all(rgb, found, PILLOW))
    assert torch.equal(ours, wanted[:, 0])


def test_a_tile_of_padding_alone_is_black() -> None:
    """One column of pixels lies in the left one of two tiles."""
    policy = AnyresSpec(size=56, pinpoints=((56, 112),), pixels=PILLOW)
    rgb = np.full((900, 1, 3), 200, np.uint8)
    theirs = their_next(policy)(Image.fromarray(rgb), return_tensors="pt")["pixel_values"][0]
    views = anyres.tiles(
        policy, MediaSize(1, 900).size, anyres.pinpoint(policy, MediaSize(1, 900).size), (0,)
    )
    both = replace(laid(policy, (1, 900)), views=views)
    assert torch.equal(torch.stack(render_all([rgb], both, PILLOW)), theirs[1:])


anyres_fitted, anyres_pinpoint = anyres.fitted, anyres.pinpoint


def smaller(size: Any) -> Any:
    return replace(size, height=size.height - 1)


def most_wasteful(policy: AnyresSpec, size: Any) -> Any:
    turned = policy.model_copy(update={"pinpoints": policy.pinpoints[::-1]})
    return anyres_pinpoint(turned, size)


def test_a_picture_one_row_shorter_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = their_next(SMALL_NEXT)
    assert same_pixels(SMALL_NEXT, theirs, (640, 180))
    monkeypatch.setattr(anyres, "fitted", lambda p, s: smaller(anyres_fitted(p, s)))
    assert not same_pixels(SMALL_NEXT, theirs, (640, 180))


def test_the_last_of_equal_pinpoints_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = their_next(SMALL_NEXT)
    assert same_pixels(SMALL_NEXT, theirs, (50, 50))
    monkeypatch.setattr(anyres, "pinpoint", most_wasteful)
    assert not same_pixels(SMALL_NEXT, theirs, (50, 50))
