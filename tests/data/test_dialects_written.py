"""What is written in a dialect is read back as it was; what it cannot say is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.dialect_rows import CONVERSATIONS, HERE, JUDGED, PAIRS, PROMPTS, A, answer, user

from sightline.core.errors import DataError
from sightline.core.geometry import Box, Point
from sightline.data.dialects import Context, read_row, write_row
from sightline.data.dialects.turns import joined
from sightline.data.sample import Media, MediaKind, Part, Places, Role, Sample, Text, Turn, Unit
from sightline.spec.train import Dialect

WORDS = ("\n", "\n\n", " ", "<ima", "a", "ASSISTANT:", "é", "<|im_end|>", "[1, 2]", "mage>")
MARKS = ("<image>", "<video>", "<audio>", "<bbox>", "<ref-object>")
SOURCES = (
    Path("a.png"),
    Path("in/b c.png"),
    Path("/else/c.png"),
    b"bytes",
    "data:image/png;base64,QUJD",
)


@dataclass(frozen=True)
class Says:
    """What a dialect can say, and a random sample of it."""

    kinds: tuple[MediaKind, ...] = ()
    marks: bool = True  # <image> among the words
    weights: bool = False
    tools: bool = True
    places: bool = False
    kind: str = "conversation"

    def sample(self, random: Random) -> Sample:
        turns = self.conversation(random)
        if self.places:
            turns = with_places(turns, random)
        return Sample(
            "rows:1",
            turns,
            self.rejected(turns, random) if self.kind == "preference" else None,
            random.random() < 0.5 if self.kind == "judged" else None,
            '[{"name": "f"}]' if self.tools and random.random() < 0.3 else None,
            {key: random.randrange(9) for key in ("id", "score") if random.random() < 0.5},
        )

    def words(self, random: Random) -> Text:
        pieces = (*WORDS, *MARKS) if self.marks else WORDS
        return Text("".join(random.choices(pieces, k=random.randrange(1, 6))))

    def media(self, random: Random) -> Media:
        kind = random.choice(self.kinds)
        frames = kind == "video" and random.random() < 0.3
        source = random.choices(SOURCES, k=2) if frames else random.choice(SOURCES)
        return Media(kind, source)

    def turn(self, role: Role, random: Random) -> Turn:
        """Words and media in any order; an answer has words, a question words or media."""
        shows = bool(self.kinds) and role != "system"
        makers = [self.words, self.media] if shows else [self.words]
        parts = joined(random.choice(makers)(random) for _ in range(random.randrange(6)))
        media = any(isinstance(part, Media) for part in parts)
        if not Turn(role, parts).text.strip() and not (media and role == "user"):
            parts = joined([*parts, Text("x")])
        weighs = self.weights and role == "assistant"
        return Turn(role, parts, random.choice([0.0, 0.5, 1.0, 2.0]) if weighs else 1.0)

    def conversation(self, random: Random) -> tuple[Turn, ...]:
        roles: list[Role] = ["system"] * random.randrange(2)
        roles += ["user", "assistant"] * random.randrange(1, 4)
        if self.kind == "prompt":
            roles.pop()
        return tuple(self.turn(role, random) for role in roles)

    def rejected(self, chosen: tuple[Turn, ...], random: Random) -> tuple[Turn, ...]:
        """Another answer, other pictures, or another way through the conversation."""
        last = chosen[-1]
        match random.randrange(3):
            case 0:
                return (*chosen[:-1], replace(last, parts=joined([*last.parts, Text("y")])))
            case 1:
                other = Media("image", Path("other.png"))
                swapped = tuple(
                    replace(t, parts=tuple(_other(part, other) for part in t.parts)) for t in chosen
                )
                return swapped if swapped != chosen else (*chosen, *answered("Q", "A"))
            case _:
                return (*chosen, *answered("Q", "A"))


def answered(question: str, told: str) -> tuple[Turn, Turn]:
    return user(question), answer(told)


def _other(part: Part, other: Media) -> Part:
    return other if isinstance(part, Media) and part.kind == "image" else part


def with_places(turns: tuple[Turn, ...], random: Random) -> tuple[Turn, ...]:
    """Turns that name places of their pictures."""
    media = [item for turn in turns for item in turn.media]
    images = [i for i, item in enumerate(media) if item.kind == "image"]
    unit: Unit = random.choice(["pixel", "share"])

    def place() -> Places:
        x, y = (
            sorted(random.random() * (900 if unit == "pixel" else 1) for _ in "01") for _ in "xy"
        )
        of = random.choice(images)
        if random.random() < 0.5:
            return Places((Box(x[0], y[0], x[1], y[1]),), media=of, unit=unit)
        return Places(points=(Point(x[0], y[0]),), media=of, unit=unit)

    def among(parts: tuple[Part, ...]) -> Iterator[Part]:
        for part in parts:
            if random.random() < 0.5:
                yield place()
            yield part

    return tuple(replace(t, parts=tuple(among(t.parts))) for t in turns) if images else turns


def finevision(random: Random) -> Sample:
    """Pictures first; ratings and sources, one for each pair."""
    sample = Says().sample(random)
    first, *others = [turn for turn in sample.turns if turn.role != "system"]
    pictures = [Media("image", random.choice(SOURCES)) for _ in range(random.randrange(3))]
    each = {"relevance_ratings": [4, 5, 1], "texts.source": ["a", None, "b"]}
    columns = {k: v[: (len(others) + 1) // 2] for k, v in each.items() if random.random() < 0.5}
    turns = (replace(first, parts=(*pictures, *first.parts)), *others)
    return Sample(sample.id, turns, columns={**columns, **sample.columns})


def caption(random: Random) -> Sample:
    shown = Says(("image", "video")).media(random)
    return Sample("rows:1", (user(shown), Says().turn("assistant", random)))


BOTH: tuple[MediaKind, ...] = ("image", "video")
EVERY: tuple[MediaKind, ...] = (*BOTH, "document")
WRITTEN: list[tuple[Dialect, Callable[[Random], Sample]]] = [
    ("llava", Says(BOTH, marks=False, tools=False).sample),
    ("llava", Says(("video",), marks=False, tools=False).sample),
    ("finevision", finevision),
    ("sharegpt", Says(BOTH, marks=False).sample),
    ("alpaca", Says(BOTH, marks=False).sample),
    ("llamafactory", Says(BOTH, weights=True).sample),
    ("llamafactory", Says(BOTH, weights=True, kind="preference").sample),
    ("openai", Says(EVERY, weights=True).sample),
    ("trl", Says(("image",)).sample),
    ("swift", Says(BOTH, marks=False, weights=True, places=True).sample),
    ("preference", Says(BOTH, marks=False, kind="preference").sample),
    ("preference", Says(("image",), marks=False, kind="preference").sample),
    ("kto", Says(("image",), kind="judged").sample),
    ("prompt", Says(("image",), kind="prompt").sample),
    ("caption", caption),
]


@pytest.mark.parametrize(("dialect", "make"), WRITTEN)
@given(random=st.randoms(use_true_random=True))
def test_what_is_written_is_read_back(
    dialect: Dialect, make: Callable[[Random], Sample], random: Random
) -> None:
    try:
        row = write_row(dialect, sample := make(random))
    except DataError as error:
        assert dialect == "preference" and "in the chosen conversation alone" in error.problem
        return
    assert read_row(dialect, row, Context(sample.id)) == sample
    if not any(isinstance(media.source, bytes | list) for media in _all_media(sample)):
        assert read_row(dialect, json.loads(json.dumps(row)), Context(sample.id)) == sample


def _all_media(sample: Sample) -> list[Media]:
    return [m for turn in (*sample.turns, *(sample.rejected or ())) for m in turn.media]


CASES = [*CONVERSATIONS.values(), *PAIRS.values(), *JUDGED.values(), *PROMPTS.values()]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_rows_of_other_kits_are_written_in_the_dialect_s_own_form(case: Any) -> None:
    dialect, row, _ = case
    sample = read_row(dialect, row, HERE)
    assert read_row(dialect, write_row(dialect, sample), HERE) == sample


BOXES = (user(A), answer(Places((Box(0, 0, 1, 1),))))
WEIGHED = (user("Q"), answer("A", weight=0.5))
REFUSED: dict[str, tuple[Dialect, Sample, str]] = {
    "boxes": (
        "alpaca",
        Sample("s", BOXES),
        "has boxes or points, which alpaca rows cannot say; write it as swift",
    ),
    "weights": ("trl", Sample("s", WEIGHED), "has weights of turns, which trl"),
    "tools": (
        "llava",
        Sample("s", (*WEIGHED[:1], answer("A")), tools="[]"),
        "has tools, which llava",
    ),
    "clips": (
        "trl",
        Sample("s", (user(Media("video", "c.mp4")), answer("A"))),
        "has a video, which trl",
    ),
    "rate": (
        "swift",
        Sample("s", (user(Media("video", ["a"], 2.0)), answer("A"))),
        "has a rate of frames",
    ),
    "marks": (
        "llava",
        Sample("s", (user("Is <image> a word?"), answer("A"))),
        "has a placeholder among its words",
    ),
    "marks of boxes": (
        "swift",
        Sample("s", (user("Is <bbox> a word?"), answer("A"))),
        "has a placeholder",
    ),
    "kind": ("llava", Sample("s", (user("Q"),)), "is a prompt, not a conversation"),
    "order": (
        "finevision",
        Sample("s", (user("Q", A), answer("A"))),
        "has a picture that is not at the start",
    ),
    "system": (
        "finevision",
        Sample("s", (Turn("system", (Text("S"),)), user("Q"), answer("A"))),
        "has a system message",
    ),
    "question": ("caption", Sample("s", (user(A, "Q"), answer("A"))), "has a question"),
    "turns": ("caption", Sample("s", (user(A), answer("A")) * 2), "has 4 turns"),
    "units": (
        "swift",
        Sample("s", (user(A), answer(Places((Box(0, 0, 1, 1),), unit="thousandth")))),
        "has places in thousandths",
    ),
    "several places": (
        "swift",
        Sample("s", (user(A), answer(Places((Box(0, 0, 1, 1),) * 2)))),
        "has several places in one part",
    ),
    "labels": (
        "swift",
        Sample("s", (user(A), answer(Places((Box(0, 0, 1, 1, "cup"),))))),
        "has a labelled place",
    ),
    "columns": (
        "llava",
        Sample("s", (user("Q"), answer("A")), columns={"image": 1}),
        "has a column 'image'",
    ),
    "chosen alone sees": (
        "preference",
        Sample("s", (user(A, "Q"), answer("A")), (user("Q"), answer("A"))),
        "has pictures in the chosen conversation alone",
    ),
    "document": (
        "llamafactory",
        Sample("s", (user(Media("document", "d.pdf")), answer("A"))),
        "has a document",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_said_is_refused_by_name(name: str) -> None:
    dialect, sample, said = REFUSED[name]
    with pytest.raises(DataError) as caught:
        write_row(dialect, sample)
    assert caught.value.field == "s"
    assert said in f"{caught.value.problem}; {caught.value.fix}"
