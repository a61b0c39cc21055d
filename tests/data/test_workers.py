"""Worker processes: their errors are told, and none of them outlives the feed."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.data.feeding import MAKER, PACK, PAD, Faulty, equal, feed, mixed, taken

from sightline.core.errors import DataError
from sightline.data.loader import Feed
from sightline.data.mix import Entry, Mixture
from sightline.data.rows import ConversationMaker
from sightline.spec.train import PadSpec


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bug_ends_the_feed_as_itself(workers: int) -> None:
    """The steps before it are given out first, and a worker's traceback comes along."""
    with feed(Mixture((Entry(Faulty()),)), PadSpec(rows=1), workers) as made:
        steps = made.steps()
        assert [next(steps).ids for _ in range(4)] == [(f"faulty:{i}",) for i in range(4)]
        with pytest.raises(ZeroDivisionError, match="row 4") as caught:
            next(steps)
    notes = "".join(getattr(caught.value, "__notes__", []))
    assert ("in sample" in notes) == bool(workers)


def children() -> list[int]:
    return [process.pid or 0 for process in multiprocessing.active_children()]


def gone(pid: int) -> bool:
    """Within ten seconds."""
    for _ in range(200):
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if status == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_killed_worker_is_a_clear_error() -> None:
    with feed(mixed(), PAD, workers=2) as made:
        steps = made.steps()
        next(steps)
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        said = r"workers: process \d+ was killed by signal 9 \(SIGKILL\).*lack of memory"
        with pytest.raises(DataError, match=said):
            for _ in range(40):
                next(steps)


def test_signals_to_the_group_leave_workers_alone() -> None:
    whole = taken(feed(mixed(), PAD), 30)
    with feed(mixed(), PAD, workers=1) as made:
        steps = made.steps()
        found = [next(steps)]
        for pid in children():
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        found += [next(steps) for _ in range(29)]
    assert equal(found, whole)


def test_no_process_is_left_behind() -> None:
    left = feed(mixed(), PACK, workers=2)
    next(left.steps())
    pids = children()
    assert len(pids) == 3, "two workers, and one that reads the stream"
    left.close()
    left.close()
    assert children() == [] and all(map(gone, pids))
    forgotten = feed(mixed(), PACK, workers=1)
    next(forgotten.steps())
    pids = children()
    del forgotten
    gc.collect()
    assert all(map(gone, pids))


SCRIPT = """
import multiprocessing, sys, time
from tests.data.feeding import PAD, Shelf, feed
from sightline.data.mix import Entry, Mixture

if __name__ == "__main__":
    with feed(Mixture((Entry(Shelf("x", 9)),)), PAD, workers=1) as made:
        steps = made.steps()
        next(steps)
        print(*(p.pid for p in multiprocessing.active_children()), flush=True)
        if sys.argv[1] == "exit":
            made.__class__.__exit__ = lambda *_: None
            sys.exit(3)
        while True:
            next(steps)
"""


@pytest.mark.parametrize(("how", "code"), [("SIGKILL", -9), ("SIGINT", -2), ("exit", 3)])
def test_workers_end_with_the_training_process(how: str, code: int, tmp_path: Path) -> None:
    """Killed, interrupted with its whole group as by Ctrl-C, or left without closing."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    run = subprocess.Popen(
        [sys.executable, str(script), how],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    with run:
        assert run.stdout is not None and run.stderr is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 1
        if how == "SIGKILL":
            run.kill()
        elif how != "exit":
            os.killpg(run.pid, signal.Signals[how])
        said = run.stderr.read()
        assert run.wait(60) == code
    assert all(map(gone, pids))
    assert re.fullmatch(r"(?s)(Traceback .*KeyboardInterrupt\n)?", said), said


def test_a_maker_that_cannot_travel_is_refused() -> None:
    class Local(ConversationMaker):
        pass

    with pytest.raises(DataError, match="workers: cannot be given the data"):
        Feed(mixed(), Local(MAKER.prepare), PAD, workers=1)
    assert children() == []
