"""A user's own questions: a file whose rows hold picture, question and answer."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.data.sample import Media
from sightline.eval.item import Answers, Boxes, Choice, Item, Truth
from sightline.eval.metrics.amounts import first_number
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.captions import Caption
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.numbers import Count
from sightline.eval.metrics.places import BoxIou, PointInBox
from sightline.eval.metrics.vqa import VqaAccuracy
from sightline.eval.metrics.words import Anls, Contains, ErrorRate, Exact, Relaxed, TokenF1
from sightline.eval.metrics.yes_no import YesNo
from sightline.eval.tasks.published import grouped, picture_id, words
from sightline.eval.tasks.table import Row, rows
from sightline.eval.tasks.task import drawn, normalised

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BY_LETTER = "Answer with the option's letter from the given choices directly."
METRICS: Mapping[str, Metric] = {
    "exact": Exact(),
    "contains": Contains(),
    "vqa": VqaAccuracy(),
    "relaxed": Relaxed(),
    "anls": Anls(),
    "f1": TokenF1(),
    "cer": ErrorRate("character"),
    "wer": ErrorRate("word"),
    "choice": ByLetter(),
    "yes_no": YesNo(),
    "count": Count(),
    "box": BoxIou(),
    "point": PointInBox(),
    "caption": Caption(),
}
_TRUTHS = ("answers", "answer", "boxes")
_FIELDS = ("image", "question", *_TRUTHS, "options", "metric", "kind", "system")


def is_plain(path: Path) -> bool:
    """Whether the first row has a `question` and its truth, as PlainTask reads them. A path that
    cannot be read is not plain."""
    try:
        first = next(rows(path), None)
    except DataError:
        return False
    return first is not None and first.has("question") and any(map(first.has, _TRUTHS))


@dataclass(frozen=True)
class PlainTask:
    """Questions of a file or folder in any format of rows.

    Fields of a row: `question`; `answers` (a text or a list), or `options` with `answer` (a letter,
    or a number from 0), or `boxes` (lists of x0, y0, x1, y1 in pixels); and as they are needed
    `image` (a path, or a list of them; pictures stand before the question), `metric` (a name in
    METRICS, the same in all rows; without it `choice` where there are options, `box` where there
    are boxes, else `exact`), `kind`, `system`. Options are shown under letters, and a letter is
    asked for; nothing else is added to a question. Other fields are the user's own
    (`question_id`), unless they look like a slip of the pen (`metrics`).

    seed: which questions are drawn where not all are asked. max_tokens: of an answer.
    """

    path: Path
    seed: int = 0
    max_tokens: int = 64

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def metric(self) -> Metric:
        """Raises DataError for rows that cannot be read, or disagree."""
        return METRICS[self._read[0]]

    def items(self, count: int | None = None) -> Sequence[Item]:
        """`count` of the questions, or all, in their order. Raises DataError."""
        return drawn(self._read[1], count, self.seed, str(self.path))

    @cached_property
    def _read(self) -> tuple[str, Sequence[Item]]:
        """The metric's name, and all items."""
        metric, first, found = "", "", []
        known: set[tuple[str, ...]] = set()
        for row in rows(self.path):
            if (fields := tuple(row.fields)) not in known:
                _check_fields(row)
                known.add(fields)
            named = _metric(row)
            metric, first = metric or named, first or row.where
            if named != metric:
                problem = f"is {named}, that of {first} is {metric}"
                raise row.wrong("metric", problem, "give all rows one metric, or split the file")
            found.append(_item(row, named))
        return metric or "exact", list(grouped(found))


def _check_fields(row: Row) -> None:
    """Raises DataError for what looks like a slip of the pen. `question_id` beside `question` does
    not; `image_1` without `image` does, as the picture would not be shown."""
    for field in row.fields:
        near = () if field in _FIELDS else difflib.get_close_matches(field, _FIELDS, 1, 0.8)
        for name in near:
            there = name in row.fields or name in _TRUTHS
            if not (there and field.startswith(f"{name}_")):
                raise DataError(row.where, f"has the field {field}", f"did you mean {name}?")


def _metric(row: Row) -> str:
    usual = "choice" if row.has("options") else "box" if row.has("boxes") else "exact"
    name = row.optional("metric") or usual
    if name not in METRICS:
        raise row.wrong("metric", f"is {name!r}", f"write one of {', '.join(METRICS)}")
    return name


