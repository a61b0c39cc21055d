"""Compare the models of recipes/eye-chart.yaml: python recipes/eye_chart_report.py [RUNS]

RUNS (runs/eye-chart) holds the runs `coarse` and `fine`. Both are asked acuity-glyphs and
acuity-objects, whose pictures are of another random stream than those of training. The figures are
drawn as docs/images/acuity.svg, and printed as a table. Needs matplotlib.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.eval.controls import Full
from sightline.eval.local import LocalModel
from sightline.eval.probes.catalogue import probe
from sightline.eval.report import Report, report
from sightline.eval.run import Asking, run
from sightline.eval.statistics import Figure

ROOT = Path(__file__).resolve().parents[1]
PLOT = ROOT / "docs" / "images" / "acuity.svg"
MODELS = {"coarse": "#b4540a", "fine": "#1f5fa8"}  # runs, and the colours of their curves
PROBES = {"acuity-glyphs": "letters (10)", "acuity-objects": "objects (6 shapes)"}
CHANCE = {"acuity-glyphs": 1 / 10, "acuity-objects": 1 / 6}
PER_LEVEL, BATCH, SEED = 300, 100, 1


@dataclass(frozen=True)
class Row:
    """One model and one probe."""

    model: str
    probe: str
    made: Report

    @property
    def smallest(self) -> Figure:
        """The height in pixels of what is read half-way from chance to all."""
        [found] = [f for f in self.made.figures["full"] if f.name.startswith("smallest")]
        return found

    @property
    def visual_tokens(self) -> float:
        """Of a picture."""
        assert self.made.took is not None and self.made.took.visual is not None
        return self.made.took.visual.mean


def ask(folder: Path) -> Iterator[Row]:
    """Both probes of every model."""
    for name in MODELS:
        model = LocalModel.open(str(folder / name / "model"))
        model.name = name
        for one in PROBES:
            task = replace(probe(one), seed=SEED)
            items = task.items(PER_LEVEL * len(task.levels))
            found = run(model, task, items, Asking(controls=(Full(),), batch=BATCH))
            yield Row(name, one, report(found))


def table(rows: list[Row]) -> str:
    """Accuracy at each height, in Markdown."""
    levels = [level for level, _ in rows[0].made.curve]
    head = ["", "tokens", *(f"{level:g} px" for level in levels), "smallest read"]
    lines = [head, ["---"] + ["--:"] * (len(head) - 1)]
    for row in rows:
        right = [f"{100 * figure.value:.1f}" for _, figure in row.made.curve]
        least = row.smallest
        shown = f"{least.value:.1f} px ({least.low:.1f} to {least.high:.1f})"
        name = f"{PROBES[row.probe]}, {row.model}"
        lines.append([name, f"{row.visual_tokens:g}", *right, shown])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(rows: list[Row], path: Path) -> None:
    """Accuracy over height, a panel for each probe; bands are 95 % intervals."""
    import matplotlib.pyplot as plt

    plt.switch_backend("svg")

    style = {"svg.hashsalt": "acuity", "svg.fonttype": "none", "font.size": 9}
    with plt.rc_context(style):
        drawn, panels = plt.subplots(1, len(PROBES), figsize=(8, 3), sharey=True)
        for panel, name in zip(panels, PROBES, strict=True):
            for row in (row for row in rows if row.probe == name):
                curve(panel, row)
            panel.axhline(100 * CHANCE[name], color="#888888", linestyle=":", label="chance")
            panel.set(title=PROBES[name], xscale="log", xlabel="height in px of the picture")
            levels = [level for level, _ in rows[0].made.curve]
            panel.set_xticks(levels, [f"{level:g}" for level in levels])
            panel.minorticks_off()
        panels[0].set(ylabel="right, %", ylim=(0, 102))
        panels[0].legend(loc="upper left", frameon=False)
        drawn.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path, metadata={"Date": None})
        plt.close(drawn)


def curve(panel: Any, row: Row) -> None:
    """One model's accuracy in per cent, with its band."""
    levels, figures = zip(*row.made.curve, strict=True)
    values, low, high = (
        [100 * getattr(figure, part) for figure in figures] for part in ("value", "low", "high")
    )
    colour = MODELS[row.model]
    panel.plot(levels, values, color=colour, marker="o", ms=3, label=row.model)
    panel.fill_between(levels, low, high, color=colour, alpha=0.2, lw=0)


def main(folder: Path = ROOT / "runs" / "eye-chart") -> None:
    rows = sorted(ask(folder), key=lambda row: list(PROBES).index(row.probe))
    plot(rows, PLOT)
    print(table(rows))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
