"""From answers to figures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

import numpy as np

from sightline.eval.item import Answers, Boxes, Choice, Item
from sightline.eval.metrics.metric import Dialled
from sightline.eval.metrics.truths import clusters_of
from sightline.eval.report.facts import Asked, Cost, Gap, Majority, Report, Spread, Took
from sightline.eval.report.judged import Judged, judged, whole
from sightline.eval.report.words import notes, sentence
from sightline.eval.result import Prices, Result
from sightline.eval.run import failures
from sightline.eval.said import Said
from sightline.eval.statistics import (
    Discordant,
    Figure,
    figure,
    mcnemar,
    mean_tally,
    paired,
)
from sightline.eval.tasks.task import normalised

MILLION = 1_000_000


def report(result: Result) -> Report:
    """All figures of a result. Raises DataError where the metric does (a truth of another kind)."""
    found = {control: judged(result, control) for control in result.said}
    kinds = tuple(sorted({item.kind for item in result.items}))
    full = found["full"]
    dial = result.metric if isinstance(result.metric, Dialled) else None
    curve = _curve(full, 0 if dial is None else dial.drawn)
    draft = Report(
        task=result.task,
        model=result.model,
        identity=dict(sorted(result.identity.items())),
        metric=result.metric.name,
        kinds=kinds,
        pictures=sum(len(item.media) for item in result.items),
        asked={control: _asked(said, found[control]) for control, said in result.said.items()},
        figures={control: figures(rows) for control, rows in found.items()},
        by_kind={control: by_kind(rows, kinds) for control, rows in found.items()},
        gaps=_gaps(result, found),
        majority=_majority(full),
        evidence=_evidence(full),
        took=took(full.said),
        cost=cost(result.said, result.prices),
        curve=curve,
        axis="level" if dial is None else dial.axis,
        told=dial.told(curve) if curve and dial is not None else "",
    )
    worded = replace(draft, sentence=sentence(draft))
    return replace(worded, notes=tuple(notes(worded)))


def _asked(said: Sequence[Said], rows: Judged) -> Asked:
    failed = by_reason(said)
    answered = len(said) - sum(failed.values())
    truncated = sum(one.finish == "length" for one in said)
    retried = Counter(reason for one in said for reason in one.retries)
    left_out = answered - len(rows.items)
    return Asked(len(said), failed, left_out, truncated, _frequent_first(retried))


def _frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def by_reason(said: Sequence[Said]) -> dict[str, int]:
    """How many questions have no answer, the most frequent reason first."""
    return _frequent_first(failures(said))


def figures(rows: Judged) -> tuple[Figure, ...]:
    """All figures of the metric; none of no answers."""
    return tuple(figure(tally) for tally in rows.tallies()) if rows.items else ()


def by_kind(rows: Judged, kinds: Sequence[str]) -> dict[str, Figure]:
    """The first figure of each kind that has answers (MME has another for perception than for
    cognition)."""
    parts = rows.by(lambda item: item.kind)
    return {kind: figure(parts[kind].tallies()[0]) for kind in kinds if kind in parts}


def _gaps(result: Result, found: Mapping[str, Judged]) -> dict[str, Gap]:
    gaps = {name: gap_of(result, name, found) for name in result.said if name != "full"}
    return {control: gap for control, gap in gaps.items() if gap is not None}


def gap_of(result: Result, control: str, found: Mapping[str, Judged] | None = None) -> Gap | None:
    """What a control takes away; None if no question has an answer both times. found: what is
    judged already, to be used where it is of the same questions."""
    both = tuple(whole(result.items, [result.said["full"], result.said[control]]))
    if not both:
        return None
    known = {name: rows for name, rows in (found or {}).items() if rows.numbers == both}
    return gap(*(known.get(c) or judged(result, c, both) for c in ("full", control)))


def gap(full: Judged, without: Judged) -> Gap:
    """The first minus the second, over the same items."""
    tallies = full.tallies()[0], without.tallies()[0]
    values = [float(tally.value(tally.rows_NK.sum(0))) for tally in tallies]
    return Gap(values[0], values[1], paired(*tallies), discordant(full, without))


def discordant(first: Judged, second: Judged) -> Discordant | None:
    """McNemar's test over the same items; None where a score is neither 0 nor 1."""
    if not set(first.scores) | set(second.scores) <= {0.0, 1.0}:
        return None
    return mcnemar([score == 1 for score in first.scores], [score == 1 for score in second.scores])


