"""BLIP-2 with OPT and with Llama, and its EVA-CLIP tower, against transformers."""

# T tokens  V views  Q queries

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tests.parity import reference as ref
from tests.parity.blip import QUERIES, TEXTS, Asked, blip2, randomised
from tests.parity.reference import TOLERANCE, TOWER, VOCAB

from sightline.core.errors import FamilyError
from sightline.families import Declared, read_spec
from sightline.model.vlm import Vlm
from sightline.planner.work import parameters
from sightline.spec.language import MlpBlockSpec
from sightline.weights import load, load_folder, load_vision

SEEN = 5 * TOLERANCE


@pytest.mark.parametrize("text", TEXTS)
def test_same_logits_and_answers(text: str, tmp_path: Path) -> None:
    theirs = blip2(text)
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    items = ref.conversations(QUERIES)
    assert ref.difference(ours, Asked(theirs), items) <= TOLERANCE
    ref.assert_same_greedy(ours, Asked(theirs), items)


def test_module_names_and_the_dialect_of_the_hub(tmp_path: Path) -> None:
    theirs = blip2("opt")
    theirs.save_pretrained(tmp_path, save_original_format=False)
    ref.to_hub_dialect(tmp_path)
    ours = load_folder(tmp_path).model
    assert ref.difference(ours, Asked(theirs), ref.conversations(QUERIES)) <= TOLERANCE


def test_defaults_of_a_hub_config() -> None:
    """Salesforce/blip2-opt-2.7b states neither the encoder nor the Q-Former."""
    text = {
        "model_type": "opt", "hidden_size": 2560, "ffn_dim": 10240, "num_hidden_layers": 32,
        "num_attention_heads": 32, "word_embed_proj_dim": 2560, "eos_token_id": 50118,
        "vocab_size": 50304,
    }  # fmt: skip
    config = {
        "model_type": "blip-2", "image_token_index": 50265, "num_query_tokens": 32,
        "qformer_config": {"model_type": "blip_2_qformer"}, "text_config": text,
        "use_decoder_only_language_model": True,
        "vision_config": {"model_type": "blip_2_vision_model"},
    }  # fmt: skip
    spec = read_spec(config).model
    theirs = hf.Blip2Config(**config)
    vision, qformer = theirs.vision_config, theirs.qformer_config
    assert (spec.vision.depth, spec.vision.width) == (vision.num_hidden_layers, vision.hidden_size)
    assert spec.vision.norm_eps == vision.layer_norm_eps
    assert (spec.connector.depth, spec.connector.width) == (12, qformer.hidden_size)
    assert spec.connector.norm_eps == qformer.layer_norm_eps
    assert spec.vision.tokens(spec.vision.grid(224, 224)) == 257
    assert (spec.resolution.size, spec.resolution.fit) == (224, "squash")
    assert spec.prompt.stop_ids == (50118,)
    with torch.device("meta"):
        built = hf.Blip2ForConditionalGeneration(theirs)
    assert sum(parameters(spec)) == sum(p.numel() for p in built.parameters())


def test_a_config_without_image_token_gets_a_row_for_it(tmp_path: Path) -> None:
    """As the first releases have it: there the number of the placeholder is no one's business."""
    theirs = blip2("opt")
    ref.saved(theirs, tmp_path)
    ref.edit_config(tmp_path, drop=("image_token_index",))
    loaded = load_folder(tmp_path)
    assert loaded.declared.model.prompt.image.id == VOCAB == loaded.model.spec.language.vocab - 1
    for name, item in ref.conversations(QUERIES, VOCAB).items():
        placed = ref.conversations(QUERIES)[name]
        gap = ref.our_logits(loaded.model, item)[:, :VOCAB] - ref.their_logits(
            Asked(theirs), placed
        )
        assert float(gap.abs().max()) <= TOLERANCE


