"""Tasks by the names that the command line gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sightline.core.errors import DataError, FamilyError
from sightline.eval.probes.catalogue import PROBES, probe
from sightline.eval.tasks.catalogue import BENCHMARKS, benchmark
from sightline.eval.tasks.matching import MATCHING, MatchingTask
from sightline.eval.tasks.plain import PlainTask, is_plain
from sightline.eval.tasks.rows import RowsTask
from sightline.eval.tasks.scenes import ScenesTask
from sightline.eval.tasks.task import Task
from sightline.families.pairs import read_pair
from sightline.hub.find import find
from sightline.weights.convert import with_safetensors


def is_pair(model: str) -> bool:
    """Whether a folder or hub id holds a pair of towers."""
    if model == "tiny":
        return False
    try:
        read_pair(with_safetensors(find(model)))
    except FamilyError:
        return False
    return True


def matching_tasks(words: Sequence[str]) -> list[MatchingTask]:
    """Tasks of a pair: NAME=FOLDER each. Raises DataError."""
    known = ", ".join(one.name for one in MATCHING)
    found = []
    for word in words:
        name, equals, path = word.partition("=")
        chosen = next((one for one in MATCHING if one.name == name), None)
        if chosen is None or not equals:
            problem = f"{word!r} is nothing that a pair of towers can be asked"
            raise DataError("task", problem, f"use NAME=FOLDER with one of {known}")
        found.append(chosen.open(_there(word, Path(path))))
    return found


def tasks_named(words: Sequence[str], media: str | None, seed: int) -> list[Task]:
    """`scenes`, `probes` (all of them), a probe's name, NAME=FOLDER of a benchmark, or the path of
    a file of questions. Raises DataError for anything else."""
    found: list[Task] = []
    for word in words:
        if word == "probes":
            found += [replace(one, seed=seed) for one in PROBES]
        else:
            found.append(_named(word, media, seed))
    if media is not None and not any(isinstance(task, RowsTask) for task in found):
        problem = "belongs to files of conversations, and none is asked"
        raise DataError("media", problem, "leave it out")
    return found


def _named(word: str, media: str | None, seed: int) -> Task:
    if word == "scenes":
        return ScenesTask(seed=seed)
    if word in {one.name for one in PROBES}:
        return replace(probe(word), seed=seed)
    name, equals, path = word.partition("=")
    if equals and not Path(word).exists():
        return _benchmark(name, Path(path), seed)
    if not (Path(word).suffix or Path(word).exists()):
        known = ", ".join(["scenes", "probes", *(one.name for one in PROBES)])
        fix = f"use {known}, BENCHMARK=FOLDER, or the path of a file of questions"
        raise DataError("task", f"{word!r} is unknown", fix)
    if media is None and is_plain(Path(word)):
        return PlainTask(Path(word), seed)
    return RowsTask(word, media, seed)


def _there(word: str, path: Path) -> Path:
    if not path.exists():
        raise DataError(word, "is not there", "give the folder or file of its rows")
    return path


def _benchmark(name: str, path: Path, seed: int) -> Task:
    if name in {one.name for one in BENCHMARKS}:
        return benchmark(name).open(_there(f"{name}={path}", path), seed)
    if name in {one.name for one in MATCHING}:
        raise DataError("task", f"{name} is for pairs of towers", "give the folder of a pair")
    known = ", ".join(one.name for one in BENCHMARKS)
    raise DataError("task", f"{name!r} is no benchmark", f"use one of {known}")
