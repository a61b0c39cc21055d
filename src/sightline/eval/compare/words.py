"""A comparison in words."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.eval.compare.facts import Against, Comparison, Row
from sightline.eval.report.words import (
    CHANCE,
    interval,
    number,
    p_in_words,
    plural,
    plus_minus,
    reasons,
    signed,
)

ALIKE = 0.25  # times that differ by less are called alike: so much do they wander between runs


def sentences(made: Comparison) -> Iterator[str]:
    """`576 tokens: 61.2 ± 1.1; 144 tokens: 60.4 ± 1.1, 3.1 × faster ...`, each with the first."""
    first = made.rows[0]
    for row in made.rows[1:]:
        assert row.against is not None, "only the first is not compared with the first"
        pair = f"{_figure(first)}; {_figure(row)}{_faster(row, first)}"
        yield f"{pair}; {_difference(row, row.against, len(made.rows) - 1)}."


def _figure(row: Row) -> str:
    """`linear, 576 tokens: 61.2 ± 1.1`."""
    tokens = tokens_of(row)
    told = "" if tokens is None else f", {tokens:,.0f} tokens"
    return f"{row.model}{told}: {plus_minus(row.headline)}"


def tokens_of(row: Row) -> float | None:
    """Visual tokens of a question; with its text where the server counts them together."""
    if row.took is None:
        return None
    return row.took.text.mean if row.took.visual is None else row.took.visual.mean


def _faster(row: Row, first: Row) -> str:
    """`, 3.1 × faster to the first token`; nothing where that was not measured."""
    if row.speed is None or first.speed is None or not row.speed.median or not first.speed.median:
        return ""
    ratio = first.speed.median / row.speed.median
    if abs(ratio - 1) < ALIKE:
        return ", as fast to the first token"
    if ratio > 1:
        return f", {ratio:.1f} × faster to the first token"
    return f", {1 / ratio:.1f} × slower to the first token"


def _difference(row: Row, against: Against, pairs: int) -> str:
    percent, difference = row.headline.percent, against.difference
    size = signed(difference.value, percent) + (" points" if percent else "")
    p = p_in_words(against.holm_p)
    corrected = f", corrected for {pairs} comparisons" if pairs > 1 else ""
    if not against.holm_p <= CHANCE:
        return f"the difference ({size}, {p}{corrected}) cannot be told from chance"
    bounds = interval(difference, percent)
    return f"the difference is {size} (95 % interval {bounds}, {p}{corrected})"


def notes(made: Comparison) -> Iterator[str]:
    """What was left out, and what a server does not count."""
    failed = [row for row in made.rows if row.failed]
    if made.judged < made.items:
        whose = "; ".join(f"{row.model}: {reasons(row.failed)}" for row in failed)
        left = made.items - made.judged
        verb = "is" if left == 1 else "are"
        yield (
            f"{left:,} of {plural(made.items, 'question')} {verb} left out of every model's "
            f"figures, for a model has no answer to them ({whose}): "
            f"figures are over the other {made.judged:,}."
        )
    if together := [row.model for row in made.rows if row.took and row.took.visual is None]:
        verb = "counts" if len(together) == 1 else "count"
        yield f"{', '.join(together)} {verb} the tokens of pictures as text."


def value_in_words(row: Row) -> str:
    """`+1.3`: against the first, in points where it is a share."""
    if row.against is None:
        return "–"
    return signed(row.against.difference.value, row.headline.percent)


def blind_in_words(row: Row) -> str:
    """`17.2 of 61.4`: what is lost without the picture."""
    if row.blind is None:
        return "–"
    percent = row.headline.percent
    return f"{number(row.blind.difference.value, percent)} of {number(row.blind.full, percent)}"
