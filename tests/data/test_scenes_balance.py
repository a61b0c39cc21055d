"""Without the picture the words must not tell the answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import pytest

from sightline.data.worlds.scenes import SHAPES, SIZES, Question, SceneDial, example, heldout
from sightline.data.worlds.scenes.templates import TEMPLATES

BLIND = ("caption", "locate", "dense")  # answers without a short list of outcomes
LEAK = 0.05
NUM = 20_000


def outcome(q: Question) -> str:
    """The answer, with 'first' and 'second' for answers that repeat one of two names."""
    if q.template.endswith(".which"):
        return "first" if q.answer == dict(q.slots)["a"] else "second"
    return q.answer


def grouped(many: Sequence[Question]) -> dict[str, list[Question]]:
    groups: dict[str, list[Question]] = defaultdict(list)
    for q in many:
        if q.kind not in BLIND:
            groups[q.template].append(q)
    return groups


def majority(group: Sequence[Question]) -> float:
    return Counter(map(outcome, group)).most_common(1)[0][1] / len(group)


def guessed(group: Sequence[Question], clue: Sequence[Hashable]) -> float:
    """Share right when each half is guessed by the best answer per clue in the other half."""
    right = 0
    for half in (0, 1):
        votes: dict[Hashable, Counter[str]] = defaultdict(Counter)
        for i, q in enumerate(group):
            if i % 2 != half:
                votes[clue[i]][outcome(q)] += 1
                votes[None][outcome(q)] += 1
        for i, q in enumerate(group):
            if i % 2 == half:
                known = votes.get(clue[i]) or votes[None]
                right += known.most_common(1)[0][0] == outcome(q)
    return right / len(group)


def clues(group: Sequence[Question]) -> dict[str, list[Hashable]]:
    """Each slot, each word of the slots by kind, all slots together, and the phrasing."""
    result: dict[str, list[Hashable]] = {"slots": [q.slots for q in group]}
    for name in dict(group[0].slots):
        result[name] = [dict(q.slots).get(name) for q in group]
        for words in (SIZES, SHAPES):
            result[f"{name} {words}"] = [
                tuple(w for w in words if w in str(dict(q.slots).get(name))) for q in group
            ]
    return result


def check(many: Sequence[Question], slack: float) -> None:
    for name, group in grouped(many).items():
        answers = len(set(map(outcome, group)))
        most = majority(group)
        assert most <= 1 / answers + slack, (name, len(group), most, answers)
        for clue, values in clues(group).items():
            assert guessed(group, values) <= most + LEAK, (name, clue, most)


def test_heldout_questions_are_even_and_do_not_leak() -> None:
    many = [heldout(31, i)[1] for i in range(NUM)]
    assert set(grouped(many)) == {t.name for t in TEMPLATES if t.kind not in BLIND}
    check(many, slack=0.05)


def test_training_questions_are_even_and_do_not_leak() -> None:
    many = [q for i in range(NUM // 5) for q in example(32, i, 10)[1]]
    check(many, slack=0.06)


@pytest.mark.parametrize("most", [1, 3])
def test_heldout_questions_exist_for_narrow_dials(most: int) -> None:
    dial = SceneDial(max_objects=most, smallest=0.15)
    for i in range(100):
        made, _ = heldout(33, i, ("count", "colour", "exists", "size"), dial)
        assert len(made.things) <= most and all(t.size != "small" for t in made.things)
