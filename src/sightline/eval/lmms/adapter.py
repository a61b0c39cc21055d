"""The two classes that lmms-eval makes of `--model sightline`; it alone imports this module.

Written for lmms-eval 0.7.3. Its chat models are given messages, its simple models (--force_simple)
words and pictures; only simple ones are asked for likelihoods.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms
from rich.progress import Progress

from sightline.api import load
from sightline.core.errors import SightlineError
from sightline.core.log import messages
from sightline.eval.lmms.talk import How, from_messages, from_words, how
from sightline.model.answer import Answer
from sightline.model.reference import reference_logits
from sightline.nn.named import named_device

Conversation = list[dict[str, Any]]


class _Sightline(lmms):  # type: ignore[misc]  # untyped where lmms-eval is not installed
    """A model of ours.

    pretrained: `tiny`, a folder or a hub id. max_tokens: the longest answer, where tasks ask for
    longer ones than the model's context has room for. Raises SightlineError for other arguments
    and whatever `sightline.load` raises.
    """

    def __init__(
        self,
        pretrained: str = "tiny",
        *,
        device: str = "cpu",
        dtype: str = "auto",
        revision: str | None = None,
        batch_size: int | str = 1,
        max_tokens: int | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            known = "pretrained, dtype, revision and max_tokens"
            raise SightlineError("--model_args", f"has {', '.join(unknown)}", f"use {known}")
        if not str(batch_size).isdigit() or int(batch_size) < 1:
            raise SightlineError("--batch_size", f"is {batch_size!r}", "give a number over 0")
        self.batch_size, self.max_tokens = int(batch_size), max_tokens
        self.device = named_device(device)
        kept = None if revision is None else str(revision)
        self.vlm = load(pretrained, device=device, dtype=dtype, revision=kept)
        self._told: set[str] = set()

    def _doc(self, task: str, split: str, doc_id: int) -> Any:
        return self.task_dict[task][split][doc_id]

    def _how(self, given: dict[str, Any]) -> How:
        """What a task asks for; options without a meaning here are named once."""
        found = how(given, self.max_tokens)
        if new := [name for name in found.unused if name not in self._told]:
            self._told.update(new)
            messages().print(f"sightline: no use for {', '.join(new)} of the task's generation")
        return found

    def _conversation(self, request: Any) -> tuple[Conversation, dict[str, Any]]:
        """What is said, and the generation options."""
        raise NotImplementedError

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """A GenerationResult each; requests with equal options are answered in batches."""
        found: dict[int, Any] = {}
        with self._progress(len(requests)) as done:
            for numbers in self._batches(requests):
                asked, options = zip(
                    *(self._conversation(requests[n]) for n in numbers), strict=True
                )
                for number, answer in zip(numbers, self._answers(asked, options[0]), strict=True):
                    found[number] = _result(answer)
                done.advance(done.task_ids[0], len(numbers))
        return [found[number] for number in range(len(requests))]

    def _progress(self, total: int) -> Progress:
        shown = Progress(console=messages(), disable=self.rank != 0)
        shown.add_task("sightline", total=total)
        return shown

    def _batches(self, requests: Sequence[Any]) -> Iterator[list[int]]:
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            options = json.dumps(self._options(request), sort_keys=True, default=str)
            groups.setdefault(options, []).append(number)
        for numbers in groups.values():
            for start in range(0, len(numbers), self.batch_size):
                yield numbers[start : start + self.batch_size]

    def _options(self, request: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _answers(self, asked: Sequence[Conversation], options: dict[str, Any]) -> list[Answer]:
        sampling = self._how(options).sampling
        if sampling.beams > 1:
            return [self.vlm.speaker.answer(one, sampling) for one in asked]
        return self.vlm.speaker.answer_all(asked, sampling)


def _result(answer: Answer) -> Any:
    used = answer.usage
    counts = TokenCounts(used.text_tokens + used.visual_tokens, used.answer_tokens)
    return GenerationResult(answer.text, counts)


class SightlineChat(_Sightline):
    """By chat messages: pictures and clips stand where the task puts them."""

    is_simple = False

    def _options(self, request: Any) -> dict[str, Any]:
        return dict(request.args[2])

    def _conversation(self, request: Any) -> tuple[Conversation, dict[str, Any]]:
        _, doc_to_messages, options, doc_id, task, split = request.args
        return from_messages(doc_to_messages(self._doc(task, split, doc_id))), options

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        raise SightlineError(
            "--model sightline", "has likelihoods as a simple model only", "add --force_simple"
        )

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[list[str]]:
        """The answers of all rounds of each request, one request after the other."""
        with self._progress(len(requests)) as done:
            found = []
            for request in requests:
                found.append(self._rounds(request))
                done.advance(done.task_ids[0])
        return found

    def _rounds(self, request: Any) -> list[str]:
        _, doc_to_messages, options, doc_id, task, split = request.args
        doc = self._doc(task, split, doc_id)
        said: list[str] = []
        asked, known = doc_to_messages(doc), None
        while asked is not None:
            [answer] = self._answers([from_messages(asked)], options)
            said.append(answer.text)
            following = doc_to_messages(
                doc, round_idx=len(said), previous_output=list(said), previous_round_info=known
            )
            if not (isinstance(following, tuple) and len(following) == 4) or following[1]:
                break
            asked, _, _, known = following
        return said


class SightlineSimple(_Sightline):
    """By words and pictures."""

    is_simple = True

    def _options(self, request: Any) -> dict[str, Any]:
        return dict(request.args[1])

    def _conversation(self, request: Any) -> tuple[Conversation, dict[str, Any]]:
        words, options, doc_to_visual, doc_id, task, split = request.args
        return from_words(words, doc_to_visual(self._doc(task, split, doc_id)) or ()), options

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        """For each continuation its loss, and whether it is the greedy answer.

        The loss is the mean of -log p over its tokens, in nats: lmms-eval chooses the option with
        the least, as its other models return losses too, whatever the name says. Each pair is the
        `text` of a GenerationResult: a bare pair becomes a string on its way to the task, and the
        task fails (`unwrap_generation_output`).
        """
        with self._progress(len(requests)) as done:
            found = []
            for request in requests:
                found.append(GenerationResult(self._loss(request)))
                done.advance(done.task_ids[0])
        return found

    def _loss(self, request: Any) -> tuple[float, bool]:
        if len(request.args) == 2:
            problem = "wants the likelihood of words that answer nothing"
            fix = "leave acc_mutual_info out of its metrics"
            raise SightlineError("a task", problem, fix)
        words, continuation, doc_to_visual, doc_id, task, split = request.args
        doc = self._doc(task, split, doc_id)
        text = continuation if isinstance(continuation, str) else continuation(doc)
        ids = self.vlm.tokenizer.encode_text(text.strip())
        if not ids:
            raise SightlineError("a task", "has an option without words", "leave it out")
        return self._scored(from_words(words, doc_to_visual(doc) or ()), ids)

    @torch.inference_mode()
    def _scored(self, asked: Conversation, ids: list[int]) -> tuple[float, bool]:
        """By the uncached path."""
        logits_TV = reference_logits(self.vlm.model, self.vlm.prepare(asked), ids)
        logits_NV = logits_TV[-len(ids) - 1 : -1].float()
        wanted_N = torch.tensor(ids, device=logits_NV.device)
        loss = torch.nn.functional.cross_entropy(logits_NV, wanted_N)
        return float(loss), bool((logits_NV.argmax(-1) == wanted_N).all())

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        raise SightlineError(
            "--model sightline", "has several rounds by chat only", "leave --force_simple out"
        )
