"""A report as JSON, and every item with its answers as lines of JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, assert_never

from sightline.eval.item import Answers, Boxes, Choice, Item, Truth
from sightline.eval.report.build import price
from sightline.eval.report.facts import Report
from sightline.eval.report.judged import judged
from sightline.eval.result import Result
from sightline.eval.said import Said

DIGITS = 6


def as_json(report: Report) -> str:
    """The report, its numbers to six decimal places; null where a number is undefined."""
    return dumped(asdict(report), indent=2) + "\n"


def items_jsonl(result: Result) -> Iterator[str]:
    """A line for every item under every control: controls in the order of the result, items in
    that of the task. `score` is null where an answer is missing, or that of an item that is judged
    together with it."""
    for control, answers in result.said.items():
        scores = judged(result, control).by_number()
        for number, (item, said) in enumerate(zip(result.items, answers, strict=True)):
            line = _line(result.task, control, item, said, scores.get(number))
            if result.prices is not None:
                line["cost"] = price(said, result.prices)
            yield dumped(line)


def _line(task: str, control: str, item: Item, said: Said, score: float | None) -> dict[str, Any]:
    return {
        "task": task,
        "control": control,
        "key": item.key,
        "kind": item.kind,
        "group": item.group,
        "cluster": item.cluster,
        "unit": item.unit,
        "level": item.level,
        "question": item.question,
        "truth": _truth(item.truth),
        "said": said.as_dict(),
        "score": score,
    }


def _truth(truth: Truth) -> dict[str, Any]:
    match truth:
        case Answers(texts):
            return {"answers": texts}
        case Choice(options, index, letters):
            return {"letter": letters[index], "options": options, "index": index}
        case Boxes(boxes, texts):
            return {"boxes": [asdict(box) for box in boxes], "texts": texts}
        case _:
            assert_never(truth)


def dumped(data: Any, indent: int | None = None) -> str:
    """JSON of plain data, in the order of its keys; halves of characters are escaped, so that it
    can be written as UTF-8."""
    text = json.dumps(_rounded(data), ensure_ascii=False, allow_nan=False, indent=indent)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _rounded(data: Any) -> Any:
    if isinstance(data, float):
        return round(data, DIGITS) + 0.0 if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_rounded(value) for value in data]
    return data
