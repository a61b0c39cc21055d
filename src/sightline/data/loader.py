"""From sources to the micro-batches of every step: in a fixed order, made ahead, resumable."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from sightline.core.errors import DataError
from sightline.data.blocks import Blocks
from sightline.data.facts import check_facts, facts_of
from sightline.data.maker import RowMaker
from sightline.data.mix import Drawing, Item, Mixture, open_mixture
from sightline.data.windows import bad_rows, deal, is_measured, window_rows
from sightline.data.work import Made, Make, Measure, Work
from sightline.data.workers import Hands, Ticket, hands
from sightline.model.prepare import Measured
from sightline.spec.train import BatchSpec, DataSpec

AHEAD = 4  # micro-batches made ahead, for each worker
CHUNK = 16  # rows that are measured at a time

MicroT = TypeVar("MicroT")
PromisedT = TypeVar("PromisedT", bound="_Window | _Planned")


@dataclass(frozen=True, slots=True)
class StepData(Generic[MicroT]):
    """The data of one step.

    Attributes:
        micro: this process's micro-batches.
        state: what `Feed.steps` takes to go on after this step; goes into JSON, and is the same in
            every process but for the count of bad rows.
        ids: of the rows in `micro`.
        bad: rows that were left out since the step before, as this process met them.
    """

    micro: tuple[MicroT, ...]
    state: Mapping[str, Any]
    ids: tuple[str, ...]
    bad: tuple[DataError, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    """Rows that are dealt together; measured: their sizes to come. before, after: states."""

    items: Sequence[Item]
    measured: Sequence[Ticket]
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def sizes(self, batch: BatchSpec) -> list[Measured | DataError]:
        if not is_measured(batch):
            return [Measured(1, 0, 0, 0)] * len(self.items)
        return [size for ticket in self.measured for size in ticket.result()]

    def cancel(self) -> None:
        """Nobody will ask for it."""
        for ticket in self.measured:
            ticket.cancel()


@dataclass(frozen=True, slots=True)
class _Planned:
    """A micro-batch in the making; bad: rows of its window that are in none."""

    items: Sequence[Item]
    state: Mapping[str, Any]
    bad: Sequence[DataError]
    made: Ticket | None = None

    def cancel(self) -> None:
        """Nobody will ask for it."""
        if self.made is not None:
            self.made.cancel()


class Feed(Generic[MicroT]):
    """Micro-batches of a mixture, dealt to the processes of a run.

    The order of rows is a function of data, seed and position. How many workers there are, how
    many processes, and where a run was resumed change nothing in it. Each step takes the next
    `accumulate` micro-batches; micro-batch m of a step belongs to process m % world.

    Workers hold at most 4 finished micro-batches each ahead of training, one window of rows ahead
    is being measured (headers and words, in every process), and of each stream two blocks are in
    memory. Without workers all is done in between.

    A bad row is left out of its micro-batch, so the number of rows varies there, not the order. If
    no row of a micro-batch is good, a single process goes on without it, one of several runs its
    last good one again with zero weight (`RowMaker.silent`), or where it has had none since it
    began or was resumed, the next good one of the run.

    Raises DataError for sources that cannot be read, SpecError for batches that the model cannot
    be trained on, DataError for numbers that do not divide.
    """

    def __init__(
        self,
        data: DataSpec | Mixture,
        maker: RowMaker[MicroT],
        batch: BatchSpec,
        *,
        folder: Path = Path(),
        accumulate: int = 1,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> None:
        if accumulate % world:
            problem = f"{accumulate} micro-batches cannot be dealt evenly to {world} processes"
            raise DataError("accumulate", problem, f"give a multiple of {world}")
        maker.check(batch)
        self.mixture = data if isinstance(data, Mixture) else open_mixture(data, folder)
        self.maker, self.batch = maker, batch
        self.accumulate, self.rank, self.world = accumulate, rank, world
        self.workers = workers
        sources = tuple(entry.source for entry in self.mixture.entries)
        self._blocks = Blocks(sources, workers)
        self._hands: Hands = hands(Work(sources, maker, batch), workers)
        self._facts = facts_of(self.mixture, batch)

    @property
    def num_rows(self) -> int | None:
        """Rows of one pass; None where the data have no known end."""
        return self.mixture.num_rows

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the sources, for people."""
        return self.mixture.notes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._hands.close()
        self._blocks.close()

    def steps(self, state: Mapping[str, Any] | None = None) -> Iterator[StepData[MicroT]]:
        """The data of step after step, without end, from the first or after that of `state`.

        Raises DataError if more rows are bad than the mixture allows, naming the row that was one
        too many; for a state of other data or another order of them; and if a worker dies.
        """
        state = {} if state is None else state
        check_facts(state, self._facts)
        planned = ahead(self._making(state), AHEAD * self.workers * self.world)
        step = _Step(self, state.get("bad", 0))
        for number, one in enumerate(planned, 1):
            step.add(one)
            if number % self.accumulate == 0 and (data := step.data()) is not None:
                yield data

    def _making(self, state: Mapping[str, Any]) -> Iterator[_Planned]:
        """Planned micro-batches, those of this process being made."""
        for number, planned in enumerate(self._planned(state)):
            if number % self.accumulate % self.world != self.rank:
                yield planned
                continue
            made = self._hands.submit(Make(planned.items))
            yield _Planned(planned.items, planned.state, planned.bad, made)

    def _planned(self, state: Mapping[str, Any]) -> Iterator[_Planned]:
        drawing = Drawing.at(self.mixture, self._blocks.read, state)
        skipped: int = state.get("micro", 0)
        bad: list[DataError] = []
        for window in ahead(self._windows(drawing), 1 if self.workers else 0):
            sizes = window.sizes(self.batch)
            order = (self.mixture.seed, window.before["draw"]) if self.mixture.shuffle else ()
            dealt = deal(self.batch, sizes, *order)
            # Those of a window that was begun before have been told.
            bad += [] if skipped else bad_rows(sizes)
            for number, rows in enumerate(dealt[skipped:], skipped + 1):
                items = [window.items[row] for row in rows]
                last = number == len(dealt)
                after = window.after if last else {**window.before, "micro": number}
                yield _Planned(items, after, bad)
                bad = []
            skipped = 0
            if len(bad) > self.mixture.bad_rows:  # nothing but bad rows, perhaps without end
                yield _Planned((), window.after, bad)

    def _windows(self, drawing: Drawing) -> Iterator[_Window]:
        count = window_rows(self.batch)
        while True:
            before = drawing.state
            items = drawing.take(count)
            measured: list[Ticket] = []
            if is_measured(self.batch):
                chunks = (items[at : at + CHUNK] for at in range(0, count, CHUNK))
                measured = [self._hands.submit(Measure(chunk)) for chunk in chunks]
            yield _Window(items, measured, before, drawing.state)

    def good_after(self, state: Mapping[str, Any], bad: int) -> MicroT | None:
        """The first micro-batch after a state that has a good row, whoever trains on it. None if
        more than `bad` rows are bad before it."""
        for planned in self._planned(state):
            made: Made = self._hands.submit(Make(planned.items)).result()
            micro: MicroT | None = made.micro
            bad -= len(planned.bad) + len(made.bad)
            if micro is not None or bad < 0:
                return micro
        raise AssertionError("data have no end")

    def with_facts(self, state: Mapping[str, Any], bad: int) -> dict[str, Any]:
        """A state as it is given out."""
        return {**state, "bad": bad, **self._facts}


