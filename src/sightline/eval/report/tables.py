"""What a report shows in rows and columns, in words, for every renderer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sightline.eval.report.facts import Report, Spread
from sightline.eval.report.words import (
    NONE,
    amount,
    figure_in_words,
    interval,
    number,
    p_value,
    reasons,
    signed,
    size,
    value_of,
)
from sightline.eval.statistics import Figure

IN_BRACKETS = "In brackets the 95 % interval, from a bootstrap over pictures."


@dataclass(frozen=True, slots=True)
class Table:
    """The first cell of a row is its name. caption: what the cells are. words: not numbers."""

    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


def unit(figures: Sequence[Figure]) -> str:
    """What the numbers are counted in."""
    if all(figure.percent for figure in figures):
        return "Figures in per cent. "
    return "" if not any(figure.percent for figure in figures) else "Shares in per cent. "


def names(figures: Iterable[Figure]) -> str:
    """What they are called, each name once."""
    return ", ".join(dict.fromkeys(figure.name for figure in figures))


def figures_table(made: Report) -> Table:
    """Every figure of the metric under every control."""
    controls = tuple(made.figures)
    longest = max(made.figures.values(), key=len)
    rows = tuple(
        (_with_sense(first), *(figure_in_words(_at(made.figures[c], at)) for c in controls))
        for at, first in enumerate(longest)
    )
    return Table("Figures", unit(longest) + IN_BRACKETS, ("figure", *controls), rows)


def _with_sense(figure: Figure) -> str:
    return f"{figure.name} (lower is better)" if figure.higher_is_better is False else figure.name


def _at(figures: Sequence[Figure], at: int) -> Figure | None:
    return figures[at] if at < len(figures) else None


def gaps_table(made: Report) -> Table | None:
    """What each control takes away."""
    headline = made.headline
    if headline is None or not made.gaps:
        return None
    percent = headline.percent
    rows = tuple(
        (
            control,
            number(gap.full, percent),
            number(gap.without, percent),
            signed(gap.difference.value, percent),
            interval(gap.difference, percent),
            p_value(gap.difference.p),
            NONE if gap.discordant is None else p_value(gap.discordant.p),
            f"{gap.difference.count:,}",
        )
        for control, gap in made.gaps.items()
    )
    caption = (
        f"{headline.name}: full minus the control, over what has an answer both times. "
        "Intervals and p are of a paired resampling over the pictures; McNemar's test takes "
        "questions as independent. No p is corrected for the number of controls."
    )
    head = ("control", "full", "under it", "difference", "95 % interval", "p", "McNemar", "count")
    return Table("Is it looking?", caption, head, rows)


def kinds_table(made: Report) -> Table | None:
    """The headline figure of every skill; nothing where there is one skill alone."""
    if made.headline is None or len(made.kinds) < 2:
        return None
    controls = tuple(made.by_kind)
    full = made.by_kind["full"]
    rows = tuple(
        (
            kind,
            f"{full[kind].count:,}" if kind in full else "0",
            *(figure_in_words(made.by_kind[control].get(kind)) for control in controls),
        )
        for kind in made.kinds
    )
    caption = f"{names(full.values())}. {unit(list(full.values()))}{IN_BRACKETS}"
    return Table("By kind of question", caption, ("kind", "count", *controls), rows)


def curve_table(made: Report) -> Table | None:
    """What is drawn over the dial, at each of its levels."""
    if not made.curve:
        return None
    name = made.curve[0][1].name
    rows = tuple(
        (f"{level:g}", value_of(figure), interval(figure, figure.percent), f"{figure.count:,}")
        for level, figure in made.curve
    )
    caption = f"{name} at each level of the dial. {unit([made.curve[0][1]])}".strip()
    return Table("By level", caption, (made.axis, name, "95 % interval", "count"), rows)


def took_table(made: Report) -> Table | None:
    """Tokens and cache of a question asked as it is."""
    took = made.took
    if took is None:
        return None
    cache = took.kv_bytes
    rows = (
        ("text tokens", *_counts(took.text)),
        ("visual tokens", *_counts(took.visual)),
        ("answer tokens", *_counts(took.answer)),
        ("KV cache", *((NONE, NONE) if cache is None else (size(cache.mean), size(cache.p95)))),
    )
    caption = "Of one question asked as it is."
    return Table("Tokens and memory", caption, ("per question", "mean", "95th percentile"), rows)


def _counts(spread: Spread | None) -> tuple[str, str]:
    return (NONE, NONE) if spread is None else (f"{spread.mean:,.1f}", f"{spread.p95:,.0f}")


def cost_table(made: Report) -> Table | None:
    """What it cost, where prices are known."""
    if made.cost is None:
        return None
    rows = (
        ("a question, asked as it is", amount(made.cost.item)),
        ("all questions, asked as they are", amount(made.cost.full)),
        ("all questions under all controls", amount(made.cost.total)),
    )
    return Table("Cost", "In the currency of the prices.", ("what", "cost"), rows)


def asked_table(made: Report) -> Table:
    """What became of the questions."""
    rows = tuple(
        (
            control,
            f"{asked.items:,}",
            f"{sum(asked.failed.values()):,}",
            reasons(asked.failed) or NONE,
            f"{asked.left_out:,}",
            f"{asked.truncated:,}",
            reasons(asked.retried) or NONE,
            f"{asked.judged:,}",
        )
        for control, asked in made.asked.items()
    )
    lost = ("no answer", "why", "left out with them", "cut off")
    head = ("control", "asked", *lost, "tried again", "judged")
    return Table("Questions", "What became of each question.", head, rows)


def identity_table(made: Report) -> Table | None:
    """What must be equal for answers to be equal."""
    if not made.identity:
        return None
    caption = "What must be equal for its answers to be equal."
    return Table("Model", caption, ("property", "value"), tuple(made.identity.items()), True)


def tables(made: Report) -> list[Table]:
    """Those that have something to show, in order."""
    found = (
        figures_table(made),
        gaps_table(made),
        kinds_table(made),
        curve_table(made),
        took_table(made),
        cost_table(made),
        asked_table(made),
        identity_table(made),
    )
    return [table for table in found if table is not None and table.rows]
