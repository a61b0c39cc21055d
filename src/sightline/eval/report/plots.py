"""Plots as SVG, written out: bars, a curve with its band, and dots. Colours are the page's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sightline.eval.report.visible import escaped

WIDTH = 760.0
LETTERS = 26  # of a label beside a bar
LETTER, VALUES = 7.2, 60.0  # widths: of a letter, and of the column of values
SERIES = 5  # colours of the page
HEIGHT = 330.0  # of a drawing with two axes, whose ground is between these
LEFT, RIGHT, UPPER, LOWER = 60.0, WIDTH - 30, 16.0, HEIGHT - 50


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval (NaN where there is none) and how it reads; `series` is its colour.
    A bar without a label belongs to the one before."""

    label: str
    value: float
    low: float
    high: float
    text: str
    series: int = 0


@dataclass(frozen=True, slots=True)
class Dot:
    """A value over `x`, with its interval (NaN where there is none)."""

    label: str
    x: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to positions in the drawing; `log` where they span decades."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low)
        return self.start + share * (self.end - self.start)


def bars(rows: Sequence[Bar], title: str, *, top: float | None = None) -> str:
    """Horizontal bars from zero, one under the other; the axis ends at `top` or beyond all."""
    known = [v for row in rows for v in (row.value, row.low, row.high) if math.isfinite(v)]
    marks = ticks(min([0.0, *known]), max([0.0 if top is None else top, *known]))
    longest = max((len(row.label) for row in rows), default=0)
    scale = Scale(marks[0], marks[-1], 24 + LETTER * min(LETTERS, longest), WIDTH - VALUES)
    bottom = 8.0
    drawn = []
    for row in rows:
        bottom += 8 if row.label else 0
        drawn += _bar(row, scale, bottom)
        bottom += 18
    grid = [
        line("grid", scale(mark), 8, scale(mark), bottom + 6)
        + words(scale(mark), bottom + 22, tick(mark), "middle", "tick")
        for mark in marks
    ]
    return svg(title, bottom + 30, [*grid, *drawn])


def _bar(row: Bar, scale: Scale, top: float) -> list[str]:
    middle, end, drawn = top + 8, scale.start, []
    if row.label:
        label = f"<title>{escaped(row.label)}</title>{escaped(short(row.label, LETTERS))}"
        drawn.append(words(scale.start - 10, middle + 4.5, label, "end"))
    if math.isfinite(row.value):
        left, end = sorted((scale(0.0), scale(row.value)))
        place = f'x="{at(left)}" y="{at(top)}" width="{at(end - left)}" height="16"'
        drawn.append(f'<rect class="s{row.series % SERIES}" {place}/>')
    if math.isfinite(row.low) and math.isfinite(row.high):
        low, high = scale(row.low), scale(row.high)
        drawn.append(whisker(low, middle, high, middle))
        end = max(end, high)
    return [*drawn, words(end + 8, middle + 4.5, escaped(row.text), "start")]


def words(x: float, y: float, html: str, anchor: str, kind: str = "") -> str:
    """Text that begins, ends or has its middle at `x`."""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{at(x)}" y="{at(y)}" text-anchor="{anchor}">{html}</text>'


