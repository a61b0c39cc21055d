"""What `eval` and `compare` share: which tasks, which model, and how it is asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.progress import Progress

from sightline.cli.models_asked import Model, RemoteOptions
from sightline.core.errors import DataError
from sightline.core.log import messages
from sightline.eval.asking import Asking
from sightline.eval.controls import Control, controls_named
from sightline.eval.item import Item
from sightline.eval.journal import Journal
from sightline.eval.local import LocalModel
from sightline.eval.processes import ask_in_processes
from sightline.eval.remote.model import RemoteModel
from sightline.eval.result import Result
from sightline.eval.run import run
from sightline.eval.tasks.task import Task
from sightline.eval.timing import first_token_ms

QUEUED = 8  # questions that wait for each request under way


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How a model is asked, as the command line says it."""

    media: str | None = None
    count: int | None = None
    seed: int = 0
    controls: str = "blind,swapped"
    batch: int = 32
    max_tokens: int | None = None
    evidence: bool = False
    choose: Literal["generate", "likelihood"] = "generate"
    processes: int = 1
    threads: int | None = None
    device: str = "cpu"
    dtype: str = "auto"
    timed: int = 8
    remote: RemoteOptions = field(default_factory=RemoteOptions)

    def __post_init__(self) -> None:
        for name in ("count", "max_tokens", "processes", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(name, f"is {value}", "use at least 1")
        if self.timed < 0:
            raise DataError("timed", f"is {self.timed}", "use 0 or more")

    def model(self, word: str) -> Model:
        return Model(word, self.remote, self.device, self.dtype)

    def asking(self, model: Model) -> Asking:
        """A model behind an address gets enough questions at once to keep its line busy."""
        controls, batch = controls_named(self.controls), self.batch
        if model.remote is not None:
            batch = max(batch, QUEUED * model.remote.concurrency)
        return Asking(controls, batch, self.max_tokens, self.seed, self.evidence, self.choose)


@dataclass(frozen=True, slots=True)
class Ran:
    """A result, and what it took: seconds under each control, what a server counted."""

    result: Result
    timings: Mapping[str, Any]


def ask(model: Model, task: Task, options: AskOptions, folder: Path | None) -> Ran:
    """Every question, with a bar for each control. Answers are kept in `folder`, if there is one,
    and none that is there is asked for again."""
    asking = options.asking(model)
    _check_processes(model, options.processes, folder)
    items = task.items(options.count)  # settled before a model is loaded
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    opened, began = model.opened, time.perf_counter()
    model.check(items)
    before = opened.counts if isinstance(opened, RemoteModel) else None
    with Progress(console=messages(), transient=True) as bar:
        rows = {c.name: bar.add_task(c.name, total=len(items)) for c in asking.controls}

        def done(control: Control, count: int) -> None:
            bar.advance(rows[control.name], count)

        if options.processes > 1:
            _in_processes(model, task, options, folder, done)
            done = _ignored
        seconds: dict[str, float] = {}
        watch = _Watch(seconds, done)
        journal = Journal(folder)
        result = run(
            opened, task, items, asking, journal=journal, prices=model.prices, progress=watch
        )
    timings: dict[str, Any] = {
        "seconds": time.perf_counter() - began,
        "seconds_by_control": seconds,
        "processes": options.processes,
    }
    if isinstance(opened, RemoteModel) and before is not None:
        timings["remote"] = opened.counts.since(before).as_dict()
    if isinstance(opened, LocalModel):
        timings["ttft_ms"] = first_token_ms(opened, _answered(result), options.timed)
    return Ran(replace(result, model=model.label or result.model), timings)


def _answered(result: Result) -> list[Item]:
    pairs = zip(result.items, result.said["full"], strict=True)
    return [item for item, said in pairs if said.failure is None]


def _check_processes(model: Model, processes: int, folder: Path | None) -> None:
    if processes == 1:
        return
    if model.remote is not None:
        problem = f"is {processes} for a model behind an address"
        raise DataError("processes", problem, "use --concurrency")
    if folder is None:
        raise DataError("processes", "need a folder to meet in", "give --out FOLDER")


def _ignored(control: Control, count: int) -> None:
    """Questions that other processes have told of."""


class _Watch:
    """Adds up the seconds between calls, by control."""

    def __init__(self, seconds: dict[str, float], then: Callable[[Control, int], None]) -> None:
        self.seconds, self.then, self.last = seconds, then, time.perf_counter()

    def __call__(self, control: Control, count: int) -> None:
        now = time.perf_counter()
        self.seconds[control.name] = self.seconds.get(control.name, 0.0) + now - self.last
        self.last = now
        self.then(control, count)


def _in_processes(
    model: Model,
    task: Task,
    options: AskOptions,
    folder: Path | None,
    done: Callable[[Control, int], None],
) -> None:
    assert folder is not None, "checked before"
    threads = options.threads or default_threads(options.processes)
    ask_in_processes(
        model.opening,
        task,
        options.count,
        options.asking(model),
        folder,
        processes=options.processes,
        threads=threads,
        progress=done,
    )


def default_threads(processes: int) -> int:
    """Cores shared among the processes."""
    return max(1, torch.get_num_threads() // processes)


def save_timings(folder: Path, timings: Mapping[str, Any]) -> None:
    """timings.json: a list of what each run over this folder took, which no report holds."""
    path = folder / "timings.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    path.write_text(json.dumps([*before, timings], indent=2) + "\n", encoding="utf-8")


def slug(name: str) -> str:
    """A folder's name from a task's or a model's: letters, digits, dots and dashes."""
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in Path(name).name or name)
    return kept.strip("-.") or "task"


def unique_slugs(names: Sequence[str]) -> list[str]:
    """Slugs, numbered where two would be one."""
    found: list[str] = []
    for name in names:
        own, number = slug(name), 2
        while own in found:
            own = f"{slug(name)}-{number}"
            number += 1
        found.append(own)
    return found
