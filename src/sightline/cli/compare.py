"""`sightline compare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from sightline.cli.asking import AskOptions, ask, save_timings, unique_slugs
from sightline.cli.evaluate import rich_table
from sightline.cli.folders import writable
from sightline.cli.models_asked import Model, check_used
from sightline.cli.tasks import tasks_named
from sightline.core.errors import DataError
from sightline.core.log import output
from sightline.eval.compare import (
    Comparison,
    Timing,
    compare,
    comparison_json,
    write_comparison,
)
from sightline.eval.compare.tables import tables
from sightline.eval.report import write_report
from sightline.eval.result import Result
from sightline.eval.tasks.task import Task


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What the command line was given."""

    models: Sequence[str]
    tasks: Sequence[str]
    asking: AskOptions
    out: Path | None
    as_json: bool


def compare_command(options: CompareOptions) -> None:
    """Ask every model every task, print the comparisons, save them if asked."""
    if len(options.models) < 2:
        raise DataError("models", "are too few to compare", "name two or more")
    models = [options.asking.model(word) for word in options.models]
    if len({model.called for model in models}) < len(models):
        raise DataError("models", "name one twice", "name each once, or give labels: a=MODEL")
    check_used(models, options.asking.remote)
    _one_key(models, options.asking.remote.key_env)
    for model in models:
        model.find()
    tasks = tasks_named(options.tasks, options.asking.media, options.asking.seed)
    if options.out is not None:
        writable(options.out)
    made = compared(models, tasks, options)
    if options.as_json:
        found = [json.loads(comparison_json(one)) for one in made]
        output().print_json(json.dumps(found[0] if len(found) == 1 else found))
        return
    for one in made:
        show(one)


def _one_key(models: Sequence[Model], key_env: str | None) -> None:
    """One key is for one server."""
    hosts = {m.remote.host for m in models if m.remote and m.remote.key_env == key_env}
    if key_env is not None and len(hosts) > 1:
        problem = f"would send one key to {', '.join(sorted(hosts))}"
        raise DataError("key_env", problem, "describe each model in a YAML file of its own")


def compared(
    models: Sequence[Model], tasks: Sequence[Task], options: CompareOptions
) -> list[Comparison]:
    """Models one after the other; each is asked every task, and then let go."""
    results: list[list[Result]] = [[] for _ in tasks]
    timings: list[dict[str, Timing]] = [{} for _ in tasks]
    names = unique_slugs([model.called for model in models])
    folders = [_folder(options.out, name) for name in unique_slugs([t.name for t in tasks])]
    for model, short in zip(models, names, strict=True):
        for at, (task, folder) in enumerate(zip(tasks, folders, strict=True)):
            within = _folder(folder, short)
            ran = ask(model, task, options.asking, within)
            results[at].append(ran.result)
            if "ttft_ms" in ran.timings:
                timings[at][ran.result.model] = Timing(tuple(ran.timings["ttft_ms"]))
            if within is not None:
                write_report(within, ran.result)
                save_timings(within, ran.timings)
        model.close()
    made = [compare(*pair) for pair in zip(results, timings, strict=True)]
    for folder, comparison in zip(folders, made, strict=True):
        if folder is not None:
            write_comparison(folder, comparison)
    return made


def _folder(parent: Path | None, name: str) -> Path | None:
    return None if parent is None else writable(parent / name)


def show(made: Comparison) -> None:
    """Tables, what else has to be known, and the sentences."""
    console = output()
    console.print(Text(f"{made.task}: {made.metric}", style="bold"))
    for table in tables(made):
        console.print(rich_table(table))
    for line in (*made.notes, *made.sentences):
        console.print(Text(line), soft_wrap=True)
