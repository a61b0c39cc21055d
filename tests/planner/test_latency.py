"""The roofline: against measured times, and as a law."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.planner.specs import QWEN2_05B, model

from sightline.core.errors import PlanError
from sightline.planner import plan
from sightline.planner.latency import bound, find_hardware, latency, step_s
from sightline.planner.measure import BANDWIDTH_SHARE, COMPUTE_SHARE, measure_cpu
from sightline.planner.published import llava
from sightline.planner.work import Work
from sightline.planner.workload import workload
from sightline.spec.hardware import HARDWARE, HardwareSpec, PeakSpec

UNIT = HardwareSpec(
    name="unit",
    title="a machine of round numbers",
    memory_bytes=10**12,
    bandwidth_bytes_per_s=1000,
    peak=PeakSpec(fp32=100, bf16=200, fp16=400),
    compute_share=0.5,
    bandwidth_share=0.25,
    source="invented",
)


def test_a_step_takes_the_longer_of_computing_and_reading():
    assert step_s(Work(300, 250), UNIT, "bf16") == 3
    assert step_s(Work(300, 1000), UNIT, "bf16") == 4
    assert step_s(Work(300, 0), UNIT, "fp32") == 6
    assert step_s(Work(300, 0), UNIT, "int8") == 3  # widened to bf16 as it is read
    assert bound(Work(300, 250), UNIT, "bf16") == "compute"
    assert bound(Work(300, 1000), UNIT, "bf16") == "memory"


def test_two_cores_were_measured_where_the_roofline_says():
    """CLIP-L/14-336 and a Qwen2-0.5B decoder in bf16 on two Zen 5 cores: packed oneDNN, eager."""
    machine = HardwareSpec(
        name="zen5",
        title="two cores",
        memory_bytes=24 * 10**9,
        bandwidth_bytes_per_s=50.6e9,
        peak=PeakSpec(fp32=450e9, bf16=950e9, fp16=60e9),
        compute_share=COMPUTE_SHARE,
        bandwidth_share=BANDWIDTH_SHARE,
        source="measured",
    )
    work = workload(model(QWEN2_05B), [(1024, 1024)], text_tokens=26, answer_tokens=64)
    times = latency(work, machine)
    assert times.encode_s == pytest.approx(0.605, rel=0.1)
    assert times.prefill_s == pytest.approx(0.703, rel=0.1)
    assert times.inter_token_s == pytest.approx(0.0269, rel=0.1)
    assert times.ttft_s == times.encode_s + times.prefill_s


def test_decoding_13b_on_every_machine_is_bound_by_memory():
    for machine in HARDWARE:
        found = latency(workload(llava("13b"), [(336, 336)], answer_tokens=100), machine)
        assert found.decode_bound == "memory"
        assert found.inter_token_s >= 25.7e9 / machine.bandwidth_bytes_per_s
        assert found.answer_s == pytest.approx(found.ttft_s + 99 * found.inter_token_s)


@given(text=st.integers(1, 500), answer=st.integers(0, 500), batch=st.integers(1, 64))
def test_more_never_costs_less(text, answer, batch):
    def times(text, answer, batch, dtype="bf16"):
        spec = llava("7b")
        return latency(
            workload(
                spec,
                [(336, 336)],
                text_tokens=text,
                answer_tokens=answer,
                batch=batch,
                dtype=dtype,
            ),
            HARDWARE[0],
        )

    base = times(text, answer, batch)
    for more in (times(text + 9, answer, batch), times(text, answer, batch + 1)):
        assert more.ttft_s >= base.ttft_s
        assert more.inter_token_s >= base.inter_token_s
    assert times(text, answer + 9, batch).requests <= base.requests
    assert times(text, answer, batch, "int4").inter_token_s <= base.inter_token_s


def test_a_model_that_does_not_fit_says_so():
    found = plan(llava("13b"), hardware="l4")
    assert not found.memory.fits and not found.latency.fits
    assert (found.latency.requests, found.latency.loaded_tokens_per_s) == (0, 0)
    assert plan(llava("13b"), hardware="l4", dtype="int4").memory.fits


def test_the_chosen_machine_comes_first_and_once():
    names = [row.hardware for row in plan(llava("7b"), hardware="a100").on_hardware]
    assert names[0] == "a100" and sorted(names) == sorted(known.name for known in HARDWARE)
    assert plan(llava("7b"), hardware=UNIT).on_hardware[0].hardware == "unit"


def test_unknown_hardware_is_refused_with_the_known_names():
    with pytest.raises(PlanError, match="h100, h200, a100, l4, rtx4090, cpu"):
        find_hardware("tpu")


def test_this_cpu_is_measured_without_importing_torch():
    code = (
        "import sys\nfrom sightline.planner.measure import measure_cpu\n"
        "found = measure_cpu()\nassert 'torch' not in sys.modules\nprint(found.to_json())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = HardwareSpec.parse(json.loads(done.stdout))
    assert found.name == "cpu" and "thread" in found.title
    assert 1e9 < found.bandwidth_bytes_per_s < 1e13
    assert all(1e9 < found.peak.of(dtype) < 1e15 for dtype in ("fp32", "bf16"))
    assert found.memory_bytes > 10**9


@pytest.mark.parametrize("python", ["/nonexistent/python", "/bin/true", "/bin/false"])
def test_a_cpu_that_cannot_be_measured_is_an_error(monkeypatch, python):
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(PlanError, match="cannot be measured"):
        measure_cpu()
