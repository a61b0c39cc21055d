"""PaliGemma 1 and 2 against transformers: logits, answers, spellings, and mistakes that show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.parity import gemma
from tests.parity import reference as ref
from tests.parity.gemma import GEMMA, GEMMA2, prefix
from tests.parity.reference import TOLERANCE, words
from tests.parity.tiles import assert_same_greedy, difference

from sightline.core.errors import FamilyError
from sightline.families import Declared, read_spec
from sightline.model.evidence import answer_log_p
from sightline.model.vlm import Vlm
from sightline.resolution.groups import Groups
from sightline.weights import load, load_folder

SEEN = 5 * TOLERANCE
TEXTS = {"paligemma": GEMMA, "paligemma 2": GEMMA2}


def made(name: str, folder: Path) -> tuple[Any, Declared]:
    theirs = gemma.paligemma(TEXTS[name])
    return theirs, read_spec(ref.saved(theirs, folder))


@pytest.mark.parametrize("name", TEXTS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs, declared = made(name, tmp_path)
    ours = load(declared).model
    chats = gemma.chats(ours.spec, prefix)
    assert difference(ours, theirs, chats) <= TOLERANCE
    assert_same_greedy(ours, theirs, chats)


def as_5s(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)


def as_5n(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, save_original_format=False)


def as_hub(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    ref.edit_tensors(folder, ref.renamed(("vision_tower.", "vision_tower.vision_model.")))
    ref.to_hub_dialect(folder)
    extra = {"_vocab_size": 300, "ignore_index": -100, "pad_token_id": 0}
    ref.edit_config(folder, extra, drop=("tie_word_embeddings",))


@pytest.mark.parametrize("write", [as_5s, as_5n, as_hub])
@pytest.mark.parametrize("name", TEXTS)
def test_every_spelling(name: str, write: Callable[[Any, Path], None], tmp_path: Path) -> None:
    theirs = gemma.paligemma(TEXTS[name])
    write(theirs, tmp_path)
    ours = load_folder(tmp_path).model
    assert difference(ours, theirs, gemma.chats(ours.spec, prefix)) <= TOLERANCE


@pytest.mark.parametrize("name", TEXTS)
def test_a_taught_answer_sees_the_prompt_and_itself_in_order(name: str, tmp_path: Path) -> None:
    """The mask of training: the prompt sees itself, the answer what came before."""
    theirs, declared = made(name, tmp_path)
    ours = load(declared).model
    parts = (None, words(5, 1), words(4, 2))
    chat = gemma.chat(ours.spec, *parts, types=prefix, answer=4)
    assert difference(ours, theirs, {"taught": chat}) <= TOLERANCE
    asked = gemma.chat(ours.spec, *parts, types=prefix)
    gap = ref.our_logits(ours, chat.item) - ref.our_logits(ours, asked.item)
    assert float(gap.abs().max()) > SEEN


def test_an_answer_scored_at_once_is_the_answer_token_by_token(tmp_path: Path) -> None:
    _, declared = made("paligemma 2", tmp_path)
    ours = load(declared).model
    item = gemma.chat(ours.spec, None, words(7, 1), types=prefix).item
    answer = ref.our_greedy(ours, [item], 6)[0]
    scores = answer_log_p(ours, item, answer)  # type: ignore[arg-type]
    logits = ref.reference_logits(ours, item, answer)[-7:-1]
    assert logits.argmax(-1).tolist() == answer
    assert torch.equal(scores, logits.log_softmax(-1).amax(-1))


GROUP_MISTAKES: dict[str, Callable[[Groups], Groups | None]] = {
    "causal": lambda groups: None,
    "only the picture sees itself": lambda groups: replace(
        groups, ids=(*groups.ids[:6], *[-1] * (len(groups.ids) - 6))
    ),
    "the last token left out": lambda groups: replace(groups, ids=(*groups.ids[:-1], -1)),
}


@pytest.mark.parametrize("mistake", GROUP_MISTAKES)
@pytest.mark.parametrize("name", TEXTS)
def test_a_wrong_mask_is_seen(name: str, mistake: str, tmp_path: Path) -> None:
    theirs, declared = made(name, tmp_path)
    ours = load(declared).model
    one = gemma.chats(ours.spec, prefix)["one"]
    wrong = gemma.regrouped(one, GROUP_MISTAKES[mistake])
    assert difference(ours, theirs, {"one": wrong}) > SEEN


def test_a_prefix_cut_at_the_window_is_seen(tmp_path: Path) -> None:
    theirs, declared = made("paligemma 2", tmp_path)
    ours = load(declared).model
    one = gemma.chats(ours.spec, prefix)["one"]
    wrong = gemma.regrouped(one, lambda groups: replace(groups, in_window=True))
    assert difference(ours, theirs, {"one": wrong}) > SEEN


def features_before_the_norm(ours: Vlm) -> None:
    ours.vision.spec = ours.vision.spec.model_copy(update={"post_norm": "unused"})  # type: ignore[union-attr]


def visual_tokens_scaled(ours: Vlm) -> None:
    ours.connector.layers[0].weight.data.div_(32**0.5)  # type: ignore[union-attr]


def no_logit_cap(ours: Vlm) -> None:
    ours.language.spec = ours.language.spec.model_copy(update={"logit_soft_cap": None})


MISTAKES = [features_before_the_norm, visual_tokens_scaled, no_logit_cap]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_model_is_seen(mistake: Callable[[Vlm], None], tmp_path: Path) -> None:
    theirs, declared = made("paligemma 2", tmp_path)
    ours = load(declared).model
    one = {"one": gemma.chats(ours.spec, prefix)["one"]}
    assert difference(ours, theirs, one) <= TOLERANCE
    mistake(ours)
    assert difference(ours, theirs, one) > SEEN


# What hub folders state, and what stands for what they leave out.
HUB = {
    "architectures": ["PaliGemmaForConditionalGeneration"],
    "bos_token_id": 2,
    "eos_token_id": 1,
    "hidden_size": 2048,
    "ignore_index": -100,
    "image_token_index": 257152,
    "model_type": "paligemma",
    "pad_token_id": 0,
    "projection_dim": 2048,
    "text_config": {
        "hidden_size": 2048,
        "intermediate_size": 16384,
        "model_type": "gemma",
        "num_attention_heads": 8,
        "num_hidden_layers": 18,
        "num_image_tokens": 256,
        "num_key_value_heads": 1,
        "torch_dtype": "float32",
        "vocab_size": 257216,
    },
    "torch_dtype": "float32",
    "transformers_version": "4.41.0.dev0",
    "vision_config": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "num_image_tokens": 256,
        "patch_size": 14,
        "projection_dim": 2048,
        "projector_hidden_act": "gelu_fast",
        "vision_use_head": False,
    },
}


def test_published_config_alone() -> None:
    spec = read_spec(HUB).model
    language, prompt = spec.language, spec.prompt
    assert (language.width, language.depth, language.attention.head_dim) == (2048, 18, 256)
    assert language.tied_head and language.embedding_scale == 2048**0.5
    assert (spec.fusion.mask, spec.vision.position_side) == ("prefix", 224)
    assert (prompt.image.id, prompt.bos_id, prompt.stop_ids) == (257152, None, (1,))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text_config": {"model_type": "llama"}}, "text_config.model_type"),
        ({"vision_config": {"model_type": "clip_vision_model"}}, "vision_config.model_type"),
        ({"image_token_index": 257216}, "image_token_index"),
        ({"text_config": HUB["text_config"] | {"use_bidirectional_attention": False}},
         "text_config.use_bidirectional_attention"),
    ],
)  # fmt: skip
def test_what_is_not_built_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FamilyError) as refused:
        read_spec(HUB | change)
    assert refused.value.field == field
