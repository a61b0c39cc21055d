"""What answers questions: a model in this process, or one behind an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from sightline.eval.said import Said

Conversation = Sequence[Mapping[str, Any]]


class Answerer(Protocol):
    """Answers several conversations at once; what it says of one depends on no other."""

    @property
    def name(self) -> str:
        """For people: `tiny`, a folder, `gpt-4o at https://...`."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What must be equal for answers to be equal, sampling aside; part of every cache key."""

    @property
    def alone(self) -> bool:
        """Whether it answers one by one: then only what is missing is asked again. A model that
        answers in batches is asked whole batches, so that a resumed run repeats every bit."""

    def answers(
        self,
        conversations: Sequence[Conversation],
        *,
        max_tokens: int,
        done: Callable[[int, Said], None],
    ) -> list[Said]:
        """One answer each, greedily. A question that cannot be answered for a reason outside it (a
        time-out, a refusing server) gives a Said with `failure`.

        A model that answers one by one tells `done` of each as it comes, by its number, from any
        thread: what was paid for is kept even if the rest cannot be had."""


@runtime_checkable
class Looking(Protocol):
    """A model whose probabilities can be read."""

    def evidence(self, conversation: Conversation, said: Said) -> float:
        """Nats per answer token by which the pictures made `said` likelier."""

    def option_log_p(self, conversation: Conversation, options: Sequence[str]) -> list[float]:
        """log p of each option as the answer: the sum over its tokens, in nats."""


@runtime_checkable
class Counting(Protocol):
    """A model that knows what a prompt takes."""

    def prompt(self, conversation: Conversation) -> Said:
        """An answer without words: the tokens and the cache of the prompt alone."""


def ignored(number: int, said: Said) -> None:
    """For callers that wait for all answers."""