def _majority(full: Judged) -> Majority | None:
    """None unless a share of right answers is the headline, and groups hold two questions or more
    on average that one word answers."""
    closed = full.where(lambda item: _word(item) is not None)
    groups = {item.group for item in closed.items}
    if not closed.items or 2 * len(groups) > len(closed.items):
        return None
    model = figure(closed.tallies()[0])
    if not (model.percent and model.higher_is_better):
        return None
    given = [Said(text) for text in _most_frequent(closed.items)]
    scores = closed.metric.scores(closed.items, given)
    tally = closed.metric.tallies(closed.items, given, scores)[0]
    value = float(tally.value(tally.rows_NK.sum(0)))
    return Majority(value, model, len(closed.items))


def _most_frequent(items: Sequence[Item]) -> list[str]:
    """For each item the answer that is right most often in its group, the first of equal ones, as
    it is first written there."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    written: dict[tuple[str, str], str] = {}
    for item in items:
        word = _word(item) or ""
        counts[item.group][normalised(word)] += 1
        written.setdefault((item.group, normalised(word)), word)
    return [written[item.group, counts[item.group].most_common(1)[0][0]] for item in items]


def _word(item: Item) -> str | None:
    """The one word, or the letter, that is right; None where more words are needed."""
    match item.truth:
        case Answers(texts):
            return texts[0] if len(texts[0].split()) == 1 else None
        case Choice(_, index, letters):
            return letters[index]
        case Boxes():
            return None
        case _:
            assert_never(item.truth)


def _evidence(full: Judged) -> Figure | None:
    known = [
        (cluster, said.evidence)
        for cluster, said in zip(clusters_of(full.items), full.said, strict=True)
        if said.evidence is not None
    ]
    if not known:
        return None
    clusters, values = zip(*known, strict=True)
    return figure(mean_tally("visual evidence", values, clusters, percent=False))


def took(said: Sequence[Said]) -> Took | None:
    """Tokens and cache of an answer."""
    if not said:
        return None
    untold = not any(one.visual_tokens or one.kv_bytes for one in said)
    return Took(
        spread([one.text_tokens for one in said]),
        None if untold else spread([one.visual_tokens for one in said]),
        spread([one.answer_tokens for one in said]),
        None if untold else spread([one.kv_bytes for one in said]),
    )


def spread(values: Sequence[float]) -> Spread:
    """Mean and 95th percentile, which is a value that occurs."""
    mean, p95 = np.mean(values), np.quantile(values, 0.95, method="inverted_cdf")
    return Spread(float(mean), float(p95))


def cost(said: Mapping[str, Sequence[Said]], prices: Prices | None) -> Cost | None:
    """What was paid, failed questions included."""
    if prices is None:
        return None
    paid = {control: sum(price(one, prices) for one in rows) for control, rows in said.items()}
    return Cost(paid["full"] / len(said["full"]), paid["full"], sum(paid.values()))


def price(said: Said, prices: Prices) -> float:
    given = said.text_tokens + said.visual_tokens
    return (given * prices.input + said.answer_tokens * prices.output) / MILLION


def _curve(full: Judged, drawn: int) -> tuple[tuple[float, Figure], ...]:
    """One of the figures at each level, ascending."""
    parts = full.by(lambda item: item.level)
    levels = sorted(level for level in parts if level is not None)
    return tuple((level, figure(parts[level].tallies()[drawn])) for level in levels)
