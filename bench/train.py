"""Training against transformers: `python -m bench.train`.

Both engines update the same random model on the same rows in turn, each in a process of its own:
transformers in a plain loop with bfloat16 autocast, fused AdamW and clipping, over padded rows;
Sightline padded as well, or packed where lengths are mixed. That they do the same work is checked:
the losses before the first updates agree.

FLOPs are those of the model, counted once for both by the planner: every token of the rows, forward
and backward, and logits at target tokens; padding and logits that nobody asked for are none. MFU is
their rate over the peak of matrix products measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Self

from rich.console import Console
from rich.table import Table

from bench.single_stream import Limits, machine_limits
from bench.train_engines import Case, Name, Reply, rows_of
from bench.train_rows import Row
from bench.train_shapes import SHAPES, make_folder
from sightline.families.read import read_spec
from sightline.planner.train import sample_flops
from sightline.planner.workload import workload
from sightline.spec.model import ModelSpec
from sightline.spec.train.budget import StageBudget

ENGINES: tuple[Name, ...] = ("transformers", "sightline")
AGREE = 0.02  # how far losses in bfloat16 may lie apart


@dataclass(frozen=True, slots=True)
class Amount:
    """What one round of updates computes."""

    samples: int
    targets: int
    flops: int


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds of the rounds of both engines; `first_s` is the round that warmed up and compiled."""

    title: str
    amount: Amount
    bar: float
    seconds: dict[Name, list[float]]
    first_s: dict[Name, float]

    @property
    def ratio(self) -> float:
        """Of the medians."""
        theirs, ours = (median(self.seconds[name]) for name in ENGINES)
        return theirs / ours

    @property
    def best_ratio(self) -> float:
        """Of the shortest rounds."""
        theirs, ours = (min(self.seconds[name]) for name in ENGINES)
        return theirs / ours


class Worker:
    """An engine in a process of its own, asked for a round of updates over pipes."""

    def __init__(self, name: Name, folder: Path, case: Case, threads: int) -> None:
        command = [sys.executable, "-m", "bench.train_engines", name, str(folder)]
        quiet = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        one = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.name: Name = name
        self.process = subprocess.Popen(
            [*command, json.dumps(asdict(case)), "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | quiet | one,
        )
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def round(self) -> Reply:
        print(file=self.process.stdin, flush=True)
        return Reply(**json.loads(self._read()))

    def _read(self) -> str:
        assert self.process.stdout is not None
        if not (line := self.process.stdout.readline()):
            raise RuntimeError(f"{self.name} ended with exit code {self.process.wait()}")
        return line


def measure(folder: Path, title: str, case: Case, bar: float, args: argparse.Namespace) -> Result:
    """Rounds in turn, the first of each changing; one round before them warms up."""
    seconds: dict[Name, list[float]] = {name: [] for name in ENGINES}
    with (
        Worker(ENGINES[0], folder, case, args.threads) as theirs,
        Worker(ENGINES[1], folder, case, args.threads) as ours,
    ):
        first = {worker.name: warmed(worker) for worker in (theirs, ours)}
        check_same_losses(*(reply.losses for _, reply in first.values()))
        for number in range(args.rounds):
            for worker in (theirs, ours) if number % 2 else (ours, theirs):
                seconds[worker.name].append(sum(worker.round().seconds))
                print(f"{title} {number} {worker.name} {seconds[worker.name][-1]:.2f} s",
                      file=sys.stderr)  # fmt: skip
    amount = amount_of(folder, case)
    return Result(title, amount, bar, seconds, {name: s for name, (s, _) in first.items()})


def warmed(worker: Worker) -> tuple[float, Reply]:
    began = time.perf_counter()
    reply = worker.round()
    return time.perf_counter() - began, reply


def check_same_losses(theirs: Sequence[float], ours: Sequence[float]) -> None:
    """Engines that compute other things cannot be compared."""
    for number, (a, b) in enumerate(zip(theirs, ours, strict=True)):
        if abs(a - b) > AGREE * abs(a):
            raise SystemExit(f"losses of update {number} differ: {a:.4f} and {b:.4f}")


def amount_of(folder: Path, case: Case) -> Amount:
    spec = read_spec(folder).model
    assert spec is not None
    rows = [row for update in rows_of(folder, case) for row in update]
    flops = sum(row_flops(spec, row) for row in rows)
    return Amount(len(rows), sum(row.answer for row in rows), flops)


def row_flops(spec: ModelSpec, row: Row) -> int:
    """One row forward and backward, everything trained."""
    sizes = tuple((view.size.width, view.size.height) for view in row.visual.layout.views)
    words = len(row.token_ids) - row.visual.layout.visual_tokens
    budget = StageBudget(
        name="row",
        trains=("vision", "connector", "language"),
        samples=1,
        text_tokens=words,
        target_tokens=row.answer,
        images=sizes,
        checkpointing=False,
    )
    return sample_flops(workload(spec, sizes, text_tokens=words), budget)


def show(results: Sequence[Result], limits: Limits, title: str) -> None:
    out = Table(title=title)
    for name in ("", "engine", "samples/s", "target tokens/s", "MFU", "first round, s", "ratio"):
        out.add_column(name, justify="left" if name in ("", "engine") else "right", no_wrap=True)
    for result in results:
        for name in ENGINES:
            seconds, amount = result.seconds[name], result.amount
            ratio = f"{result.ratio:.2f} ({result.best_ratio:.2f})"
            met = "met" if result.ratio >= result.bar else "MISSED"
            rates = (
                f"{amount.samples / median(seconds):.1f} ({amount.samples / min(seconds):.1f})",
                f"{amount.targets / median(seconds):.0f} ({amount.targets / min(seconds):.0f})",
                f"{amount.flops / limits.flops / median(seconds):.0%}",
            )
            said = f"{ratio}, bar {result.bar} {met}" if name == "sightline" else ""
            out.add_row(result.title, name, *rates, f"{result.first_s[name]:.1f}", said)
    console = Console(width=120)
    console.print(out)
    console.print(f"medians (best rounds); MFU of the {limits.flops / 1e9:.0f} GFLOP/s of this run")


def cases(args: argparse.Namespace) -> list[tuple[str, Case, float]]:
    """What is measured, and the least ratio that is good."""
    equal = Case("equal", args.rows, args.updates, packs=False, compiles=False)
    mixed = Case("mixed", args.rows, args.updates, packs=True, compiles=False)
    found = [("padded, eager", equal, 1.3), ("mixed, packed", mixed, 2.0)]
    if args.compile:
        compiled = Case("equal", args.rows, args.updates, packs=False, compiles=True)
        found.insert(1, ("padded, compiled", compiled, 1.3))
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="10M")
    parser.add_argument("--rows", type=int, default=32, help="rows of one update")
    parser.add_argument("--updates", type=int, default=2, help="updates of one round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--compile", action="store_true", help="compiled against compiled, too")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse(arguments)
    limits = machine_limits(args.threads, quick=args.shape == "tiny")
    with tempfile.TemporaryDirectory() as name:
        make_folder(Path(name), SHAPES[args.shape])
        results = [measure(Path(name), title, case, bar, args) for title, case, bar in cases(args)]
    if args.json:
        print(json.dumps({"limits": asdict(limits), "results": [asdict(r) for r in results]}))
    else:
        show(results, limits, f"{args.shape}, {args.rows} rows, {args.threads} threads")
    return int(args.shape != "tiny" and any(r.ratio < r.bar for r in results))


if __name__ == "__main__":
    raise SystemExit(main())
