"""What the dial says is in the pixels: measured there, with no word from the generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tests.eval.probes.reader import by_level, scene_of, units

from sightline.data.worlds import eye_chart, scenes
from sightline.data.worlds.scenes import COLOURS, Scene
from sightline.eval.item import Item
from sightline.eval.probes.catalogue import probe
from sightline.eval.probes.pictures import ChartPicture, FramePicture
from sightline.eval.probes.position import GRID
from sightline.pictures.gateway import open_picture

Mask = NDArray[np.bool_]


def pixels(item: Item) -> NDArray[np.int64]:
    """int64[H, W, 3] of its picture."""
    [media] = item.media
    return open_picture(media.source.read()).rgb.astype(np.int64)  # type: ignore[attr-defined]


def painted(item: Item) -> Mask:
    """bool[H, W]: what is not ground."""
    seen = pixels(item)
    return (seen != scenes.draw(Scene((), scene_of(item).backdrop), len(seen))).any(-1)


def of_colour(seen: NDArray[np.int64], colour: str) -> Mask:
    """bool[H, W]: pixels of exactly this paint."""
    return np.asarray((seen == np.array(COLOURS[colour])).all(-1))


def middle(mask: Mask) -> tuple[float, float]:
    """The middle of its box, x and y, as shares of the side."""
    rows, columns = np.nonzero(mask)
    x, y = ((at.min() + at.max() + 1) / 2 / len(mask) for at in (columns, rows))
    return x, y


def blobs(mask: Mask) -> int:
    """How many parts hang together."""
    canvas = Image.fromarray((mask * 255).astype(np.uint8)).copy()
    for count in range(100):
        left = np.argwhere(np.asarray(canvas) == 255)
        if not len(left):
            return count
        ImageDraw.floodfill(canvas, tuple(left[0][::-1].tolist()), 0)
    raise AssertionError("there is no end")


def colours_of(item: Item) -> list[str]:
    return [word for word in item.question.replace("?", "").split() if word in COLOURS]


@pytest.mark.parametrize("name", ["acuity-glyphs", "acuity-objects"])
def test_letters_and_objects_are_as_high_as_the_dial_says(name: str) -> None:
    for item in probe(name).items():
        [media] = item.media
        assert isinstance(media.source, ChartPicture)
        ground = scenes.draw(Scene((), media.source.chart.ground), 128)
        seen = pixels(item)
        rows = np.nonzero((seen != ground).any(-1))[0]
        assert seen.shape == (128, 128, 3) and item.level is not None
        assert abs(rows.max() + 1 - rows.min() - item.level) < 2
    assert eye_chart.names("letter") == ("C", "D", "H", "K", "N", "O", "R", "S", "V", "Z")


def test_there_are_as_many_things_as_are_to_be_counted() -> None:
    for item in probe("counting").items(44):
        others = len(scene_of(item).things) - int(item.answer)
        assert item.level == int(item.answer) and (others == 0 or item.kind == "shape")
        assert blobs(painted(item)) == int(item.answer) + others


def test_objects_are_as_far_apart_and_placed_as_is_said() -> None:
    for one, other in units(probe("space").items()):
        assert one.level == other.level
        for item in (one, other):
            seen, (a, b) = pixels(item), colours_of(item)
            if item.kind == "depth":
                continue
            (ax, ay), (bx, by) = (middle(of_colour(seen, colour)) for colour in (a, b))
            axis, gap = ("x", ax - bx) if item.kind == "horizontal" else ("y", ay - by)
            words = {"x": ("left", "right"), "y": ("above", "below")}[axis]
            assert item.answer == words[int(gap > 0)]
            assert abs(100 * abs(gap) - float(item.level or 0)) < 1.5


def test_what_is_in_front_is_seen_whole() -> None:
    for one, other in units([i for i in probe("space").items() if i.kind == "depth"]):
        a, _ = colours_of(one)
        seen = {item.answer: of_colour(pixels(item), a).sum() for item in (one, other)}
        assert seen["front"] > 1.05 * seen["behind"] > 0


@pytest.mark.parametrize("name", ["space", "binding", "hallucination"])
def test_pictures_of_a_pair_have_one_ground_and_differ(name: str) -> None:
    for one, other in units(probe(name).items()):
        assert scene_of(one).backdrop == scene_of(other).backdrop
        assert 0.002 < (pixels(one) != pixels(other)).any(-1).mean() < 0.6


def test_bound_pictures_hold_the_same_paints_and_the_same_outlines() -> None:
    for one, other in units(probe("binding").items()):
        assert (painted(one) == painted(other)).all()
        things = [scene_of(item).things for item in (one, other)]
        for look in ("colour", "shape"):
            first, second = (sorted(getattr(t, look) for t in held) for held in things)
            assert first == second and len(set(first)) == len(first) == one.level


def test_an_object_lies_in_its_cell() -> None:
    for item in probe("position").items():
        cell = divmod(int(item.level or 0) - 1, GRID)
        for at, place in zip(np.nonzero(painted(item)), cell, strict=True):
            start, stop = (224 * edge / GRID for edge in (place, place + 1))
            assert start - 1 < at.min() and at.max() + 1 < stop + 1  # edges of pixels


def test_contrast_is_the_share_that_is_left() -> None:
    items = [i for i in probe("prior").items() if i.cluster == "prior/0/3" and i.answer == "yes"]
    spread = {item.level: pixels(item).std(axis=(0, 1)).mean() for item in items}
    for level, left in spread.items():
        assert left == pytest.approx((level or 0) / 100 * spread[100.0], abs=0.5)
    assert spread[0.0] == 0


@pytest.mark.parametrize("name", ["jpeg", "noise", "rotation", "exif", "prior", "prompts"])
def test_every_level_asks_about_the_same_scenes(name: str) -> None:
    asked = [
        [(repr(scene_of(item)), item.answer, item.cluster) for item in items]
        for items in by_level(probe(name).items()).values()
    ]
    assert all(found == asked[0] for found in asked)
    words = {level: [i.question for i in at] for level, at in by_level(probe(name).items()).items()}
    same = all(found == words[min(words)] for found in words.values())
    assert same != (name == "prompts")


def test_versions_of_a_question_differ_and_name_options_in_both_orders() -> None:
    for unit in units(probe("prompts").items()):
        assert len({item.question for item in unit}) == 4
        if unit[0].kind == "order of options":
            words = [item.question.lower() for item in unit]
            first = [text.index("left") < text.index("right") for text in words]
            assert first == [True, False, True, False]


@pytest.mark.parametrize("degrees", [0.0, 33.0, 45.0, 90.0, 180.0])
def test_what_is_turned_stays_whole(degrees: float) -> None:
    upright, turned = (
        replace(probe("rotation"), levels=(level,)).items(6) for level in (0.0, degrees)
    )
    for one, other in zip(upright, turned, strict=True):
        colours = {thing.colour for thing in scene_of(one).things}
        areas = [_area(pixels(item), colours) for item in (one, other)]
        assert pixels(one).shape == pixels(other).shape == (224, 224, 3)
        assert areas[1] == pytest.approx(areas[0], rel=0.06)


def _area(seen: NDArray[np.int64], colours: set[str]) -> float:
    """How many pixels are nearer to one of these paints than 60."""
    far = [np.abs(seen - np.array(COLOURS[colour])).max(-1) for colour in colours]
    return float((np.min(far, axis=0) < 60).sum())


def moments(item: Item) -> list[int]:
    """How many paints are in sight in each frame."""
    [media] = item.media
    assert isinstance(media.source, list)
    return [_paints(frame) for frame in media.source]


def _paints(frame: FramePicture) -> int:
    seen = frame.read().astype(np.int64)
    return sum(bool(of_colour(seen, colour).sum() > 20) for colour in COLOURS)


def test_an_event_lasts_as_many_frames_as_the_dial_says() -> None:
    for item in probe("video-budget").items(12):
        seen = moments(item)
        assert len(seen) == 64 and sum(seen) == item.level
        start = seen.index(1)
        assert seen[start : start + int(item.level or 0)] == [1] * int(item.level or 0)


def test_two_objects_appear_as_many_frames_apart_as_the_dial_says() -> None:
    for item in probe("video-order").items(20):
        seen = moments(item)
        assert len(seen) == 32 and seen == sorted(seen)
        assert seen[0] == 0 and seen[-1] == 2 and seen.count(1) == item.level
