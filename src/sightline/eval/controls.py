"""What a model scores when its pictures are taken away, exchanged or spoiled (promise 7)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, assert_never

import numpy as np

from sightline.core.errors import DataError
from sightline.data.sample import Media
from sightline.eval.item import Item, StoredPicture
from sightline.eval.spoil import blurred, seeded, shuffled

SIDE = 8
SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Full:
    """The question as it is."""

    @property
    def name(self) -> str:
        return "full"


@dataclass(frozen=True, slots=True)
class Blind:
    """The words alone."""

    @property
    def name(self) -> str:
        return "blind"


@dataclass(frozen=True, slots=True)
class Swapped:
    """The words with the media of another question."""

    @property
    def name(self) -> str:
        return "swapped"


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Cells of pictures (`side` × `side`), and frames of clips, in another order."""

    side: int = SIDE

    def __post_init__(self) -> None:
        if not (isinstance(self.side, int) and self.side >= 2):
            raise DataError("controls.shuffled", f"has side {self.side!r}", "use 2 cells or more")

    @property
    def name(self) -> str:
        return "shuffled" if self.side == SIDE else f"shuffled {self.side} × {self.side}"


@dataclass(frozen=True, slots=True)
class Blurred:
    """Pictures and frames blurred by a Gaussian of radius `share` · the shorter side: the dial."""

    share: float = SHARE

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            problem = f"has share {self.share!r} of the shorter side"
            raise DataError("controls.blurred", problem, "use more than 0 and at most 1")

    @property
    def name(self) -> str:
        return f"blurred {100 * self.share:g}%"


Control = Full | Blind | Swapped | Shuffled | Blurred
ALL: tuple[Control, ...] = (Full(), Blind(), Swapped(), Shuffled(), Blurred())


def controls_named(text: str) -> tuple[Control, ...]:
    """What a command line asks for: `blind,swapped,shuffled:4,blurred:0.02`, `all` or `none`.

    `full` comes first, named or not. Raises DataError for an unknown name, a dial that is no number
    or out of range, and a control that is named twice.
    """
    words = [word.strip() for word in text.split(",")]
    if words == ["all"]:
        return ALL
    named = [] if words in (["none"], [""]) else [_named(word) for word in words]
    found = (Full(), *(control for control in named if control != Full()))
    names = [control.name for control in found]
    if twice := [name for n, name in enumerate(names) if name in names[:n]]:
        raise DataError("controls", f"names {twice[0]} twice", "name each once")
    return found


def _named(word: str) -> Control:
    kind, colon, dial = word.partition(":")
    try:
        match kind, bool(colon):
            case "full", False:
                return Full()
            case "blind", False:
                return Blind()
            case "swapped", False:
                return Swapped()
            case "shuffled", _:
                return Shuffled(int(dial)) if colon else Shuffled()
            case "blurred", _:
                return Blurred(float(dial)) if colon else Blurred()
    except DataError:
        raise
    except ValueError:
        fix = "write shuffled:8 (cells on a side) or blurred:0.05 (share of the shorter side)"
        raise DataError("controls", f"{word!r} has a dial that is no number", fix) from None
    fix = "use blind, swapped, shuffled:8, blurred:0.05, separated by commas, or all, or none"
    raise DataError("controls", f"{word!r} is unknown", fix)


def conversations(
    items: Sequence[Item], control: Control, seed: int = 0
) -> list[list[dict[str, Any]]]:
    """What is said about each item under a control."""
    return [conversation(items, index, control, seed) for index in range(len(items))]


