"""What a recipe may say about training."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.tiny import merged

from sightline.core.errors import SpecError
from sightline.spec.train import ScenesSpec, StageSpec, TrainSpec

STAGE: dict[str, Any] = {"kind": "align", "data": {"kind": "scenes"}, "steps": 200}

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "pretrain"}, "kind", "pretrain"),
    ({"trains": []}, "trains", "names no part"),
    ({"trains": ["tower"]}, "trains", "tower"),
    ({"trains": ["vision", "vision"]}, "trains", "twice"),
    ({"trains": {"vision": {"how": "bitfit"}}}, "trains.vision", "bitfit"),
    ({"trains": {"vision": {"rank": 3}}}, "trains.vision.rank", "not permitted"),
    ({"trains": {"vision": {"layer_decay": 1.5}}}, "trains.vision.layer_decay", "less"),
    ({"trains": {"vision": {"how": "lora", "rank": 0}}}, "trains.vision.rank", "greater"),
    ({"steps": 0}, "steps", "greater"),
    ({"batch": 0}, "batch.rows", "greater"),
    ({"batch": {"kind": "pack", "tokens": 3}}, "batch.tokens", "greater"),
    ({"lr": 0}, "lr", "greater"),
    ({"lr": float("nan")}, "lr", "finite"),
    ({"betas": [0.9, 1.0]}, "betas.1", "less than 1"),
    ({"betas": [-0.1, 0.9]}, "betas.0", "greater"),
    ({"weight_decay": -1}, "weight_decay", "greater"),
    ({"clip": 0}, "clip", "greater"),
    ({"steps": 100}, "schedule.warmup_steps", "100 leaves nothing of 100 steps"),
    ({"schedule": {"floor": 1.1}}, "schedule.floor", "less"),
    ({"schedule": {"decay_share": 0}}, "schedule.decay_share", "greater"),
    ({"schedule": {"kind": "step"}}, "schedule.kind", "step"),
    ({"data": {"dense_share": 0.7, "caption_share": 0.4}}, "data.caption_share", "exceed 1"),
    ({"data": {"sides": []}}, "data.sides", "at least 1"),
    ({"data": {"sides": [0]}}, "data.sides.0", "greater"),
    ({"data": {"words": 3}}, "data.words", "greater"),
    ({"epochs": 3}, "steps", "stands beside epochs"),
    ({"steps": None}, "steps", "is missing"),
    ({"steps": None, "epochs": 1, "batch": {"kind": "pack", "tokens": 99}}, "epochs", "packs"),
    ({"data": {"kind": "files", "path": "a", "take": "some"}}, "data.take", "unknown"),
    ({"data": {"kind": "files", "path": "a", "dialect": "latin"}}, "data.dialect", "latin"),
    ({"data": {"kind": "mixture", "sources": []}}, "data.sources", "at least 1"),
]


@pytest.mark.parametrize(("change", "field", "says"), BAD, ids=str)
def test_what_cannot_be_trained_is_refused(change, field, says):
    with pytest.raises(SpecError) as caught:
        TrainSpec.parse({"stages": [STAGE, merged(STAGE, change)]})
    assert caught.value.field == f"stages.1.{field}" and says in caught.value.problem


def test_means_of_a_stage_that_others_follow_are_refused():
    with pytest.raises(SpecError) as caught:
        TrainSpec.parse({"stages": [STAGE | {"ema": 0.9}, STAGE]})
    assert caught.value.field == "stages.0.ema"
    assert TrainSpec.parse({"stages": [STAGE, STAGE | {"ema": 0.9}]}).stages[1].ema == 0.9


def test_a_run_has_at_least_one_stage():
    with pytest.raises(SpecError) as caught:
        TrainSpec.parse({"stages": []})
    assert caught.value.field == "stages"


UNIT = st.floats(0, 0.5)
STAGES = st.builds(
    StageSpec,
    kind=st.sampled_from(["align", "instruct"]),
    trains=st.sets(st.sampled_from(["vision", "connector", "language"]), min_size=1).map(tuple),
    data=st.builds(ScenesSpec, seed=st.integers(0, 10**9), dense_share=UNIT, caption_share=UNIT),
    steps=st.integers(101, 10**6),
    lr=st.floats(1e-9, 1),
    betas=st.tuples(UNIT, UNIT),
)


@given(st.lists(STAGES, min_size=1, max_size=3), st.sampled_from(["float32", "bfloat16"]))
def test_yaml_gives_back_the_same_recipe(stages, dtype):
    spec = TrainSpec(stages=stages, dtype=dtype)
    assert TrainSpec.from_yaml(spec.to_yaml()) == TrainSpec.from_yaml(spec.to_json()) == spec
