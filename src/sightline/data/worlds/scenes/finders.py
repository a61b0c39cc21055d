"""Finders about single objects, counts and whole scenes: facts and an outcome -> slots, answer."""

from __future__ import annotations

import random
from collections.abc import Iterable

from sightline.data.worlds.scenes.facts import BOX_MARK, Facts, Found
from sightline.data.worlds.scenes.phrases import article, enumeration, plural
from sightline.data.worlds.scenes.scene import COLOURS, SHAPES

_EXTREMES = ("leftmost", "rightmost", "highest", "lowest", "largest", "smallest")


def colour_of(facts: Facts, key: str, rng: random.Random) -> Found | None:
    refs = [
        name
        for t in facts.things
        if t.colour == key
        for name in ([t.shape] if facts.shapes[t.shape] == 1 else facts.size_shape(t))
    ]
    return Found(key, {"ref": rng.choice(refs)}) if refs else None


def shape_of(facts: Facts, key: str, rng: random.Random) -> Found | None:
    refs = [
        name
        for t in facts.things
        if t.shape == key
        for name in (
            [f"{t.colour} object"] if facts.colours[t.colour] == 1 else facts.size_colour(t)
        )
    ]
    return Found(key, {"ref": rng.choice(refs)}) if refs else None


def size_of(facts: Facts, key: str, rng: random.Random) -> Found | None:
    refs = [
        name
        for t, names in zip(facts.things, facts.names, strict=True)
        if t.size == key
        for name in names
    ]
    return Found(key, {"ref": rng.choice(refs)}) if refs else None


def colour_extreme(facts: Facts, key: str, rng: random.Random) -> Found | None:
    word = rng.choice(_EXTREMES)
    thing = facts.extreme(word)
    return Found(key, {"word": word}) if thing and thing.colour == key else None


def shape_extreme(facts: Facts, key: str, rng: random.Random) -> Found | None:
    word = rng.choice(_EXTREMES)
    thing = facts.extreme(word)
    return Found(key, {"word": word}) if thing and thing.shape == key else None


def count_all(facts: Facts, key: str, rng: random.Random) -> Found | None:
    return Found(key) if len(facts.things) == int(key) else None


def count_shape(facts: Facts, key: str, rng: random.Random) -> Found | None:
    hits = [shape for shape in SHAPES if facts.shapes[shape] == int(key)]
    return Found(key, {"plural": plural(rng.choice(hits))}) if hits else None


def count_colour(facts: Facts, key: str, rng: random.Random) -> Found | None:
    hits = [colour for colour in COLOURS if facts.colours[colour] == int(key)]
    return Found(key, {"plural": f"{rng.choice(hits)} objects"}) if hits else None


def count_both(facts: Facts, key: str, rng: random.Random) -> Found | None:
    if key == "0":
        colour, shape = _absent_pair(facts, rng)
    else:
        hits = [pair for pair, num in facts.pairs.items() if num == int(key)]
        if not hits:
            return None
        colour, shape = rng.choice(hits)
    return Found(key, {"plural": f"{colour} {plural(shape)}"})


def count_size(facts: Facts, key: str, rng: random.Random) -> Found | None:
    size, num = key.split("/")
    return Found(num, {"plural": f"{size} objects"}) if facts.sizes[size] == int(num) else None


def exists_shape(facts: Facts, key: str, rng: random.Random) -> Found | None:
    hits = [shape for shape in SHAPES if (shape in facts.shapes) == (key == "yes")]
    return Found(key, {"noun": article(rng.choice(hits))}) if hits else None


def exists_colour(facts: Facts, key: str, rng: random.Random) -> Found | None:
    hits = [colour for colour in COLOURS if (colour in facts.colours) == (key == "yes")]
    return Found(key, {"noun": article(f"{rng.choice(hits)} object")}) if hits else None


def exists_both(facts: Facts, key: str, rng: random.Random) -> Found | None:
    pair = rng.choice(list(facts.pairs)) if key == "yes" else _absent_pair(facts, rng)
    return Found(key, {"noun": article(" ".join(pair))})


def exists_full(facts: Facts, key: str, rng: random.Random) -> Found | None:
    """Keys 'yes/small': the size is balanced along, for large objects are rarer."""
    answer, size = key.split("/")
    if answer == "yes":
        hits = [t.phrase for t in facts.things if t.size == size]
    else:
        looks = (rng.choice(list(facts.pairs)), (_pick(COLOURS, rng), _pick(SHAPES, rng)))
        nouns = [f"{size} {colour} {shape}" for colour, shape in looks]
        hits = [noun for noun in nouns if noun not in facts.triples]
    return Found(answer, {"noun": article(rng.choice(hits))}) if hits else None


def _absent_pair(facts: Facts, rng: random.Random) -> tuple[str, str]:
    """A colour and a shape never seen together; half the time each is there by itself."""
    crossed = [(c, s) for c in facts.colours for s in facts.shapes if (c, s) not in facts.pairs]
    if crossed and rng.random() < 0.5:
        return rng.choice(crossed)
    while True:
        pair = _pick(COLOURS, rng), _pick(SHAPES, rng)
        if pair not in facts.pairs:
            return pair


def _pick(values: Iterable[str], rng: random.Random) -> str:
    return rng.choice(tuple(values))


def caption(facts: Facts, key: str, rng: random.Random) -> Found | None:
    return Found(enumeration([f"a {t.phrase}" for t in facts.scene.in_order()]))


def dense(facts: Facts, key: str, rng: random.Random) -> Found | None:
    things = facts.scene.in_order()
    items = [f"a {t.phrase} {BOX_MARK}" for t in things]
    return Found(enumeration(items), boxes=tuple(t.box for t in things))


def locate(facts: Facts, key: str, rng: random.Random) -> Found | None:
    i = rng.randrange(len(facts.things))
    name = facts.name(i, rng)
    return Found(BOX_MARK, {"ref": name}, (facts.things[i].box,)) if name else None
