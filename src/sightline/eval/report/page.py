"""One HTML file that needs nothing else: its frame, its style, and tables in it."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.eval.report.tables import Table
from sightline.eval.report.visible import escaped

# Nothing is loaded from anywhere, and no script runs, whatever the text says.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'"

# Text has a contrast of 7 : 1 or more on its ground, marks of plots 3 : 1 or more.
STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --raised: #f4f6f8; --ink: #16202b;
  --quiet: #465362; --line: #c9d1d9; --s0: #0b62c4; --s1: #b3541e; --s2: #6b7280; --s3: #8a3ffc;
  --s4: #0f7b6c; --right: #0a8a3a; --wrong: #d11a2a; --warn: #8a4b00; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #10161d; --raised: #19222c; --ink: #e8edf2; --quiet: #b3bfcb; --line: #384553;
    --s0: #6cb0ff; --s1: #f0a06a; --s2: #9aa5b1; --s3: #c3a1ff; --s4: #4fc9b5; --right: #3ddc7a;
    --wrong: #ff7380; --warn: #ffc069; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: .95rem; margin: 0; overflow-wrap: anywhere; }
.quiet, caption, figcaption { color: var(--quiet); }
.lead { font-size: 1.3rem; line-height: 1.4; margin: 1.25rem 0; max-width: 46rem; }
.warn { color: var(--warn); font-weight: 600; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; padding: 0; }
a { color: var(--s0); }
a:focus-visible, [tabindex]:focus-visible, summary:focus-visible {
  outline: 3px solid var(--s0); outline-offset: 2px; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .9rem; padding-bottom: .4rem; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tbody th { font-weight: 500; }
.words td, .words th { text-align: left; white-space: normal; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
figcaption { font-size: .9rem; }
.plot { width: 100%; min-width: 34rem; max-width: 50rem; height: auto; display: block;
  font: 13px system-ui, sans-serif; }
.plot text:not([class]) { fill: var(--ink); } .plot .tick { fill: var(--quiet); }
.plot .grid { stroke: var(--line); } .plot .whisker { stroke: var(--ink); stroke-width: 2; }
.plot rect { fill-opacity: .72; }
.s0 { fill: var(--s0); } .s1 { fill: var(--s1); } .s2 { fill: var(--s2); } .s3 { fill: var(--s3); }
.s4 { fill: var(--s4); } .band { opacity: .22; }
.path { fill: none; stroke: var(--s0); stroke-width: 2; }
.cards { display: grid; gap: 1.25rem; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
.card { background: var(--raised); border: 1px solid var(--line); border-radius: .5rem;
  padding: .9rem; min-width: 0; }
.card svg { display: block; width: 100%; max-height: 20rem; margin: .6rem 0; }
.card dl { margin: 0; } .card dt { font-size: .8rem; color: var(--quiet); margin-top: .5rem; }
.card dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.card .right { border-left: 3px dashed var(--right); padding-left: .5rem; }
.card .wrong { border-left: 3px solid var(--wrong); padding-left: .5rem; }
.tiny { image-rendering: pixelated; }
.halo { fill: none; stroke: #000; stroke-width: 5; stroke-opacity: .55; }
.truth { fill: none; stroke: #2bff7e; stroke-width: 2.5; stroke-dasharray: 7 4; }
.said { fill: none; stroke: #ff4d5e; stroke-width: 2.5; }
.halo, .truth, .said { vector-effect: non-scaling-stroke; }
@media print { .card { break-inside: avoid; } }
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole document; `body` is HTML already."""
    head = (
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escaped(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
    )
    return "\n".join([*head, *body, "</main>", "</body>", "</html>"]) + "\n"


def section(number: int, title: str, parts: Sequence[str]) -> str:
    """A part of the page with a heading; `contents` links to it."""
    name = f"part-{number}"
    heading = f'<h2 id="{name}-title">{escaped(title)}</h2>'
    opening = f'<section id="{name}" aria-labelledby="{name}-title">'
    return "\n".join([opening, heading, *parts, "</section>"])


def contents(titles: Sequence[str]) -> str:
    """Links to the sections."""
    links = "".join(
        f'<li><a href="#part-{number}">{escaped(title)}</a></li>'
        for number, title in enumerate(titles)
    )
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


def table_html(table: Table) -> str:
    """A table that scrolls by itself where it is too wide."""
    head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in table.head)
    rows = "\n".join(
        f'<tr><th scope="row">{escaped(row[0])}</th>'
        + "".join(f"<td>{escaped(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    kind = ' class="words"' if table.words else ""
    return (
        f"{_wide('Table', table.title)}\n"
        f"<table{kind}>\n<caption>{escaped(table.caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def figure_html(drawing: str, title: str, caption: str) -> str:
    """A plot with what it shows."""
    told = f"<figcaption>{escaped(caption)}</figcaption>"
    return f"<figure>\n{_wide('Plot', title)}\n{drawing}\n</div>\n{told}\n</figure>"


def _wide(what: str, title: str) -> str:
    """The beginning of a part that scrolls sideways, by keyboard too."""
    name = f"{what}: {escaped(title)}"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{name}">'
