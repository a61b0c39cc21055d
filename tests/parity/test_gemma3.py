"""Gemma 3 against transformers: logits, answers, spellings, and mistakes that show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from tests.parity import gemma
from tests.parity import reference as ref
from tests.parity.gemma import BOI, EOI, GEMMA3, IMAGE, pictured
from tests.parity.reference import TOLERANCE
from tests.parity.tiles import assert_same_greedy, difference

from sightline.core.errors import FamilyError
from sightline.families import Declared, read_spec
from sightline.model.vlm import Vlm
from sightline.resolution.groups import Groups
from sightline.weights import load, load_folder

SEEN = 5 * TOLERANCE
WIDE = GEMMA3 | {"sliding_window": 64}  # as published: a picture is within the window
MODELS: dict[str, Callable[[], Any]] = {
    "window below a picture": lambda: gemma.gemma3(),
    "window above a picture": lambda: gemma.gemma3(WIDE),
    "squares of two": lambda: gemma.gemma3(patch=14),
}


def made(folder: Path) -> tuple[Any, Declared]:
    theirs = gemma.gemma3()
    return theirs, read_spec(ref.saved(theirs, folder))


@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chats = gemma.chats(ours.spec, pictured)
    assert difference(ours, theirs, chats) <= TOLERANCE
    assert_same_greedy(ours, theirs, chats)


def as_5s(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)


def as_5n(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, save_original_format=False)


def as_hub(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    ref.edit_tensors(folder, ref.renamed(("vision_tower.", "vision_tower.vision_model.")))


@pytest.mark.parametrize("dialect", ["4.x", "5.x"])
@pytest.mark.parametrize("write", [as_5s, as_5n, as_hub])
def test_every_spelling_and_dialect(
    write: Callable[[Any, Path], None], dialect: str, tmp_path: Path
) -> None:
    theirs = gemma.gemma3()
    write(theirs, tmp_path)
    if dialect == "4.x":
        ref.to_hub_dialect(tmp_path)
    ours = load_folder(tmp_path).model
    assert difference(ours, theirs, gemma.chats(ours.spec, pictured)) <= TOLERANCE


def ids_shifted(groups: Groups) -> Groups:
    return replace(groups, ids=(-1, *groups.ids[:-1]))


GROUP_MISTAKES: dict[str, Callable[[Groups], Groups | None]] = {
    "causal": lambda groups: None,
    "all pictures one group": lambda groups: replace(
        groups, ids=tuple(min(group, 0) for group in groups.ids)
    ),
    "one token late": ids_shifted,
    "beyond the window": lambda groups: replace(groups, in_window=False),
}


@pytest.mark.parametrize("mistake", GROUP_MISTAKES)
def test_a_wrong_mask_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs, declared = made(tmp_path)
    ours = load(declared).model
    several = gemma.chats(ours.spec, pictured)["several"]
    wrong = gemma.regrouped(several, GROUP_MISTAKES[mistake])
    assert difference(ours, theirs, {"several": wrong}) > SEEN


def norm_without_offset(ours: Vlm) -> None:
    ours.connector.norm.unit_offset = False  # type: ignore[union-attr, assignment]


def columns_pooled_first(ours: Vlm) -> None:
    """Squares in column order."""
    inner = ours.connector.forward

    def forward(x: Any, ctx: Any) -> Any:
        made_VND = inner(x, ctx)
        return made_VND.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)

    ours.connector.forward = forward  # type: ignore[method-assign]


def one_rotation(ours: Vlm) -> None:
    ours.language.windowed_rotary = None


def features_before_the_norm(ours: Vlm) -> None:
    ours.vision.spec = ours.vision.spec.model_copy(update={"post_norm": "unused"})  # type: ignore[union-attr]


MISTAKES = [norm_without_offset, columns_pooled_first, one_rotation, features_before_the_norm]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_model_is_seen(mistake: Callable[[Vlm], None], tmp_path: Path) -> None:
    theirs, declared = made(tmp_path)
    ours = load(declared).model
    one = {"one": gemma.chats(ours.spec, pictured)["one"]}
    assert difference(ours, theirs, one) <= TOLERANCE
    mistake(ours)
    assert difference(ours, theirs, one) > SEEN


HUB = {  # google/gemma-3-4b-it
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 255999,
    "eoi_token_index": 256000,
    "eos_token_id": [1, 106],
    "image_token_index": 262144,
    "initializer_range": 0.02,
    "mm_tokens_per_image": 256,
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0.dev0",
    "vision_config": {
        "hidden_size": 1152,
        "image_size": 896,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
        "vision_use_head": False,
    },
}


def test_published_config_alone() -> None:
    spec = read_spec(HUB).model
    theirs = hf.Gemma3Config(**json.loads(json.dumps(HUB)))
    a, text = spec.language.attention, theirs.text_config
    assert (a.heads, a.kv_heads, a.head_dim) == (8, 4, 256)
    kinds = [a.window_of(i) is not None for i in range(34)]
    assert kinds == [kind == "sliding_attention" for kind in text.layer_types]
    whole, local = spec.language.positions, spec.language.windowed_positions
    assert whole.theta == text.rope_parameters["full_attention"]["rope_theta"]
    assert local is not None
    assert local.theta == text.rope_parameters["sliding_attention"]["rope_theta"]
    assert whole.scaling is not None and whole.scaling.factor == 8.0 and local.scaling is None
    assert spec.connector.grid(spec.vision.grid(896, 896)).area == 256
    assert spec.language.vocab == text.vocab_size and spec.prompt.stop_ids == (1, 106)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text_config": {"model_type": "gemma2"}}, "text_config.model_type"),
        ({"text_config": {"attn_logit_softcapping": 50.0}}, "text_config.attn_logit_softcapping"),
        ({"text_config": {"final_logit_softcapping": 30.0}}, "text_config.final_logit_softcapping"),
        ({"mm_tokens_per_image": 200}, "mm_tokens_per_image"),
        ({"image_token_index": 262208}, "image_token_index"),
    ],
)
def test_what_is_not_built_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FamilyError) as refused:
        read_spec(HUB | change)
    assert refused.value.field == field


def test_pan_and_scan_is_refused(tmp_path: Path) -> None:
    ref.saved(gemma.gemma3(), tmp_path)
    processor = {"do_pan_and_scan": True, "size": {"height": 56, "width": 56}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(FamilyError, match="do_pan_and_scan"):
        read_spec(tmp_path)


def test_markers_stand_around_each_picture(tmp_path: Path) -> None:
    image = made(tmp_path)[1].model.prompt.image
    assert (image.id, image.before, image.after) == (IMAGE, (BOI,), (EOI,))
    assert image.written_id == BOI
