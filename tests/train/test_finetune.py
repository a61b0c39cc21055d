"""One command on a published folder and a file of rows; what it leaves is read by others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers as hf
from bench.folders import TINY, make_folder
from PIL import Image
from tests.helpers.speaking import picture

import sightline
from sightline.train.finish import finish
from sightline.train.recipe import read_recipe
from sightline.train.run import Run

RECIPES = Path(__file__).parents[2] / "recipes"
CHANGES = ("train.dtype=float32", "train.workers=0", "train.stages.0.lr=0.01")


def rows(folder: Path, count: int = 12) -> Path:
    """LLaVA rows about pictures beside them."""
    lines = []
    for number in range(count):
        Image.fromarray(picture(60, 50, seed=number)).save(folder / f"{number}.png")
        talk = [
            {"from": "human", "value": f"<image>\nWhich is it? {number}"},
            {"from": "gpt", "value": "This one." if number % 2 else "Another."},
        ]
        lines.append(json.dumps({"id": number, "image": f"{number}.png", "conversations": talk}))
    path = folder / "rows.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A LLaVA as transformers writes it, and rows."""
    folder = tmp_path_factory.mktemp("published")
    make_folder(folder / "model", TINY)
    return folder / "model", rows(folder)


def trained(
    name: str, published: tuple[Path, Path], out: Path, told: list[str] | None = None
) -> list[str]:
    model, data = published
    changes = (f"model={model}", f"data={data}", *CHANGES)
    read = read_recipe(RECIPES / f"{name}.yaml", changes)
    made = read.make()
    tell = [] if told is None else told
    run = Run(made.model, made.tokenizer, read.train, out, told=tell.append)
    run()
    return [path.name for path in finish(made, run)]


def logits_of(folder: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, pixels and our logits of a question about a picture."""
    vlm = sightline.load(folder, dtype="float32")
    part = {"type": "image", "image": picture(60, 50, seed=1)}
    asked = [{"role": "user", "content": [part, {"type": "text", "text": "Which is it?"}]}]
    prepared = vlm.prepare(asked)
    return torch.tensor([prepared.token_ids]), torch.stack(prepared.pixels), vlm.logits(prepared)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.parametrize("name", ["finetune-lora", "finetune-qlora"])
def test_adapters_are_read_by_peft(name: str, published: tuple[Path, Path], tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    told: list[str] = []
    assert trained(name, published, tmp_path, told) == ["adapter", "model"]
    if name == "finetune-qlora":  # PEFT adds it to the plain matrices, not to those of four bits
        assert (tmp_path / "adapter" / "adapter_config.json").is_file()
        assert any("matrices in NF4" in line and "of bfloat16's" in line for line in told)
        return
    ids, pixels, ours = logits_of(tmp_path / "model")
    *_, before = logits_of(published[0])
    assert float((ours - before).abs().max()) > 1e-2
    base = hf.LlavaForConditionalGeneration.from_pretrained(published[0], dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.inference_mode():
        wanted = theirs(input_ids=ids, pixel_values=pixels).logits[0]
    assert float((ours - wanted).abs().max()) <= 1e-4


@pytest.mark.parametrize("name", ["finetune-projector", "finetune-encoder"])
def test_parts_trained_in_full(name: str, published: tuple[Path, Path], tmp_path: Path) -> None:
    written = trained(name, published, tmp_path)
    assert written == ["model", *(["model-ema"] if name == "finetune-encoder" else [])]
    *_, before = logits_of(published[0])
    for folder in written:
        *_, after = logits_of(tmp_path / folder)
        assert float((after - before).abs().max()) > 1e-4


LORA = "train.stages.1.trains={language: {how: lora, rank: 2}}"
TWO = "train.stages=[{stage}, {stage}]".format(
    stage="{kind: instruct, trains: [connector], steps: 2, batch: 4, lr: 0.01, "
    "schedule: {warmup_steps: 0}}"
)


def in_two_stages(published: tuple[Path, Path], out: Path, *changes: str) -> tuple[list[str], list]:
    model, data = published
    given = (f"model={model}", f"data={data}", TWO, *CHANGES, *changes)
    read, told = read_recipe(RECIPES / "finetune-lora.yaml", given), []
    made = read.make()
    run = Run(made.model, made.tokenizer, read.train, out, told=told.append)
    run()
    return [path.name for path in finish(made, run)], told


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_what_an_earlier_stage_trained_is_in_the_adapter(
    published: tuple[Path, Path], tmp_path: Path
) -> None:
    """The connector alone, then LoRA alone: PEFT on the first folder gives the last model."""
    peft = pytest.importorskip("peft")
    written, _ = in_two_stages(published, tmp_path, LORA)
    assert written == ["adapter", "model"]
    ids, pixels, ours = logits_of(tmp_path / "model")
    base = hf.LlavaForConditionalGeneration.from_pretrained(published[0], dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.inference_mode():
        wanted = theirs(input_ids=ids, pixel_values=pixels).logits[0]
    assert float((ours - wanted).abs().max()) <= 1e-4


def test_an_adapter_over_a_changed_matrix_is_not_written(
    published: tuple[Path, Path], tmp_path: Path
) -> None:
    written, told = in_two_stages(published, tmp_path, "train.stages.0.trains=[language]", LORA)
    assert written == ["model"]
    assert any("no adapter folder: language.blocks.0" in line for line in told)
