"""Turns in the making, and the checks that every dialect's conversation goes through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sightline.data.dialects.context import Context
from sightline.data.sample import Media, Part, Places, Role, Text, Turn

# What a conversation must end with.
Ends = Literal["answer", "question"]


class Said(NamedTuple):
    """A turn, and the place of the row that says it."""

    place: str
    turn: Turn


def said(place: str, role: Role, parts: Iterable[Part], weight: float = 1.0) -> Said:
    """A turn without empty words, neighbouring words joined."""
    return Said(place, Turn(role, joined(parts), weight))


def joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts with neighbouring words as one, empty words left out."""
    out: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and out and isinstance(out[-1], Text):
            out[-1] = Text(out[-1].text + part.text)
        elif part != Text(""):
            out.append(part)
    return tuple(out)


def essence(turns: Iterable[Turn]) -> list[Any]:
    """What turns say, in values that can be compared: arrays and pictures by their identity."""
    return [(turn.role, turn.weight, [comparable(part) for part in turn.parts]) for turn in turns]


def comparable(part: Part) -> Any:
    """A part in values that can be compared."""
    if isinstance(part, Media):
        return part.kind, _identity(part.source), part.fps
    return part


def _identity(source: object) -> Any:
    if isinstance(source, list | tuple):
        return [_identity(frame) for frame in source]
    return source if isinstance(source, str | bytes | Path) else id(source)


def role_of(value: object, roles: Mapping[str, Role], place: str, context: Context) -> Role:
    """Our role for a name of the dialect. Raises DataError for one that it does not know."""
    if isinstance(value, str) and value in roles:
        return roles[value]
    raise context.wrong(place, f"{value!r:.40} is unknown", f"use one of {', '.join(roles)}")


def weight_of(value: object, role: Role, place: str, context: Context) -> float:
    """What a message's loss counts. Only answers have one: others may say 0 or nothing."""
    if value is None:
        return 1.0
    if not isinstance(value, int | float) or not 0 <= value < 1e300:
        raise context.wrong(place, f"is {value!r:.40}", "give a number from 0 up, or true or false")
    if role == "assistant":
        return float(value)
    if value:
        problem = f"asks for a loss on a {role} message"
        raise context.wrong(place, problem, "only answers are learned: remove it")
    return 1.0


def system_first(system: str | None, turns: Sequence[Said], context: Context) -> list[Said]:
    """Turns behind the system prompt that a field of the row holds."""
    if system is None or not system.strip():
        return list(turns)
    if turns and turns[0].turn.role == "system":
        raise context.wrong("system", "is given beside a system message", "keep one of the two")
    return [said("system", "system", [Text(system)]), *turns]


def media_first(media: Sequence[Media], turns: Sequence[Said], gap: str = "") -> list[Said]:
    """Turns with media before the words of the first question."""
    first = next((i for i, (_, turn) in enumerate(turns) if turn.role == "user"), None)
    if first is None or not media:
        return list(turns)
    place, turn = turns[first]
    parts = [*media, Text(gap), *turn.parts]
    changed = Said(place, replace(turn, parts=joined(parts)))
    return [*turns[:first], changed, *turns[first + 1 :]]


def settled(
    turns: Sequence[Said], context: Context, place: str, ends: Ends = "answer"
) -> tuple[Turn, ...]:
    """The conversation: a system message or none, then question and answer by turns.

    Raises DataError for no turns, a turn without content, an answer without words, a system message
    that is not the first, two turns of one role in a row, and a wrong end.
    """
    if not turns:
        raise context.wrong(place, "is empty", "give at least one message, or leave the row out")
    for i, (where, turn) in enumerate(turns):
        _check_content(where, turn, context)
        if turn.role == "system" and i:
            raise context.wrong(where, "is a system message after the first turn", "put it first")
    spoken = [item for item in turns if item.turn.role != "system"]
    if not spoken or spoken[0].turn.role != "user":
        where = spoken[0].place if spoken else place
        raise context.wrong(where, "does not start with a question", "give the question it answers")
    for (_, before), (where, turn) in pairwise(spoken):
        if before.role == turn.role:
            problem = f"is the second {turn.role} turn in a row"
            raise context.wrong(where, problem, "join the two, or give what was said between")
    _check_end(spoken[-1], context, ends)
    return tuple(turn for _, turn in turns)


def _check_content(where: str, turn: Turn, context: Context) -> None:
    if any(isinstance(part, Places) for part in turn.parts) or turn.text.strip():
        return
    if turn.role == "assistant":
        raise context.wrong(where, "is an empty answer", "give its words, or leave the row out")
    if not turn.media:
        problem = f"is an empty {turn.role} message"
        raise context.wrong(where, problem, "give its words, or remove the message")


def _check_end(last: Said, context: Context, ends: Ends) -> None:
    if ends == "answer" and last.turn.role != "assistant":
        fix = "give the answer, or name the dialect `prompt` for rows that only ask"
        raise context.wrong(last.place, "is a question without an answer", fix)
    if ends == "question" and last.turn.role != "user":
        raise context.wrong(last.place, "answers in a row that only asks", "remove the answer")
