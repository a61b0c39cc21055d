"""Parts from two places become one model: composed, trained, saved, exported, loaded elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
import yaml
from tests.helpers.speaking import assistant, picture, trained, user
from tests.parity.reference import TEXT, TOLERANCE, TOWER, randomise, saved
from torch import Tensor, nn

import sightline
from sightline.api import VisionLanguageModel
from sightline.core.errors import FamilyError, SightlineError, SpecError
from sightline.nn.packed import unpack
from sightline.prompt.files import save_tokenizer
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig
from sightline.spec import FixedSpec, LinearSpec
from sightline.spec.train import TrainSpec
from sightline.train.recipe import read_recipe
from sightline.train.run import Run
from sightline.weights.state import state_of

WORDS = Tokenizer(
    trained(("<pad>", "<s>", "</s>")),
    TokenizerConfig(named={"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}),
)
LANGUAGE = TEXT | {"vocab_size": WORDS.vocab_size, "max_position_embeddings": 1024}
TOWERS: dict[str, Callable[[], Any]] = {
    "clip": lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**TOWER)),
    "siglip": lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**TOWER)),
}
TEXTS: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**LANGUAGE, tie_word_embeddings=True)),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**LANGUAGE)),
}
TRAIN: dict[str, Any] = {
    "dtype": "float32",
    "workers": 0,
    "log_every": 1,
    "stages": [
        {
            "kind": "instruct",
            "steps": 10,
            "batch": 4,
            "lr": 0.01,
            "schedule": {"warmup_steps": 0},
            "data": {"kind": "scenes", "questions": 4, "words": 40, "sides": [32]},
        }
    ],
}
MESSAGES: dict[str, list[dict[str, Any]]] = {
    "text": [user("What is this?")],
    "one": [user(picture(40, 30), "Is it red?")],
    "two": [user(picture(9, 30), "A?"), assistant("no"), user(picture(28, 28, 1), "B?")],
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `clip`, `siglip`, `qwen2` and `llama` as transformers writes them."""
    root = tmp_path_factory.mktemp("parts")
    for name, make in (*TOWERS.items(), *TEXTS.items()):
        saved(randomise(make()), root / name)
    for name in TEXTS:
        save_tokenizer(WORDS, root / name)
    return root


class Squares(nn.Module):
    """An encoder of the user's own: each square of pixels through one matrix and a norm."""

    width, patch = 12, 7

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, self.width, self.patch, self.patch)
        self.norm = nn.LayerNorm(self.width)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.norm(self.conv(pixels).flatten(2).transpose(1, 2))


def composed(case: str, parts: Path) -> VisionLanguageModel:
    match case:
        case "clip + qwen2":
            return sightline.compose(
                vision=parts / "clip", language=parts / "qwen2", grounding="percent"
            )
        case "siglip + llama":
            return sightline.compose(
                vision=str(parts / "siglip"),
                language=parts / "llama",
                template="vicuna",
                grounding="shikra",
                layer=-1,
            )
        case _:
            return sightline.compose(
                vision=Squares(),
                language=parts / "llama",
                resolution=FixedSpec(size=28, fit="pad"),
                grounding="percent",
            )


def bits(vlm: VisionLanguageModel) -> dict[str, Tensor]:
    unpack(vlm.model)
    return {name: t.detach().clone() for name, t in state_of(vlm.model).items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def learn(vlm: VisionLanguageModel, folder: Path) -> list[float]:
    Run(vlm.model, vlm.tokenizer, TrainSpec.parse(TRAIN), folder, told=lambda _: None)()
    return losses(folder)


def logits_elsewhere(folder: Path, vlm: VisionLanguageModel, messages: Any) -> Tensor:
    """What transformers computes for the ids and pixels that we prepare."""
    theirs, report = hf.LlavaForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "mismatched_keys", "unexpected_keys"))
    prepared = vlm.prepare(messages)
    inputs = {"input_ids": torch.tensor([prepared.token_ids])}
    if prepared.pixels:
        inputs["pixel_values"] = torch.stack(prepared.pixels)
    with torch.no_grad():
        return theirs.eval()(**inputs).logits[0]


