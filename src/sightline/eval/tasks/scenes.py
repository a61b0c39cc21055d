"""Held-out generated scenes, answers balanced within each template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.data.worlds import scenes
from sightline.eval.item import Answers, Boxes, Item, Truth, asked_about
from sightline.eval.metrics.metric import Metric
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally
from sightline.eval.tasks.task import normalised

ITEMS = 500  # where the count is not given
OPEN_KINDS = frozenset({"locate", "caption", "dense"})  # not answered by one word


@dataclass(frozen=True, slots=True)
class SceneScore:
    """Exact match of the words; a caption by the F1 of its object phrases; a box by IoU >= 0.5; a
    dense description by the F1 of phrases that have a box with IoU >= 0.5."""

    name: str = "scene score"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        """0..1 for each answer."""
        return [_score(item, one) for item, one in zip(items, said, strict=True)]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        """All questions, and those that are answered by one word."""
        closed = [
            (score, item.cluster)
            for item, score in zip(items, scores, strict=True)
            if item.kind not in OPEN_KINDS
        ]
        every = mean_tally("score", scores, [item.cluster for item in items])
        if not closed or len(closed) == len(items):
            return [every]
        words = mean_tally("one-word answers", [s for s, _ in closed], [c for _, c in closed])
        return [every, words]


@dataclass(frozen=True, slots=True)
class ScenesTask:
    """Single questions about scenes that training never draws (an independent random stream)."""

    seed: int = 0
    side: int = 224
    kinds: tuple[str, ...] = scenes.KINDS
    max_tokens: int = 192

    @property
    def name(self) -> str:
        return "scenes"

    @property
    def metric(self) -> Metric:
        return SceneScore()

    def items(self, count: int | None = None) -> Sequence[Item]:
        """The first `count` items of this seed."""
        return [self._item(index) for index in range(ITEMS if count is None else count)]

    def _item(self, index: int) -> Item:
        scene, asked = scenes.heldout(self.seed, index, self.kinds)
        key = f"{self.seed}/{index}"
        return Item(
            key=key,
            parts=asked_about(scenes.draw(scene, self.side), asked.text),
            truth=_truth(asked, self.side),
            kind=asked.kind,
            group=asked.template,
            cluster=key,
        )


def _truth(asked: scenes.Question, side: int) -> Truth:
    answer = scenes.answer_text(asked, lambda box: "").strip()
    boxes = tuple(box.scaled(side, side) for box in asked.boxes)
    match asked.kind:
        case "locate":
            return Boxes(boxes)
        case "dense":
            return Boxes(boxes, tuple(phrases(answer)))
        case _:
            return Answers((answer,))


def _score(item: Item, said: Said) -> float:
    match item.truth:
        case Boxes(boxes, ()):
            return float(bool(said.boxes) and said.boxes[0].iou(boxes[0]) >= 0.5)
        case Boxes(boxes, texts):
            return _dense(boxes, texts, said)
        case Answers((answer, *_)) if item.kind == "caption":
            return f1(phrases(answer), phrases(said.text))
        case Answers((answer, *_)):
            return float(normalised(said.text) == normalised(answer))
        case _:
            raise DataError(item.key, "is no question about a scene", "use another metric")


def _dense(boxes: Sequence[Box], texts: Sequence[str], said: Said) -> float:
    words = phrases(said.text)
    if len(words) != len(said.boxes):
        return 0.0
    open_boxes = list(zip(texts, boxes, strict=True))
    hits = 0
    for phrase, box in zip(words, said.boxes, strict=True):
        found = [t for t in open_boxes if t[0] == phrase and t[1].iou(box) >= 0.5]
        if found:
            open_boxes.remove(found[0])
            hits += 1
    return 2 * hits / (len(words) + len(texts))


def phrases(text: str) -> list[str]:
    """'a small red star [..], a blue cross and a ...' -> the object phrases, boxes removed."""
    outside = "".join(
        piece.partition("]")[2] if i else piece for i, piece in enumerate(text.split("["))
    )
    commas = normalised(outside).replace(" and ", ", ")
    return [p for p in (" ".join(part.split()) for part in commas.split(",")) if p]


def f1(true: Sequence[str], said: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of multisets; 0 where both are empty."""
    shared = sum((Counter(true) & Counter(said)).values())
    total = len(true) + len(said)
    return 2 * shared / total if total else 0.0
