"""Is it looking? The same answer, scored with and without its picture (promise 7)."""

# T tokens  V vocabulary  N answer tokens

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sightline.core.errors import PromptError
from sightline.model.answer import Evidence
from sightline.model.prepare import Prepared, Preparer
from sightline.model.reference import reference_logits
from sightline.model.vlm import Vlm


def visual_evidence(
    model: Vlm, prepare: Preparer, messages: Sequence[Mapping[str, Any]], answer_ids: Sequence[int]
) -> Evidence:
    """The evidence of an answer given to `messages`, by the uncached path."""
    seen = prepare(messages)
    told = answer_log_p(model, seen, answer_ids)
    blind = answer_log_p(model, prepare(without_pictures(messages)), answer_ids)
    grey = answer_log_p(model, _grey(seen), answer_ids)
    return Evidence((told - blind).mean().item(), (told - grey).mean().item())


def answer_log_p(model: Vlm, prepared: Prepared, answer_ids: Sequence[int]) -> Tensor:
    """float32[N]: log p of each answer token in nats, given all before it."""
    answer = list(answer_ids)
    logits_TV = reference_logits(model, prepared, answer)[-len(answer) - 1 : -1]
    wanted_N = torch.tensor(answer, device=logits_TV.device)
    return logits_TV.log_softmax(-1).gather(1, wanted_N[:, None])[:, 0]


def without_pictures(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same words, no pictures; a message of pictures alone is left out.

    Raises PromptError where no words are left.
    """
    kept = [{**message, "content": _words(message["content"])} for message in messages]
    if not (spoken := [message for message in kept if message["content"]]):
        raise PromptError("evidence", "needs words beside the pictures", "ask a question")
    return spoken


def _words(content: Any) -> Any:
    return (
        content
        if isinstance(content, str)
        else [p for p in content if p["type"] == "text" and p["text"].strip()]
    )


def _grey(prepared: Prepared) -> Prepared:
    """Normalised pixels of the mean colour are zeros."""
    return replace(prepared, pixels=tuple(torch.zeros_like(view) for view in prepared.pixels))
