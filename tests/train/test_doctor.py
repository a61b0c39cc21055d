"""The doctor: each thing that can go wrong is planted, and must be named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.helpers.recipes import STAGE, recipe
from tests.helpers.speaking import chat_spec, picture, saved, speaking

from sightline.spec.hardware import A100
from sightline.train.doctor.finding import Finding
from sightline.train.doctor.forecast import Machine
from sightline.train.doctor.models import examine_model
from sightline.train.doctor.recipes import RecipeReport, examine
from sightline.train.recipe import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
MACHINE = Machine("a100", gpus=8, price_per_gpu_hour=2.0)


def row(number: int, text: str = "What?", answer: str = "A star.", **more: Any) -> dict[str, Any]:
    talk = [{"from": "human", "value": text}, {"from": "gpt", "value": answer}]
    return {"id": str(number), "conversations": talk} | more


def shown(number: int, image: str = "p.png") -> dict[str, Any]:
    return row(number, f"<image>\nIs it {number}?", image=image)


def report(folder: Path, rows: list[Any], **stage: Any) -> RecipeReport:
    """What is found about a recipe over these rows (text is written as it is)."""
    folder.mkdir(exist_ok=True)
    Image.fromarray(picture()).save(folder / "p.png")
    lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = {"data": {"kind": "files", "path": "rows.jsonl"}, "steps": 4} | stage
    return examine(read_recipe(recipe(folder, stages=[STAGE | given])), MACHINE, most=None)


def said(found: RecipeReport, level: str) -> list[str]:
    return [str(finding) for finding in found.all if finding.level == level]


def test_a_sound_recipe_is_healthy_and_shows_what_it_teaches(tmp_path):
    found = report(tmp_path, [shown(n) for n in range(8)])
    assert found.healthy and not said(found, "error")
    [stage] = found.stages
    assert stage.survey.read == stage.survey.num_rows == 8
    first = [(run.kind, run.text) for run in stage.shown[0]]
    number = first[2][1].partition("it ")[2].partition("?")[0]
    assert first == [
        ("given", "<|user|>"),
        ("visual", ""),
        ("given", f"Is it {number}?<|assistant|>"),
        ("taught", "A star.<|end|>"),
    ]
    assert any("gradient reaches" in text for text in said(found, "ok"))


def test_bad_rows_are_named_with_file_row_and_reason(tmp_path):
    rows = [row(n, f"What is {n}?") for n in range(30)]
    rows[3] = '{"id": "cut'
    rows[10] = row(10, "<image>\n<image>\nTwo?", image="p.png")
    rows[20] = shown(20, "absent.png")
    rows[25] = row(25, "word " * 600)
    found = report(tmp_path, rows)
    errors = "\n".join(said(found, "error"))
    for number, reason in ((4, ""), (11, "<image>"), (21, "absent.png"), (26, "context")):
        assert f"rows.jsonl:{number}" in errors and reason in errors, errors
    assert not found.healthy
    allowed = {"kind": "mixture", "bad_rows": 4,
               "sources": [{"kind": "files", "path": "rows.jsonl"}]}  # fmt: skip
    again = report(tmp_path, rows, data=allowed)
    assert again.healthy and len(said(again, "warning")) >= 4


def test_rows_that_teach_nothing_or_come_twice(tmp_path):
    rows = [row(n, f"What is {n}?") for n in range(6)]
    rows[2] = {"messages": [{"role": "user", "content": "Silence?"},
                            {"role": "assistant", "content": "No.", "loss": False}]}  # fmt: skip
    silent = report(tmp_path, [rows[2], rows[2]])
    assert any("no token to learn" in text for text in said(silent, "error"))
    twice = report(tmp_path, [rows[0], rows[1], rows[0]])
    assert any("rows.jsonl:3" in text and "twice" in text for text in said(twice, "warning"))


def test_a_row_longer_than_a_pack_is_named(tmp_path):
    rows = [row(n, f"What is {n}?") for n in range(4)] + [row(9, "word " * 80)]
    found = report(tmp_path, rows, batch={"kind": "pack", "tokens": 64})
    assert any("rows.jsonl:5" in text and "64" in text for text in said(found, "error"))


def test_a_source_that_is_not_there(tmp_path):
    found = report(tmp_path, [row(1)], data={"kind": "files", "path": "nowhere.jsonl"})
    assert any("nowhere.jsonl" in text for text in said(found, "error"))


def test_gradient_that_closed_gates_hold_back_is_told():
    """Flamingo's connector behind gates that are shut: it learns nothing, in silence."""
    changes = ["train.stages.0.trains=[connector]", "train.stages.0.batch=2"]
    found = examine(read_recipe(RECIPES / "flamingo.yaml", changes), MACHINE, most=4)
    assert any("exactly zero" in text and "connector" in text for text in said(found, "warning"))
    open_ = examine(read_recipe(RECIPES / "llava.yaml", changes), MACHINE, most=4)
    assert not any("exactly zero" in text for text in said(open_, "warning"))


