"""`sightline plan` and `sightline.plan`: models by name, tables, JSON, refusals, no torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from tests.planner.specs import SWITCHES, decoder, model, vit
from typer.testing import CliRunner

import sightline
from sightline.cli.plan import plan as command
from sightline.core.errors import FamilyError, FolderError, PictureError, PlanError, SpecError
from sightline.planner import Plan, fit
from sightline.planner.published import llava
from sightline.spec.hardware import A100
from sightline.spec.vision import ModuleSpec

LLAVA = {
    "architectures": ["LlavaForConditionalGeneration"],
    "model_type": "llava",
    "image_token_index": 32000,
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
    "projector_hidden_act": "gelu",
    "text_config": {
        "model_type": "llama",
        "vocab_size": 32064,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
    },
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
        "projection_dim": 768,
    },
}


@pytest.fixture
def folder(tmp_path):
    """A LLaVA-1.5-7B folder before its weights have arrived."""
    (tmp_path / "config.json").write_text(json.dumps(LLAVA))
    return tmp_path


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "llava.yaml"
    path.write_text(llava("7b").to_yaml())
    return path


def run(*args):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(a) for a in args])


def words(done):
    return " ".join(done.output.split())


def test_a_folder_is_planned_from_its_config_alone(folder):
    made = sightline.plan(folder)
    assert sum(part.parameters for part in made.parts) == 7_063_427_072
    assert made.visual_tokens == 576
    assert sightline.plan(str(folder)) == made


def test_a_spec_file_is_planned_by_itself_and_under_model(spec_file):
    made = sightline.plan(spec_file)
    assert made == sightline.plan(llava("7b"))
    under = spec_file.with_name("recipe.yml")
    under.write_text(
        "model:\n" + "".join(f"  {line}\n" for line in llava("7b").to_yaml().split("\n"))
    )
    assert sightline.plan(under) == made


def test_tables_tell_all_parts_in_eighty_columns(spec_file):
    done = run(spec_file, "--fit", "24GB", "--hardware", "a100", "--image", "640x480")
    assert done.exit_code == 0, done.output
    for said in (
        "7.06 B parameters in bf16 on NVIDIA A100",
        "100 text + 576 visual + 100 answer = 776 of 4,096 tokens",
        "What fits into 24.0 GB",
        "868 px a side",
        "640×480",
        "336 px (own) 576 302 MB 5 ×",
        "connector 21.0 M 83.9 MB 42.0 MB",
        "fits into 24.0 GB",
        "rtx4090",
        "QLoRA r64",
        "8 × a100 at $2.00 an hour",
        "lessons give 4 + 20 h = $384",
    ):
        assert said in words(done), said
    assert "…" not in done.output
    assert max(map(len, done.output.splitlines())) <= 80


def test_json_is_the_plan(spec_file):
    done = run(spec_file, "--json", "--fit", "24GB", "--image", "none", "--batch", "3")
    found = json.loads(done.output)
    plan = sightline.plan(llava("7b"), [], batch=3, memory_bytes=24 * 10**9)
    assert Plan.parse(found["plan"]) == plan
    assert found["fit"] == fit(llava("7b"), 24 * 10**9, images=[]).model_dump(mode="json")
    assert json.loads(run(spec_file, "--json").output)["fit"] is None


def test_a_picture_file_gives_its_size(spec_file, tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (30, 20)).save(tmp_path / "cat.png")
    done = run(spec_file, "--json", "--image", tmp_path / "cat.png", "--image", "7x9")
    pictures = json.loads(done.output)["plan"]["pictures"]
    assert [(p["width"], p["height"]) for p in pictures] == [(30, 20), (7, 9)]


def test_hardware_can_be_described_in_a_file(spec_file, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(A100.model_copy(update={"name": "mine", "memory_bytes": 10**11}).to_yaml())
    found = json.loads(run(spec_file, "--json", "--hardware", path).output)["plan"]["latency"]
    assert (found["hardware"], found["memory_bytes"]) == ("mine", 9 * 10**10)


def test_a_model_that_does_not_fit_is_said_so(spec_file):
    done = run(spec_file, "--memory", "10GB")
    assert "does not fit" in words(done) and done.exit_code == 0


REFUSED = [
    (("--fit", "3GB"), PlanError, "do not hold the model's 14.3 GB in bf16"),
    (("--fit", "much"), PlanError, "fit: 'much' is not a size"),
    (("--memory", "-1"), PlanError, "memory: '-1' is not a size"),
    (("--image", "5"), PlanError, "write width and height"),
    (("--image", "0x5"), PlanError, "write width and height"),
    (("--hardware", "tpu"), PlanError, "use one of h100"),
    (("--hardware", "absent.yaml"), SpecError, "cannot be read"),
    (("--dtype", "int3"), PlanError, "use one of fp32"),
    (("--batch", "0"), PlanError, "batch: 0 is not usable"),
    (("--gpus", "0"), PlanError, "gpus: 0 is not usable"),
    (("--price", "-1"), PlanError, "price"),
    (("--samples", "0"), SpecError, "samples"),
    (("--text-tokens", "-1"), PlanError, "text_tokens: -1"),
    (("--image", "none", "--text-tokens", "0"), PlanError, "neither text nor picture"),
]


@pytest.mark.parametrize(("args", "kind", "says"), REFUSED, ids=lambda a: str(a)[:30])
def test_bad_options_are_refused(spec_file, args, kind, says):
    done = run(spec_file, *args)
    assert isinstance(done.exception, kind), done.exception
    assert says in str(done.exception)
    assert done.exception.field and done.exception.fix


def test_a_file_that_is_no_picture_is_refused(spec_file, tmp_path):
    (tmp_path / "cat.png").write_text("no picture")
    assert isinstance(run(spec_file, "--image", tmp_path / "cat.png").exception, PictureError)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FolderError):
        sightline.plan(tmp_path)
    with pytest.raises(FolderError):
        sightline.plan("no such folder")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard_of"}))
    with pytest.raises(FamilyError):
        sightline.plan(tmp_path)
    (tmp_path / "spec.yaml").write_text("model: {resolution: {size: 3}}")
    with pytest.raises(SpecError):
        sightline.plan(tmp_path / "spec.yaml")


def test_the_command_and_the_door_leave_torch_alone(folder):
    code = (
        "import sys, sightline\nfrom sightline.cli.plan import plan\n"
        "assert 'sightline.planner' not in sys.modules\n"
        "plan(sys.argv[1], fit='24GB')\nsightline.plan(sys.argv[1])\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "7.06 B parameters" in done.stdout


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_can_be_planned(name):
    made = sightline.plan(SWITCHES[name], [(30, 40)], text_tokens=10, answer_tokens=10)
    assert made.memory.fits and made.latency.ttft_s > 0
    assert Plan.parse(json.loads(made.to_json())) == made


def test_a_vision_module_of_ones_own_is_planned_by_its_size():
    """One matrix on each patch: its FLOPs are exact."""
    own = ModuleSpec(name="patches", width=16, patch=7, parameters=3 * 49 * 16)
    spec = model(decoder(), vit(width=16), side=28).model_copy(update={"vision": own})
    made = sightline.plan(spec, [(28, 28)], text_tokens=10, answer_tokens=10)
    connector = 2 * 16 * (16 * 24 + 24 * 24)
    assert made.encode.flops == 2 * 16 * own.parameters + connector
    assert made.parts[0].parameters == own.parameters
    assert made.visual_tokens == 16
