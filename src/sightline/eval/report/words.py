"""Numbers and findings in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sightline.eval.report.facts import Asked, Gap, Majority, Report
from sightline.eval.statistics import Difference, Figure

NONE = "–"
CHANCE = 0.05
SMALL = 0.05  # a share of the picture's that is nothing, where the interval allows no more


def number(value: float, percent: bool) -> str:
    """61.4 for a share of 0.614; other numbers as they are; a dash for none."""
    if math.isnan(value):
        return NONE
    scaled = 100 * value if percent else value
    digits = 1 if percent or abs(scaled) >= 100 else 3
    return f"{round(scaled, digits) + 0.0:.{digits}f}".replace("-", "−")


def signed(value: float, percent: bool) -> str:
    """The same, with a plus where it is positive."""
    text = number(value, percent)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def value_of(figure: Figure | None) -> str:
    return NONE if figure is None else number(figure.value, figure.percent)


def interval(figure: Figure | Difference | None, percent: bool) -> str:
    """`59.2 to 63.4`; a dash where there is none."""
    if figure is None or math.isnan(figure.low) or math.isnan(figure.high):
        return NONE
    return f"{number(figure.low, percent)} to {number(figure.high, percent)}"


def figure_in_words(figure: Figure | None) -> str:
    """`61.4 (59.2 to 63.4)`; a dash where there is none."""
    if figure is None or math.isnan(figure.value):
        return NONE
    bounds = interval(figure, figure.percent)
    return value_of(figure) if bounds == NONE else f"{value_of(figure)} ({bounds})"


def plus_minus(figure: Figure) -> str:
    """`61.2 ± 1.1`: half the width of the interval."""
    half = (figure.high - figure.low) / 2
    text = number(half, figure.percent)
    return value_of(figure) if text == NONE else f"{value_of(figure)} ± {text}"


def p_value(p: float) -> str:
    """`< 0.001`, `0.012`, `0.31`; a dash for none."""
    if math.isnan(p):
        return NONE
    if p < 0.001:
        return "< 0.001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}"


def p_in_words(p: float) -> str:
    """`p < 0.001`, `p = 0.31`."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def certainty(difference: Difference, percent: bool) -> str:
    """`95 % interval 14.9 to 19.4, p < 0.001`."""
    return f"95 % interval {interval(difference, percent)}, {p_in_words(difference.p)}"


def by_chance(difference: Difference) -> bool:
    """Whether it cannot be told from chance, with the p that it has."""
    return not difference.p <= CHANCE


def size(count_bytes: float) -> str:
    """`12.00 KiB`, `1.50 MiB`."""
    for unit, bytes_of_unit in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count_bytes >= bytes_of_unit:
            return f"{count_bytes / bytes_of_unit:.2f} {unit}"
    return f"{count_bytes:.0f} B"


def amount(cost: float) -> str:
    """Of money: to the hundredth, or to the millionth where it is less than one."""
    return f"{cost:,.2f}" if cost >= 1 else f"{cost:.6f}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def sentence(made: Report) -> str:
    """How much of the headline figure comes from the picture: full minus blind."""
    headline = made.headline
    if headline is None:
        return "No question has an answer, so that there is no figure."
    gap = made.gaps.get("blind")
    told = f"{value_of(headline)} {_unit(headline)}"
    if not made.pictures:
        return f"{told}; the questions have no picture."
    if gap is None and "blind" in made.figures:
        return f"{told}; no question has an answer both with and without the picture."
    if gap is None:
        return f"{told}; run it with the control `blind` to know what comes from the picture."
    return from_picture(headline, gap)


def from_picture(headline: Figure, gap: Gap) -> str:
    """What the picture gives, and whether that can be told from chance."""
    difference, percent = gap.difference, headline.percent
    if math.isnan(difference.value):
        return f"{headline.name} is undefined with or without the picture: nothing can be told."
    if headline.higher_is_better and gap.full == gap.without == 0:
        return "Nothing is right, with the picture or without it."
    if math.isnan(difference.low):
        return f"{_given(headline, gap)}; there is no interval, for all is about one picture."
    if by_chance(difference):
        return _nothing(headline, gap)
    return f"{_given(headline, gap)} ({certainty(difference, percent)})."


