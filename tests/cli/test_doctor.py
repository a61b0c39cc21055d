"""`sightline doctor`: what it prints, as JSON, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_bad_input import refused
from tests.helpers.console import Console
from tests.helpers.recipes import recipe

from sightline.cli.doctor import histogram


def test_a_recipe(console: Console, tmp_path: Path) -> None:
    ran = console("doctor", recipe(tmp_path), "--rows", 6, "--hardware", "a100", "--price", 2)
    assert ran.code == 0, ran.out + ran.err
    for words in ("train.stages.0: align", "tokens per row", "visual]", "forecast on 1 × a100",
                  "gradient reaches"):  # fmt: skip
        assert words in ran.out, ran.out


def test_json(console: Console, tmp_path: Path) -> None:
    path = recipe(tmp_path)
    ran = console(
        "doctor", path, "train.stages.0.steps=7", "--rows", 6, "--hardware", "l4", "--json"
    )
    found = json.loads(ran.out)
    assert ran.code == 0 and found["healthy"] and len(found["stages"]) == 2
    assert found["stages"][0]["forecast"]["stage"]["samples"] == 14
    assert {run["kind"] for run in found["stages"][1]["shown"][0]} == {"given", "taught", "visual"}


def test_what_is_wrong_is_exit_code_1(console: Console, tmp_path: Path) -> None:
    gone = 'train.stages.0.data={"kind": "files", "path": "gone.jsonl"}'
    ran = console("doctor", recipe(tmp_path), gone, "--hardware", "l4")
    assert ran.code == 1 and "gone.jsonl" in ran.out
    refused(console("doctor", tmp_path / "absent.yaml"), "cannot be read")
    refused(console("doctor", tmp_path / "nowhere"), "neither a folder here nor a hub id")


def test_the_embedded_model(console: Console) -> None:
    ran = console("doctor", "tiny")
    assert ran.code == 0 and ran.out.count("ok") == 3


def test_a_histogram_has_the_same_height_for_equal_counts() -> None:
    assert set(histogram([1, 2, 3, 4] * 6)) == {" ", "█"}
    assert histogram([5])[-1] in " █"
