"""What the readers of published files share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.core.errors import DataError
from sightline.eval.item import Answers, Item, Truth, asked_about
from sightline.eval.tasks.table import Row, rows
from sightline.eval.tasks.task import normalised

SHORTLY = "\nAnswer the question using a single word or phrase."
TEMPLATE_ITEMS = 10  # questions in the same words that have a majority answer of their own


@dataclass(frozen=True, slots=True)
class EachRow:
    """Reads a file, or those files of a folder that have one of these names: a row is an item."""

    item: Callable[[Row], Item]
    files: tuple[str, ...]

    def __call__(self, path: Path) -> Iterator[Item]:
        return grouped(self.item(row) for row in rows(path, *self.files))


def split(name: str, config: str = "") -> tuple[str, ...]:
    """Patterns of a split's files, as `datasets` lays them out in a repository or folder."""
    folders = ([f"{config}/"] if config else []) + ["", "data/"]
    ends = ("-*.parquet", ".parquet", ".jsonl")
    return tuple(f"{folder}{name}{end}" for folder in folders for end in ends)


def asked(
    row: Row,
    question: str,
    truth: Truth,
    *,
    then: str = "",
    id: str = "",
    kind: str = "",
    cluster: str = "",
) -> Item:
    """The item of a row with the field `image`.

    then: what the prompt says after the question. Without a `cluster`, the picture is one.
    """
    return Item(
        f"{row.where} {id}".strip(),
        asked_about(row.picture("image"), question + then),
        truth,
        kind or "question",
        group=normalised(question),
        cluster=cluster or picture_id(row),
    )


def picture_id(row: Row, at: int | None = None) -> str:
    """Equal for rows about one picture: its path, or the start of the SHA-256 of its file. `at`
    counts in a list."""
    source = row.opened("image", at)
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()[:16]
    return str(source)


def words(row: Row, field: str) -> str:
    """A text as it stands, with the space around it. Raises DataError as Row.text does."""
    row.text(field)
    return str(row.fields[field])


def skills(row: Row, field: str) -> str:
    """The kind that a row names; of several all, in the order of the alphabet; "" if none."""
    found = row.texts(field) if row.has(field) and row.fields[field] != [] else ()
    return " + ".join(sorted(text.strip() for text in found))


def known(row: Row, field: str) -> tuple[str, ...]:
    """Texts each of which is right. Raises DataError where a split hides them, and for a blank one
    among others: with it silence would be right."""
    found = everyone(row, field)
    if not all(text.strip() for text in found):
        problem = "has a blank answer beside others, which would make silence right"
        raise row.wrong(field, problem, "take it out of the row")
    return found


def everyone(row: Row, field: str) -> tuple[str, ...]:
    """What each of several people said, blanks of some included. Raises DataError where a split
    hides them."""
    found = () if hidden(row, field) else row.texts(field)
    if not any(text.strip() for text in found):
        raise answers_hidden(row, field)
    return found


def hidden(row: Row, field: str) -> bool:
    """Whether a field is there, and says nothing."""
    return field in row.fields and row.fields[field] in (None, "", [])


def answers_hidden(row: Row, field: str) -> DataError:
    """The error about a row without an answer."""
    fix = "give the split whose answers are published"
    return row.wrong(field, "is empty: its authors keep the answers of this split", fix)


def by_count(texts: Iterable[str]) -> Answers:
    """What several people said, what most of them said first."""
    counts = Counter(texts)
    return Answers(tuple(text for text, count in counts.most_common() for _ in range(count)))


def grouped(items: Iterable[Item]) -> Iterator[Item]:
    """Items whose question is asked too rarely, put into the group of their kind."""
    kept = list(items)
    times = Counter(item.group for item in kept)
    for item in kept:
        yield item if times[item.group] >= TEMPLATE_ITEMS else replace(item, group=item.kind)
