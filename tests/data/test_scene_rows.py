"""Training rows of generated scenes."""

from __future__ import annotations

import pytest

from sightline.core.errors import DataError
from sightline.data.scene_rows import scene_row
from sightline.spec.train import ScenesSpec

SMALL = {"sides": (32,), "words": 60}


def texts(spec: ScenesSpec, index: int, role: str) -> list[str]:
    """What one side says in a row."""
    said = [message["content"] for message in scene_row(spec, index, "percent")
            if message["role"] == role]  # fmt: skip
    return [c if isinstance(c, str) else c[-1]["text"] for c in said]


def test_a_template_stands_for_itself() -> None:
    spec = ScenesSpec(**SMALL, kinds=("relation.horizontal",), min_objects=2)
    answers = {a for index in range(40) for a in texts(spec, index, "assistant")}
    assert answers >= {"left", "right"} and not answers & {"above", "below", "yes", "no"}


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(DataError, match=r"relation\.diagonal"):
        scene_row(ScenesSpec(**SMALL, kinds=("relation.diagonal",)), 0, "percent")


def test_a_scene_that_allows_no_question_is_captioned() -> None:
    """One object stands in no relation."""
    spec = ScenesSpec(**SMALL, kinds=("relation",), max_objects=1)
    for index in range(10):
        [answer] = texts(spec, index, "assistant")
        assert answer.split()[0] in ("a", "an")


def test_every_row_has_as_many_objects_as_asked_for() -> None:
    spec = ScenesSpec(**SMALL, kinds=("count.all",), min_objects=3, max_objects=4, questions=1)
    assert {texts(spec, index, "assistant")[0] for index in range(30)} == {"3", "4"}
