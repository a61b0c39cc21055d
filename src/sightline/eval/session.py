"""One model and one task: what is asked, and what of it is answered already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sightline.core.errors import ContextOverflow, DataError, PictureError, PromptError
from sightline.eval.answerer import Answerer, Conversation, Counting, Looking, ignored
from sightline.eval.asking import Asking, Batch
from sightline.eval.controls import Control, Full, conversation
from sightline.eval.item import Choice, Item
from sightline.eval.journal import Journal, answer_key, missing
from sightline.eval.said import Said
from sightline.eval.tasks.task import Task

EVIDENCE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Session:
    """One model, one task, and where its answers are kept.

    Raises, before anything is asked, what the metric says about truths that it cannot judge, and
    DataError if there are no items, a control has nothing to do with them, or the model cannot be
    asked like this.
    """

    model: Answerer
    task: Task
    items: Sequence[Item]
    asking: Asking
    journal: Journal

    def __post_init__(self) -> None:
        if not self.items:
            raise DataError(self.task.name, "has no questions", "give at least one")
        self.task.metric.scores(self.items, [Said("")] * len(self.items))
        if self.asking.evidence:
            self._looking("evidence")
        if self.asking.choose == "likelihood":
            if self.asking.evidence:
                fix = "leave --evidence or --choose likelihood out"
                raise DataError("evidence", "is of answers that are generated", fix)
            self._looking("choose")
            for item in self.items:
                _choice(item)
        for control in self.asking.controls:
            with suppress(PictureError):  # a failure of that question, when it is asked
                conversation(self.items, 0, control, self.asking.seed)

    def ask(self, batch: Batch) -> list[Said]:
        """Answers in the order of the batch, from the journal or from the model."""
        posed = [self._posed(number, batch.control) for number in batch.numbers]
        asked = [one for one in posed if not isinstance(one, Said)]
        items = [
            self.items[number]
            for number, one in zip(batch.numbers, posed, strict=True)
            if not isinstance(one, Said)
        ]
        found = iter(self._answers(items, asked, batch.control))
        return [one if isinstance(one, Said) else next(found) for one in posed]

    def _posed(self, number: int, control: Control) -> Conversation | Said:
        """What is said about an item, or why it cannot be shown."""
        try:
            return conversation(self.items, number, control, self.asking.seed)
        except PictureError as error:
            return Said.failed(error)

    def _answers(
        self, items: Sequence[Item], asked: Sequence[Conversation], control: Control
    ) -> list[Said]:
        keys = self._keys(asked, control)
        places = missing(keys, self.journal, failed=self.model.alone)
        if places and self.model.alone:
            self._one_by_one([asked[place] for place in places], [keys[place] for place in places])
        elif places:
            found = self._said(items, asked, control)
            self.journal.add(dict(zip(keys, found, strict=True)))
        return [self.journal.said[key] for key in keys]

    def _keys(self, asked: Sequence[Conversation], control: Control) -> list[str]:
        """A model that answers in batches may say something else in another batch, by a rounding:
        there a key also stands for what is asked with it."""
        how = self._how(control)
        keys = [answer_key(one, how) for one in asked]
        if self.model.alone:
            return keys
        together = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
        return [f"{key} {together}" for key in keys]

    def _how(self, control: Control) -> Mapping[str, Any]:
        return {
            "model": dict(self.model.identity),
            "control": control.name,
            "max_tokens": self._max_tokens,
            "evidence": self.asking.evidence,
            "choose": self.asking.choose,
        }

    @property
    def _max_tokens(self) -> int:
        given = self.asking.max_tokens
        return self.task.max_tokens if given is None else given

    def _one_by_one(self, asked: Sequence[Conversation], keys: Sequence[str]) -> None:
        """Each answer is kept as it comes."""

        def keep(number: int, said: Said) -> None:
            self.journal.add({keys[number]: said})

        self.model.answers(asked, max_tokens=self._max_tokens, done=keep)

    def _said(
        self, items: Sequence[Item], asked: Sequence[Conversation], control: Control
    ) -> list[Said]:
        if self.asking.choose == "likelihood":
            return [self._chosen(item, one) for item, one in zip(items, asked, strict=True)]
        found = self.model.answers(asked, max_tokens=self._max_tokens, done=ignored)
        if not self.asking.evidence or not isinstance(control, Full):
            return found
        return [self._looked(*each) for each in zip(items, asked, found, strict=True)]

    def _looked(self, item: Item, asked: Conversation, said: Said) -> Said:
        if said.failure is not None or not item.media:
            return said
        measured = self._looking("evidence").evidence(asked, said)
        return replace(said, evidence=round(measured, EVIDENCE_DIGITS))

    def _chosen(self, item: Item, asked: Conversation) -> Said:
        """The likeliest letter; the first of equal ones."""
        truth = _choice(item)
        letters = truth.letters[: len(truth.options)]
        try:
            log_p = self._looking("choose").option_log_p(asked, letters)
            took = self.model.prompt(asked) if isinstance(self.model, Counting) else Said("")
        except (PromptError, PictureError, ContextOverflow) as error:
            return Said.failed(error)
        chosen = letters[log_p.index(max(log_p))]
        return replace(took, text=chosen, finish="chosen", answer_tokens=1)

    def _looking(self, field: str) -> Looking:
        if isinstance(self.model, Looking):
            return self.model
        raise DataError(field, f"{self.model.name} shows no probabilities", "use a local model")


def _choice(item: Item) -> Choice:
    if isinstance(item.truth, Choice):
        return item.truth
    fix = "leave --choose likelihood out"
    raise DataError(item.key, "has no options to choose from", fix)
