"""LoRA and DoRA against PEFT on the same LLaVA: training, folders both ways, merging."""

# T tokens  V vocabulary

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from tests.helpers.tiny import tiny_model, tiny_spec
from tests.parity import lowrank, test_llava
from tests.parity import reference as ref
from tests.parity.reference import TOLERANCE

from sightline.core.errors import WeightError
from sightline.families import read_spec
from sightline.families.declared import Declared
from sightline.model.vlm import Vlm
from sightline.nn.lora import add_adapters, matrices_of, merge
from sightline.weights import load, load_adapters, load_folder, load_merged, save, save_adapters
from sightline.weights.export import export_hf

# PEFT 0.21 asks transformers 5 by a name that is about to go.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
STEPS, LR, RANK, ALPHA = 20, 3e-3, 4, 6.0
EQUAL = 1e-5  # of weights after 20 steps of AdamW at 3e-3, in float32
DECODER = r".*language_model\.layers.*proj"
BOTH = r".*(language_model\.layers|vision_tower\.encoder).*(proj|fc1|fc2)"
KINDS = {"lora": {}, "dora": {"use_dora": True}}
both_kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def peft() -> Any:
    """Imported once: it takes seconds."""
    return pytest.importorskip("peft")


def wrapped(peft: Any, theirs: Any, targets: str, **options: Any) -> Any:
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, **options)
    return peft.get_peft_model(theirs, config)


def loaded(theirs: Any, folder: Path) -> tuple[Vlm, Declared]:
    """Ours from the folder of theirs, frozen."""
    declared = read_spec(ref.saved(theirs, folder))
    return load(declared).model.requires_grad_(False), declared


def adapted(ours: Vlm, kind: str = "lora", **options: Any) -> Vlm:
    """Adapters with values as after training on encoder and decoder."""
    for part in (ours.vision, ours.language):
        sizes = {"rank": RANK, "alpha": ALPHA, "dora": kind == "dora"}
        add_adapters(matrices_of(part), **sizes | options)
    lowrank.stir(ours)
    return ours


def read_by_peft(peft: Any, base: Path, adapters: Path) -> Any:
    model = hf.LlavaForConditionalGeneration.from_pretrained(base)
    return peft.PeftModel.from_pretrained(model, adapters).eval()


# Training.


@both_kinds
@pytest.mark.parametrize("make", [lowrank.siglip_llava, lowrank.clip_llava], ids=["siglip", "clip"])
def test_training_gives_the_same_weights(peft: Any, make: Any, kind: str, tmp_path: Path) -> None:
    theirs = make()
    ours, _ = loaded(theirs, tmp_path)
    theirs = wrapped(peft, theirs, BOTH, **KINDS[kind])
    for part in (ours.vision, ours.language):
        add_adapters(matrices_of(part), rank=RANK, alpha=ALPHA, dora=kind == "dora")
    lowrank.same_start(ours, theirs)
    start = {name: p.detach().clone() for name, p in lowrank.our_tensors(ours).items()}
    items = ref.conversations(4)
    wanted = lowrank.train(theirs, lowrank.their_logits, items, STEPS, LR)
    losses = lowrank.train(ours, lowrank.our_logits, items, STEPS, LR)
    assert losses == pytest.approx(wanted, abs=EQUAL)
    assert losses[-1] < losses[3] - 0.1
    for name, gap in lowrank.gaps(ours, theirs):
        assert gap <= EQUAL, name
    unread = {f"vision.blocks.2.{n}" for n in ("attn", "mlp")}  # the encoder is read before it
    for name, parameter in lowrank.our_tensors(ours).items():
        still = any(name.startswith(u) for u in unread)
        assert torch.equal(parameter.detach(), start[name]) == still, name


@both_kinds
def test_dropout_of_one_row_is_that_of_peft(peft: Any, kind: str, tmp_path: Path) -> None:
    """The same generator drops the same values: both ask it layer by layer, in the same order."""
    theirs = lowrank.siglip_llava()
    ours, _ = loaded(theirs, tmp_path)
    theirs = wrapped(peft, theirs, DECODER, lora_dropout=0.3, **KINDS[kind]).train()
    layers = {f"language.{n}": m for n, m in matrices_of(ours.language).items()}
    add_adapters(layers, rank=RANK, alpha=ALPHA, dropout=0.3, dora=kind == "dora")
    lowrank.stir(theirs)
    lowrank.same_start(ours.train(), theirs)
    item = ref.conversations(4)["one"]
    logits = []
    for model, run in ((theirs, lowrank.their_logits), (ours, lowrank.our_logits)):
        torch.manual_seed(3)
        logits.append(run(model, item).detach())
    assert float((logits[0] - logits[1]).abs().max()) <= TOLERANCE
    dry = lowrank.our_logits(ours.eval(), item).detach()
    assert float((dry - logits[1]).abs().max()) > 100 * TOLERANCE


