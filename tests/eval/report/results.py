"""Results whose figures can be computed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sightline.core.geometry import Box
from sightline.eval.item import Answers, Boxes, Choice, Item, asked_about
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.words import Exact
from sightline.eval.result import Prices, Result
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally


@dataclass(frozen=True, slots=True)
class Length:
    """How far the length of an answer is from the truth's: not a share, lower is better."""

    name: str = "mean error"
    higher_is_better: bool | None = False

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        pairs = zip(items, said, strict=True)
        return [float(abs(len(one.text) - len(item.answer))) for item, one in pairs]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        clusters = [item.cluster or item.key for item in items]
        mean = mean_tally(self.name, scores, clusters, percent=False)
        return [Tally(mean.name, mean.rows_NK, clusters, mean.value, False, self.higher_is_better)]


def picture(shade: int, width: int = 64, height: int = 48) -> np.ndarray:
    """uint8[H, W, 3] with something in it."""
    rgb = np.full((height, width, 3), shade % 256, np.uint8)
    rgb[8:20, 10:30] = (200, 30, 60)
    return rgb


def item(number: int, answer: str = "yes", kind: str = "colour", **more: object) -> Item:
    given = {"group": "g", "cluster": f"p{number}", **more}
    parts = asked_about(picture(number), f"Question {number}?")
    return Item(f"rows.jsonl:{number}", parts, Answers((answer,)), kind, **given)  # type: ignore[arg-type]


def letter(number: int, index: int) -> Item:
    parts = asked_about(picture(number), "Which?\nA. red\nB. blue")
    return Item(f"c:{number}", parts, Choice(("red", "blue"), index), cluster=f"p{number}")


def place(number: int) -> Item:
    parts = asked_about(picture(number), "Where is it?")
    return Item(f"b:{number}", parts, Boxes((Box(10, 8, 30, 20),)), "locate", cluster=f"p{number}")


def said(text: str, **more: object) -> Said:
    given = {
        "finish": "stop",
        "text_tokens": 20,
        "visual_tokens": 100,
        "answer_tokens": 2,
        "kv_bytes": 4096,
        **more,
    }
    return Said(text, **given)  # type: ignore[arg-type]


def result(
    items: Sequence[Item],
    answers: Mapping[str, Sequence[Said | str]],
    metric: Metric | None = None,
    model: str = "tiny",
    prices: Prices | None = None,
) -> Result:
    worded = {
        control: [said(one) if isinstance(one, str) else one for one in rows]
        for control, rows in answers.items()
    }
    return Result("task", model, {"weights": "w"}, metric or Exact(), items, worded, prices)
