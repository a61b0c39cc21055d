"""One conversation at a time, against transformers: `python -m bench.single_stream`.

Both engines answer about the same fresh pictures in turn, each in a process of its own, from a
path and a question to greedy token ids, in bfloat16. Floors are what this machine could do at
best: bytes that a token must read over the measured bandwidth, operations over the measured peak.

Memory is the peak of resident bytes (read from /proc: Linux). It includes mapped weights, for
transformers computes on the pages of the file itself: its anonymous bytes, the figure after, hold
no weights at all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import get_args

from rich.console import Console
from rich.table import Table

from bench.engines import Memory, Name, Process, Timed
from bench.folders import TINY, VLM_A, fresh_pictures, make_folder
from sightline.families.read import read_spec
from sightline.planner.workload import Workload, workload

ENGINES: tuple[Name, ...] = get_args(Name)
QUESTION = "question {number}: what is it?"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both engines; the bar is the largest ratio of the medians that is good."""

    figure: str
    theirs: tuple[float, ...]
    ours: tuple[float, ...]
    floor: float | None = None
    bar: float | None = None

    @property
    def ratio(self) -> float:
        return median(self.ours) / median(self.theirs)

    @property
    def met(self) -> bool:
        return self.bar is None or self.ratio <= self.bar


@dataclass(frozen=True, slots=True)
class Limits:
    """What the machine reached in this run: bytes read and bfloat16 operations a second."""

    bytes_per_s: float
    flops: float


def rows(
    theirs: Sequence[Timed],
    ours: Sequence[Timed],
    memory: tuple[Memory, Memory],
    work: Workload,
    limits: Limits,
) -> list[Row]:
    """The table: times in milliseconds, memory in MB."""

    def row(figure: str, of: Callable[[Timed], float], floor: float | None = None) -> Row:
        bar = {"first token": 0.70, "per token": 0.45}.get(figure)
        return Row(figure, tuple(map(of, theirs)), tuple(map(of, ours)), floor, bar)

    encode, prefill = (1e3 * w.flops / limits.flops for w in (work.encode(), work.prefill()))
    step = 1e3 * work.decode().read_bytes / limits.bytes_per_s
    peak, anonymous = zip(*((m.peak_mb, m.anonymous_mb) for m in memory), strict=True)
    return [
        row("prepare", lambda t: t.prepare_ms),
        row("encode", lambda t: t.encode_ms, encode),
        row("prefill", lambda t: t.prefill_ms, prefill),
        row("first token", lambda t: t.ttft_ms, encode + prefill),
        row("per token", lambda t: t.step_ms, step),
        Row("peak MB", peak[:1], peak[1:], work.weight_bytes / 1e6, bar=1.1),
        Row("anonymous MB", anonymous[:1], anonymous[1:]),
    ]


def measure(folder: Path, limits: Limits, args: argparse.Namespace) -> list[Row]:
    """Both engines in turn, the first of each round changing; the first round only warms up."""
    found: dict[Name, list[Timed]] = {name: [] for name in ENGINES}
    with (
        tempfile.TemporaryDirectory() as pictures,
        Process(ENGINES[0], folder, args.threads) as theirs,
        Process(ENGINES[1], folder, args.threads) as ours,
    ):
        paths = fresh_pictures(Path(pictures), args.side)
        for number in range(-1, args.rounds):
            order = (theirs, ours) if number % 2 else (ours, theirs)
            picture, question = next(paths), QUESTION.format(number=number)
            for engine in order:
                timed = engine.answer(picture, question, args.tokens)
                print(f"{number:3} {engine.name:12} {timed}", file=sys.stderr)
                if number >= 0:
                    found[engine.name].append(timed)
        memory = theirs.memory(), ours.memory()
    first, second = found[ENGINES[0]], found[ENGINES[1]]
    check_same_prompts(first, second)
    agree = sum(a.first_ids == b.first_ids for a, b in zip(first, second, strict=True))
    print(f"{agree} of {len(first)} answers begin alike", file=sys.stderr)
    text = first[0].prompt_tokens - visual_tokens(folder, args.side)
    work = workload(
        read_spec(folder).model,
        [(args.side, args.side)],
        text_tokens=text,
        answer_tokens=args.tokens,
        dtype="bf16",
    )
    return rows(first, second, memory, work, limits)


def check_same_prompts(theirs: Sequence[Timed], ours: Sequence[Timed]) -> None:
    """Engines that read different prompts cannot be compared."""
    for a, b in zip(theirs, ours, strict=True):
        if a.prompt_tokens != b.prompt_tokens:
            raise SystemExit(f"prompts differ: {a.prompt_tokens} and {b.prompt_tokens} tokens")


def visual_tokens(folder: Path, side: int) -> int:
    work = workload(read_spec(folder).model, [(side, side)], text_tokens=0, dtype="bf16")
    return work.prompt_tokens


def machine_limits(threads: int, *, quick: bool) -> Limits:
    """Measured alone, before the engines start."""
    command = [sys.executable, "-m", "bench.limits", "--threads", str(threads)]
    small = ["--read-mb", "64", "--side", "256"] if quick else []
    done = subprocess.run([*command, *small], check=True, capture_output=True, text=True)
    return Limits(**json.loads(done.stdout))


def show(table: Sequence[Row], limits: Limits, title: str) -> None:
    console = Console()
    out = Table(title=title)
    for name in ("median (min)", *ENGINES, "ratio", "bar", "floor"):
        out.add_column(name, justify="left" if "min" in name else "right", no_wrap=True)
    for row in table:
        theirs, ours = (f"{median(x):.1f} ({min(x):.1f})" for x in (row.theirs, row.ours))
        bar = "" if row.bar is None else f"{row.bar:.2f} {'met' if row.met else 'MISSED'}"
        floor = "" if row.floor is None else f"{row.floor:.1f}"
        out.add_row(row.figure, theirs, ours, f"{row.ratio:.2f}", bar, floor)
    console.print(out)
    console.print(
        "ms, MB of 10⁶ bytes; floors from "
        f"{limits.bytes_per_s / 1e9:.1f} GB/s and {limits.flops / 1e9:.0f} GFLOP/s of this run"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="a tiny model: does it run at all")
    parser.add_argument("--folder", type=Path, help="another LLaVA folder in place of a random one")
    parser.add_argument("--side", type=int, default=1024, help="pictures are SIDE × SIDE pixels")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64, help="length of each answer")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    args = parser.parse_args(arguments)
    if args.rounds < 1 or args.tokens < 2:
        parser.error("at least one round of two tokens is needed")
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a bar is missed (a tiny model has none to meet)."""
    args = parse(arguments)
    shape = TINY if args.tiny else VLM_A
    folder = args.folder or Path("build/bench") / shape.name
    if not (folder / "config.json").exists():
        make_folder(folder, shape)
    limits = machine_limits(args.threads, quick=args.tiny)
    table = measure(folder, limits, args)
    if args.json:
        print(json.dumps([asdict(row) | {"ratio": row.ratio, "met": row.met} for row in table]))
    else:
        show(table, limits, f"{folder.name}, {args.threads} threads, {args.rounds} rounds")
    return 0 if args.tiny or all(row.met for row in table) else 1


if __name__ == "__main__":
    raise SystemExit(main())
