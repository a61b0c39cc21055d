"""Folders of published shapes: planned from the config alone, written with holes and loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.loading import write_folder
from bench.shapes import SHAPES, reduced

# Visual tokens of a picture of 480 rows and 640 columns: in the sequence (tags of spans included),
# or in a memory.
TOKENS = {
    "llava-1.5-7b": (576, 0),
    "llava-1.6-vicuna-7b": (2340, 0),
    "llava-onevision-7b": (2929, 0),
    "qwen2-vl-7b": (391, 0),
    "qwen2.5-vl-7b": (391, 0),
    "qwen3-vl-8b": (300, 0),
    "internvl3-8b": (3328, 0),
    "paligemma-3b": (256, 0),
    "idefics3-8b": (2227, 0),
    "llama-3.2-11b-vision": (0, 6404),
    "instructblip-vicuna-7b": (32, 0),
    "idefics-9b": (0, 64),
}
PLAN = """
import json, sys
from pathlib import Path
import sightline
out = {}
for name in sys.argv[2:]:
    plan = sightline.plan(Path(sys.argv[1]) / name, images=[(640, 480)], text_tokens=20)
    assert plan.memory.kv_bytes > 0 and plan.memory.total_bytes > plan.memory.weight_bytes
    out[name] = plan.pictures[0].tokens, plan.pictures[0].memory_tokens
assert "torch" not in sys.modules
print(json.dumps(out))
"""


def test_every_config_alone_is_planned_without_torch(tmp_path: Path) -> None:
    for name, config in SHAPES.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-c", PLAN, str(tmp_path), *SHAPES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {name: tuple(tokens) for name, tokens in json.loads(done.stdout).items()}
    around = {name: found[name][0] - TOKENS[name][0] for name in TOKENS}
    assert all(0 <= extra <= 3 for extra in around.values()), around  # marks beside the picture
    assert {name: found[name][1] for name in found} == {n: t[1] for n, t in TOKENS.items()}


@pytest.mark.parametrize("name", SHAPES)
def test_fewer_blocks_keep_the_widths(name: str) -> None:
    def text(config: dict[str, Any]) -> dict[str, Any]:
        return config.get("text_config", config)

    small, whole = text(reduced(SHAPES[name], 8)), text(SHAPES[name])
    assert small["num_hidden_layers"] == 8
    assert small["hidden_size"] == whole["hidden_size"]


def test_a_folder_of_holes_is_sharded_and_loads(tmp_path: Path, monkeypatch: Any) -> None:
    from sightline.weights import load_folder

    monkeypatch.setattr("bench.loading.SHARD_BYTES", 1 << 16)
    small = {
        "model_type": "llava",
        "vision_config": {"model_type": "clip_vision_model", "hidden_size": 32,
                          "intermediate_size": 40, "num_hidden_layers": 2,
                          "num_attention_heads": 4, "image_size": 28, "patch_size": 14},
        "text_config": {"model_type": "llama", "hidden_size": 32, "intermediate_size": 48,
                        "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 300},
        "image_token_index": 299,
    }  # fmt: skip
    weights = write_folder(tmp_path, small)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    model = load_folder(tmp_path).model
    assert sum(p.numel() * p.element_size() for p in model.parameters()) == weights