def _unit(headline: Figure) -> str:
    if not headline.percent:
        return f"({headline.name})"
    return "points" if headline.higher_is_better else f"per cent ({headline.name})"


def _given(headline: Figure, gap: Gap) -> str:
    """`17.2 points of 61.4 come from the picture`, or what is true instead."""
    percent, change = headline.percent, gap.difference.value
    full, without = number(gap.full, percent), number(gap.without, percent)
    size = number(abs(change), percent) + (" points" if percent else "")
    both = f"{full} with it, {without} without it"
    if headline.higher_is_better is None:
        return f"The picture moves the {headline.name} by {size}: {both}"
    if headline.higher_is_better:
        if change < 0:
            return f"The picture takes {size} away: {both}"
        return f"{size} of {_named(headline, full)} come from the picture"
    verb = "takes" if change <= 0 else "adds"
    to = f"off the {headline.name}" if change <= 0 else f"to the {headline.name}"
    return f"The picture {verb} {size} {to}: {both}"


def _named(headline: Figure, value: str) -> str:
    return value if headline.percent else f"{value} ({headline.name})"


def _nothing(headline: Figure, gap: Gap) -> str:
    """No difference; that the picture plays no part follows only if the interval is narrow."""
    percent, difference = headline.percent, gap.difference
    size = number(difference.value, percent) + (" points" if percent else "")
    of = _named(headline, number(gap.full, percent))
    said = f"The picture makes no difference that can be told from chance ({size} of {of}, "
    reach = max(abs(difference.low), abs(difference.high))
    scale = max(abs(gap.full), abs(gap.without))
    told = f"{said}{certainty(difference, percent)}): "
    if reach <= SMALL * scale:
        return told + "the answers come from the question."
    return told + "if there is one, more questions will show it."


def notes(made: Report) -> Iterator[str]:
    """Failures, what a curve comes to, truncated answers, the majority answer, evidence, and what
    was not counted."""
    for control, asked in made.asked.items():
        yield from failed_in_words(control, asked)
    if made.told:
        yield made.told
    if cut := made.asked["full"].truncated:
        verb = "was" if cut == 1 else "were"
        yield f"{plural(cut, 'answer')} {verb} cut off at the limit of tokens."
    if made.majority is not None:
        yield _majority_in_words(made.majority)
    if made.evidence is not None:
        bounds = interval(made.evidence, False)
        yield (
            f"The picture makes a token of the answer likelier by "
            f"{value_of(made.evidence)} nats on average (95 % interval {bounds})."
        )
    if made.took is not None and made.took.visual is None and made.pictures:
        yield "The server counts the tokens of pictures as text."


def failed_in_words(control: str, asked: Asked) -> Iterator[str]:
    """`3 of 500 questions have no answer (2 time-out, 1 server error 503): figures are over the
    other 497.` Nothing if all were answered."""
    if not asked.failed:
        return
    missing = sum(asked.failed.values())
    under = "" if control == "full" else f"Under the control `{control}` "
    verb = "has" if missing == 1 else "have"
    told = f"{under}{missing:,} of {plural(asked.items, 'question')} {verb} no answer"
    told += f" ({reasons(asked.failed)})"
    if left := asked.left_out:
        are, whom = "is" if left == 1 else "are", "it" if missing == 1 else "them"
        told += f", and {left:,} that {are} judged together with {whom} {are} left out"
    yield f"{told}: figures are over the other {asked.judged:,}."


def reasons(failed: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in failed.items())


def _majority_in_words(majority: Majority) -> str:
    percent = majority.model.percent
    return (
        f"Always giving the most frequent answer of a group scores "
        f"{number(majority.value, percent)} on the {majority.count:,} questions that one word "
        f"answers; the model scores {figure_in_words(majority.model)} on them."
    )