# Folders.


@both_kinds
@pytest.mark.parametrize("make", [lowrank.siglip_llava, lowrank.clip_llava], ids=["siglip", "clip"])
def test_peft_reads_ours(peft: Any, make: Any, kind: str, tmp_path: Path) -> None:
    ours, declared = loaded(make(), tmp_path / "base")
    adapted(ours, kind)
    save_adapters(ours, tmp_path / "adapters", declared)
    theirs = read_by_peft(peft, tmp_path / "base", tmp_path / "adapters")
    assert set(lowrank.their_tensors(theirs)) == set(lowrank.our_tensors(ours))
    assert ref.difference(ours, theirs, ref.conversations(4)) <= TOLERANCE
    plain = load_folder(tmp_path / "base").model
    assert ref.difference(plain, theirs, ref.conversations(4)) > 100 * TOLERANCE


@both_kinds
@pytest.mark.parametrize("rs", [False, True], ids=["plain", "rslora"])
def test_ours_reads_peft(peft: Any, kind: str, rs: bool, tmp_path: Path) -> None:
    theirs = lowrank.siglip_llava()
    ours, declared = loaded(theirs, tmp_path / "base")
    theirs = wrapped(peft, theirs, BOTH, use_rslora=rs, rank_pattern={"q_proj": 2},
                     alpha_pattern={"fc1": 3}, **KINDS[kind])  # fmt: skip
    lowrank.stir(theirs)
    theirs.eval().save_pretrained(tmp_path / "adapters")
    names = load_adapters(ours, tmp_path / "adapters", declared)
    assert len(names) == 2 * 7 + 3 * 6
    assert ref.difference(ours, theirs, ref.conversations(4)) <= TOLERANCE
    assert {a.rank for n, _, a in lowrank.adapters_of(ours) if n.endswith(".q")} == {2}


SPELLINGS = {
    "hub": (
        ("model.language_model.", "language_model.model."),
        ("model.vision_tower.", "vision_tower.vision_model."),
    ),
    "5s": (
        ("model.language_model.", "language_model.model."),
        ("model.vision_tower.", "vision_tower."),
    ),
    "4.52": (("model.vision_tower.", "model.vision_tower.vision_model."),),
    "class": (),
}


