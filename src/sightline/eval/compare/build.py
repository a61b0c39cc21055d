"""From the answers of several models to one table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sightline.core.errors import DataError
from sightline.eval.compare.facts import Against, Comparison, Row, Speed, Timing
from sightline.eval.compare.words import notes, sentences
from sightline.eval.item import Item
from sightline.eval.report.build import (
    by_kind,
    by_reason,
    cost,
    discordant,
    figures,
    gap_of,
    took,
)
from sightline.eval.report.judged import Judged, judged, whole
from sightline.eval.result import Result
from sightline.eval.statistics import Difference, paired


def compare(results: Sequence[Result], timings: Mapping[str, Timing] | None = None) -> Comparison:
    """The same questions asked of several models, each against the first.

    A question that any model has no answer to is left out of all, with those that are judged
    together with it. timings: by the name of a model.

    Raises DataError for fewer than two results, two of one name, other tasks or metrics, timings
    of no model here, questions that are not the same (it names the first that differs), and where
    no question has an answer from all.
    """
    _check(results, timings or {})
    first = results[0]
    common = whole(first.items, [result.said["full"] for result in results])
    if not common:
        fix = "see why in their reports, and run them again"
        raise DataError(first.task, "has no question that every model has answered", fix)
    rows = [judged(result, "full", common) for result in results]
    kinds = tuple(sorted({item.kind for item in first.items}))
    draft = Comparison(
        first.task,
        first.metric.name,
        len(first.items),
        len(common),
        kinds,
        tuple(
            _row(result, answers, against, kinds, (timings or {}).get(result.model))
            for result, answers, against in zip(results, rows, _against(rows), strict=True)
        ),
    )
    return replace(draft, sentences=tuple(sentences(draft)), notes=tuple(notes(draft)))


def _row(
    result: Result,
    answers: Judged,
    against: Against | None,
    kinds: Sequence[str],
    timing: Timing | None,
) -> Row:
    return Row(
        model=result.model,
        identity=dict(sorted(result.identity.items())),
        figures=figures(answers),
        by_kind=by_kind(answers, kinds),
        against=against,
        blind=gap_of(result, "blind") if "blind" in result.said else None,
        failed=by_reason(result.said["full"]),
        took=took(answers.said),
        cost=cost(result.said, result.prices),
        speed=_speed(timing),
    )


def _speed(timing: Timing | None) -> Speed | None:
    if timing is None or not timing.ttft_ms:
        return None
    p95 = np.quantile(timing.ttft_ms, 0.95, method="inverted_cdf")
    return Speed(float(np.median(timing.ttft_ms)), float(p95))


def _against(rows: Sequence[Judged]) -> list[Against | None]:
    """Each against the first."""
    first = rows[0]
    tally = first.tallies()[0]
    differences: list[Difference] = [paired(row.tallies()[0], tally) for row in rows[1:]]
    corrected = holm([difference.p for difference in differences])
    found = [
        Against(difference, p, discordant(row, first))
        for difference, p, row in zip(differences, corrected, rows[1:], strict=True)
    ]
    return [None, *found]


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p times the number of those that are not smaller than it, and never below a smaller
    one's (Holm 1979): the chance that any of them is a false alarm stays what p says. NaN stays."""
    order = sorted((p, at) for at, p in enumerate(p_values) if not math.isnan(p))
    corrected = list(p_values)
    largest = 0.0
    for rank, (p, at) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[at] = largest
    return corrected


def _check(results: Sequence[Result], timings: Mapping[str, Timing]) -> None:
    if len(results) < 2:
        raise DataError("compare", f"has {len(results)} result", "give two models or more")
    names = [result.model for result in results]
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise DataError("compare", f"has two results of {twice[0]!r}", "give each its own name")
    if strangers := [name for name in timings if name not in names]:
        raise DataError("timings", f"are of {strangers[0]!r}", f"use the names {names}")
    for other in results[1:]:
        _check_same(results[0], other)


FIX = "ask both the same task, with the same --count and --seed"


def _check_same(first: Result, other: Result) -> None:
    """Raises DataError naming the first difference in what was asked."""
    asked = [f"{result.task} ({result.metric.name})" for result in (other, first)]
    if asked[0] != asked[1]:
        problem = f"was asked {asked[0]}, {first.model} {asked[1]}"
        raise DataError(other.model, problem, FIX)
    for number, pair in enumerate(zip(other.items, first.items, strict=False), 1):
        if differing := _first_differing(*pair):
            name, its, mine = differing
            problem = f"question {number} has the {name} {its!r:.80}, of {first.model} {mine!r:.80}"
            raise DataError(other.model, problem, FIX)
    if len(first.items) != len(other.items):
        problem = f"was asked {len(other.items)} questions, {first.model} {len(first.items)}"
        raise DataError(other.model, problem, FIX)


def _first_differing(its: Item, mine: Item) -> tuple[str, object, object] | None:
    """What differs, and both values; media are told apart by their keys and questions alone."""
    pairs = zip(_facts(its).items(), _facts(mine).values(), strict=True)
    return next(((name, a, b) for (name, a), b in pairs if a != b), None)


def _facts(item: Item) -> dict[str, object]:
    return {
        "key": item.key,
        "question": item.question,
        "truth": item.truth,
        "kind": item.kind,
        "cluster": item.cluster,
        "unit": item.unit,
    }
