"""IDEFICS, the open Flamingo, against transformers: resampler, gates, split vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from tests.helpers.tiny import Item
from tests.parity import memories
from tests.parity import reference as ref
from tests.parity.reference import TOLERANCE, VOCAB, WIDTH
from torch import Tensor
from transformers.models.idefics.processing_idefics import (
    image_attention_mask_for_packed_input_ids,
    incremental_to_binary_attention_mask,
)

from sightline.core.errors import FamilyError, SightlineError
from sightline.families import read_spec
from sightline.model.reference import reference_greedy, reference_logits
from sightline.model.vlm import Vlm
from sightline.planner.work import parameters
from sightline.planner.workload import workload
from sightline.weights import load_folder, save

SIDE, EXTRA, LATENTS = 28, 2, 4
IMAGE = VOCAB - 1
VISION = {
    "embed_dim": 24,
    "image_size": SIDE,
    "patch_size": 14,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
PERCEIVER = {
    "use_resampler": True,
    "resampler_n_latents": LATENTS,
    "resampler_depth": 2,
    "resampler_n_heads": 2,
    "resampler_head_dim": 8,
    "qk_layer_norms_perceiver": True,
}
CONFIG: dict[str, Any] = {
    "vocab_size": VOCAB - EXTRA,
    "additional_vocab_size": EXTRA,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "cross_layer_interval": 2,
    "qk_layer_norms": True,
    "use_resampler": True,
    "vision_config": VISION,
    "perceiver_config": PERCEIVER,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "vector gates": {"alpha_type": "vector"},
    "every layer": {"cross_layer_interval": 1},
    "no norms": {
        "qk_layer_norms": False,
        "perceiver_config": PERCEIVER | {"qk_layer_norms_perceiver": False},
    },
    "no new rows": {"vocab_size": VOCAB, "additional_vocab_size": 0},
    "tied": {"tie_word_embeddings": True},
    "memory as wide as text": {"vision_config": VISION | {"embed_dim": WIDTH}},
}


def tiny(seed: int = 0, **changes: Any) -> Any:
    """Gates are opened: at zero nothing of a picture would arrive."""
    model = ref.randomise(hf.IdeficsForVisionText2Text(hf.IdeficsConfig(**CONFIG | changes)), seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "alpha" in name:
                p.add_(0.8)
    return model


def inputs_of(item: Item) -> dict[str, Tensor]:
    """What IdeficsProcessor would make; of text alone, too, one black picture that nobody sees."""
    ids = torch.tensor([item.token_ids])
    count = len(item.visual.pixels)
    pixels = torch.stack(item.visual.pixels) if count else torch.zeros(1, 3, SIDE, SIDE)
    tokenizer = SimpleNamespace(convert_tokens_to_ids=lambda _: IMAGE, eos_token_id=2)
    seen, _ = image_attention_mask_for_packed_input_ids(ids, tokenizer, "pt")
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": pixels[None],
        "image_attention_mask": incremental_to_binary_attention_mask(seen, "pt", max(count, 1)),
    }


difference = partial(memories.difference, inputs=inputs_of)


@pytest.fixture(scope="module")
def theirs() -> Any:
    return tiny()


@pytest.fixture
def ours(theirs: Any, tmp_path: Path) -> Vlm:
    return load_folder(ref.saved(theirs, tmp_path)).model


def test_same_logits_and_answers(ours: Vlm, theirs: Any) -> None:
    items = memories.conversations(ours.spec)
    assert difference(ours, theirs, items) <= TOLERANCE
    memories.assert_same_greedy(ours, theirs, items, inputs_of)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_switch(name: str, tmp_path: Path) -> None:
    model = tiny(1, **VARIANTS[name])
    mine = load_folder(ref.saved(model, tmp_path)).model
    items = memories.conversations(mine.spec)
    assert difference(mine, model, items) <= TOLERANCE
    memories.assert_same_greedy(mine, model, {"several": items["several"]}, inputs_of, count=8)


def test_cached_answers_are_the_slow_path_s(ours: Vlm) -> None:
    items = memories.conversations(ours.spec)
    cached = ref.our_greedy(ours, list(items.values()), 6)
    assert cached == [reference_greedy(ours, item, 6) for item in items.values()]


def test_the_4x_dialect_reads_alike(theirs: Any, tmp_path: Path) -> None:
    """With the keys of the first release, and the buffers that it stored."""
    ref.saved(theirs, tmp_path)
    ref.to_hub_dialect(tmp_path)
    ref.edit_config(tmp_path, {"ffn_dim": 48, "word_embed_proj_dim": WIDTH, "max_new_tokens": 100})
    freqs = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "model.gated_cross_attn_layers.0.cross_attn.rotary_emb.inv_freq": torch.ones(4),
    }
    ref.edit_tensors(tmp_path, lambda tensors: tensors | freqs)
    mine = load_folder(tmp_path).model
    assert difference(mine, theirs, memories.conversations(mine.spec)) <= TOLERANCE


def test_our_own_folder_brings_the_model_back(ours: Vlm, tmp_path: Path) -> None:
    save(ours, tmp_path / "own")
    again = load_folder(tmp_path / "own").model
    assert again.spec == ours.spec
    assert all(map(torch.equal, again.parameters(), ours.parameters()))


def with_fusion(model: Vlm, **changes: Any) -> None:
    fusion = model.spec.fusion.model_copy(update=changes)
    model.spec = model.spec.model_copy(update={"fusion": fusion})


def cross_of(model: Vlm) -> Any:
    return model.language.blocks[0].cross


def own_latents_unread(model: Vlm) -> None:
    """Keys and values of the view alone, as a plain cross-attention would have them."""
    for block in model.connector.blocks:
        block.kv = lambda x, kv=block.kv: kv(x[:, :-LATENTS])


MUTATIONS: dict[str, Callable[[Vlm], Any]] = {
    "run of pictures": lambda m: with_fusion(m, sees="run"),
    "all pictures": lambda m: with_fusion(m, sees="all"),
    "everything before pictures": lambda m: with_fusion(m, blind="everything"),
    "latents unread": own_latents_unread,
    "gelu in the resampler": lambda m: [
        setattr(block.mlp, "activation", "gelu") for block in m.connector.blocks
    ],
    "no norm of latents": lambda m: [setattr(b, "q_norm", None) for b in m.connector.blocks],
    "class token dropped": lambda m: setattr(
        m.vision, "spec", m.vision.spec.model_copy(update={"class_token": "drop"})
    ),
    "final norm of the tower": lambda m: setattr(
        m.vision, "spec", m.vision.spec.model_copy(update={"post_norm": "applied"})
    ),
    "no norm of queries": lambda m: setattr(cross_of(m).attn, "q_norm", None),
    "gates without tanh": lambda m: cross_of(m).attn_gate.data.atanh_(),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_are_caught(name: str, ours: Vlm, theirs: Any) -> None:
    items = memories.conversations(ours.spec)
    if name == "gates without tanh":
        cross_of(ours).attn_gate.data.clamp_(-0.9, 0.9)
    MUTATIONS[name](ours)
    assert difference(ours, theirs, items) >= 5 * TOLERANCE


def test_new_rows_are_embedded_and_spoken(ours: Vlm, theirs: Any, tmp_path: Path) -> None:
    """Rows of one's own in both tables, in the right order."""
    stored = load_file(ref.saved(theirs, tmp_path) / "model.safetensors")
    new = stored["model.embed_tokens.additional_embedding.weight"]
    assert torch.equal(ours.language.embed.weight[-EXTRA:], new)
    item = memories.conversation(ours.spec, [5, VOCAB - 2, 7], "small", [VOCAB - 2, 9])
    assert reference_logits(ours, item).shape[-1] == VOCAB
    assert difference(ours, theirs, {"new rows": item}) <= TOLERANCE


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no resampler": ({"use_resampler": False}, "use_resampler"),
    "uneven": ({"cross_layer_interval": 3}, "cross_layer_interval"),
    "alpha": ({"alpha_type": "matrix"}, "alpha_type"),
    "tower": ({"vision_config": VISION | {"num_attention_heads": 5}}, "heads"),
    "unknown key": ({"cross_layer_bias": True}, "cross_layer_bias"),
    "unknown perceiver key": (
        {"perceiver_config": PERCEIVER | {"resampler_bias": True}},
        "resampler_bias",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_configs(name: str) -> None:
    change, field = REFUSED[name]
    base = {"model_type": "idefics", **CONFIG}
    assert read_spec(base).is_model
    with pytest.raises(SightlineError, match=field) as caught:
        read_spec(base | change)
    assert isinstance(caught.value, FamilyError)


def test_the_9b_from_its_config_alone() -> None:
    """Every parameter is counted, and a picture is one token beside 64 latents."""
    config = {
        "additional_vocab_size": 2,
        "cross_layer_interval": 4,
        "qk_layer_norms": True,
        "use_resampler": True,
        "vision_config": {"embed_dim": 1280},
        "perceiver_config": PERCEIVER | {"resampler_n_latents": 64, "resampler_depth": 6}
        | {"resampler_n_heads": 16, "resampler_head_dim": 96},
    }  # fmt: skip
    spec = read_spec({"model_type": "idefics", **config}).model
    with torch.device("meta"):
        theirs = hf.IdeficsForVisionText2Text(hf.IdeficsConfig(**config))
        wanted = sum(p.numel() for p in theirs.parameters())
    assert sum(parameters(spec)) == wanted
    assert 8.9e9 < wanted < 9.0e9
    work = workload(spec, [(640, 480)], text_tokens=100)
    assert (work.prompt_tokens, work.layout.memory_tokens) == (101, 64)
    assert work.kv_bytes == 2 * 32 * 128 * 2 * (32 * 101 + 8 * 64)
