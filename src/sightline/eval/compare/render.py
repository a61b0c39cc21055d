"""A comparison as JSON, Markdown and one HTML file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from sightline.eval.compare.facts import Comparison, Row
from sightline.eval.compare.tables import tables
from sightline.eval.compare.words import tokens_of
from sightline.eval.report.html import dot
from sightline.eval.report.markdown import cell, table_lines
from sightline.eval.report.page import contents, figure_html, page, section, table_html
from sightline.eval.report.plain import dumped
from sightline.eval.report.plots import scatter
from sightline.eval.report.save import write
from sightline.eval.report.visible import escaped


def comparison_json(made: Comparison) -> str:
    """Its numbers to six decimal places; null where a number is undefined."""
    return dumped(asdict(made), indent=2) + "\n"


def comparison_markdown(made: Comparison) -> str:
    """What was left out, the sentences, and every table."""
    lines = [f"# {cell(_title(made))}", "", f"Judged by {cell(made.metric)}.", ""]
    for note in made.notes:
        lines += [cell(note), ""]
    for sentence in made.sentences:
        lines += [f"**{cell(sentence)}**", ""]
    for table in tables(made):
        lines += [*table_lines(table), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def comparison_html(made: Comparison) -> str:
    """The same with plots; it loads nothing and runs no script."""
    parts = [(table.title, [table_html(table)]) for table in tables(made)]
    parts[0][1][:0] = _plots(made)
    body = [f"<header>\n<h1>{escaped(_title(made))}</h1>"]
    body.append(f'<p class="quiet">Judged by {escaped(made.metric)}.</p>')
    body += [f'<p class="warn">{escaped(note)}</p>' for note in made.notes]
    body += [f'<p class="lead">{escaped(sentence)}</p>' for sentence in made.sentences]
    body.append(f"</header>\n{contents([name for name, _ in parts])}")
    body += [section(number, name, html) for number, (name, html) in enumerate(parts)]
    return page(_title(made), body)


def write_comparison(folder: Path, made: Comparison) -> None:
    """compare.json, compare.md and compare.html; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "compare.json", [comparison_json(made)])
    write(folder / "compare.md", [comparison_markdown(made)])
    write(folder / "compare.html", [comparison_html(made)])


def _title(made: Comparison) -> str:
    return f"{made.task} asked of {len(made.rows)} models"


def _plots(made: Comparison) -> list[str]:
    """Quality against tokens, and against the time to the first token where it is known of all."""
    visual = all(row.took is not None and row.took.visual is not None for row in made.rows)
    tokens = [(row, tokens_of(row) if visual else _all_tokens(row)) for row in made.rows]
    times = [(row, row.speed.median if row.speed else None) for row in made.rows]
    name = "visual tokens of a question" if visual else "tokens of a question, text and pictures"
    return [*_plot(made, name, tokens), *_plot(made, "milliseconds to the first token", times)]


def _all_tokens(row: Row) -> float | None:
    if row.took is None:
        return None
    return row.took.text.mean + (row.took.visual.mean if row.took.visual else 0.0)


def _plot(made: Comparison, x_name: str, places: list[tuple[Row, float | None]]) -> list[str]:
    dots = [dot(row.model, x, row.headline) for row, x in places if x is not None]
    if len(dots) < len(places):
        return []
    title = f"{made.rows[0].headline.name} against {x_name}"
    drawing = scatter(dots, title, x_name)
    return [figure_html(drawing, title, f"{title}, with 95 % intervals.")]
