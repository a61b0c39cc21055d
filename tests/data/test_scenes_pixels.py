"""Scenes against their pixels: what is declared is what is painted."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import DataError
from sightline.data.worlds.scenes import COLOURS, SIZES, Scene, SceneDial, Thing, draw, scene
from sightline.data.worlds.scenes.scene import AREAS

PLAIN = SceneDial(textures=False, backdrops=False)
SIDE = 240


def nearest_colour(pixels: NDArray[np.uint8], things: tuple[Thing, ...]) -> NDArray[np.int64]:
    """int64[H, W]: index of the thing whose paint a pixel has exactly; -1 for other pixels."""
    owner = np.full(pixels.shape[:2], -1)
    for i, thing in enumerate(things):
        owner[(pixels == np.array(thing.rgb, np.uint8)).all(axis=-1)] = i
    return owner


def distinct(made: Scene) -> bool:
    return len({thing.rgb for thing in made.things}) == len(made.things)


def plain_scenes(num: int) -> list[Scene]:
    return [made for made in (scene(11, i, PLAIN) for i in range(num)) if distinct(made)]


def test_a_scene_depends_on_seed_and_index_alone() -> None:
    later = [scene(3, i) for i in range(20)]
    assert [scene(3, i) for i in reversed(range(20))][::-1] == later
    assert len({repr(made) for made in later}) == 20
    assert scene(4, 0) != scene(3, 0)
    assert (draw(later[5], 112) == draw(scene(3, 5), 112)).all()


@pytest.mark.parametrize("side", [8, 33, 112, 500])
def test_a_scene_can_be_drawn_at_any_side(side: int) -> None:
    for i in range(8):
        pixels = draw(scene(0, i), side)
        assert pixels.shape == (side, side, 3) and pixels.dtype == np.uint8


def test_pixels_of_a_thing_fill_its_box_and_never_leave_it() -> None:
    for made in plain_scenes(60):
        owner = nearest_colour(draw(made, SIDE), made.things)
        for i, thing in enumerate(made.things):
            rows, cols = np.nonzero(owner == i)
            box = thing.box.scaled(SIDE, SIDE)
            assert cols.min() >= box.x0 - 1 and cols.max() + 1 <= box.x1 + 1
            assert rows.min() >= box.y0 - 1 and rows.max() + 1 <= box.y1 + 1


def test_boxes_are_tight_around_things_in_the_open() -> None:
    for i in range(60):
        made = scene(12, i, SceneDial(max_objects=1, textures=False, backdrops=False))
        empty = draw(Scene((), made.backdrop), SIDE)
        rows, cols = np.nonzero((draw(made, SIDE) != empty).any(axis=-1))
        box = made.things[0].box.scaled(SIDE, SIDE)
        seen = (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
        assert np.allclose(seen, (box.x0, box.y0, box.x1, box.y1), atol=1.5)


def test_every_thing_stays_visible_and_some_overlap() -> None:
    covered = 0
    for made in (scene(13, i) for i in range(300)):
        alone = [_coverage(thing) for thing in made.things]
        for i, thing in enumerate(made.things):
            whole = AREAS[thing.shape] * (thing.side * SIDE) ** 2
            left = alone[i] * np.prod([1 - over for over in alone[i + 1 :]], axis=0)
            assert left.sum() >= 0.67 * whole
            covered += left.sum() < 0.99 * alone[i].sum()
    assert covered > 30


def _coverage(thing: Thing) -> NDArray[np.float64]:
    """float64[SIDE, SIDE] in 0..1, by painting the thing alone in white on black."""
    backdrop = scene(0, 0, PLAIN).backdrop
    black = type(backdrop)("plain", 0, (0, 0, 0), (0, 0, 0))
    white = Thing(
        *(thing.shape, thing.colour, thing.size, "plain", (255, 255, 255)),
        *(thing.x, thing.y, thing.side),
    )
    return draw(Scene((white,), black), SIDE)[:, :, 0] / 255


def test_paint_is_closest_to_its_named_colour_textures_included() -> None:
    names, values = list(COLOURS), np.array(list(COLOURS.values()), np.float64)
    for made in (scene(14, i, SceneDial(max_objects=1)) for i in range(120)):
        thing = made.things[0]
        inside = _coverage(thing) > 0.99
        mean = draw(made, SIDE)[inside].mean(axis=0)
        assert names[int(np.square(values - mean).sum(axis=1).argmin())] == thing.colour


def test_backdrops_stay_away_from_every_colour() -> None:
    for made in (scene(15, i) for i in range(200)):
        tones = np.array([made.backdrop.low, made.backdrop.high], np.float64)
        for value in COLOURS.values():
            assert np.linalg.norm(tones - np.array(value), axis=1).min() > 80


def test_size_names_have_clear_gaps_and_small_is_small() -> None:
    sides: dict[str, list[float]] = {name: [] for name in SIZES}
    for made in (scene(16, i) for i in range(300)):
        for thing in made.things:
            sides[thing.size].append(thing.side)
    assert min(sides["small"]) <= 1 / 12
    assert min(sides["medium"]) >= 1.3 * max(sides["small"])
    assert min(sides["large"]) >= 1.3 * max(sides["medium"])


def test_the_dial_is_obeyed() -> None:
    dial = SceneDial(
        min_objects=2, max_objects=3, smallest=0.15, largest=0.3, textures=False, backdrops=False
    )
    for made in (scene(1, i, dial) for i in range(100)):
        assert 2 <= len(made.things) <= 3 and made.backdrop.kind == "plain"
        assert all(0.15 <= t.side <= 0.3 and t.fill == "plain" for t in made.things)


@pytest.mark.parametrize(
    ("field", "value"), [("max_objects", 9), ("min_objects", 0), ("smallest", 0.5)]
)
def test_an_impossible_dial_is_refused(field: str, value: float) -> None:
    with pytest.raises(DataError):
        SceneDial(**{field: value})  # type: ignore[arg-type]


def test_a_dial_for_which_there_is_no_room_says_so() -> None:
    with pytest.raises(DataError, match="do not fit"):
        scene(0, 0, SceneDial(min_objects=8, smallest=0.6, largest=0.8))
    with pytest.raises(DataError):
        draw(scene(0, 0), 4)


def test_visible_paint_measures_every_object() -> None:
    """Pixels per object lie between 50 % and 101 % of its shape's area."""
    for made in plain_scenes(60):
        owner = nearest_colour(draw(made, SIDE), made.things)
        for i, thing in enumerate(made.things):
            whole = AREAS[thing.shape] * (thing.side * SIDE) ** 2
            assert 0.5 * whole < (owner == i).sum() < 1.01 * whole  # edges are blended


def test_scenes_use_every_number_of_objects() -> None:
    seen = {len(scene(17, i).things) for i in random.Random(0).sample(range(10_000), 200)}
    assert seen == set(range(1, 9))