@dataclass
class _Step(Generic[MicroT]):
    """The step that is being put together. count: bad rows of the run so far."""

    feed: Feed[MicroT]
    count: int
    state: Mapping[str, Any] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    bad: list[DataError] = field(default_factory=list)
    spare: MicroT | None = None

    def add(self, planned: _Planned) -> None:
        """Wait for one micro-batch. Raises DataError for one bad row too many."""
        self.state = planned.state
        self._left_out(planned.bad)
        if planned.made is None:
            return
        made: Made = planned.made.result()
        self._left_out(made.bad)
        self.made.append(made)
        self.spare = self.spare if made.micro is None else made.micro

    def _left_out(self, bad: Sequence[DataError]) -> None:
        most = self.feed.mixture.bad_rows
        for error in bad:
            self.count += 1
            self.bad.append(error)
            if self.count > most:
                problem = f"{error.problem} (bad row {self.count}, {most} are allowed)"
                fix = f"{error.fix}; or raise data.bad_rows"
                raise DataError(error.field, problem, fix)

    def data(self) -> StepData[MicroT] | None:
        """The step, if it has rows; several processes always have one, to stay in step."""
        made, self.made = self.made, []
        micro = [one.micro for one in made if one.micro is not None]
        if self.feed.world > 1:
            micro += [self._silent() for one in made if one.micro is None]
        if not micro:
            return None
        bad, self.bad = tuple(self.bad), []
        ids = tuple(id_ for one in made for id_ in one.ids)
        return StepData(tuple(micro), self.feed.with_facts(self.state, self.count), ids, bad)

    def _silent(self) -> MicroT:
        if self.spare is None:
            left = self.feed.mixture.bad_rows - self.count
            self.spare = self.feed.good_after(self.state, left)
        if self.spare is None:
            problem = f"have no good row from here on within what bad_rows allows: {self.bad[-1]}"
            raise DataError("data", problem, "mend such rows; or raise data.bad_rows")
        return self.feed.maker.silent(self.spare)


def ahead(items: Iterator[PromisedT], count: int) -> Iterator[PromisedT]:
    """The same items, `count` of them already taken when one is given out; those that nobody
    fetches are cancelled."""
    held: deque[PromisedT] = deque()
    try:
        for item in items:
            held.append(item)
            if len(held) > count:
                yield held.popleft()
        while held:
            yield held.popleft()
    finally:
        for item in held:
            item.cancel()
