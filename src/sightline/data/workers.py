"""Worker processes: tasks in, results in the order in which they are asked for.

Workers are started from a fork server (or anew, where there is none), never as a copy of the
training process: that has threads, whose locks a copy would inherit locked, and a device that it
could not use. A script that trains with workers therefore needs `if __name__ == "__main__":`, as
with any such process. Each worker has a pipe of its own. It ends when the pipe does, so none is
left behind when the training process is killed; it ignores the signals that a terminal or a
scheduler sends to the whole group, so that the training process can still write its checkpoint.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, Protocol

import torch

from sightline.core.errors import DataError
from sightline.data.payload import receive, send

Job = Callable[[Any], Any]
PRELOADED = "sightline.data.work"  # what the fork server imports once for all workers


class Ticket(Protocol):
    """A result to come."""

    def result(self) -> Any:
        """Wait for it. Raises what the task raised."""

    def cancel(self) -> bool:
        """Give up on it."""


class Hands(Protocol):
    """Who works on tasks."""

    def submit(self, task: object) -> Ticket: ...
    def close(self) -> None: ...


class Later:
    """A task that is done here when its result is asked for."""

    def __init__(self, job: Job, task: object) -> None:
        self.job, self.task = job, task

    def result(self) -> Any:
        return self.job(self.task)

    def cancel(self) -> bool:
        return True


class Inline:
    """No workers: this process does each task when its result is asked for."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def submit(self, task: object) -> Later:
        return Later(self.job, task)

    def close(self) -> None:
        """Nothing is open."""


class Pool:
    """`workers` processes with a copy of `job` each; the next free one takes the next task.

    Raises DataError for a job that cannot be sent to another process. A task's own exception is
    raised where its result is asked for, with the worker's traceback as a note; DataError if the
    worker dies. Close it, or use it as a context: what is not begun by then is left.
    """

    def __init__(self, job: Job, workers: int) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], object] | None] = queue.SimpleQueue()
        context = _context()
        processes: list[BaseProcess] = []
        # Before the first starts, so that none outlives a start that fails half way.
        self._end = Finalize(self, _end, (processes, self._tasks), exitpriority=100)
        for number in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, job), name=f"rows {number}", daemon=True
            )
            try:
                process.start()
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                self.close()
                fix = "define its classes at the top of a module, or set workers: 0"
                raise DataError("workers", f"cannot be given the data: {error}", fix) from error
            theirs.close()
            processes.append(process)
            threading.Thread(target=_attend, args=(ours, process, self._tasks), daemon=True).start()

    def submit(self, task: object) -> Future[Any]:
        """Hand in a task. What waits is bounded by who submits."""
        future: Future[Any] = Future()
        self._tasks.put((future, task))
        return future

    def close(self) -> None:
        """End the processes at once; they keep nothing."""
        self._end()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hands(job: Job, workers: int) -> Hands:
    """`workers` processes, or this one."""
    return Pool(job, workers) if workers else Inline(job)


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    return context


def _end(
    processes: Sequence[BaseProcess],
    tasks: queue.SimpleQueue[tuple[Future[Any], object] | None],
) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
        tasks.put(None)


def _attend(
    pipe: Connection,
    process: BaseProcess,
    tasks: queue.SimpleQueue[tuple[Future[Any], object] | None],
) -> None:
    """A thread for each worker: hands it the next task and takes its result."""
    dead: DataError | None = None
    while (taken := tasks.get()) is not None:
        future, task = taken
        if not future.set_running_or_notify_cancel():
            continue
        try:
            if dead is not None:
                raise dead
            pipe.send(task)
            good, result = receive(pipe)
        except (EOFError, OSError):
            dead = _death(process)
            future.set_exception(dead)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result) if good else future.set_exception(result)
    pipe.close()


def _death(process: BaseProcess) -> DataError:
    process.join(timeout=5)
    code = process.exitcode
    if code is not None and code < 0:
        how = f"was killed by signal {-code} ({signal.Signals(-code).name})"
        fix = "SIGKILL is often a lack of memory: lower workers or the batch; then resume"
    else:
        how = f"ended with code {code}"
        fix = 'its output says why; a script needs `if __name__ == "__main__":` around training'
    return DataError("workers", f"process {process.pid} {how}", fix)


def _serve(pipe: Connection, job: Job) -> None:
    """The life of a worker."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            try:
                outcome = True, job(task)
            except Exception as error:
                outcome = False, _portable(error)
            send(pipe, outcome)


def _portable(error: Exception) -> Exception:
    """The error with its traceback as a note, as an exception that can be sent."""
    told = traceback.format_exc()
    try:
        error.add_note(f"in a worker process:\n{told}")
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__} in a worker process:\n{told}")
