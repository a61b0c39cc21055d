"""Held-out generated scenes, answers balanced within each template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sightline.data.worlds import scenes
from sightline.eval.tasks.task import Item, Reply, normalised


@dataclass(frozen=True, slots=True)
class ScenesTask:
    """Single questions about scenes that training never draws (an independent random stream).

    Scores: exact match of the words; a caption by the F1 of its object phrases; a box by
    IoU >= 0.5; a dense description by the F1 of phrases that have a box with IoU >= 0.5.
    """

    seed: int = 0
    side: int = 224
    kinds: tuple[str, ...] = scenes.KINDS

    @property
    def name(self) -> str:
        return "scenes"

    def items(self, count: int) -> Sequence[Item]:
        """The first `count` items of this seed."""
        return [self._item(index) for index in range(count)]

    def _item(self, index: int) -> Item:
        scene, asked = scenes.heldout(self.seed, index, self.kinds)
        answer = scenes.answer_text(asked, lambda box: "").strip()
        boxes = tuple(box.scaled(self.side, self.side) for box in asked.boxes)
        return Item(
            f"{self.seed}/{index}",
            asked.kind,
            asked.template,
            scenes.draw(scene, self.side),
            asked.text,
            answer,
            boxes,
        )

    def score(self, item: Item, reply: Reply) -> float:
        """0..1; see the class."""
        match item.kind:
            case "locate":
                return float(bool(reply.boxes) and reply.boxes[0].iou(item.boxes[0]) >= 0.5)
            case "caption":
                return f1(phrases(item.answer), phrases(reply.text))
            case "dense":
                return self._dense(item, reply)
            case _:
                return float(normalised(reply.text) == normalised(item.answer))

    @staticmethod
    def _dense(item: Item, reply: Reply) -> float:
        said, true = phrases(reply.text), phrases(item.answer)
        if len(said) != len(reply.boxes):
            return 0.0
        open_boxes = list(zip(true, item.boxes, strict=True))
        hits = 0
        for phrase, box in zip(said, reply.boxes, strict=True):
            found = [t for t in open_boxes if t[0] == phrase and t[1].iou(box) >= 0.5]
            if found:
                open_boxes.remove(found[0])
                hits += 1
        return 2 * hits / (len(said) + len(true))


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
