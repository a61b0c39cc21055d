"""What holds of every probe: levels, units, evenness, seeds, and who scores what."""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.eval.probes.reader import by_level, named, read, reported, scene_of, shown, units

from sightline.core.errors import DataError
from sightline.data.worlds import scenes
from sightline.eval.item import Item
from sightline.eval.probes.catalogue import PROBES, probe
from sightline.eval.probes.pictures import ScenePicture
from sightline.eval.probes.probe import Probe

ALL = pytest.mark.parametrize("made", PROBES, ids=lambda made: made.name)
NAMES = (
    "acuity-glyphs acuity-objects counting space hallucination binding document video-order "
    "video-budget prior prompts position jpeg noise rotation exif"
).split()
PAIRED = ("space", "hallucination", "binding", "prior", "video-order")  # one question, two answers


def test_all_are_there_by_name() -> None:
    assert [one.name for one in PROBES] == NAMES
    assert all(probe(name).name == name for name in NAMES)
    with pytest.raises(DataError, match="acuity-glyphs, acuity-objects"):
        probe("hearing")


@ALL
def test_a_probe_is_small_by_default_and_can_be_sent_to_another_process(made: Probe) -> None:
    assert len(made.items()) <= 180
    assert pickle.loads(pickle.dumps(made)) == made


@ALL
def test_levels_have_equally_many_units_or_one_more(made: Probe) -> None:
    least = made.unit * len(made.levels)
    for count in (None, least, 3 * least + 2 * made.unit + 1):
        items = made.items(count)
        sizes = {level: len(asked) // made.unit for level, asked in by_level(items).items()}
        assert tuple(sorted(sizes)) == made.levels
        assert max(sizes.values()) - min(sizes.values()) <= (count not in (None, least))
        assert len({item.key for item in items}) == len(items)
        if count is not None:
            assert count - made.unit < len(items) <= count


@ALL
def test_a_count_without_a_unit_for_each_level_is_refused(made: Probe) -> None:
    least = made.unit * len(made.levels)
    for count in (0, least - 1):
        with pytest.raises(DataError, match=f"use at least {least}"):
            made.items(count)


@ALL
def test_levels_must_ascend(made: Probe) -> None:
    first, second, *_ = made.levels
    for levels in ((), (second, first), (first, first), (first, float("nan"))):
        with pytest.raises(DataError, match="ascending"):
            replace(made, levels=levels)
    with pytest.raises(DataError, match="1 or more"):
        replace(made, per_level=0)


OFF = {"acuity-glyphs": 0.5, "acuity-objects": 129.0, "counting": 2.5, "binding": 7.0}
OFF |= {"hallucination": 6.0, "document": 17.0, "video-order": 31.0, "video-budget": 65.0}
OFF |= {"prior": 101.0, "prompts": 5.0, "position": 26.0, "jpeg": 96.0, "noise": -1.0, "exif": 9.0}


LOW = {"counting": 0.0, "binding": 1.0, "space": 0.0, "document": 0.0, "video-order": 0.0}


@pytest.mark.parametrize(("name", "level"), [*OFF.items(), *LOW.items(), ("space", 41.0)])
def test_a_level_that_cannot_be_is_refused(name: str, level: float) -> None:
    with pytest.raises(DataError):
        replace(probe(name), levels=(level,)).items()


@ALL
def test_items_are_a_function_of_the_seed(made: Probe) -> None:
    few = made.items(2 * made.unit * len(made.levels))[:8]
    again = replace(made).items()
    assert few == again[: len(few)]
    assert list(map(shown, few)) == list(map(shown, again[: len(few)]))
    other = replace(made, seed=1).items()[:8]
    assert {item.key for item in few}.isdisjoint(item.key for item in other)
    assert all(a != b for a, b in zip(map(shown, few), map(shown, other), strict=True))


@ALL
def test_who_looks_is_always_right(made: Probe) -> None:
    """Answers are read from what was drawn, never from the truth."""
    items = replace(made, seed=4).items()
    found = reported(made, items, [f"It is {read(item)}." for item in items])
    assert found.headline is not None and found.headline.value == 1
    wanted = {"hallucination": 0.0, "prior": 0.5}.get(made.name, 1.0)
    assert [(level, f.value) for level, f in found.curve] == [(x, wanted) for x in made.levels]
    assert named(found).get("unparsed", 0) == 0
    assert found.told and found.told in found.notes and found.axis == made.axis


@ALL
def test_the_words_alone_tell_nothing(made: Probe) -> None:
    """The best answer to each question, or kind of question, chosen with the truths of half of the
    items and tried on the other half: at chance, up to three standard deviations."""
    items = replace(made, seed=5).items(6 * made.unit * len(made.levels) * made.per_level)
    if made.name in PAIRED:
        for one, other in units(items):
            assert one.question == other.question and one.answer != other.answer
            assert one.cluster == other.cluster and one.level == other.level
        return
    right, chance = _guessed(items, made)
    clusters = len({item.cluster or item.key for item in items})
    assert right <= chance + 3 * (chance * (1 - chance) / clusters) ** 0.5


def _guessed(items: Sequence[Item], made: Probe) -> tuple[float, float]:
    """The share that is right, and the mean of one over the answers that there are."""
    groups: dict[tuple[str, float | None], list[Item]] = defaultdict(list)
    for item in items:
        level = None if made.name == "counting" else item.level  # which is the answer there
        groups[item.group, level].append(item)
    right = chance = 0.0
    for asked in groups.values():
        names = sorted({item.cluster or item.key for item in asked})
        half = set(names[: len(names) // 2])
        seen = [item.answer for item in asked if (item.cluster or item.key) in half]
        tried = [item.answer for item in asked if (item.cluster or item.key) not in half]
        [(best, _)] = Counter(seen).most_common(1)
        right += tried.count(best) * len(asked) / len(tried)
        chance += len(asked) / len({item.answer for item in asked})
    return right / len(items), chance / len(items)


EVEN = {"acuity-glyphs": 10, "acuity-objects": 6, "document": 16, "video-budget": 10, "position": 6}


@pytest.mark.parametrize(("name", "count"), EVEN.items())
def test_every_answer_comes_equally_often_at_each_level(name: str, count: int) -> None:
    for asked in by_level(probe(name).items()).values():
        counts = Counter(item.answer for item in asked)
        assert len(counts) == count and set(counts.values()) == {len(asked) // count}


@pytest.mark.parametrize("name", ["colour", "shape"])
def test_attributes_to_be_bound_come_equally_often(name: str) -> None:
    every = len(scenes.COLOURS if name == "colour" else scenes.SHAPES)
    items = probe("binding").items(5 * 2 * 3 * every)  # levels, pairs, kinds
    for asked in by_level(items).values():
        counts = Counter(item.answer for item in asked if item.kind == name)
        assert len(counts) == every and set(counts.values()) == {2}


@ALL
def test_training_never_draws_what_is_asked(made: Probe) -> None:
    asked = [item for item in made.items() if isinstance(item.media[0].source, ScenePicture)]
    trained = {repr(scenes.scene(made.seed, number).things) for number in range(3000)}
    assert not trained & {repr(scene_of(item).things) for item in asked}


def test_more_items_are_the_same_and_more() -> None:
    made = probe("counting")
    assert made.items(30) == made.items(60)[:30]
    assert len(made.items(2000)) == 2000  # endless
