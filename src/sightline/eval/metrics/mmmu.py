"""MMMU's rule: options by letter, and open answers that are looked for in what was said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sightline.eval.item import Choice, Item
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.metrics.truths import answers_of, clusters_of
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally

_KEYS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_MARKS = frozenset(":,.!?;'")
_NUMBERS = (
    r"-?\b\d{1,3}(?:,\d{3})+\b",  # 1,000
    r"-?\d+(?:\.\d+)?[eE][+-]?\d+",  # 1e-3
    r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])",  # 1.5
)


@dataclass(frozen=True, slots=True)
class Mmmu:
    """1 for the right option, as ByLetter reads it, or for an open answer that is right by the
    rules of the paper's script (Yue et al. 2024): of the numbers and of what stands behind `is`,
    `so`, `answer` and their like, one is the number, or holds the words.

    Differs from the script: an answer that names no option is wrong there by chance only.
    """

    @property
    def name(self) -> str:
        return "MMMU accuracy"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        return [
            ByLetter().scores([item], [one])[0]
            if isinstance(item.truth, Choice)
            else float(open_right(answers_of(item), one.text))
            for item, one in zip(items, said, strict=True)
        ]

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        found = [mean_tally("accuracy", scores, clusters_of(items))]
        for name, chosen in (("multiple choice", True), ("open", False)):
            at = [n for n, item in enumerate(items) if isinstance(item.truth, Choice) == chosen]
            if 0 < len(at) < len(items):
                clusters = clusters_of([items[n] for n in at])
                found.append(mean_tally(name, [scores[n] for n in at], clusters))
        return found


def open_right(answers: Iterable[str], text: str) -> bool:
    """Whether one of the answers is in a text."""
    wanted = [value for answer in answers for value in _values(answer)]
    for value in _candidates(text):
        if isinstance(value, float):
            if value in wanted:
                return True
        elif any(isinstance(words, str) and words in value for words in wanted):
            return True
    return False


def _candidates(text: str) -> set[str | float]:
    """Ends of sentences that may be the answer, and the numbers in them."""
    whole = text.strip().strip(".").lower()
    lines = whole.split("\n")
    ends = [_end(line, last=line_number == len(lines)) for line_number, line in enumerate(lines, 1)]
    ends = [end for end in ends if end and end not in _MARKS] or [whole]
    numbers = [number for end in ends for form in _NUMBERS for number in re.findall(form, end)]
    return {value for part in (*ends, *numbers) for value in _values(part)}


def _end(line: str, last: bool) -> str:
    """The shortest of what stands behind the last of each of the key words."""
    best = ""
    for key in (*_KEYS, "=") if last else _KEYS:
        if key in line:
            end = line.split(key)[-1].strip()
            best = end if not best or len(end) < len(best) else best
    return best


def _values(text: str) -> list[str | float]:
    """A number to two decimals, or words in lower case; a single letter with a space on either
    side, lest it be found in any word."""
    plain = text.strip()
    try:
        return [round(float(plain.replace(",", "")), 2)]
    except ValueError:
        lower = plain.lower()
        return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]
