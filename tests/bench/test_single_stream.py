"""The bench itself: that it runs both engines, and that its arithmetic is right."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench.engines import Clock, Memory, Timed
from bench.folders import VLM_A, fresh_pictures
from bench.limits import best_s
from bench.single_stream import Limits, Row, check_same_prompts, main, rows
from PIL import Image
from tests.helpers.tiny import tiny_spec

from sightline.planner.workload import workload

ROOT = Path(__file__).resolve().parents[2]
SLOW = Timed(
    prompt_tokens=7,
    prepare_ms=10,
    encode_ms=200,
    prefill_ms=290,
    ttft_ms=500,
    step_ms=40,
    first_ids=[1, 2],
)
FAST = replace(SLOW, prepare_ms=5, encode_ms=100, prefill_ms=145, ttft_ms=250, step_ms=18)


def table(theirs, ours, peaks=(2000, 2100)):
    work = workload(tiny_spec(), [(8, 8)], text_tokens=3, answer_tokens=2, dtype="bf16")
    memory = Memory(peaks[0], 300), Memory(peaks[1], 1900)
    found = rows(theirs, ours, memory, work, Limits(bytes_per_s=1e9, flops=1e9))
    return {row.figure: row for row in found}, work


def test_ratios_are_of_medians_and_bars_are_those_of_the_project():
    noisy = replace(FAST, ttft_ms=9000, step_ms=900)
    found, _ = table([SLOW] * 3, [FAST, noisy, FAST])
    assert {name: (row.ratio, row.bar) for name, row in found.items() if row.bar} == {
        "first token": (0.5, 0.70),
        "per token": (0.45, 0.45),
        "peak MB": (1.05, 1.1),
    }
    assert all(row.met for row in found.values())
    assert found["anonymous MB"].theirs == (300,)


@pytest.mark.parametrize(
    ("theirs", "ours", "peaks", "missed"),
    [
        (SLOW, replace(FAST, ttft_ms=351), (1, 1), "first token"),
        (SLOW, replace(FAST, step_ms=18.1), (1, 1), "per token"),
        (SLOW, FAST, (2000, 2201), "peak MB"),
    ],
)
def test_a_missed_bar_is_seen(theirs, ours, peaks, missed):
    found, _ = table([theirs], [ours], peaks)
    assert [name for name, row in found.items() if not row.met] == [missed]


def test_floors_are_work_over_what_the_machine_does():
    found, work = table([SLOW], [FAST])
    floors = {name: row.floor for name, row in found.items()}
    assert floors["encode"] == pytest.approx(work.encode().flops / 1e6)
    assert floors["prefill"] == pytest.approx(work.prefill().flops / 1e6)
    assert floors["first token"] == pytest.approx(floors["encode"] + floors["prefill"])
    assert floors["per token"] == pytest.approx(work.decode().read_bytes / 1e6)
    assert floors["prepare"] is None


def test_floors_of_the_real_shape_are_those_measured_by_hand():
    """About 0.85 TFLOP to the first token and 0.99 GB a token (494 M parameters)."""
    vision, text = VLM_A.vision, VLM_A.text
    heads = {"heads": 14, "kv_heads": 2, "head_dim": 64, "qkv_bias": True}
    spec = tiny_spec(
        resolution={"size": VLM_A.image},
        vision={
            "width": vision["hidden_size"],
            "depth": vision["num_hidden_layers"],
            "heads": vision["num_attention_heads"],
            "mlp_width": vision["intermediate_size"],
            "patch": VLM_A.patch,
            "image_size": VLM_A.image,
            "class_token": "drop",
            "layer": -2,
        },
        language={
            "vocab": text["vocab_size"],
            "width": text["hidden_size"],
            "depth": text["num_hidden_layers"],
            "context": 2048,
            "mlp": {"width": text["intermediate_size"]},
            "attention": heads,
            "tied_head": True,
        },
    )
    work = workload(spec, [(1024, 1024)], text_tokens=26, answer_tokens=1, dtype="bf16")
    assert work.visual_tokens == 576
    assert work.encode().flops + work.prefill().flops == pytest.approx(0.85e12, rel=0.05)
    assert work.decode().read_bytes == pytest.approx(0.99e9, rel=0.02)


def test_engines_that_read_different_prompts_are_not_compared():
    check_same_prompts([SLOW], [FAST])
    with pytest.raises(SystemExit, match="7 and 8 tokens"):
        check_same_prompts([SLOW], [replace(FAST, prompt_tokens=8)])


def test_a_clock_divides_an_answer_into_its_parts():
    clock = Clock()
    clock.began, clock.prepared, clock.encoding, clock.encoded = 1.0, 1.01, 1.02, 1.22
    clock.tokens = [1.5, 1.51, 1.53, 2.53]
    timed = clock.timed(7, [4, 5, 6, 7])
    assert timed.ttft_ms == pytest.approx(500)
    assert timed.prepare_ms == pytest.approx(10)
    assert timed.encode_ms == pytest.approx(200)
    assert timed.prefill_ms == pytest.approx(290)
    assert timed.step_ms == pytest.approx(20)


def test_pictures_are_fresh_and_of_the_size_asked(tmp_path):
    made = fresh_pictures(tmp_path, 40)
    first, second = next(made), next(made)
    with Image.open(first) as picture:
        assert picture.size == (40, 40)
    assert first.read_bytes() != second.read_bytes()


def test_the_best_of_several_runs_warms_up_first():
    runs = []
    assert best_s(lambda: runs.append(1), times=3) >= 0
    assert len(runs) == 4


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--tokens", "1"], ["--rounds", "x"]])
def test_counts_without_meaning_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err


def test_a_row_without_a_bar_is_met():
    assert Row("x", (1.0,), (99.0,)).met


@pytest.mark.slow
def test_both_engines_answer_about_the_same_pictures(tmp_path):
    """The whole bench on a tiny model, as a user would call it."""
    command = [sys.executable, "-m", "bench.single_stream", "--tiny", "--json", "--threads", "1"]
    sizes = ["--folder", str(tmp_path / "tiny"), "--side", "90", "--rounds", "2", "--tokens", "3"]
    done = subprocess.run([*command, *sizes], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {row["figure"]: row for row in json.loads(done.stdout)}
    assert list(found)[:5] == ["prepare", "encode", "prefill", "first token", "per token"]
    for row in found.values():
        assert len(row["theirs"]) == len(row["ours"]) in (1, 2)
        assert min(row["theirs"] + row["ours"]) > 0
    assert "2 of 2 answers begin alike" in done.stderr