@pytest.mark.parametrize("side", [(28, 28), (42, 28), (28, 70)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_tower_alone(bias: bool, side: tuple[int, int], tmp_path: Path) -> None:
    theirs = randomised(hf.Blip2VisionModel(hf.Blip2VisionConfig(**TOWER, qkv_bias=bias)))
    ours = load_vision(read_spec(ref.saved(theirs, tmp_path)))
    pixels = torch.randn(2, 3, *side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = theirs(pixels, interpolate_pos_encoding=True).last_hidden_state
        assert float((ours(pixels) - wanted).abs().max()) <= TOLERANCE


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "t5": ({"text_config": {"model_type": "t5"}}, "text_config.model_type"),
    "seq2seq": ({"use_decoder_only_language_model": False}, "use_decoder_only_language_model"),
    "falcon": ({"text_config": {"model_type": "falcon"}}, "text_config.model_type"),
    "another width": ({"qformer_config": {"encoder_hidden_size": 7}}, "encoder_hidden_size"),
    "retrieval": ({"qformer_config": {"use_qformer_text_input": True}}, "use_qformer_text_input"),
    "opt-350m": (
        {"text_config": {"model_type": "opt", "do_layer_norm_before": False}},
        "text_config.do_layer_norm_before",
    ),
    "narrow embeddings": (
        {"text_config": {"model_type": "opt", "word_embed_proj_dim": 512}},
        "text_config.word_embed_proj_dim",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    change, field = REFUSED[name]
    base = {"model_type": "blip-2", "vision_config": {}, "qformer_config": {}, "text_config": {}}
    with pytest.raises(FamilyError) as error:
        read_spec(base | change)
    assert field in error.value.field


# Each mistake must be seen by the comparison above, by a margin.


def spec_change(part: str, **values: Any) -> Callable[[Declared], Declared]:
    """Load the same weights under another declaration."""

    def change(declared: Declared) -> Declared:
        spec = getattr(declared, part).model_copy(update=values)
        return replace(declared, **{part: spec})

    return change


def rolled(name: str, by: int = 1) -> Callable[[Vlm], None]:
    def roll(model: Vlm) -> None:
        data = model.get_parameter(name).data
        data.copy_(data.roll(by, 0))

    return roll


def swapped(a: str, b: str) -> Callable[[Vlm], None]:
    """Exchange the data of two parameters."""

    def swap(model: Vlm) -> None:
        one, other = model.get_parameter(a).data, model.get_parameter(b).data
        kept = one.clone()
        one.copy_(other)
        other.copy_(kept)

    return swap


def crossing_late(model: Vlm) -> None:
    """The view is read after the feed-forward, as the next block begins."""
    blocks = model.connector.blocks
    blocks[1].cross, blocks[0].cross = blocks[0].cross, None


def without_norm(model: Vlm) -> None:
    model.connector.norm = torch.nn.Identity()


def norm_first(model: Vlm) -> None:
    """The norm of the feed-forward before it instead of after the sum."""
    for block in model.connector.blocks:
        branch = block.query_mlp
        branch.forward = lambda x, branch=branch: x + branch.mlp(branch.norm(x))


SPEC_MISTAKES = {
    "final norm unused": spec_change("vision", post_norm="unused"),
    "class token dropped": spec_change("vision", class_token="drop"),
    "one layer early": spec_change("vision", layer=-2),
    "gelu form of the queries": spec_change("connector", activation="gelu_tanh"),
    "norm eps of the queries": spec_change("connector", norm_eps=1e-2),
    "heads of the queries": spec_change("connector", heads=2),
    "activation of OPT": spec_change(
        "language", mlp=MlpBlockSpec(kind="plain", width=48, activation="gelu", bias=True)
    ),
}
MODEL_MISTAKES: dict[str, Callable[[Vlm], None]] = {
    "queries in another order": rolled("connector.queries"),
    "first norm left out": without_norm,
    "view read one block late": crossing_late,
    "norm before the feed-forward": norm_first,
    "keys and values exchanged": swapped(
        "connector.blocks.0.cross.k.weight", "connector.blocks.0.cross.v.weight"
    ),
    "thirds of the fused matrix exchanged": swapped(
        "vision.blocks.0.attn.q.weight", "vision.blocks.0.attn.v.weight"
    ),
    "no value bias": lambda model: model.vision.blocks[0].attn.v.bias.data.zero_(),
    "places one off": rolled("language.positions.weight"),
    "blocks exchanged": swapped(
        "connector.blocks.1.attn.q.weight", "connector.blocks.2.attn.q.weight"
    ),
}


@pytest.mark.parametrize("mistake", SPEC_MISTAKES)
def test_a_wrong_spec_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs = blip2("opt")
    declared = read_spec(ref.saved(theirs, tmp_path))
    wrong = load(SPEC_MISTAKES[mistake](declared)).model
    assert ref.difference(wrong, Asked(theirs), ref.conversations(QUERIES)) > SEEN


@pytest.mark.parametrize("mistake", MODEL_MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs = blip2("opt")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    MODEL_MISTAKES[mistake](ours)
    assert ref.difference(ours, Asked(theirs), ref.conversations(QUERIES)) > SEEN


def test_padding_on_the_left_does_not_move_the_places(tmp_path: Path) -> None:
    """Learned positions count the tokens of a sequence, not the columns of a batch."""
    ours = load_folder(ref.saved(blip2("opt"), tmp_path)).model
    items = list(ref.conversations(QUERIES).values())
    together = ref.our_greedy(ours, items, 8)
    assert together == [ref.our_greedy(ours, [item], 8)[0] for item in items]
    assert len({len(item.token_ids) for item in items}) == len(items)
