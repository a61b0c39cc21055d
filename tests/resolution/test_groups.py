"""Who sees whom in both directions, as data."""

from __future__ import annotations

import pytest
from tests.resolution.specs import model

from sightline.resolution.groups import ALONE, Groups, groups
from sightline.spec import CrossAttentionSpec, FixedSpec, InterleaveSpec, ModelSpec

RUNS = [(1, 3), (4, 7)]


def spec(mask: str) -> ModelSpec:
    return model(FixedSpec(size=28)).model_copy(update={"fusion": InterleaveSpec(mask=mask)})


@pytest.mark.parametrize("prompt", [0, 5, 9])
def test_a_prompt_is_one_group_beyond_windows(prompt: int) -> None:
    found = groups(spec("prefix"), 9, prompt, RUNS)
    assert found == Groups((0,) * prompt + (ALONE,) * (9 - prompt), in_window=False)


def test_each_run_of_a_picture_is_a_group_within_windows() -> None:
    found = groups(spec("media"), 9, 9, RUNS)
    assert found == Groups((-1, 0, 0, -1, 1, 1, 1, -1, -1), in_window=True)


def test_without_pictures_nothing_sees_itself() -> None:
    assert groups(spec("media"), 9, 9, []) is None


def test_causal_needs_no_groups() -> None:
    assert groups(spec("causal"), 9, 9, RUNS) is None
    crossing = spec("causal").model_copy(
        update={"fusion": CrossAttentionSpec.model_construct(layers=(0,))}
    )
    assert groups(crossing, 9, 9, RUNS) is None
