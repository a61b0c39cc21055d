"""What a run found, in figures, words, tables, plots and pictures.

    made = write_report(folder, result)     # report.json, report.md, report.html, items.jsonl
    made.sentence                           # "17.2 points of 61.4 come from the picture (...)."
    made.headline.value                     # 0.614

Nothing in these files depends on when or where they were made.
"""

from sightline.eval.report.build import report
from sightline.eval.report.facts import (
    Asked,
    Cost,
    Gap,
    Majority,
    Report,
    Spread,
    Took,
)
from sightline.eval.report.html import as_html
from sightline.eval.report.markdown import as_markdown
from sightline.eval.report.plain import as_json, items_jsonl
from sightline.eval.report.save import write_report

__all__ = [
    "Asked",
    "Cost",
    "Gap",
    "Majority",
    "Report",
    "Spread",
    "Took",
    "as_html",
    "as_json",
    "as_markdown",
    "items_jsonl",
    "report",
    "write_report",
]
