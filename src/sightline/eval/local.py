"""A model in this process, as something that answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

import sightline
from sightline.api import EMBEDDED, VisionLanguageModel, load
from sightline.core.errors import FolderError, SightlineError
from sightline.eval.answerer import Conversation, ignored
from sightline.eval.said import Said
from sightline.hub.find import find
from sightline.model.answer import Answer, Usage
from sightline.model.evidence import answer_log_p, visual_evidence
from sightline.model.reference import reference_logits
from sightline.model.speaker import used
from sightline.planner.formats import WeightDtype
from sightline.planner.work import kv_bytes
from sightline.weights.convert import with_safetensors

_CHUNK_BYTES = 1 << 24
_KV_DTYPES: Mapping[torch.dtype, WeightDtype] = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}


class LocalModel:
    """Answers greedily, in batches.

    weights: what tells these weights from others (a digest); part of the identity. A question that
    the model cannot take (too long, media that it does not read) is a failure of that question.
    """

    alone = False

    def __init__(self, vlm: VisionLanguageModel, name: str, weights: str) -> None:
        self.vlm, self.name = vlm, name
        kind = str(vlm.model.dtype).removeprefix("torch.")
        self.identity: Mapping[str, str] = {
            **vlm.fingerprint,
            "weights": weights,
            "dtype": kind,
            "device": vlm.model.device.type,
            "sightline": sightline.__version__,
        }
        self._kv_dtype: WeightDtype = _KV_DTYPES[vlm.model.dtype]

    @classmethod
    def open(cls, model: str, *, device: str = "cpu", dtype: str = "auto") -> LocalModel:
        """`tiny`, a folder, or a hub id; every byte of its weights is read for the digest."""
        folder = EMBEDDED / "tiny" if model == "tiny" else find(model)
        loaded = load(model, device=device, dtype=dtype)
        return cls(loaded, model, weights_digest(with_safetensors(folder)))

    def answers(
        self,
        conversations: Sequence[Conversation],
        *,
        max_tokens: int,
        done: Callable[[int, Said], None] = ignored,
    ) -> list[Said]:
        """One answer each; if the batch cannot be run, each alone, and those that fail say why."""
        try:
            found = self.vlm.answer_all(conversations, max_tokens=max_tokens)
        except SightlineError as error:
            if len(conversations) == 1:
                return [Said.failed(error)]
            each = (self.answers([one], max_tokens=max_tokens) for one in conversations)
            return [said for [said] in each]
        return [self._said(answer) for answer in found]

    def evidence(self, conversation: Conversation, said: Said) -> float:
        """See Looking; over the tokens of the answer, its end included. Without any it is 0."""
        if not said.token_ids:
            return 0.0
        prepare = self.vlm.speaker.prepare
        return visual_evidence(self.vlm.model, prepare, conversation, said.token_ids).without

    def option_log_p(self, conversation: Conversation, options: Sequence[str]) -> list[float]:
        """See Looking. Raises the error of a prompt that cannot be prepared."""
        prepared, model = self.vlm.prepare(conversation), self.vlm.model
        each = [[token.id for token in self.vlm.tokenizer.encode(option)] for option in options]
        if all(len(ids) == 1 for ids in each):  # letters: one look at what comes next
            log_p_V = reference_logits(model, prepared)[-1].log_softmax(-1)
            return [float(log_p_V[token]) for [token] in each]
        return [float(answer_log_p(model, prepared, ids).sum()) for ids in each]

    def prompt(self, conversation: Conversation) -> Said:
        """See Counting."""
        return self._took(Said(""), used(self.vlm.prepare(conversation), answer_tokens=0))

    def _said(self, answer: Answer) -> Said:
        said = Said(answer.text, answer.boxes, answer.points, answer.finish)
        return self._took(replace(said, token_ids=answer.token_ids), answer.usage)

    def _took(self, said: Said, usage: Usage) -> Said:
        inline = usage.text_tokens + usage.visual_tokens - usage.memory_tokens + usage.answer_tokens
        return replace(
            said,
            text_tokens=usage.text_tokens,
            visual_tokens=usage.visual_tokens,
            answer_tokens=usage.answer_tokens,
            kv_bytes=kv_bytes(self.vlm.spec, inline, self._kv_dtype, usage.memory_tokens),
        )


def weights_digest(folder: Path) -> str:
    """BLAKE2b of all weight files in a folder, by name and content. Raises FolderError for a
    folder without any."""
    digest = hashlib.blake2b(digest_size=16)
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise FolderError(str(folder), "has no *.safetensors", "name the folder of a model")
    for path in paths:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