def test_blocks_that_nothing_reads_are_told():
    found = examine(
        read_recipe(RECIPES / "llava.yaml", ["train.stages.0.batch=2"]), MACHINE, most=4
    )
    told = "\n".join(said(found, "warning"))
    assert "vision.blocks.2.norm1.weight" in told and "nothing reads them" in told


@pytest.mark.parametrize("how", ["lora", "dora", "qlora"])
def test_fresh_adapters_are_no_fault(tmp_path, how):
    """A has no gradient while B is zero: by design."""
    trains = {"vision": {"how": how, "rank": 2}, "language": {"how": how, "rank": 2}}
    found = report(tmp_path, [shown(n) for n in range(4)], trains=trains)
    assert found.healthy and not any("exactly zero" in t for t in said(found, "warning"))


def test_what_does_not_fit_is_said(tmp_path):
    small = Machine(A100.model_copy(update={"memory_bytes": 1000}))
    found = examine(read_recipe(recipe(tmp_path)), small, most=4)
    assert any("on each device" in text for text in said(found, "error"))


def configs(folder: Path) -> dict[str, Path]:
    """CLIP ViT-L/14-336 and Vicuna-13B by their published configs, without weights."""
    clip = {
        "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14,
    }  # fmt: skip
    vicuna = {
        "model_type": "llama", "hidden_size": 5120, "intermediate_size": 13824,
        "num_hidden_layers": 40, "num_attention_heads": 40, "vocab_size": 32000,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    for name, config in (("vision", clip), ("language", vicuna)):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
    return {name: folder / name for name in ("vision", "language")}


def test_the_published_recipe_lands_near_its_published_cost(tmp_path):
    """4 h + 20 h and $384 on 8 x A100 at $2: in all within a factor of 1.3, each stage of 2 (the
    published hours mix a stage at 224 pixels with one of 665k rows)."""
    parts = configs(tmp_path)
    changes = [f"model.{name}.from={path}" for name, path in parts.items()]
    found = examine(read_recipe(RECIPES / "llava-published.yaml", changes), MACHINE, most=4)
    align, instruct = (stage.plan for stage in found.stages)
    assert align.stage.samples == 595_200 and instruct.stage.samples == 473_280
    assert 4 / 2 < align.hours < 4 * 2
    assert 20 / 2 < instruct.hours < 20 * 2
    assert 24 / 1.3 < align.hours + instruct.hours < 24 * 1.3
    assert 384 / 1.3 < align.cost + instruct.cost < 384 * 1.3
    assert any("gradients are not checked" in text for text in said(found, "warning"))


def test_a_sound_model_and_what_its_template_teaches(tmp_path):
    findings = examine_model(saved(speaking(), tmp_path / "model"))
    assert all(finding.level == "ok" for finding in findings), findings
    assert any("'A cat.<|end|>Red.<|end|>'" in finding.text for finding in findings)


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "sightline.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def worst(folder: Path) -> Finding:
    return max(examine_model(folder), key=lambda f: ("ok", "warning", "error").index(f.level))


def test_a_template_that_never_stops_and_tensors_without_a_place(tmp_path):
    endless = saved(speaking(prompt={"stop_ids": [9]}), tmp_path / "endless")
    found = worst(endless)
    assert found.level == "warning" and "stop token" in found.text
    wide = saved(speaking(), tmp_path / "wide")
    width = chat_spec().language.mlp.width
    change(wide, f"width: {width}", f"width: {width + 8}")
    assert worst(wide).level == "error"


def test_adapters_of_the_encoder_alone_are_forecast(tmp_path):
    trains = {"vision": {"how": "lora", "rank": 2}}
    found = report(tmp_path, [shown(n) for n in range(4)], trains=trains)
    frozen = report(tmp_path, [shown(n) for n in range(4)], trains=["connector"])
    assert found.healthy
    assert found.stages[0].plan.sample_flops > frozen.stages[0].plan.sample_flops


def test_a_warm_up_longer_than_its_epochs_is_found(tmp_path):
    found = report(tmp_path, [shown(n) for n in range(4)], steps=None, epochs=1, schedule={})
    assert any("100 leaves nothing of 2 steps" in text for text in said(found, "error"))


def test_a_model_that_is_refused_is_not_fetched(tmp_path, monkeypatch):
    read = read_recipe(recipe(tmp_path), ["model.resolution.size=2"])
    monkeypatch.setattr(type(read), "make", lambda self: pytest.fail("it was built"))
    found = examine(read, MACHINE, most=4)
    assert len(said(found, "error")) == 1 and "resolution.size" in said(found, "error")[0]