@pytest.mark.parametrize("base", ["5s", "class"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_read(spelling: str, base: str, tmp_path: Path) -> None:
    theirs = lowrank.siglip_llava()
    theirs.save_pretrained(tmp_path / "base", save_original_format=base == "5s")
    declared = read_spec(tmp_path / "base")
    ours = adapted(load(declared).model)
    save_adapters(ours, tmp_path / "adapters", declared)
    path = tmp_path / "adapters" / "adapter_model.safetensors"
    written = set(load_file(path))
    pairs = [(f"base_model.model.{a}", f"base_model.model.{b}") for a, b in SPELLINGS[spelling]]
    path.rename(path.with_name("model.safetensors"))
    ref.edit_tensors(path.parent, ref.renamed(*pairs))
    path.with_name("model.safetensors").rename(path)
    assert (set(load_file(path)) == written) == (not pairs)
    again = load(declared).model
    load_adapters(again, tmp_path / "adapters", declared)
    own, same = lowrank.our_tensors(ours), lowrank.our_tensors(again)
    assert all(torch.equal(own[name], same[name]) for name in own) and set(own) == set(same)


def test_a_connector_trained_in_full_goes_along(peft: Any, tmp_path: Path) -> None:
    ours, declared = loaded(lowrank.clip_llava(), tmp_path / "base")
    add_adapters(matrices_of(ours.language, ("q", "v")), rank=2, alpha=4)
    lowrank.stir(ours)
    ref.randomise(ours.connector, seed=7)
    save_adapters(ours, tmp_path / "adapters", declared, full=("connector",))
    config = json.loads((tmp_path / "adapters" / "adapter_config.json").read_text())
    names = [f"model.multi_modal_projector.linear_{n}" for n in (1, 2)]
    assert config["modules_to_save"] == names
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    theirs = read_by_peft(peft, tmp_path / "base", tmp_path / "adapters")
    assert ref.difference(ours, theirs, ref.conversations(4)) <= TOLERANCE
    again = load_merged(tmp_path / "base", tmp_path / "adapters").model
    assert ref.difference(again, theirs, ref.conversations(4)) <= TOLERANCE


def test_a_connector_that_peft_trained_is_read(peft: Any, tmp_path: Path) -> None:
    theirs = lowrank.clip_llava()
    ours, declared = loaded(theirs, tmp_path / "base")
    theirs = wrapped(peft, theirs, DECODER, modules_to_save=["multi_modal_projector"])
    lowrank.stir(theirs)
    saved = theirs.base_model.model.model.multi_modal_projector.modules_to_save["default"]
    ref.randomise(saved, seed=9)
    theirs.eval().save_pretrained(tmp_path / "adapters")
    load_adapters(ours, tmp_path / "adapters", declared)
    assert ref.difference(ours, theirs, ref.conversations(4)) <= TOLERANCE


def test_a_tower_trained_in_full_goes_along_where_it_is_all_modules(
    peft: Any, tmp_path: Path
) -> None:
    ours, declared = loaded(lowrank.siglip_llava(), tmp_path / "base")
    ref.randomise(ours.vision, seed=7)
    add_adapters(matrices_of(ours.language), rank=2, alpha=4)
    lowrank.stir(ours)
    save_adapters(ours, tmp_path / "adapters", declared, full=("vision",))
    theirs = read_by_peft(peft, tmp_path / "base", tmp_path / "adapters")
    assert ref.difference(ours, theirs, ref.conversations(4)) <= TOLERANCE
    ours, declared = loaded(lowrank.clip_llava(), tmp_path / "clip")
    add_adapters(matrices_of(ours.language), rank=2, alpha=4)
    with pytest.raises(WeightError, match=r"class_embedding.*PEFT saves whole modules"):
        save_adapters(ours, tmp_path / "adapters", declared, full=("vision",))


@pytest.mark.parametrize("name", ["clip-llama", "clip-qwen2"])
def test_a_text_model_trained_in_full_goes_along_unless_its_head_is_tied(
    peft: Any, name: str, tmp_path: Path
) -> None:
    ours, declared = loaded(test_llava.reference_of(name), tmp_path / "base")
    add_adapters(matrices_of(ours.vision), rank=2, alpha=4)
    lowrank.stir(ours)
    ref.randomise(ours.language, seed=5)
    if name == "clip-qwen2":
        with pytest.raises(WeightError, match=r"embed_tokens.*is the output matrix too"):
            save_adapters(ours, tmp_path / "adapters", declared, full=("language",))
        return
    save_adapters(ours, tmp_path / "adapters", declared, full=("language",))
    theirs = read_by_peft(peft, tmp_path / "base", tmp_path / "adapters")
    assert ref.difference(ours, theirs, ref.conversations(4)) <= TOLERANCE


def test_a_model_of_ours_is_read_with_the_folder_that_it_exports(peft: Any, tmp_path: Path) -> None:
    """Composed, never published: PEFT loads its adapters on what `export_hf` wrote."""
    vision = {"post_norm": "unused", "image_size": 28, "patch": 14}
    spec = tiny_spec(resolution={"size": 28}, vision=vision)
    ours = tiny_model(spec)
    export_hf(ours, tmp_path / "base")
    adapted(ours)
    save_adapters(ours, tmp_path / "adapters", base=str(tmp_path / "base"))
    theirs = read_by_peft(peft, tmp_path / "base", tmp_path / "adapters")
    items = {"one": ref.conversation([4, 5, 6], 1, [7, 8], tokens=4, image=3)}
    assert ref.difference(ours, theirs, items) <= TOLERANCE


# Merging.


@both_kinds
def test_merged_models_are_written_and_keep_their_logits(
    peft: Any, kind: str, tmp_path: Path
) -> None:
    ours, declared = loaded(lowrank.clip_llava(), tmp_path / "base")
    ref.randomise(ours.connector, seed=7)
    adapted(ours, kind)
    save_adapters(ours, tmp_path / "adapters", declared, full=("connector",))
    theirs = read_by_peft(peft, tmp_path / "base", tmp_path / "adapters")
    items = ref.conversations(4)
    merged = load_merged(tmp_path / "base", tmp_path / "adapters").model
    assert not [name for name, _ in merged.named_parameters() if "adapter" in name]
    assert ref.difference(merged, theirs, items) <= TOLERANCE
    save(merged, tmp_path / "own")
    assert ref.difference(load_folder(tmp_path / "own").model, theirs, items) <= TOLERANCE
    export_hf(merged, tmp_path / "hub")
    exported = hf.LlavaForConditionalGeneration.from_pretrained(tmp_path / "hub").eval()
    assert ref.difference(ours, exported, items) <= TOLERANCE
    merge(ours)
    assert ref.difference(ours, theirs, items) <= TOLERANCE
