"""Several processes that share the questions of a task."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import torch

from sightline.core.errors import DataError, SightlineError
from sightline.eval.answerer import Answerer
from sightline.eval.asking import Asking, batches
from sightline.eval.controls import Control
from sightline.eval.journal import Journal
from sightline.eval.session import Session
from sightline.eval.tasks.task import Task

POLL_S = 0.05
Opening = Callable[[], Answerer]  # pickled by name, so a function or a method of a dataclass


def ask_in_processes(
    opening: Opening,
    task: Task,
    count: int | None,
    asking: Asking,
    folder: Path,
    *,
    processes: int,
    threads: int,
    progress: Callable[[Control, int], None] = lambda control, done: None,
) -> None:
    """Fill the journal of `folder`: process p asks every batch p, p + processes, ...

    Each opens the model itself, reads the items itself, computes with `threads` threads and
    appends to a file of its own; a run over the folder afterwards finds every answer. Raises the
    first error of a process, once all have stopped; what was answered stays.
    """
    context = multiprocessing.get_context("spawn")
    queue: SimpleQueue[Any] = context.SimpleQueue()
    given = (opening, task, count, asking, folder, processes, threads, queue)
    workers = [
        context.Process(target=_work, args=(part, *given), daemon=True) for part in range(processes)
    ]
    for worker in workers:
        worker.start()
    problems = _listened(queue, workers, progress)
    for worker in workers:
        worker.join()
    if problems:
        raise problems[0]


def _listened(
    queue: SimpleQueue[Any],
    workers: Sequence[Any],
    progress: Callable[[Control, int], None],
) -> list[SightlineError]:
    """Messages until every process has ended. One that dies without a word ends the others."""
    running, problems = len(workers), list[SightlineError]()
    while running:
        if queue.empty():
            dead = [worker for worker in workers if worker.exitcode not in (None, 0)]
            if dead and queue.empty():
                for worker in workers:
                    worker.terminate()  # it may wait for a reader that is gone
                problem = f"ended with code {dead[0].exitcode}"
                return [DataError("processes", problem, "run again: answers so far are kept")]
            time.sleep(POLL_S)
            continue
        match queue.get():
            case None:
                running -= 1
            case SightlineError() as error:
                problems.append(error)
            case (control, done):
                progress(control, done)
    return problems


def _work(
    part: int,
    opening: Opening,
    task: Task,
    count: int | None,
    asking: Asking,
    folder: Path,
    processes: int,
    threads: int,
    queue: SimpleQueue[Any],
) -> None:
    torch.set_num_threads(threads)
    try:
        items = task.items(count)
        journal = Journal(folder, f"answers-{part}")
        session = Session(opening(), task, items, asking, journal)
        for batch in batches(items, asking)[part::processes]:
            session.ask(batch)
            queue.put((batch.control, len(batch.numbers)))
    except SightlineError as error:
        queue.put(error)
    queue.put(None)
