"""Models that answer by a rule, and a task for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sightline.eval.answerer import ignored
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.metrics.metric import Metric
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally

Rule = Callable[[str, Any], str]


@dataclass
class RuleModel:
    """Answers by a rule on (words, first picture or None); counts what it was asked.

    dies_at: number of the question at which it raises KeyboardInterrupt.
    fails: questions that it has no answer to.
    """

    rule: Rule
    name: str = "rule"
    alone: bool = False
    dies_at: int | None = None
    fails: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    identity: Mapping[str, str] = field(default_factory=lambda: {"weights": "rule"})

    def answers(
        self,
        conversations: Sequence[Any],
        *,
        max_tokens: int,
        done: Callable[[int, Said], None] = ignored,
    ) -> list[Said]:
        found = []
        for number, conversation in enumerate(conversations):
            found.append(self._one(*split(conversation)))
            if self.alone:
                done(number, found[-1])
        return found

    def _one(self, words: str, picture: Any) -> Said:
        if len(self.asked) == self.dies_at:
            raise KeyboardInterrupt
        self.asked.append(words)
        if words in self.fails:
            return Said("", failure="time-out: after 3 tries")
        return Said(self.rule(words, picture), finish="stop", answer_tokens=1)


def split(conversation: Any) -> tuple[str, Any]:
    """The words of the last message, and its first picture."""
    content = conversation[-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    words = "".join(part["text"] for part in parts if part["type"] == "text")
    pictures = [part["image"] for part in parts if part["type"] == "image"]
    return words, pictures[0] if pictures else None


@dataclass(frozen=True)
class Same:
    """1 for the same words."""

    name: str = "same words"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [float(one.text == item.answer) for item, one in zip(items, said, strict=True)]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        return [mean_tally("accuracy", scores, [item.cluster or item.key for item in items])]


@dataclass(frozen=True)
class Shades:
    """Dark and bright pictures, two questions about each: the words give away half of all."""

    pictures: int = 10
    name: str = "shades"
    max_tokens: int = 4

    @property
    def metric(self) -> Metric:
        return Same()

    def items(self, count: int | None = None) -> Sequence[Item]:
        every = [self._item(index, word) for index in range(self.pictures) for word in WORDS]
        return every[:count]

    def _item(self, index: int, word: str) -> Item:
        bright = index % 2 == 0
        picture = np.full((4, 4, 3), 200 + index if bright else index, np.uint8)
        answer = "yes" if bright == (word == "bright") else "no"
        key, question = f"{index}/{word}", f"Is picture {index} {word}?"
        return Item(key, asked_about(picture, question), Answers((answer,)), word, word, str(index))


WORDS = ("bright", "dark")


def looks(words: str, picture: Any) -> str:
    """Answers by the pixels; without any, "no"."""
    if picture is None:
        return "no"
    return "yes" if (np.asarray(picture).mean() > 100) == ("bright" in words) else "no"
