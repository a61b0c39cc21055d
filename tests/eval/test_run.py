"""The runner: every question once, whatever happens in between."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.rule_models import RuleModel, Shades, looks

from sightline.core.errors import DataError
from sightline.eval.asking import Asking, batches
from sightline.eval.controls import Blind, Full, Shuffled, Swapped
from sightline.eval.item import asked_about
from sightline.eval.journal import Journal
from sightline.eval.processes import ask_in_processes
from sightline.eval.result import Result
from sightline.eval.run import failures, run
from sightline.eval.said import Said

TASK = Shades()
ITEMS = TASK.items()
ASKING = Asking((Full(), Blind(), Swapped(), Shuffled(2)), batch=3)
QUESTIONS = 4 * len(ITEMS)


def asked(model: RuleModel, folder: Path | None = None, asking: Asking = ASKING) -> Result:
    return run(model, TASK, ITEMS, asking, journal=Journal(folder))


WHOLE = asked(RuleModel(looks))


def test_a_model_that_looks_is_right_with_its_picture_alone() -> None:
    right = {name: TASK.metric.scores(ITEMS, said) for name, said in WHOLE.said.items()}
    assert {name: sum(scores) for name, scores in right.items()} == {
        "full": 20,
        "blind": 10,
        "swapped": 0,
        "shuffled 2 × 2": 20,
    }


@given(size=st.integers(1, 50))
def test_every_item_is_in_one_batch_of_each_control(size: int) -> None:
    found = batches(ITEMS, Asking(ASKING.controls, batch=size))
    for control in ASKING.controls:
        numbers = [n for batch in found if batch.control == control for n in batch.numbers]
        assert sorted(numbers) == list(range(len(ITEMS)))
    assert max(len(batch.numbers) for batch in found) <= size


@pytest.mark.parametrize("at", range(24))
@pytest.mark.parametrize("alone", [False, True])
def test_killed_at_any_question_and_resumed(tmp_path: Path, at: int, alone: bool) -> None:
    few = ITEMS[:6]
    whole = run(RuleModel(looks), TASK, few, ASKING)
    with pytest.raises(KeyboardInterrupt):
        run(RuleModel(looks, alone=alone, dies_at=at), TASK, few, ASKING, journal=Journal(tmp_path))
    second, third = RuleModel(looks, alone=alone), RuleModel(looks, alone=alone)
    assert run(second, TASK, few, ASKING, journal=Journal(tmp_path)).said == whole.said
    kept = at if alone else at // 3 * 3  # whole batches of three, or every answer
    assert len(second.asked) == 24 - kept
    assert run(third, TASK, few, ASKING, journal=Journal(tmp_path)).said == whole.said
    assert third.asked == []


@given(cut=st.floats(0, 1))
def test_a_journal_that_is_cut_anywhere_is_read_up_to_there(
    tmp_path_factory: pytest.TempPathFactory, cut: float
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    asked(RuleModel(looks), folder)
    path = folder / "answers.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data))])
    again = RuleModel(looks)
    assert asked(again, folder).said == WHOLE.said
    lost = QUESTIONS - path.read_bytes()[: int(cut * len(data))].count(b"\n")
    assert lost <= len(again.asked) + 1
    third = RuleModel(looks)
    asked(third, folder)
    assert third.asked == []


def test_a_line_that_is_no_answer_is_named(tmp_path: Path) -> None:
    asked(RuleModel(looks), tmp_path)
    with (tmp_path / "answers.jsonl").open("a") as file:
        file.write('{"key": "x"}\n')
    with pytest.raises(DataError, match=rf"answers.jsonl:{QUESTIONS + 1}: is no answer"):
        Journal(tmp_path)


@pytest.mark.parametrize("alone", [False, True])
def test_what_failed_is_asked_again_where_it_may_be_answered_now(
    tmp_path: Path, alone: bool
) -> None:
    """A server may answer the next time; what a model here cannot take it will not take later."""
    hard = ITEMS[4].question
    first = asked(RuleModel(looks, alone=alone, fails=frozenset({hard})), tmp_path)
    assert failures(first.said["full"]) == {"time-out": 1}
    assert [said.failure is None for said in first.said["full"]].index(False) == 4
    second = RuleModel(looks, alone=alone)
    again = asked(second, tmp_path)
    assert (again.said == WHOLE.said) == alone and (again.said == first.said) != alone
    assert second.asked == ([hard] * 4 if alone else [])


def test_no_answer_at_all_is_an_error() -> None:
    every = frozenset(item.question for item in ITEMS)
    with pytest.raises(DataError, match=r"shades: has no answer to any of 20 questions \(time-out"):
        asked(RuleModel(looks, fails=every))


@pytest.mark.parametrize(
    "other",
    [
        {"identity": {"weights": "others"}},
        {"asking": Asking(ASKING.controls, batch=3, max_tokens=5)},
    ],
)
def test_a_question_asked_otherwise_is_another(tmp_path: Path, other: dict[str, Any]) -> None:
    asked(RuleModel(looks), tmp_path)
    model = RuleModel(looks, identity=other.get("identity", {"weights": "rule"}))
    asked(model, tmp_path, other.get("asking", ASKING))
    assert len(model.asked) == QUESTIONS


def open_rule(marks: Path) -> RuleModel:
    """Leaves a mark for each process that opens it."""
    (marks / str(multiprocessing.current_process().pid)).touch()
    return RuleModel(looks)


def open_nothing() -> RuleModel:
    raise DataError("model", "is not here", "bring it")


def test_processes_answer_together_what_one_answers_alone(tmp_path: Path) -> None:
    journal, marks = tmp_path / "journal", tmp_path / "marks"
    journal.mkdir()
    marks.mkdir()
    done = list[int]()
    ask_in_processes(
        partial(open_rule, marks),
        TASK,
        None,
        ASKING,
        journal,
        processes=2,
        threads=1,
        progress=lambda control, number: done.append(number),
    )
    assert sum(done) == QUESTIONS
    assert len([*marks.iterdir()]) == 2
    assert sorted(p.name for p in journal.iterdir()) == ["answers-0.jsonl", "answers-1.jsonl"]
    idle = RuleModel(looks)
    assert asked(idle, journal).said == WHOLE.said
    assert idle.asked == []


def test_an_error_in_a_process_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="model: is not here"):
        ask_in_processes(open_nothing, TASK, None, ASKING, tmp_path, processes=2, threads=1)


class Weighing(RuleModel):
    """Shows probabilities."""

    def evidence(self, conversation: Any, said: Said) -> float:
        return 0.0

    def option_log_p(self, conversation: Any, options: Sequence[str]) -> list[float]:
        return [0.0] * len(options)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(DataError, match="batch: is 0"):
        Asking(batch=0)
    with pytest.raises(DataError, match="controls: do not begin with full"):
        Asking((Blind(),))
    with pytest.raises(DataError, match="evidence: rule shows no probabilities"):
        asked(RuleModel(looks), asking=Asking(evidence=True))
    with pytest.raises(DataError, match="choose: rule shows no probabilities"):
        asked(RuleModel(looks), asking=Asking(choose="likelihood"))
    with pytest.raises(DataError, match="0/bright: has no options to choose from"):
        asked(Weighing(looks), asking=Asking(choose="likelihood"))
    with pytest.raises(DataError, match="evidence: is of answers that are generated"):
        asked(Weighing(looks), asking=Asking(choose="likelihood", evidence=True))


def test_answers_are_kept_as_plain_json(tmp_path: Path) -> None:
    asked(RuleModel(looks), tmp_path)
    lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert len(lines) == QUESTIONS
    assert {json.loads(line)["said"]["text"] for line in lines} == {"yes", "no"}


@dataclass
class Crowded(RuleModel):
    """What it says depends on how many are asked with it, as rounding might have it."""

    def answers(self, conversations: Sequence[Any], **how: Any) -> list[Said]:
        found = super().answers(conversations, **how)
        return [replace(one, text=f"{one.text} {len(conversations)}") for one in found]


@pytest.mark.parametrize("size", [2, 3])
def test_equal_questions_in_different_batches_are_not_mistaken(tmp_path: Path, size: int) -> None:
    """Without their pictures the seven questions are one and the same."""
    items = [replace(ITEMS[0], key=str(n), parts=(*ITEMS[2 * n].parts[:1], "Is it?"))
             for n in range(7)]  # fmt: skip
    asking = Asking((Full(), Blind()), batch=size)
    whole = run(Crowded(looks), TASK, items, asking)
    assert len({said.text for said in whole.said["blind"]}) == 2
    assert run(Crowded(looks), TASK, items, asking, journal=Journal(tmp_path)).said == whole.said
    idle = Crowded(looks)
    assert run(idle, TASK, items, asking, journal=Journal(tmp_path)).said == whole.said
    assert idle.asked == []


def test_what_was_answered_before_the_run_had_to_end_is_kept(tmp_path: Path) -> None:
    """A model that is asked one by one, and cannot go on after five answers."""
    with pytest.raises(KeyboardInterrupt):
        asked(RuleModel(looks, alone=True, dies_at=5), tmp_path, Asking((Full(),), batch=20))
    assert len(Journal(tmp_path).said) == 5


def test_a_picture_that_cannot_be_opened_is_a_failure_of_its_question(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    items = [ITEMS[0], replace(ITEMS[1], parts=asked_about(broken, "Is it?")), ITEMS[2]]
    model = RuleModel(lambda words, picture: "yes")
    result = run(model, TASK, items, Asking((Full(), Shuffled(2)), batch=3))
    assert failures(result.said["shuffled 2 × 2"]) == {"Picture": 1}
    assert result.said["shuffled 2 × 2"][2].failure is None


def test_a_control_that_has_nothing_to_do_is_told_of_before_anything_is_asked() -> None:
    model = RuleModel(looks)
    with pytest.raises(DataError, match="cannot be swapped"):
        run(model, TASK, ITEMS[:1], Asking((Full(), Swapped())))
    assert model.asked == []


def test_a_process_that_dies_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="processes: ended with code 1"):
        ask_in_processes(open_dying, TASK, None, ASKING, tmp_path, processes=2, threads=1)


def open_dying() -> RuleModel:
    raise RuntimeError("out of memory, say")


def test_half_a_character_is_kept_too(tmp_path: Path) -> None:
    """A server may cut a pair of surrogates in two."""
    half = RuleModel(lambda words, picture: "\ud83d oops")
    whole = asked(half, tmp_path)
    assert asked(RuleModel(looks), tmp_path).said == whole.said