def line(kind: str, x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<line class="{kind}" x1="{at(x0)}" y1="{at(y0)}" x2="{at(x1)}" y2="{at(y1)}"/>'


def whisker(x0: float, y0: float, x1: float, y1: float) -> str:
    """A line with a stop at either end."""
    dx, dy = (0, 4) if y0 == y1 else (4, 0)
    ends = [line("whisker", x - dx, y - dy, x + dx, y + dy) for x, y in ((x0, y0), (x1, y1))]
    return line("whisker", x0, y0, x1, y1) + "".join(ends)


def curve(dots: Sequence[Dot], title: str, x_name: str, *, top: float | None = None) -> str:
    """Values joined by a line, their intervals a band. There must be dots, ascending in x."""
    across, up, frame = _axes(dots, x_name, [0.0, 0.0 if top is None else top])
    banded = [dot for dot in dots if math.isfinite(dot.low) and math.isfinite(dot.high)]
    over = [f"{at(across(dot.x))},{at(up(dot.high))}" for dot in banded]
    under = [f"{at(across(dot.x))},{at(up(dot.low))}" for dot in reversed(banded)]
    path = [f"{at(across(d.x))},{at(up(d.value))}" for d in dots if math.isfinite(d.value)]
    drawn = [f'<polygon class="s0 band" points="{" ".join(over + under)}"/>'] if banded else []
    drawn.append(f'<polyline class="path" points="{" ".join(path)}"/>')
    drawn += [_disc(across(d.x), up(d.value), 0) for d in dots if math.isfinite(d.value)]
    return svg(title, HEIGHT, [*frame, *drawn])


def scatter(dots: Sequence[Dot], title: str, x_name: str) -> str:
    """Values with their intervals, each near a label of its colour; those of one `x` stand side by
    side. The axis shows where they are, not zero. There must be dots."""
    across, up, frame = _axes(dots, x_name, [])
    known = [dot for dot in dots if math.isfinite(dot.value)]
    drawn, taken = [], []
    places = list(zip(known, _side_by_side([across(dot.x) for dot in known]), strict=True))
    for number, (dot, x) in enumerate(places):
        low, high = (v if math.isfinite(v) else dot.value for v in (dot.low, dot.high))
        drawn += [whisker(x, up(low), x, up(high)), _disc(x, up(dot.value), number)]
        taken.append(Rect(x - 6, min(up(high), up(dot.value) - 6), x + 6, up(low)))
    for number, (dot, x) in enumerate(places):
        text = short(dot.label, 34)
        place = _free(x, up(dot.value), LETTER * len(text), taken)
        taken.append(place)
        drawn.append(words(place.x0, place.y1 - 4, escaped(text), "start", f"s{number % SERIES}"))
    return svg(title, HEIGHT, [*frame, *drawn])


@dataclass(frozen=True, slots=True)
class Rect:
    """A part of a drawing, y downwards."""

    x0: float
    y0: float
    x1: float
    y1: float

    def meets(self, other: Rect) -> bool:
        across = self.x0 < other.x1 and other.x0 < self.x1
        return across and self.y0 < other.y1 and other.y0 < self.y1


def _side_by_side(xs: Sequence[float]) -> list[float]:
    """Those that are equal, 14 pixels apart."""
    alike = [[other for other, at in enumerate(xs) if at == x] for x in xs]
    return [
        x + 14 * (group.index(number) - (len(group) - 1) / 2)
        for number, (x, group) in enumerate(zip(xs, alike, strict=True))
    ]


def _free(x: float, y: float, width: float, taken: Sequence[Rect]) -> Rect:
    """Where a label meets nothing: beside its dot, right or left, as near it as can be."""
    moves = [(dx, dy) for dx in range(0, 85, 14) for dy in range(-120, 121, 3)]
    places = [
        Rect(left, y + dy - 9, left + width, y + dy + 8)
        for dx, dy in sorted(moves, key=lambda move: move[0] + abs(move[1]))
        for left in (x + 10 + dx, x - 10 - dx - width)
        if left >= LEFT and left + width <= WIDTH and UPPER <= y + dy <= LOWER - 8
    ]
    free = (place for place in places if not any(place.meets(other) for other in taken))
    return next(free, places[0] if places else Rect(LEFT, y - 9, LEFT + width, y + 8))


def _axes(
    dots: Sequence[Dot], x_name: str, shown: Sequence[float]
) -> tuple[Scale, Scale, list[str]]:
    """Both scales and their lines; the vertical one shows all values, and those of `shown`."""
    values = [v for dot in dots for v in (dot.value, dot.low, dot.high) if math.isfinite(v)]
    values += shown
    marks = ticks(min(values), max(values)) if values else [0.0, 1.0]
    up = Scale(marks[0], marks[-1], LOWER, UPPER)
    across, places = _across([dot.x for dot in dots])
    frame = [
        line("grid", LEFT, up(mark), RIGHT, up(mark))
        + words(LEFT - 8, up(mark) + 4, tick(mark), "end", "tick")
        for mark in marks
    ]
    frame += [
        line("grid", across(place), LOWER, across(place), LOWER + 5)
        + words(across(place), LOWER + 20, tick(place), "middle", "tick")
        for place in places
    ]
    name = f"{x_name} (log scale)" if across.log else x_name
    frame.append(words((LEFT + RIGHT) / 2, LOWER + 42, escaped(name), "middle"))
    return across, up, frame


def _across(xs: Sequence[float]) -> tuple[Scale, list[float]]:
    """The horizontal scale, and where it is marked: at the values themselves if they are few."""
    low, high = min(xs), max(xs)
    log = low > 0 and high / low >= 16
    places = sorted(set(xs))
    if low == high:
        low, high = low - 1, high + 1
    scale = Scale(low, high, LEFT + 24, RIGHT - 24, log)
    shown: list[float] = []
    for place in places:
        if not shown or scale(place) - scale(shown[-1]) >= 38:
            shown.append(place)
    return scale, shown


def _disc(x: float, y: float, series: int) -> str:
    return f'<circle class="s{series % SERIES}" cx="{at(x)}" cy="{at(y)}" r="5"/>'


def svg(title: str, height: float, parts: Sequence[str]) -> str:
    """A drawing that a screen reader announces by its title."""
    return (
        f'<svg class="plot" viewBox="0 0 {at(WIDTH)} {at(height)}" role="img" '
        f'aria-label="{escaped(title)}">\n' + "\n".join(parts) + "\n</svg>"
    )


def ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers from `low` or below to `high` or above."""
    if high <= low:
        high = low + 1
    rough = (high - low) / 5
    step = 10.0 ** math.floor(math.log10(rough))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if factor * step >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def tick(value: float) -> str:
    """As it is written at an axis: to the hundredth, or finer where it is less than one."""
    return f"{round(value, 2 if abs(value) >= 1 else 9) + 0.0:.6g}".replace("-", "−")


def short(text: str, limit: int) -> str:
    """Its beginning, if it is longer: tables have it whole."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def at(value: float) -> str:
    """A position, to the tenth of a pixel."""
    return f"{round(value, 1) + 0.0:g}"