@pytest.mark.parametrize("case", ["clip + qwen2", "siglip + llama", "module + llama"])
def test_composed_trained_saved_exported(case: str, parts: Path, tmp_path: Path) -> None:
    vlm = composed(case, parts)
    own = case == "module + llama"
    assert vlm.spec.prompt.image.id == WORDS.vocab_size == vlm.spec.language.vocab - 1
    assert vlm.tokenizer.id_of("<image>") == vlm.spec.prompt.image.id
    before = bits(vlm)
    fell = learn(vlm, tmp_path / "run")
    assert len(fell) == 10 and max(fell[-3:]) < 0.9 * min(fell[:2])
    moved = {n.partition(".")[0] for n, t in bits(vlm).items() if not torch.equal(t, before[n])}
    assert moved == {"vision", "connector", "language"}

    vlm.save(tmp_path / "ours")
    again = sightline.load(tmp_path / "ours", vision=Squares() if own else None)
    assert again.spec == vlm.spec
    wanted = vlm.ask(MESSAGES["two"], max_tokens=8)
    assert again.ask(MESSAGES["two"], max_tokens=8).token_ids == wanted.token_ids
    again.save(tmp_path / "twice")
    assert same(bits(again), bits(vlm))
    third = sightline.load(tmp_path / "twice", vision=Squares() if own else None)
    assert same(bits(third), bits(vlm))

    if own:
        with pytest.raises(FamilyError, match="Squares is a module of yours"):
            vlm.export(tmp_path / "hf")
        return
    vlm.export(tmp_path / "hf")
    for messages in MESSAGES.values():
        ours = vlm.logits(vlm.prepare(messages))
        theirs = logits_elsewhere(tmp_path / "hf", vlm, messages)
        assert float((ours - theirs).abs().max()) <= TOLERANCE
    back = sightline.load(tmp_path / "hf")
    for messages in MESSAGES.values():
        assert back.prepare(messages).token_ids == vlm.prepare(messages).token_ids
        gap = back.logits(back.prepare(messages)) - vlm.logits(vlm.prepare(messages))
        assert float(gap.abs().max()) <= TOLERANCE


def recipe(parts: Path, folder: Path, **changes: Any) -> Path:
    """A recipe beside the folders that it names, relative to itself."""
    model = {
        "vision": {"from": "../clip", "layer": -1, "class_token": "keep"},
        "connector": {"kind": "linear"},
        "language": {"from": "../qwen2"},
        "prompt": {"template": "vicuna", "grounding": "percent"},
    }
    folder.mkdir(exist_ok=True)
    path = folder / "parts.yaml"
    path.write_text(yaml.safe_dump({"model": model, "train": TRAIN} | changes))
    return path


def test_a_recipe_of_published_parts_is_the_same_model(parts: Path, tmp_path: Path) -> None:
    made = read_recipe(recipe(parts, parts / "recipes")).make()
    model, tokenizer = made.model, made.tokenizer
    wanted = sightline.compose(
        vision=parts / "clip",
        language=parts / "qwen2",
        connector=LinearSpec(),
        layer=-1,
        class_token="keep",
        template="vicuna",
        grounding="percent",
        dtype="float32",
    )
    made = VisionLanguageModel(model, tokenizer)
    assert made.spec == wanted.spec and same(bits(made), bits(wanted))
    fell = learn(made, tmp_path)
    assert fell == learn(wanted, tmp_path / "again") and fell[-1] < fell[0]


REFUSED: dict[str, tuple[str, Any]] = {
    "model.vision.from": ("vision", {"layer": -1}),
    "model.language.from": ("language", {}),
    "model.vision.layr": ("vision", {"from": "../clip", "layr": -1}),
    "model.language.width": ("language", {"from": "../qwen2", "width": 3}),
    "model.prompt.pad_id": ("prompt", {"pad_id": 3}),
    "prompt.grounding": ("prompt", {"grounding": "metres"}),
    "model.fusion.layers": ("fusion", {"kind": "cross_attention", "layers": []}),
    "model.hardware": ("hardware", {"name": "cpu"}),
    "model.connector.depth": ("connector", {"kind": "mlp", "depth": 9}),
    "model.resolution.size": ("resolution", {"kind": "fixed", "size": 0}),
    "model.resolution": ("resolution", {"size": 336}),
    "layer": ("vision", {"from": "../clip", "layer": -99}),
}


@pytest.mark.parametrize("field", REFUSED)
def test_a_recipe_that_says_something_else_is_refused(field: str, parts: Path) -> None:
    path = recipe(parts, parts / "recipes")
    data = yaml.safe_load(path.read_text())
    section, value = REFUSED[field]
    data["model"][section] = value
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(SightlineError) as caught:
        read_recipe(path).make()
    assert field in caught.value.field


def test_a_tokenizer_beside_published_parts_is_refused(parts: Path) -> None:
    with pytest.raises(SpecError, match="tokenizer"):
        read_recipe(recipe(parts, parts / "recipes", tokenizer="../qwen2")).make()


def test_a_module_says_what_it_gives(parts: Path) -> None:
    with pytest.raises(SpecError, match="width or patch"):
        sightline.compose(vision=nn.Identity(), language=parts / "llama")
    with pytest.raises(SpecError, match="resolution"):
        sightline.compose(vision=Squares(), language=parts / "llama")
    with pytest.raises(FamilyError, match="vision tower"):
        sightline.compose(vision=parts / "qwen2", language=parts / "llama")
