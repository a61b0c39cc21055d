"""Captions against people's captions: CIDEr, BLEU and ROUGE-L.

CIDEr and ROUGE-L are computed by pycocoevalcap, the evaluation of COCO captions; BLEU's counts are
its too. METEOR and SPICE are left out: the one needs Java, the other downloads a parser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType

import numpy as np

from sightline.core.errors import DataError, SightlineError
from sightline.eval.item import Item
from sightline.eval.metrics.caption_words import caption_words
from sightline.eval.metrics.truths import answers_of, clusters_of
from sightline.eval.said import Said
from sightline.eval.statistics import Array, Tally, mean_tally

ORDERS = 4  # BLEU counts word groups of up to this length

# What pycocoevalcap adds so that nothing is divided by zero.
_SMALL, _TINY = 1e-9, 1e-15


@dataclass(frozen=True, slots=True)
class Caption:
    """CIDEr, BLEU-1 to 4 and ROUGE-L; Answers.texts are people's captions.

    The score of an answer is its CIDEr (Vedantam et al. 2015; the D variant), 0..10. It weighs
    words by how few pictures have them in their truths, so that it depends on the set of items:
    of one picture alone it is 0. Both sides are cut into words as COCO's evaluation does.
    """

    @property
    def name(self) -> str:
        return "CIDEr"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return cider(*_words(items, said))

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        clusters = clusters_of(items)
        pairs = list(zip(*_words(items, said), strict=True))
        rows_NK = np.array([bleu_counts(*pair) for pair in pairs]).reshape(-1, 2 + 2 * ORDERS)
        return [
            mean_tally("CIDEr", scores, clusters, percent=False),
            *(
                Tally(f"BLEU-{order}", rows_NK, tuple(clusters), partial(bleu, order=order))
                for order in range(1, ORDERS + 1)
            ),
            mean_tally("ROUGE-L", [rouge_l(*pair) for pair in pairs], clusters),
        ]


def _words(items: Sequence[Item], said: Sequence[Said]) -> tuple[list[str], list[list[str]]]:
    """What was said, and people's captions, cut into words. Raises DataError if these have none."""
    truths = [[caption_words(text) for text in answers_of(item)] for item in items]
    for item, own in zip(items, truths, strict=True):
        if not any(own):
            raise DataError(item.key, "has captions without a word", "give one in words")
    return [caption_words(one.text) for one in said], truths


def cider(texts: Sequence[str], truths: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr of each text against its truths, words parted by spaces. The mean is the figure of the
    set. Raises SightlineError without pycocoevalcap."""
    scorer = _scorers("cider.cider_scorer").CiderScorer(n=ORDERS, sigma=6.0)
    for pair in zip(texts, truths, strict=True):
        scorer += pair
    if not any(text.split() for own in truths for text in own):
        return [0.0] * len(texts)
    found: list[float] = scorer.compute_score()[1].tolist()
    return found


def rouge_l(text: str, truths: Sequence[str]) -> float:
    """F of the longest common subsequence of words, recall weighing 1.2 times (Lin 2004): best
    precision and best recall over the truths, as in COCO's evaluation. Raises SightlineError."""
    return float(_scorers("rouge.rouge").Rouge().calc_score([text], truths))


def bleu_counts(text: str, truths: Sequence[str]) -> list[float]:
    """What one text adds to BLEU: its words, those of the truth of the closest length, its groups
    of 1 to 4 words, and those of them that are in a truth. Raises SightlineError."""
    scorer = _scorers("bleu.bleu_scorer")
    lengths_and_groups = scorer.cook_refs(list(truths), n=ORDERS)
    counts = scorer.cook_test(text, lengths_and_groups, eff="closest", n=ORDERS)
    lengths = [counts["testlen"], counts["reflen"]]
    return [float(count) for count in lengths + counts["guess"] + counts["correct"]]


def bleu(sums_K: Array, order: int = ORDERS) -> Array:
    """BLEU of sums of `bleu_counts`, float64[..., 10]: the geometric mean of the precisions of
    groups of up to `order` words, times the penalty for texts shorter than their truths (Papineni
    et al. 2002)."""
    said, wanted = sums_K[..., 0], sums_K[..., 1]
    groups_K, right_K = sums_K[..., 2 : 2 + order], sums_K[..., 2 + ORDERS : 2 + ORDERS + order]
    precision = np.prod((right_K + _TINY) / (groups_K + _SMALL), axis=-1) ** (1 / order)
    ratio = (said + _TINY) / (wanted + _SMALL)
    found: Array = precision * np.exp(np.minimum(0, 1 - 1 / ratio))
    return found


def _scorers(name: str) -> ModuleType:
    try:
        return import_module(f"pycocoevalcap.{name}")
    except ImportError as error:
        fix = "pip install 'sightline[eval]'"
        raise SightlineError("captions", "need pycocoevalcap, which is missing", fix) from error
