"""What cannot be judged is told before a question is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.eval.rule_models import RuleModel, Shades, looks

from sightline.core.errors import DataError
from sightline.eval.asking import Asking
from sightline.eval.controls import Full
from sightline.eval.item import Answers, Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.metrics.numbers import Count
from sightline.eval.processes import ask_in_processes
from sightline.eval.run import run

ASKING = Asking((Full(),))


@dataclass(frozen=True)
class Counted:
    """Four questions; the truth of the last is no number."""

    name: str = "counted"
    max_tokens: int = 4

    @property
    def metric(self) -> Metric:
        return Count()

    def items(self, count: int | None = None) -> list[Item]:
        truths = ("1", "2", "3", "many")
        return [Item(f"row {n}", (f"How many? {n}",), Answers((t,))) for n, t in enumerate(truths)]


def test_a_truth_that_the_metric_refuses() -> None:
    model, task = RuleModel(looks), Counted()
    with pytest.raises(DataError, match="row 3: has the answer 'many', which is no number"):
        run(model, task, task.items(), ASKING)
    assert model.asked == []


def opened(folder: Path) -> RuleModel:
    def asked(words: str, picture: Any) -> str:
        (folder / "asked").touch()
        return "1"

    return RuleModel(asked)


def test_processes_tell_too(tmp_path: Path) -> None:
    work = partial(ask_in_processes, partial(opened, tmp_path), Counted(), None, ASKING, tmp_path)
    with pytest.raises(DataError, match="row 3: has the answer 'many'"):
        work(processes=2, threads=1)
    assert not (tmp_path / "asked").exists()


def test_no_questions() -> None:
    with pytest.raises(DataError, match="shades: has no questions"):
        run(RuleModel(looks), Shades(), [], ASKING)
