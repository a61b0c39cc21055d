"""What a comparison shows in rows and columns, in words, for every renderer."""

from __future__ import annotations

from sightline.eval.compare.facts import Comparison, Row
from sightline.eval.compare.words import blind_in_words, value_in_words
from sightline.eval.report.tables import IN_BRACKETS, Table, names, unit
from sightline.eval.report.words import (
    NONE,
    amount,
    figure_in_words,
    interval,
    p_value,
    reasons,
    size,
)


def tables(made: Comparison) -> list[Table]:
    """Quality against what it takes, differences, all figures, kinds, and what was left out."""
    found = (
        trade_table(made),
        differences_table(made),
        _figures_table(made),
        _kinds_table(made),
        _failed_table(made),
        _models_table(made),
    )
    return [table for table in found if table is not None]


def trade_table(made: Comparison) -> Table:
    """Quality, tokens, cache, speed and cost in one table."""
    headline = made.rows[0].headline
    tokens = ("visual tokens", "text tokens", "answer tokens", "KV cache")
    head = ("model", headline.name, *tokens, "first token, ms", "cost")
    rows = tuple((row.model, figure_in_words(row.headline), *_price(row)) for row in made.rows)
    caption = (
        f"{unit([headline])}{IN_BRACKETS} Of one question: mean tokens and cache, the "
        "median time to the first token (95th percentile), mean cost in the currency of the prices."
    )
    return Table("Quality and what it takes", caption, head, rows)


def _price(row: Row) -> tuple[str, ...]:
    took, speed = row.took, row.speed
    spreads = (took.visual, took.text, took.answer) if took else (None, None, None)
    tokens = [NONE if spread is None else f"{spread.mean:,.1f}" for spread in spreads]
    cache = NONE if took is None or took.kv_bytes is None else size(took.kv_bytes.mean)
    time = NONE if speed is None else f"{speed.median:,.1f} ({speed.p95:,.1f})"
    return (*tokens, cache, time, NONE if row.cost is None else amount(row.cost.item))


def differences_table(made: Comparison) -> Table:
    """Each model minus the first."""
    first = made.rows[0]
    rows = tuple(_difference(row) for row in made.rows[1:])
    pair = ("only it right", f"only {first.model} right", "p by McNemar")
    head = ("model", "difference", "95 % interval", "p", "p by Holm", *pair, "lost without picture")
    caption = (
        f"{first.headline.name} minus that of {first.model}, over the {made.judged:,} questions "
        "that every model has answered. Interval and p: paired resampling over pictures; by Holm: "
        "corrected for the number of models in this table. McNemar counts answers that one alone "
        "has right, as if each were about a picture of its own."
    )
    return Table(f"Against {first.model}", caption, head, rows)


def _difference(row: Row) -> tuple[str, ...]:
    against = row.against
    assert against is not None, "only the first is not compared with the first"
    two = against.discordant
    mcnemar = (NONE,) * 3 if two is None else (str(two.first), str(two.second), p_value(two.p))
    return (
        row.model,
        value_in_words(row),
        interval(against.difference, row.headline.percent),
        p_value(against.difference.p),
        p_value(against.holm_p),
        *mcnemar,
        blind_in_words(row),
    )


def _figures_table(made: Comparison) -> Table | None:
    """All figures of the metric; nothing where there is one alone."""
    figures = made.rows[0].figures
    if len(figures) < 2:
        return None
    rows = tuple((row.model, *(figure_in_words(f) for f in row.figures)) for row in made.rows)
    head = ("model", *(figure.name for figure in figures))
    return Table("All figures", f"{unit(figures)}{IN_BRACKETS}", head, rows)


def _kinds_table(made: Comparison) -> Table | None:
    """The headline figure of every skill; nothing where there is one skill alone."""
    if len(made.kinds) < 2:
        return None
    rows = tuple(
        (kind, *(figure_in_words(row.by_kind.get(kind)) for row in made.rows))
        for kind in made.kinds
    )
    figures = list(made.rows[0].by_kind.values())
    caption = f"{names(figures)}. {unit(figures)}{IN_BRACKETS}"
    head = ("kind", *(row.model for row in made.rows))
    return Table("By kind of question", caption, head, rows)


def _failed_table(made: Comparison) -> Table | None:
    """Who has no answer to what."""
    if not any(row.failed for row in made.rows):
        return None
    rows = tuple(
        (row.model, f"{sum(row.failed.values()):,}", reasons(row.failed) or NONE)
        for row in made.rows
    )
    caption = f"Of {made.items:,} questions; they are left out of every model's figures."
    return Table("Without an answer", caption, ("model", "questions", "why"), rows, True)


def _models_table(made: Comparison) -> Table | None:
    """In what the models differ."""
    names = sorted({name for row in made.rows for name in row.identity})
    values = {name: [row.identity.get(name, NONE) for row in made.rows] for name in names}
    rows = tuple((name, *found) for name, found in values.items() if len(set(found)) > 1)
    if not rows:
        return None
    head = ("property", *(row.model for row in made.rows))
    return Table("Models", "In what they differ.", head, rows, True)
