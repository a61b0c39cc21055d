"""What fits: each maximum fits, and one more does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.planner.specs import decoder, model, vit

from sightline.core.errors import ContextOverflow, PlanError
from sightline.core.geometry import MediaSize
from sightline.planner import concurrency, fit, plan
from sightline.planner.capacity import MAX_SIDE, needed_bytes, requests, seen_at
from sightline.planner.published import llava
from sightline.planner.workload import workload

GB = 10**9


def test_llava_7b_in_24_gb():
    """Side 868 is 62 patches: 3,844 tokens beside 200 in a context of 4,096."""
    found = fit(llava("7b"), 24 * GB)
    assert found.max_side == 868
    assert found.max_context == 4096
    assert found.max_pictures == 6
    assert found.weight_bytes == 2 * 7_063_427_072
    assert found.kv_memory_bytes == 24 * GB - found.weight_bytes - found.workspace_bytes
    assert found.max_batch == found.kv_memory_bytes // (776 * 524_288)


def test_a_smaller_format_fits_more():
    formats = [fit(llava("7b"), 24 * GB, dtype=dtype) for dtype in ("bf16", "int8", "int4")]
    batches = [found.max_batch for found in formats]
    assert batches == sorted(set(batches))


@given(memory=st.integers(30_000, 3_000_000), text=st.integers(0, 60))
def test_each_maximum_fits_and_one_more_does_not(memory, text):
    spec = model(decoder(context=200), vit())
    work = workload(spec, [(28, 28)], text_tokens=text, answer_tokens=5)
    if work.weight_bytes + work.workspace_bytes > memory:
        with pytest.raises(PlanError, match="do not hold"):
            fit(spec, memory, text_tokens=text, answer_tokens=5)
        return
    found = fit(spec, memory, text_tokens=text, answer_tokens=5)
    kv = spec.language.kv_bytes
    assert found.max_batch * work.kv_bytes <= found.kv_memory_bytes
    assert (found.max_batch + 1) * work.kv_bytes > found.kv_memory_bytes
    assert kv(found.max_context) <= found.kv_memory_bytes
    assert found.max_context == 200 or kv(found.max_context + 1) > found.kv_memory_bytes

    def holds(pictures):
        more = workload(spec, [(28, 28)] * pictures, text_tokens=text, answer_tokens=5)
        return requests(more, memory) > 0

    assert found.max_pictures == 0 or holds(found.max_pictures)
    assert not holds(found.max_pictures + 1)
    assert found.max_side == 0 or requests(seen_at(work, found.max_side), memory)
    assert not requests(seen_at(work, found.max_side + 7), memory)


def test_the_search_for_a_side_ends():
    spec = model(decoder(context=2**17), vit(patch=28, image_size=112))
    assert fit(spec, 10**15, text_tokens=1, answer_tokens=1).max_side == MAX_SIDE // 28 * 28


def test_sliding_windows_hold_more():
    plain = model(decoder(context=10_000), vit())
    windowed = model(decoder({"window": 64}, context=10_000), vit())
    assert concurrency(windowed, GB, 5000) > 50 * concurrency(plain, GB, 5000)


def test_a_batch_fits_exactly_up_to_its_bytes():
    spec = model(decoder(), vit())
    work = workload(spec, [(28, 28)], text_tokens=10, batch=7)
    for spare, fits in ((0, True), (-1, False)):
        found = plan(
            spec,
            [(28, 28)],
            text_tokens=10,
            answer_tokens=0,
            batch=7,
            memory_bytes=needed_bytes(work) + spare,
        )
        assert found.memory.fits is found.latency.fits is fits
        assert found.memory.total_bytes == needed_bytes(work)


def test_pictures_in_a_context():
    assert plan(llava("7b"), text_tokens=100, answer_tokens=100).pictures_in_context == 6
    assert plan(llava("7b"), text_tokens=640, answer_tokens=0).pictures_in_context == 6
    assert plan(llava("7b"), text_tokens=641, answer_tokens=0).pictures_in_context == 5
    assert plan(llava("7b"), [], text_tokens=100).pictures_in_context is None


BAD = [
    ({"memory_bytes": -1}, "memory"),
    ({"text_tokens": 0}, "text_tokens"),
    ({"text_tokens": -1}, "text_tokens"),
    ({"text_tokens": 1.5}, "text_tokens"),
    ({"text_tokens": True}, "text_tokens"),
    ({"answer_tokens": -1}, "answer_tokens"),
    ({"images": [(0, 5)]}, "images"),
    ({"images": [(5.5, 5)]}, "images"),
    ({"images": [(5,)]}, "images"),
    ({"images": ["cat.png"]}, "images"),
    ({"images": [MediaSize(5, 5, frames=0)]}, "images"),
    ({"dtype": "int3"}, "dtype"),
]


@pytest.mark.parametrize(("changes", "field"), BAD)
def test_bad_numbers_are_refused(changes, field):
    given_ = {"memory_bytes": GB, "text_tokens": 10} | changes
    with pytest.raises(PlanError) as error:
        concurrency(model(decoder(), vit()), **given_)
    assert error.value.field == field
    assert error.value.fix


@pytest.mark.parametrize("batch", [0, -1, 2.0])
def test_a_bad_batch_is_refused(batch):
    with pytest.raises(PlanError, match="batch"):
        plan(model(decoder(), vit()), [(28, 28)], text_tokens=1, answer_tokens=1, batch=batch)


def test_a_plan_without_text_or_picture_is_refused():
    with pytest.raises(PlanError, match="neither text nor picture"):
        plan(model(decoder(), vit()), [], text_tokens=0)


def test_a_plan_beyond_the_context_is_refused():
    with pytest.raises(ContextOverflow):
        plan(llava("7b"), [(336, 336)] * 8)
