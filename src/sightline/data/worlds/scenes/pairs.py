"""Finders about two objects or two groups: where one is from the other, which is larger, more."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from sightline.data.worlds.scenes import facts as clear
from sightline.data.worlds.scenes.facts import OPPOSITE, Facts, Find, Found, Relation
from sightline.data.worlds.scenes.scene import COLOURS, SHAPES

_TRIES = 8  # pairs of objects looked at before a relation is given up
_PLACE = {"left": "left of", "right": "right of", "above": "above", "below": "below"}
_FURTHER = {"left": "left", "right": "right", "above": "up", "below": "down"}
_OTHER = {"larger": "smaller", "smaller": "larger"}


def _pair(
    facts: Facts, rng: random.Random, relation: Relation, *, sized: bool = True
) -> tuple[int, int, str] | None:
    """Two objects that have unique names and stand in a clear relation."""
    named = [i for i, names in enumerate(facts.names) if names or (sized and facts.sized[i])]
    for _ in range(_TRIES if len(named) > 1 else 0):
        a, b = rng.sample(named, 2)
        holds = relation(facts.things[a], facts.things[b])
        if holds is not None:
            return a, b, holds
    return None


def _named(
    facts: Facts, rng: random.Random, a: int, b: int, *, sized: bool = True
) -> dict[str, str]:
    return {
        "a": facts.name(a, rng, sized=sized) or "",
        "b": facts.name(b, rng, sized=sized) or "",
    }


def relation_is(facts: Facts, key: str, rng: random.Random) -> Found | None:
    pair = _pair(facts, rng, rng.choice((clear.horizontal, clear.vertical)))
    if pair is None:
        return None
    a, b, truth = pair
    word = truth if key == "yes" else OPPOSITE[truth]
    return Found(key, {**_named(facts, rng, a, b), "word": _PLACE[word]})


def relation_which(facts: Facts, key: str, rng: random.Random) -> Found | None:
    pair = _pair(facts, rng, rng.choice((clear.horizontal, clear.vertical)))
    if pair is None:
        return None
    a, b, truth = pair
    names = _named(facts, rng, a, b)
    word = truth if key == "first" else OPPOSITE[truth]
    return Found(names["a" if key == "first" else "b"], {**names, "word": _FURTHER[word]})


def relation_side(relation: Relation) -> Find:
    def find(facts: Facts, key: str, rng: random.Random) -> Found | None:
        pair = _pair(facts, rng, relation)
        if pair is None:
            return None
        a, b, truth = pair
        if truth not in (key, OPPOSITE[key]):
            return None
        first, second = (a, b) if truth == key else (b, a)
        return Found(key, _named(facts, rng, first, second))

    return find


def compare_which(facts: Facts, key: str, rng: random.Random) -> Found | None:
    pair = _pair(facts, rng, clear.size_order, sized=False)
    if pair is None:
        return None
    a, b, truth = pair
    names = _named(facts, rng, a, b, sized=False)
    word = truth if key == "first" else _OTHER[truth]
    return Found(names["a" if key == "first" else "b"], {**names, "word": word})


def compare_is(facts: Facts, key: str, rng: random.Random) -> Found | None:
    pair = _pair(facts, rng, clear.size_order, sized=False)
    if pair is None:
        return None
    a, b, truth = pair
    word = truth if key == "yes" else _OTHER[truth]
    return Found(key, {**_named(facts, rng, a, b, sized=False), "word": word})


def compare_more(count: Callable[[Facts], Counter[str]], noun: Callable[[str], str]) -> Find:
    def find(facts: Facts, key: str, rng: random.Random) -> Found | None:
        counts = count(facts)
        values: Sequence[str] = SHAPES if counts is facts.shapes else tuple(COLOURS)
        present = rng.choice(list(counts))
        other = rng.choice([value for value in values if value != present])
        a, b = (present, other) if rng.random() < 0.5 else (other, present)
        holds = "yes" if counts[a] > counts[b] else "no"
        return Found(key, {"a": noun(a), "b": noun(b)}) if holds == key else None

    return find
