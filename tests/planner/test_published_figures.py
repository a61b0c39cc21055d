"""Figures that lessons and papers print, reproduced from published configs."""

from __future__ import annotations

import pytest
from tests.planner.specs import LLAMA_2_7B, LLAMA_31_8B, model

from sightline.core.geometry import MediaSize
from sightline.planner import concurrency, cross_attention, plan, train_plan
from sightline.planner.connectors import connector_weights
from sightline.planner.pieces import count
from sightline.planner.published import ALIGN, INSTRUCT, calibrate, lesson_runs, llava
from sightline.planner.published import published_runs as authors_runs
from sightline.planner.work import kv_bytes, parameters
from sightline.planner.workload import workload
from sightline.spec.connector import MlpSpec
from sightline.spec.train.budget import StageBudget

MIB = 2**20


@pytest.mark.parametrize(("side", "tokens"), [(224, 256), (336, 576), (448, 1024), (672, 2304)])
def test_visual_tokens_at_patch_14(side, tokens):
    assert workload(model(LLAMA_2_7B, side=side), [(1344, 896)]).layout.tokens == tokens


def test_the_plan_shows_the_same_ladder():
    sides = plan(llava("7b")).sides
    assert [(row.side, row.tokens) for row in sides] == [
        (224, 256),
        (336, 576),
        (448, 1024),
        (672, 2304),
    ]
    assert [round(row.attention) for row in sides] == [1, 5, 16, 81]


@pytest.mark.parametrize(("tokens", "mib"), [(576, 72), (1024, 128), (2304, 288)])
def test_kv_of_llama_31_8b(tokens, mib):
    spec = model(LLAMA_31_8B)
    assert kv_bytes(spec, 1, "fp16") == 131_072
    assert kv_bytes(spec, tokens, "fp16") == mib * MIB


@pytest.mark.parametrize(("tokens", "mb"), [(256, 134), (576, 302), (1024, 537), (2304, 1208)])
def test_kv_of_llama_2_7b(tokens, mb):
    spec = model(LLAMA_2_7B)
    assert kv_bytes(spec, 1, "fp16") == 524_288
    assert round(kv_bytes(spec, tokens, "fp16") / 1e6) == mb


@pytest.mark.parametrize(("pictures", "requests"), [(0, 640), (1, 297), (3, 143)])
def test_concurrent_requests_in_40000_mib(pictures, requests):
    images = [MediaSize(336, 336)] * pictures
    assert concurrency(model(LLAMA_31_8B), 40_000 * MIB, 500, images, dtype="fp16") == requests


@pytest.mark.parametrize(("width", "parameters"), [(4096, 20_979_712), (5120, 31_467_520)])
def test_two_layer_projector(width, parameters):
    assert count(connector_weights(MlpSpec(), 1024, width)) == parameters


def test_one_flamingo_layer():
    layer = cross_attention(width=8192, memory_width=1024, heads=64, head_dim=128)
    assert (layer.q, layer.k, layer.v, layer.out) == (67_108_864, 8_388_608, 8_388_608, 67_108_864)
    assert layer.total == 150_994_944
    grouped = cross_attention(width=8192, memory_width=1024, heads=64, head_dim=128, kv_heads=8)
    assert (grouped.k, grouped.q) == (layer.k // 8, layer.q)


def test_trainable_share_of_llava_13b():
    spec = llava("13b")
    align, instruct = (
        train_plan(spec, StageBudget(name="stage", trains=trains, samples=1))
        for trains in (ALIGN, INSTRUCT)
    )
    assert align.trained == 31_467_520
    assert f"{align.share:.2%}" == "0.24%"
    assert f"{instruct.share:.1%}" == "97.7%"
    # A lesson counts a projector of 21 M in 13,325 M.
    assert f"{count(connector_weights(MlpSpec(), 1024, 4096)) / 13_325e6:.2%}" == "0.16%"
    assert sum(parameters(spec)) == pytest.approx(13_325e6, rel=0.003)


def test_published_trainings_are_met_within_a_factor_of_one_and_a_half():
    """Eight A100: 3.5 to 20 hours, with one efficiency for all."""
    ratios = {run.name: run.ratio for run in calibrate(authors_runs())}
    assert len(ratios) == 6
    assert all(2 / 3 < ratio < 1.5 for ratio in ratios.values()), ratios


def test_the_lessons_recipe_is_met_within_a_factor_of_two():
    """4 h + 20 h and $384 on eight A100 at $2; each stage and the sum."""
    align, instruct = calibrate(lesson_runs())
    assert (align.published_cost + instruct.published_cost) == 384
    assert 0.5 < align.ratio < 2 and 0.5 < instruct.ratio < 2
    assert 0.75 < (align.planned_cost + instruct.planned_cost) / 384 < 1.25


def test_the_plan_prints_the_recipe_beside_the_published_one():
    assert plan(llava("13b")).recipe == calibrate(lesson_runs())