def conversation(
    items: Sequence[Item], index: int, control: Control, seed: int = 0
) -> list[dict[str, Any]]:
    """What is said about item `index` under a control: its system message, if it has one, and a
    user message of its words and media in their order. Items without media stay as they are.

    - blind: without media.
    - swapped: each medium is exchanged for one of the same kind of the item half the list away
      (usually another kind of question), or of the next after it that is of another cluster and
      has other media; in turn, where that has fewer of them.
    - shuffled, blurred: see `spoil`. An order of cells depends on `seed`, the item's key and the
      number of its medium, and on nothing else.

    Pictures that are stored in rows are read here. Raises DataError, naming the key of the item, if
    no words are left, nothing can be swapped, or a medium cannot be spoiled; PictureError for a
    picture that has to be opened and cannot.
    """
    item = items[index]
    parts = list(_parts(items, index, control, seed))
    if not any(isinstance(part, Media) or part.strip() for part in parts):
        fix = "leave the control blind out, or ask something in words"
        raise DataError(item.key, "has no words to ask without its media", fix)
    before = [] if item.system is None else [{"role": "system", "content": item.system}]
    return [*before, {"role": "user", "content": [_content(part) for part in _joined(parts)]}]


def _parts(items: Sequence[Item], index: int, control: Control, seed: int) -> Iterator[str | Media]:
    item = items[index]
    shown = iter(_media(items, index, control, seed))
    for part in item.parts:
        if isinstance(part, str):
            yield part
        elif not isinstance(control, Blind):
            yield next(shown)


def _media(items: Sequence[Item], index: int, control: Control, seed: int) -> Sequence[Media]:
    """What is shown instead of each medium of an item, in order."""
    item = items[index]
    match control:
        case Full():
            return [_read(medium) for medium in item.media]
        case Blind():
            return []
        case Swapped():
            return [_read(medium) for medium in _others(items, index)]
        case Shuffled(side=side):
            return [
                shuffled(_read(medium), side, seeded(seed, item.key, number), item.key)
                for number, medium in enumerate(item.media)
            ]
        case Blurred(share=share):
            return [blurred(_read(medium), share, item.key) for medium in item.media]
        case _:
            assert_never(control)


def _others(items: Sequence[Item], index: int) -> Sequence[Media]:
    """Media of another item for each medium of this one."""
    item = items[index]
    if not item.media:
        return ()
    start = index + max(1, len(items) // 2)
    for at in range(start, start + len(items)):
        other = items[at % len(items)]
        if _cluster(other) != _cluster(item) and (lent := _lent(item, other)):
            return lent
    problem = "cannot be swapped: no question of another cluster shows something else of that kind"
    raise DataError(item.key, problem, "leave the control swapped out, or add other pictures")


def _cluster(item: Item) -> str:
    return item.cluster or item.unit or item.key


def _lent(item: Item, other: Item) -> Sequence[Media]:
    """Media of `other` for each of `item`; none if it lacks a kind, or shares one of them."""
    out: list[Media] = []
    used: dict[str, int] = {}
    for medium in item.media:
        offered = [o for o in other.media if o.kind == medium.kind]
        number = used.get(medium.kind, 0)
        used[medium.kind] = number + 1
        if not offered or any(_same(o.source, medium.source) for o in offered):
            return ()
        out.append(offered[number % len(offered)])
    return out


def _same(a: object, b: object) -> bool:
    """Whether two sources show the same, as far as can be told without opening them."""
    if isinstance(a, str | os.PathLike) and isinstance(b, str | os.PathLike):
        return os.fsdecode(a) == os.fsdecode(b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b or (isinstance(a, bytes) and isinstance(b, bytes) and a == b)


def _read(medium: Media) -> Media:
    """With what is stored in rows read from there."""
    source = medium.source
    if isinstance(source, StoredPicture):
        return Media(medium.kind, source.read(), medium.fps)
    if isinstance(source, list | tuple):
        frames = [frame.read() if isinstance(frame, StoredPicture) else frame for frame in source]
        return Media(medium.kind, frames, medium.fps)
    return medium


def _joined(parts: Sequence[str | Media]) -> Iterator[str | Media]:
    """Neighbouring words as one part: templates may put something between parts."""
    for words, run in groupby(parts, lambda part: isinstance(part, str)):
        if words:
            yield "".join(part for part in run if isinstance(part, str))
        else:
            yield from run


def _content(part: str | Media) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    rate = {} if part.fps is None else {"fps": part.fps}
    return {"type": part.kind, part.kind: part.source, **rate}
