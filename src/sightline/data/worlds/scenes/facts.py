"""What is true in a scene, arranged for asking: counts, unique names, clear relations."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sightline.core.geometry import Box
from sightline.data.worlds.scenes.scene import Scene, Thing

_RATIO = 1.3  # sides further apart than this are clearly different
_CLEAR = 0.1  # least distance of centres along an axis, as a share of the picture's side
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
Relation = Callable[[Thing, Thing], str | None]  # what a is to b, or None if it is not clear
BOX_MARK = "{box}"


@dataclass(frozen=True, slots=True)
class Found:
    """Slot fillers and the answer; `{box}` in the answer stands for the next of `boxes`."""

    answer: str
    slots: dict[str, str] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()


class Facts:
    """Counts and referring expressions of one scene.

    `names[i]` are the unique names of object i without its size ('star', 'red object',
    'red star'), `sized[i]` those with it ('small star', 'small red star').
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.things = scene.things
        self.colours = Counter(t.colour for t in self.things)
        self.shapes = Counter(t.shape for t in self.things)
        self.sizes = Counter(t.size for t in self.things)
        self.pairs = Counter((t.colour, t.shape) for t in self.things)
        self.triples = Counter(t.phrase for t in self.things)
        self._size_shapes = Counter((t.size, t.shape) for t in self.things)
        self._size_colours = Counter((t.size, t.colour) for t in self.things)
        self.names = [self._names(t) for t in self.things]
        self.sized = [self._sized(t) for t in self.things]

    def _names(self, t: Thing) -> list[str]:
        names = [t.shape] if self.shapes[t.shape] == 1 else []
        names += [f"{t.colour} object"] if self.colours[t.colour] == 1 else []
        return names + ([f"{t.colour} {t.shape}"] if self.pairs[t.colour, t.shape] == 1 else [])

    def _sized(self, t: Thing) -> list[str]:
        names = self.size_shape(t) + self.size_colour(t)
        return names + ([t.phrase] if self.triples[t.phrase] == 1 else [])

    def size_shape(self, t: Thing) -> list[str]:
        return [f"{t.size} {t.shape}"] if self._size_shapes[t.size, t.shape] == 1 else []

    def size_colour(self, t: Thing) -> list[str]:
        unique = self._size_colours[t.size, t.colour] == 1
        return [f"{t.size} {t.colour} object"] if unique else []

    def name(self, i: int, rng: random.Random, *, sized: bool = True) -> str | None:
        """A unique name of object i, or None if it has none."""
        names = self.names[i] + self.sized[i] if sized else self.names[i]
        return rng.choice(names) if names else None

    def extreme(self, word: str) -> Thing | None:
        """The 'leftmost', 'rightmost', 'highest', 'lowest', 'largest' or 'smallest' object,
        if it is that by a clear margin."""
        ranked = sorted(self.things, key=lambda t: _rank(t, word))
        if len(ranked) == 1 or _clearly(ranked[0], ranked[1:], word):
            return ranked[0]
        return None


def _rank(t: Thing, word: str) -> float:
    """Lower is more extreme."""
    match word:
        case "leftmost":
            return t.x
        case "rightmost":
            return -t.x
        case "highest":
            return t.y
        case "lowest":
            return -t.y
        case "smallest":
            return t.side
        case _:
            return -t.side


def _clearly(first: Thing, rest: list[Thing], word: str) -> bool:
    """Sides must differ by a ratio; positions by centre and by outer edge."""
    rank = _rank(first, word)
    if word in ("largest", "smallest"):
        return all(larger_side(first, t) / smaller_side(first, t) >= _RATIO for t in rest)
    outer = rank - first.side / 2
    return all(
        _rank(t, word) - rank > _CLEAR / 2 and _rank(t, word) - t.side / 2 > outer for t in rest
    )


def larger_side(a: Thing, b: Thing) -> float:
    return max(a.side, b.side)


def smaller_side(a: Thing, b: Thing) -> float:
    return min(a.side, b.side)


def size_order(a: Thing, b: Thing) -> str | None:
    """'larger' or 'smaller': a compared with b; None if it is not clear."""
    if larger_side(a, b) < _RATIO * smaller_side(a, b):
        return None
    return "larger" if a.side > b.side else "smaller"


def horizontal(a: Thing, b: Thing) -> str | None:
    """'left' or 'right': where a is from b; None if it is not clear."""
    return _direction(a.x - b.x, a, b, ("left", "right"))


def vertical(a: Thing, b: Thing) -> str | None:
    """'above' or 'below': where a is from b; None if it is not clear."""
    return _direction(a.y - b.y, a, b, ("above", "below"))


def dominant(a: Thing, b: Thing) -> str | None:
    """One of four directions, if one axis clearly outweighs the other."""
    across, down = abs(a.x - b.x), abs(a.y - b.y)
    if across >= 2 * down:
        return horizontal(a, b)
    return vertical(a, b) if down >= 2 * across else None


def _direction(gap: float, a: Thing, b: Thing, words: tuple[str, str]) -> str | None:
    if abs(gap) < max(_CLEAR, 0.35 * (a.side + b.side)):
        return None
    return words[0] if gap < 0 else words[1]


Find = Callable[[Facts, str, random.Random], Found | None]
