"""A report as one HTML file: tables, plots and pictures of what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from sightline.eval.report.facts import Report
from sightline.eval.report.gallery import MANY, chosen, gallery
from sightline.eval.report.page import contents, figure_html, page, section, table_html
from sightline.eval.report.plots import Bar, Dot, bars, curve
from sightline.eval.report.tables import names, tables
from sightline.eval.report.visible import escaped
from sightline.eval.report.words import value_of
from sightline.eval.result import Result
from sightline.eval.statistics import Figure


def as_html(report: Report, result: Result, failures: int = MANY) -> str:
    """A whole document that loads nothing and runs no script. Its gallery shows up to `failures`
    answers that scored low, with the pictures made small and without their metadata."""
    parts = _parts(report)
    shown = gallery(chosen(report, result, failures))
    parts.insert(_gallery_place(parts), ("What went wrong", shown))
    title = f"{report.task} asked of {report.model}"
    body = [f"<header>\n<h1>{escaped(title)}</h1>"]
    body.append(f'<p class="quiet">Judged by {escaped(report.metric)}.</p>')
    body += _first_words(report)
    body.append(f"</header>\n{contents([name for name, _ in parts])}")
    body += [section(number, name, html) for number, (name, html) in enumerate(parts)]
    return page(title, body)


def _first_words(report: Report) -> list[str]:
    """What failed, then the sentence, then the rest of the notes."""
    failed = sum(bool(asked.failed) for asked in report.asked.values())
    return [
        *(f'<p class="warn">{escaped(note)}</p>' for note in report.notes[:failed]),
        f'<p class="lead">{escaped(report.sentence)}</p>',
        *(f"<p>{escaped(note)}</p>" for note in report.notes[failed:]),
    ]


Parts = list[tuple[str, list[str]]]


def _parts(report: Report) -> Parts:
    """Titles and contents of the sections, but for the gallery."""
    drawn = {
        "Figures": _by_control(report),
        "By kind of question": _by_kind(report),
        "By level": _by_level(report),
    }
    return [
        (table.title, [*drawn.get(table.title, []), table_html(table)]) for table in tables(report)
    ]


def _gallery_place(parts: Parts) -> int:
    """Before what was counted."""
    names = [name for name, _ in parts]
    return min(names.index(name) for name in ("Tokens and memory", "Questions") if name in names)


def top_of(figures: Sequence[Figure]) -> float | None:
    """Where the axis of shares ends; other figures end where they end."""
    return 100.0 if all(figure.percent for figure in figures) else None


def bar(label: str, figure: Figure, series: int) -> Bar:
    """A figure as it is drawn: shares in per cent."""
    scale = 100 if figure.percent else 1
    value, low, high = (scale * v for v in (figure.value, figure.low, figure.high))
    return Bar(label, value, low, high, value_of(figure), series)


def _by_control(report: Report) -> list[str]:
    """The headline figure under each control."""
    heads = [(name, rows[0]) for name, rows in report.figures.items() if rows]
    if not heads:
        return []
    rows = [bar(name, figure, number) for number, (name, figure) in enumerate(heads)]
    title = f"{heads[0][1].name} under each control"
    told = ", ".join(f"{name} {value_of(figure)}" for name, figure in heads)
    top = top_of([figure for _, figure in heads])
    drawing = bars(rows, f"{title}: {told}", top=top)
    return [figure_html(drawing, title, f"{title}, with 95 % intervals.")]


def _by_kind(report: Report) -> list[str]:
    """The headline figure of each kind, as it is and blind."""
    controls = [name for name in ("full", "blind") if name in report.by_kind]
    shown = {name: report.by_kind[name] for name in controls}
    rows = _bars_of_kinds(report.kinds, shown)
    figures = [figure for kinds in shown.values() for figure in kinds.values()]
    if not rows:
        return []
    upper = "upper bars as asked, lower bars without the picture" if len(controls) > 1 else ""
    title = f"{names(figures)} by kind of question"
    caption = f"{title}, with 95 % intervals{': ' if upper else ''}{upper}."
    return [figure_html(bars(rows, title, top=top_of(figures)), title, caption)]


def _bars_of_kinds(kinds: Sequence[str], shown: Mapping[str, Mapping[str, Figure]]) -> list[Bar]:
    pairs = [
        (kind, bar(kind, found[kind], number))
        for kind in kinds
        for number, found in enumerate(shown.values())
        if kind in found
    ]
    rows: list[Bar] = []
    for _, group in groupby(pairs, key=lambda pair: pair[0]):
        (_, first), *others = group
        rows += [first, *(Bar("", o.value, o.low, o.high, o.text, o.series) for _, o in others)]
    return rows


def _by_level(report: Report) -> list[str]:
    """What is drawn over the dial."""
    if not report.curve:
        return []
    figures = [figure for _, figure in report.curve]
    dots = [dot("", level, figure) for level, figure in report.curve]
    title = f"{figures[0].name} by level"
    drawing = curve(dots, title, report.axis, top=top_of(figures))
    return [figure_html(drawing, title, f"{title}; the band is the 95 % interval.")]


def dot(label: str, x: float, figure: Figure) -> Dot:
    """A figure over `x`, as it is drawn."""
    scale = 100 if figure.percent else 1
    return Dot(label, x, scale * figure.value, scale * figure.low, scale * figure.high)