def _item(row: Row, metric: str) -> Item:
    question, truth = words(row, "question"), _truth(row, metric)
    places = _pictures(row)
    pictures = tuple(Media("image", row.picture("image", at)) for at in places)
    return Item(
        f"{row.where} {row.optional('id')}".strip(),
        (*pictures, _prompt(question, truth)),
        truth,
        row.optional("kind") or "question",
        group=normalised(question),
        cluster=" ".join(picture_id(row, at) for at in places),
        system=row.optional("system") or None,
    )


def _pictures(row: Row) -> Sequence[int | None]:
    """Numbers of the pictures in the list `image`; None stands for one that is in no list."""
    value = row.fields.get("image")
    if isinstance(value, list | tuple):
        return range(len(value))
    return [] if value is None or value == "" else [None]


def _prompt(question: str, truth: Truth) -> str:
    if not isinstance(truth, Choice):
        return question
    shown = [f"{letter}. {option}" for letter, option in zip(LETTERS, truth.options, strict=False)]
    return "\n".join([question, *shown, BY_LETTER])


def _truth(row: Row, metric: str) -> Truth:
    """Of the kind that the metric judges."""
    if metric == "choice":
        return _choice(row)
    if row.has("options"):
        raise row.wrong("options", f"are not judged by {metric}", "write the metric choice")
    if metric in ("box", "point"):
        return Boxes(_boxes(row), () if _field(row) == "" else _answers(row, metric))
    if row.has("boxes"):
        raise row.wrong("boxes", f"are not judged by {metric}", "write the metric box or point")
    return Answers(_answers(row, metric))


def _field(row: Row) -> str:
    """Which of `answers` and `answer` is there."""
    found = [field for field in ("answers", "answer") if row.has(field)]
    if len(found) > 1:
        raise row.wrong("answer", "is given beside answers", "keep one of the two")
    return found[0] if found else ""


def _answers(row: Row, metric: str) -> tuple[str, ...]:
    field = _field(row) or "answers"
    value = row.value(field)
    found = row.texts(field) if isinstance(value, list | tuple) else (row.text(field),)
    if blank := [text for text in found if not text.strip()]:
        raise row.wrong(field, f"holds {blank[0]!r}", "write words")
    if metric == "count" and any(first_number(text) is None for text in found):
        raise row.wrong(field, f"is {value!r:.60}, not a number", "write a number")
    if metric == "yes_no" and any(yes_or_no(text) is None for text in found):
        raise row.wrong(field, f"is {value!r:.60}, not yes or no", "write yes or no")
    return found


def _choice(row: Row) -> Choice:
    """`answer` is a letter, or a number from 0."""
    options = tuple(text.strip() for text in row.texts("options"))
    if not 2 <= len(options) <= len(LETTERS):
        raise row.wrong("options", f"are {len(options)}", f"give 2 to {len(LETTERS)}")
    if row.has("answers"):
        raise row.wrong("answers", "is given beside options", "write answer: a letter or a number")
    answer = row.text("answer")
    index = int(answer) if answer.isdecimal() else LETTERS.find(answer.upper())
    if len(answer) > 2 or not 0 <= index < len(options):
        fix = f"write a letter up to {LETTERS[len(options) - 1]}, or a number from 0"
        raise row.wrong("answer", f"{answer!r:.40} is none of {len(options)} options", fix)
    return Choice(options, index)


def _boxes(row: Row) -> tuple[Box, ...]:
    value = row.value("boxes")
    if not isinstance(value, list | tuple) or not value:
        raise row.wrong(
            "boxes", f"is {value!r:.60}, not a list of boxes", "write [[x0, y0, x1, y1]]"
        )
    return tuple(_box(row, box) for box in value)


def _box(row: Row, value: object) -> Box:
    numbers = [n for n in value if isinstance(n, int | float)] if isinstance(value, list) else []
    if len(numbers) != 4 or numbers != value or not all(map(math.isfinite, numbers)):
        raise row.wrong("boxes", f"hold {value!r:.60}, not four numbers", "write x0, y0, x1, y1")
    x0, y0, x1, y1 = map(float, numbers)
    if x0 >= x1 or y0 >= y1:
        raise row.wrong("boxes", f"hold {value!r:.60}, which is empty", "write x0 < x1 and y0 < y1")
    return Box(x0, y0, x1, y1)
