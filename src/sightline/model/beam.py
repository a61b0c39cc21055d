"""Beam search."""

# W beams  V vocabulary

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.model.batch import Sequenced
from sightline.model.generate import Decoding
from sightline.model.vlm import Vlm
from sightline.spec.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An answer, its summed log-probability in nats, and its score: that over length ** penalty."""

    token_ids: tuple[int, ...]
    log_probability: float
    score: float


@torch.inference_mode()
def beam_search(model: Vlm, item: Sequenced, sampling: Sampling) -> list[Hypothesis]:
    """The best `sampling.beams` answers of one conversation, best first.

    An answer ends with a stop id (included) or at max_tokens. With at least as many beams as
    there are partial answers the search is exhaustive. Stops once no open beam can still enter
    the finished ones.
    """
    width, stops = sampling.beams, set(model.spec.prompt.stop_ids)
    decoding = Decoding(model, [item], sampling.max_tokens)
    answers: list[tuple[int, ...]] = [()]
    totals_W = torch.zeros(1)
    finished: list[Hypothesis] = []
    for step in range(1, sampling.max_tokens + 1):
        log_p_WV = decoding.logits_BV.cpu().log_softmax(-1) + totals_W[:, None]
        opened: list[tuple[int, int, float]] = []
        for row, token, total in _ranked(log_p_WV, width, len(stops)):
            answer = (*answers[row], token)
            if token in stops or step == sampling.max_tokens:
                finished.append(_scored(answer, total, sampling))
            elif len(opened) < width:
                opened.append((row, token, total))
        finished = sorted(finished, key=lambda h: -h.score)[:width]
        if not opened or _settled(finished, opened[0][2], sampling):
            break
        rows, tokens, totals = zip(*opened, strict=True)
        answers = [(*answers[row], token) for row, token in zip(rows, tokens, strict=True)]
        totals_W = torch.tensor(totals)
        decoding.select(torch.tensor(rows, device=model.device))
        decoding.step(tokens)
    return finished


def _ranked(log_p_WV: Tensor, width: int, num_stops: int) -> list[tuple[int, int, float]]:
    """Best continuations: enough that `width` stay open even if every stop id ranks above them."""
    vocab = log_p_WV.shape[1]
    count = min(log_p_WV.numel(), width + num_stops * log_p_WV.shape[0])
    totals, flat = log_p_WV.flatten().topk(count)
    return [(i // vocab, i % vocab, t) for i, t in zip(flat.tolist(), totals.tolist(), strict=True)]


def _scored(answer: tuple[int, ...], total: float, sampling: Sampling) -> Hypothesis:
    return Hypothesis(answer, total, total / len(answer) ** sampling.length_penalty)


def _settled(finished: list[Hypothesis], best_open: float, sampling: Sampling) -> bool:
    """Whether no continuation of the best open beam can enter the finished ones."""
    if len(finished) < sampling.beams:
        return False
    longest = sampling.max_tokens ** max(sampling.length_penalty, 0.0)
    return best_open / longest <= finished[-1].score
