"""One row of JSON text: strict, and its faults named."""

from __future__ import annotations

import json
from typing import Any

from sightline.core.errors import DataError


class _Twice(Exception):
    """A key that is given twice in one mapping."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return data


def parse_row(data: bytes, where: str) -> dict[str, Any]:
    """A mapping. Raises DataError for other values, keys given twice, and text that is no JSON."""
    value = parse_value(data, where)
    if not isinstance(value, dict):
        problem = f"is {kind_of(value)}, not a mapping of fields"
        raise DataError(where, problem, 'write {"field": value, ...}')
    return value


def parse_value(data: bytes, where: str) -> Any:
    """Any JSON value in UTF-8. Raises DataError."""
    text = decoded(data, where)
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        problem = f"is not JSON ({error.msg.lower()}, character {error.pos + 1})"
        raise DataError(where, problem, "mend the row or leave it out") from None
    except _Twice as error:
        raise DataError(where, f"gives {error.args[0]!r:.80} twice", "keep one of them") from None
    except RecursionError:
        raise DataError(where, "is nested too deep", "mend the row or leave it out") from None
    except ValueError as error:  # a number of thousands of digits
        problem = f"is not usable JSON ({str(error)[:80].lower()})"
        raise DataError(where, problem, "mend the row or leave it out") from None
    if b"\\ud" in data or b"\\uD" in data:
        _check_surrogates(value, where)
    return value


def _check_surrogates(value: Any, where: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        problem = "holds half a character (a lone surrogate escape)"
        raise DataError(where, problem, "write the text in UTF-8") from None


def decoded(data: bytes, where: str) -> str:
    """Raises DataError for bytes that are not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start + 1})"
        raise DataError(where, problem, "save it as UTF-8") from None


def kind_of(value: object) -> str:
    """How people call a JSON value."""
    match value:
        case bool():
            return "a boolean"
        case None:
            return "null"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}"
