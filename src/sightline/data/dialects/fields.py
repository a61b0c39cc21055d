"""The fields of rows and messages: a value of None is absent, and what nobody takes is kept."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, TypeGuard

from sightline.data.dialects.context import Context


def same(*names: str) -> dict[str, str]:
    """Fields that files call what we call them."""
    return {name: name for name in names}


def given_in(row: Mapping[str, Any], *names: str) -> bool:
    """Whether a row has one of these fields with something in it."""
    return any(_holds(row.get(name)) for name in names)


def compares(row: Mapping[str, Any]) -> bool:
    """Whether a row has a field of pairs or judged answers."""
    return given_in(row, *_COMPARED) or isinstance(row.get("label"), bool)


_COMPARED = (
    *("chosen", "rejected", "chosen_messages", "rejected_messages"),
    *("rejected_response", "rejected_images", "kto_tag"),
)


def mappings(value: object, *keys: str) -> TypeGuard[list[Mapping[str, Any]]]:
    """Whether a value is a list of mappings that all have these keys."""
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(item, Mapping) and set(keys) <= set(item) for item in value)
    )


def _holds(value: object) -> bool:
    return value is not None and not (isinstance(value, list | tuple | dict | str) and not value)


class Fields:
    """A row that is being read, under our names of its fields.

    names: our names -> those that files have unless the context says otherwise. What is not taken
    is `rest`: the columns of the sample.
    """

    def __init__(
        self,
        row: Mapping[str, Any],
        context: Context,
        names: Mapping[str, str],
        *,
        tags: bool = False,
    ) -> None:
        if unknown := [name for name in context.columns if name not in names]:
            problem = f"name {unknown[0]!r}, which this dialect does not read"
            raise context.wrong("columns", problem, f"use {', '.join(names)}")
        if context.tags and not tags:
            fix = "name the dialect sharegpt, or leave them out"
            raise context.wrong("tags", "are given, and this dialect has none", fix)
        self.context = context
        self._names = {**names, **context.columns}
        self._left = {key: value for key, value in row.items() if value is not None}

    def name(self, ours: str) -> str:
        """What the file calls a field."""
        return self._names[ours]

    def has(self, ours: str) -> bool:
        return self.name(ours) in self._left

    def see(self, ours: str) -> Any:
        """A field without taking it, None where it is absent."""
        return self._left.get(self.name(ours))

    def take(self, ours: str) -> Any:
        """A field, None where it is absent."""
        return self._left.pop(self.name(ours), None)

    def need(self, ours: str) -> Any:
        """A field that must be there. Raises DataError."""
        if not self.has(ours):
            raise self.context.wrong(self.name(ours), "is missing", "give it, or name its column")
        return self.take(ours)

    def words(self, ours: str) -> str | None:
        """A field that holds a string; one without any characters is absent."""
        value = self.take(ours)
        return None if value is None else text_of(value, self.name(ours), self.context) or None

    def several(self, ours: str) -> list[Any]:
        """A list, or the one thing that stands for a list of it. Empty where it is absent."""
        value = self.take(ours)
        if value is None:
            return []
        return list(value) if isinstance(value, list | tuple) else [value]

    def tools(self) -> str | None:
        """Declarations of functions as JSON text."""
        value = self.take("tools")
        if not value:
            return None
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def refuse(self, fields: Mapping[str, str]) -> None:
        """Raises DataError for a field of these with a value, and says why."""
        for name, why in fields.items():
            if given_in(self._left, name):
                raise self.context.wrong(name, why, "remove it from the row, or leave the row out")
            self._left.pop(name, None)

    def rest(self) -> dict[str, Any]:
        """What nobody took."""
        return self._left


NOT_READ = {
    "audio": "is sound, which Sightline does not read",
    "audios": "are sounds, which Sightline does not read",
}


def text_of(value: object, place: str, context: Context) -> str:
    """A string. Raises DataError."""
    if isinstance(value, str):
        return value
    raise context.wrong(place, f"is a {type(value).__name__}", "give a string")


def items_of(value: object, place: str, context: Context) -> list[Any]:
    """A list. Raises DataError for anything else, and for an empty one."""
    if not isinstance(value, list | tuple):
        raise context.wrong(place, f"is a {type(value).__name__}", "give a list")
    if not value:
        raise context.wrong(place, "is empty", "give at least one entry, or leave the row out")
    return list(value)


def entry(
    value: object, place: str, context: Context, *, needs: Collection[str], knows: Collection[str]
) -> dict[str, Any]:
    """A mapping with these keys and no others. Raises DataError."""
    if not isinstance(value, Mapping):
        raise context.wrong(place, f"is a {type(value).__name__}", f"give {', '.join(needs)}")
    keys = {key: inner for key, inner in value.items() if inner is not None}
    if missing := [key for key in needs if key not in keys]:
        raise context.wrong(place, f"lacks {missing[0]!r}", f"give {', '.join(needs)}")
    if unknown := [key for key in keys if key not in needs and key not in knows]:
        problem = f"has {unknown[0]!r}, which this dialect does not know here"
        raise context.wrong(place, problem, "remove it, or name the dialect that knows it")
    return keys
