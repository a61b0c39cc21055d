"""Every answer is derived a second time, by brute force from the objects and the words asked."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.data.worlds.scenes import (
    COLOURS,
    KINDS,
    SHAPES,
    SIZES,
    Question,
    Scene,
    Thing,
    answer_text,
    example,
    heldout,
    questions,
    scene,
)
from sightline.data.worlds.scenes.templates import TEMPLATES


def matching(made: Scene, words: str) -> list[Thing]:
    """Objects that a noun phrase describes: 'small red crosses', 'an orange object'."""
    result = list(made.things)
    for word in words.split():
        word = word.rstrip("s") if word not in ("cross",) else word
        word = "cross" if word == "crosse" else word
        if word in ("a", "an", "object"):
            continue
        attributes: dict[str, Callable[[Thing], str]] = {
            **dict.fromkeys(SHAPES, lambda t: t.shape),
            **dict.fromkeys(COLOURS, lambda t: t.colour),
            **dict.fromkeys(SIZES, lambda t: t.size),
        }
        result = [t for t in result if attributes[word](t) == word]
    return result


def the(made: Scene, words: str) -> Thing:
    (only,) = matching(made, words)  # a referring expression is unique
    return only


def extreme(made: Scene, word: str) -> Thing:
    keys: dict[str, Callable[[Thing], float]] = {
        "leftmost": lambda t: t.x,
        "rightmost": lambda t: -t.x,
        "highest": lambda t: t.y,
        "lowest": lambda t: -t.y,
        "smallest": lambda t: t.side,
        "largest": lambda t: -t.side,
    }
    return min(made.things, key=keys[word])


def is_so(a: Thing, word: str, b: Thing) -> bool:
    return {
        "left": a.x < b.x,
        "right": a.x > b.x,
        "above": a.y < b.y,
        "up": a.y < b.y,
        "below": a.y > b.y,
        "down": a.y > b.y,
        "larger": a.side > b.side,
        "smaller": a.side < b.side,
    }[word.removesuffix(" of")]


def derived(made: Scene, q: Question) -> str:
    slots = dict(q.slots)
    kind, variant = q.template.split(".")
    yes_no = {True: "yes", False: "no"}
    if kind in ("colour", "shape", "size"):
        thing = extreme(made, slots["word"]) if "word" in slots else the(made, slots["ref"])
        return str(getattr(thing, kind))
    if kind == "count":
        return str(len(matching(made, slots.get("plural", "objects"))))
    if kind == "exists":
        return yes_no[bool(matching(made, slots["noun"]))]
    if q.template.startswith("compare.more"):
        return yes_no[len(matching(made, slots["a"])) > len(matching(made, slots["b"]))]
    if kind == "locate":
        return "{box}"
    if kind in ("caption", "dense"):
        mark = " {box}" if kind == "dense" else ""
        parts = [f"a {t.size} {t.colour} {t.shape}{mark}" for t in sorted(made.things, key=_x)]
        return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    a, b = the(made, slots["a"]), the(made, slots["b"])
    if variant == "is":
        return yes_no[is_so(a, slots["word"], b)]
    if variant == "which":
        return slots["a"] if is_so(a, slots["word"], b) else slots["b"]
    wide = abs(a.x - b.x) > abs(a.y - b.y)
    across, down = ("left" if a.x < b.x else "right"), ("above" if a.y < b.y else "below")
    return {"horizontal": across, "vertical": down, "four": across if wide else down}[variant]


def _x(thing: Thing) -> float:
    return thing.x


@pytest.fixture(scope="module")
def asked() -> list[tuple[Scene, Question]]:
    """Training and held-out questions together."""
    pairs = [(made, q) for made, many in (example(21, i, 12) for i in range(300)) for q in many]
    return pairs + [heldout(22, i) for i in range(1500)]


def test_every_answer_follows_from_the_objects(asked: list[tuple[Scene, Question]]) -> None:
    for made, q in asked:
        assert q.answer == derived(made, q), (q, made)


def test_every_template_phrase_and_kind_occurs(asked: list[tuple[Scene, Question]]) -> None:
    assert {q.template for _, q in asked} == {t.name for t in TEMPLATES}
    assert {q.kind for _, q in asked} == set(KINDS)
    assert all(len(set(t.phrases)) >= 4 for t in TEMPLATES)


def test_words_are_filled_in_and_answers_lower_case(asked: list[tuple[Scene, Question]]) -> None:
    for _, q in asked:
        assert not re.search(r"[{}]", q.text) and q.text[0].isupper()
        assert q.answer == q.answer.lower()
        assert all(value in q.text for _, value in q.slots)


def test_positions_and_sizes_are_asked_only_with_a_margin(
    asked: list[tuple[Scene, Question]],
) -> None:
    for made, q in asked:
        slots = dict(q.slots)
        if "b" not in slots or q.template.startswith("compare.more"):
            continue
        a, b = the(made, slots["a"]), the(made, slots["b"])
        if q.kind == "compare":
            assert max(a.side, b.side) >= 1.3 * min(a.side, b.side)
        else:
            assert max(abs(a.x - b.x), abs(a.y - b.y)) >= 0.1


def test_boxes_are_those_of_the_objects(asked: list[tuple[Scene, Question]]) -> None:
    for made, q in asked:
        if q.kind == "locate":
            assert q.box == the(made, dict(q.slots)["ref"]).box and q.boxes == (q.box,)
        elif q.kind == "dense":
            assert q.boxes == tuple(t.box for t in sorted(made.things, key=_x)) and q.box is None
        else:
            assert q.boxes == () and q.box is None


def test_answer_text_writes_boxes_in_order() -> None:
    def write(box: Box) -> str:
        return f"[{box.x0:.2f}]"

    made, (dense,) = example(5, 3, 1, kinds=("dense",))
    found = re.findall(r"\[(.*?)\]", answer_text(dense, write))
    assert found == [f"{t.box.x0:.2f}" for t in made.in_order()]
    _, (plain,) = example(5, 3, 1, kinds=("exists",))
    assert answer_text(plain, write) == plain.answer


def test_questions_are_different_and_reproducible() -> None:
    made = scene(9, 4)
    many = questions(made, random.Random(1), 20)
    assert many == questions(made, random.Random(1), 20)
    assert len({(q.template, q.slots) for q in many}) == len(many) == 20
    assert heldout(2, 7) == heldout(2, 7) != heldout(2, 8)
    assert {q.kind for q in questions(made, random.Random(0), 5, kinds=("exists",))} == {"exists"}


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(DataError, match="smell"):
        questions(scene(0, 0), random.Random(0), 1, kinds=("smell",))
    with pytest.raises(DataError):
        heldout(0, 0, kinds=())
