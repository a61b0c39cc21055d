"""The table of templates: outcomes, words and the finder of each.

A template's `keys` are the outcomes it should produce equally often: its answers, joined with
any slot whose distribution differs between answers (a size). Colours, shapes and directions are
exchangeable in the sampler, so as slots they tell nothing about the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sightline.data.worlds.scenes import facts as clear
from sightline.data.worlds.scenes import finders, pairs
from sightline.data.worlds.scenes.facts import Find
from sightline.data.worlds.scenes.phrases import PHRASES, plural
from sightline.data.worlds.scenes.scene import COLOURS, SHAPES, SIZES

_YES_NO = ("yes", "no")


@dataclass(frozen=True, slots=True)
class Template:
    """`name` is 'kind.variant'."""

    name: str
    keys: tuple[str, ...]
    phrases: tuple[str, ...]
    find: Find

    @property
    def kind(self) -> str:
        return self.name.split(".")[0]


def _digits(low: int, high: int) -> tuple[str, ...]:
    return tuple(str(value) for value in range(low, high + 1))


def _make(name: str, keys: Iterable[str], find: Find, words: str = "") -> Template:
    return Template(name, tuple(keys), PHRASES[words or name], find)


_SIDES = ("left", "right", "above", "below")
TEMPLATES: tuple[Template, ...] = (
    _make("colour.of", COLOURS, finders.colour_of),
    _make("colour.extreme", COLOURS, finders.colour_extreme),
    _make("shape.of", SHAPES, finders.shape_of),
    _make("shape.extreme", SHAPES, finders.shape_extreme),
    _make("size.of", SIZES, finders.size_of),
    _make("count.all", _digits(1, 8), finders.count_all),
    _make("count.shape", _digits(0, 8), finders.count_shape, "count.some"),
    _make("count.colour", _digits(0, 8), finders.count_colour, "count.some"),
    _make("count.both", _digits(0, 4), finders.count_both, "count.some"),
    _make(
        "count.size",
        (f"{s}/{n}" for s in SIZES for n in range(4)),
        finders.count_size,
        "count.some",
    ),
    _make("exists.shape", _YES_NO, finders.exists_shape, "exists"),
    _make("exists.colour", _YES_NO, finders.exists_colour, "exists"),
    _make("exists.both", _YES_NO, finders.exists_both, "exists"),
    _make(
        "exists.full", (f"{a}/{s}" for a in _YES_NO for s in SIZES), finders.exists_full, "exists"
    ),
    _make("relation.is", _YES_NO, pairs.relation_is),
    _make("relation.which", ("first", "second"), pairs.relation_which),
    _make("relation.horizontal", _SIDES[:2], pairs.relation_side(clear.horizontal)),
    _make("relation.vertical", _SIDES[2:], pairs.relation_side(clear.vertical)),
    _make("relation.four", _SIDES, pairs.relation_side(clear.dominant)),
    _make(
        "compare.more_shape",
        _YES_NO,
        pairs.compare_more(lambda f: f.shapes, plural),
        "compare.more",
    ),
    _make(
        "compare.more_colour",
        _YES_NO,
        pairs.compare_more(lambda f: f.colours, lambda colour: f"{colour} objects"),
        "compare.more",
    ),
    _make("compare.which", ("first", "second"), pairs.compare_which),
    _make("compare.is", _YES_NO, pairs.compare_is),
    _make("caption.all", ("",), finders.caption),
    _make("locate.ref", ("",), finders.locate),
    _make("dense.all", ("",), finders.dense),
)
