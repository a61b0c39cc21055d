"""Choosing the next token of one sequence."""

# V vocabulary

from __future__ import annotations

import torch
from torch import Tensor

from sightline.spec.sampling import Sampling


class Sampler:
    """The choices of one answer: its own random numbers and the tokens seen so far.

    One object a sequence, so an answer never depends on what else is in the batch.
    """

    def __init__(self, sampling: Sampling, prompt_ids: list[int], vocab: int) -> None:
        self.sampling = sampling
        self.generator = torch.Generator().manual_seed(sampling.seed)
        self.seen_V = torch.zeros(vocab, dtype=torch.bool)
        spoken = [id_ for id_ in prompt_ids if id_ < vocab]
        self.seen_V[torch.tensor(spoken, dtype=torch.int64)] = True

    def choose(self, logits_V: Tensor) -> int:
        """float32 logits[V] -> a token id, remembered for the repetition penalty."""
        logits_V = self._penalised(logits_V.float().cpu())
        if self.sampling.temperature == 0:
            token = int(logits_V.argmax())
        else:
            weights_V = probabilities(logits_V, self.sampling)
            token = int(torch.multinomial(weights_V, 1, generator=self.generator))
        self.seen_V[token] = True
        return token

    def _penalised(self, logits_V: Tensor) -> Tensor:
        penalty = self.sampling.repetition_penalty
        if penalty == 1:
            return logits_V
        punished_V = torch.where(logits_V > 0, logits_V / penalty, logits_V * penalty)
        return torch.where(self.seen_V, punished_V, logits_V)


def probabilities(logits_V: Tensor, sampling: Sampling) -> Tensor:
    """float32 logits[V] -> float64 probabilities[V] after temperature, top-k, top-p and min-p.

    In float64 with the largest logit at 0, so that no temperature above 0 overflows.
    """
    logits_V = logits_V.double()
    logits_V = (logits_V - logits_V.max()) / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < logits_V.numel():
        logits_V = logits_V.masked_fill(logits_V < logits_V.topk(sampling.top_k)[0][-1], -torch.inf)
    if sampling.top_p < 1:
        logits_V = _nucleus(logits_V, sampling.top_p)
    weights_V = logits_V.softmax(-1)
    if sampling.min_p > 0:
        weights_V = weights_V.masked_fill(weights_V < sampling.min_p * weights_V.max(), 0.0)
    return weights_V / weights_V.sum()


def _nucleus(logits_V: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest tokens whose probabilities reach `top_p` together, at least one."""
    ordered, order = logits_V.sort(descending=True)
    weights = ordered.softmax(-1)
    outside = weights.cumsum(-1) - weights >= top_p
    return logits_V.masked_fill(torch.zeros_like(outside).scatter(0, order, outside), -torch.inf)
