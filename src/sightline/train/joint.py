"""The data of a step as all processes know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core.errors import DataError, SightlineError
from sightline.train.loop import Fed
from sightline.train.world import World


@dataclass(frozen=True, slots=True)
class JointStep:
    """One step: micro-batches of this process, and what is equal in all (see `Fed`)."""

    micro: Sequence[Any]
    state: Mapping[str, Any]
    ids: Sequence[str]
    bad: Sequence[Exception]


def joint(
    steps: Iterable[Fed], world: World, most_bad: int, state: Mapping[str, Any] | None
) -> Iterator[Fed]:
    """The steps with the ids and bad rows of all processes; alone, the steps themselves.

    Each process meets the bad rows of its own micro-batches, and all meet those that measuring
    finds: a row counts once. An error in one process is raised in every one, so that none waits.

    Raises DataError if more than `most_bad` rows are bad in all; what any process raises.
    """
    if world.size == 1:
        yield from steps
        return
    count = (state or {}).get("bad", 0)
    fed = iter(steps)
    while True:
        data, told = _next(fed)
        every = world.gathered(told)
        for one in every:
            if one.error is not None:
                raise one.error
        if data is None or any(one.ended for one in every):
            return
        bad = {str(error): error for one in every for error in one.bad}
        count += len(bad)
        if count > most_bad:
            raise _too_many(list(bad)[most_bad - count], count, most_bad)
        ids = tuple(id_ for one in every for id_ in one.ids)
        yield JointStep(data.micro, {**data.state, "bad": count}, ids, tuple(bad.values()))


@dataclass(frozen=True, slots=True)
class _Told:
    """What a process says of its part of a step: rows, or why there is none."""

    ids: tuple[str, ...] = ()
    bad: tuple[Exception, ...] = ()
    ended: bool = False
    error: SightlineError | None = None


def _next(fed: Iterator[Fed]) -> tuple[Fed | None, _Told]:
    try:
        data = next(fed, None)
    except SightlineError as error:
        return None, _Told(error=error)
    if data is None:
        return None, _Told(ended=True)
    return data, _Told(tuple(data.ids), tuple(data.bad))


def _too_many(last: str, count: int, most: int) -> DataError:
    problem = f"{count} rows are bad in all processes, {most} are allowed; the last: {last}"
    return DataError("data", problem, "mend it, or raise data.bad_rows")
