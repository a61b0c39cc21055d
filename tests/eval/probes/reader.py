"""Answers questions of probes from what the pictures were drawn from, and never from the truth.

It understands the words of a question by itself, and looks at the things of a scene, the pages of a
document, the frames of a clip. Helpers to ask probes stand below it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from sightline.data.worlds import scenes
from sightline.data.worlds.scenes import COLOURS, SHAPES, SIZES, Thing
from sightline.eval.controls import Full, conversation
from sightline.eval.item import Item
from sightline.eval.probes.pictures import ChartPicture, FramePicture, PagePicture, ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.report import Report, report
from sightline.eval.result import Result
from sightline.eval.said import Said

_NOUN = re.compile(rf"((?:\w+ )*?(?:{'|'.join(SHAPES)}|object|one)(?:e?s)?)\b")


def read(item: Item) -> str:
    """The answer."""
    [*media] = item.media
    source = media[0].source
    if isinstance(source, PagePicture):
        [number] = re.findall(r"page (\d+)", item.question)
        pages = [m.source.page for m in media]  # type: ignore[attr-defined]
        assert [page.number for page in pages] == list(range(1, len(pages) + 1))
        return pages[int(number) - 1].word
    if isinstance(source, ChartPicture):
        return source.chart.name
    if isinstance(source, list):
        return _watched(source)
    assert isinstance(source, ScenePicture)
    return _seen(item.question, source.scene.things)


def _watched(frames: Sequence[FramePicture]) -> str:
    """The colour of what appears first."""
    shown = [frame.clip.scene(frame.index).things for frame in frames]
    assert [frame.index for frame in frames] == list(range(frames[0].clip.num_frames))
    first = next(things for things in shown if things)
    [thing] = first
    return thing.colour


def _seen(question: str, things: Sequence[Thing]) -> str:
    words = question.lower()
    if "colour" in words and "how many" not in words:
        return _only(words.replace("colour", ""), things).colour
    if "shape" in words:
        return _only(words.replace("shape", ""), things).shape
    if any(start in words for start in ("how many", "count the", "number of")):
        return str(len(_matching(words, things)))
    places = [w for w in ("left", "right", "above", "below", "front", "behind") if w in words]
    if not places:
        return "yes" if _matching(words, things) else "no"
    a, b = _named(words, things)
    holds = _places(a, b, things)
    if len(places) == 1:
        return "yes" if places[0] in holds else "no"
    [answer] = [place for place in places if place in holds]
    return answer


def _named(words: str, things: Sequence[Thing]) -> tuple[Thing, Thing]:
    """What a question is about, and what it is placed by: this comes after `of the`, a relation or
    `side of`, and so does `a` where the question ends with it."""
    found = [_only(phrase, things) for phrase in _NOUN.findall(words) if _looks(phrase)]
    first, second = found
    reversed_order = words.startswith(("left or right", "right or left", "on which side"))
    return (second, first) if reversed_order else (first, second)


def _looks(phrase: str) -> set[str]:
    return set(phrase.split()) & {*COLOURS, *SHAPES, *SIZES}


def _places(a: Thing, b: Thing, things: Sequence[Thing]) -> set[str]:
    over = list(things).index(a) > list(things).index(b)  # later ones are painted over others
    across = "left" if a.x < b.x else "right"
    return {across, "above" if a.y < b.y else "below", "front" if over else "behind"}


def _only(words: str, things: Sequence[Thing]) -> Thing:
    [found] = _matching(words, things)
    return found


def _matching(words: str, things: Sequence[Thing]) -> list[Thing]:
    """All things that the words can be about."""
    plain = {word.removesuffix("es") if word == "crosses" else word for word in _words(words)}
    plain |= {word.removesuffix("s") for word in plain if word.removesuffix("s") in SHAPES}
    wanted = [plain & set(names) for names in (COLOURS, SHAPES, SIZES)]
    return [
        thing
        for thing in things
        if all(
            not names or {look} == names
            for names, look in zip(wanted, (thing.colour, thing.shape, thing.size), strict=True)
        )
    ]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text)


# Asking.


def reported(probe: Probe, items: Sequence[Item], answers: Sequence[str]) -> Report:
    """The report on these answers."""
    said = [Said(text, finish="stop", answer_tokens=1) for text in answers]
    return report(Result(probe.name, "model", {}, probe.metric, items, {"full": said}))


def named(made: Report) -> dict[str, float]:
    """Values of all figures."""
    return {figure.name: figure.value for figure in made.figures["full"]}


def by_level(items: Sequence[Item]) -> dict[float, list[Item]]:
    found: dict[float, list[Item]] = defaultdict(list)
    for item in items:
        assert item.level is not None
        found[item.level].append(item)
    return found


def units(items: Sequence[Item]) -> list[list[Item]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[item.unit or item.key].append(item)
    return list(found.values())


def shown(item: Item) -> list[bytes]:
    """What a model is shown, as bytes."""
    [message] = conversation([item], 0, Full())
    parts = [part[part["type"]] for part in message["content"] if part["type"] != "text"]
    sources = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    return [one if isinstance(one, bytes) else np.asarray(one).tobytes() for one in sources]


def scene_of(item: Item) -> scenes.Scene:
    [media] = item.media
    assert isinstance(media.source, ScenePicture)
    return media.source.scene
