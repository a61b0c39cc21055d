"""The same questions asked of several models, in one table: quality with its uncertainty, and what
it takes in tokens, memory, time and money.

    made = compare([result_a, result_b], {"a": Timing(ttft_ms=(61.0, 58.2)), "b": ...})
    made.sentences      # "a, 576 tokens: 61.2 ± 1.1; b, 144 tokens: 60.4 ± 1.1, 3.1 × faster ..."
    write_comparison(folder, made)      # compare.json, compare.md, compare.html
"""

from sightline.eval.compare.build import compare, holm
from sightline.eval.compare.facts import Against, Comparison, Row, Speed, Timing
from sightline.eval.compare.render import (
    comparison_html,
    comparison_json,
    comparison_markdown,
    write_comparison,
)

__all__ = [
    "Against",
    "Comparison",
    "Row",
    "Speed",
    "Timing",
    "compare",
    "comparison_html",
    "comparison_json",
    "comparison_markdown",
    "holm",
    "write_comparison",
]
