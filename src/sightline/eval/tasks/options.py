"""What readers of multiple-choice questions share."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

from sightline.eval.item import Choice
from sightline.eval.tasks.published import answers_hidden, words
from sightline.eval.tasks.table import Row

DIRECTLY = "\nAnswer with the option's letter from the given choices directly."


def listed(options: Sequence[str], letters: str = ascii_uppercase) -> str:
    """`A. a cat`, one option a line."""
    return "\n".join(
        f"{letter}. {option}" for letter, option in zip(letters, options, strict=False)
    )


def several(row: Row, field: str) -> tuple[str, ...]:
    """A list of options. Raises DataError for fewer than two, and for more than letters."""
    return _counted(row, field, row.texts(field))


def in_columns(row: Row, fields: Sequence[str]) -> dict[str, str]:
    """Options in a column each, by the names of those that say something."""
    found = {field: words(row, field) for field in fields if row.optional(field)}
    _counted(row, f"{fields[0]} to {fields[-1]}", tuple(found))
    return found


def by_number(row: Row, options: Sequence[str], field: str = "answer") -> Choice:
    """The right option by its number, from 0."""
    check_told(row, field)
    number = row.whole(field)
    if not 0 <= number < len(options):
        problem = f"is {number}, and the options are 0 to {len(options) - 1}"
        raise row.wrong(field, problem, "give the number of an option")
    return Choice(tuple(options), number)


def by_letter(
    row: Row, options: Sequence[str], letters: str = ascii_uppercase, field: str = "answer"
) -> Choice:
    """The right option by its letter, in either case."""
    check_told(row, field)
    known = letters[: len(options)]
    letter = row.text(field).upper()
    if len(letter) != 1 or letter not in known:
        problem = f"is {letter!r:.40}, and the options are {', '.join(known)}"
        raise row.wrong(field, problem, "give the letter of an option")
    return Choice(tuple(options), known.index(letter), known)


def check_told(row: Row, field: str) -> None:
    """Raises DataError for a split whose answers are kept back."""
    if field in row.fields and not row.optional(field):
        raise answers_hidden(row, field)


def _counted(row: Row, field: str, options: tuple[str, ...]) -> tuple[str, ...]:
    if not 2 <= len(options) <= len(ascii_uppercase):
        problem = f"has {len(options)} options"
        raise row.wrong(field, problem, f"give 2 to {len(ascii_uppercase)}")
    return options
