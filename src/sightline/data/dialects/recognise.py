"""Which dialect rows are in, from their keys and the shapes of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sightline.core.errors import DataError
from sightline.data.dialects.context import Context
from sightline.data.dialects.turns import essence
from sightline.data.sample import Sample
from sightline.spec.train import DIALECTS, Dialect

_Row = Mapping[str, Any]


class Reader(Protocol):
    """A module of this package."""

    def fits(self, row: _Row) -> bool: ...
    def read(self, row: _Row, context: Context) -> Sample: ...


def settle(rows: Sequence[_Row], readers: Mapping[Dialect, Reader]) -> Dialect:
    """The dialect that fits all rows; rows that fit none are set aside as damaged.

    Where several fit, those that can read no row are out; the others must read every row alike
    (conversations without media are the same in most), and then the first is named.
    Raises DataError when none or several are left.
    """
    fitting = [[name for name in DIALECTS if readers[name].fits(row)] for row in rows]
    shaped = [(row, names) for row, names in zip(rows, fitting, strict=True) if names]
    if not shaped:
        raise _unknown(rows)
    common = [name for name in DIALECTS if all(name in names for _, names in shaped)]
    if not common:
        raise _mixed([names for _, names in shaped])
    if len(common) == 1:
        return common[0]
    readings = {name: [_read(row, readers[name]) for row, _ in shaped] for name in common}
    able = [name for name in common if any(s is not None for s in readings[name])] or common
    if different := [name for name in able if readings[name] != readings[able[0]]]:
        raise _several([able[0], *different], [row for row, _ in shaped])
    return able[0]


def _read(row: _Row, reader: Reader) -> tuple[Any, ...] | None:
    """What a row says, whatever its columns; None where it cannot be read."""
    try:
        sample = reader.read(row, Context("row"))
    except DataError:
        return None
    turns, rejected = essence(sample.turns), essence(sample.rejected or ())
    return turns, rejected, sample.desirable, sample.tools


def _named(fix: str = "") -> str:
    return f"name the dialect: one of {', '.join(DIALECTS)}{fix}"


def _keys(rows: Sequence[_Row]) -> str:
    seen = dict.fromkeys(key for row in rows for key in row)
    return ", ".join(map(str, list(seen)[:20])) or "nothing"


def _unknown(rows: Sequence[_Row]) -> DataError:
    problem = f"have the keys {_keys(rows)}, which fit no dialect"
    fix = _named(", and with `columns` what its fields are called here")
    return DataError("rows", problem, fix)


def _mixed(fitting: Sequence[Sequence[Dialect]]) -> DataError:
    kinds = dict.fromkeys(" or ".join(names) for names in fitting)
    problem = f"are of different dialects: {'; '.join(kinds)}"
    return DataError("rows", problem, _named(", or give each kind as a source of its own"))


def _several(names: Sequence[Dialect], rows: Sequence[_Row]) -> DataError:
    problem = f"have the keys {_keys(rows)} and read differently as {' and '.join(names)}"
    return DataError("rows", problem, _named())
