"""InternVL in Hugging Face's format and Qianfan-OCR against transformers."""

# V views  N rows  D width

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.parity import reference as ref
from tests.parity import tiles
from tests.parity.internvl import SIX_B, VIT, chats, internvl, qianfan, tower
from tests.parity.reference import TEXT, TOLERANCE
from torch import Tensor

from sightline.core.errors import FamilyError
from sightline.core.geometry import MediaSize
from sightline.families import Declared, read_spec
from sightline.families.headers import read_index
from sightline.model.vlm import Vlm
from sightline.resolution.policy import layout
from sightline.weights import load, load_folder, load_vision

SEEN = 5 * TOLERANCE
FINAL_NORM = VIT | {"use_mean_pooling": False}
MODELS: dict[str, Callable[[], Any]] = {
    "300M-qwen2": lambda: internvl("qwen2"),
    "6B-llama": lambda: internvl("llama", vision=SIX_B),
    "qwen3": lambda: internvl("qwen3", vision=VIT | {"attention_bias": False}),
    "tied": lambda: internvl("qwen2", tie_word_embeddings=True),
    "final norm": lambda: internvl("qwen2", vision=FINAL_NORM),
    "final norm unused": lambda: internvl("qwen2", vision=FINAL_NORM, vision_feature_layer=-2),
    "first layer": lambda: internvl("llama", vision_feature_layer=1),
    "mask token": lambda: internvl("llama", vision=VIT | {"use_mask_token": True}),
    "relu": lambda: internvl("llama", projector_hidden_act="relu"),
    "factor 4": lambda: internvl("llama", downsample_ratio=0.25),
    "qianfan": lambda: qianfan(),
}


@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    same = chats(ours.spec)
    assert tiles.difference(ours, theirs, same) <= TOLERANCE
    tiles.assert_same_greedy(ours, theirs, same)


def test_tiles_of_another_size_stretch_the_positions(tmp_path: Path) -> None:
    theirs = internvl("qwen2")
    ref.saved(theirs, tmp_path)
    processor = {"image_processor_type": "GotOcr2ImageProcessorFast",
                 "size": {"height": 42, "width": 42}, "max_patches": 6}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    ours = load_folder(tmp_path).model
    assert (ours.spec.resolution.tile, ours.spec.resolution.max_tiles) == (42, 6)
    assert tiles.difference(ours, theirs, chats(ours.spec)) <= TOLERANCE


def hub(folder: Path) -> None:
    """Qianfan's names before 5.23.0 puts `encoder.` into those of the decoder."""
    ref.edit_tensors(
        folder,
        ref.renamed(("language_model.model.encoder.layers.", "language_model.model.layers.")),
    )


SPELLINGS: dict[str, tuple[Callable[[], Any], bool, Callable[[Path], None], str]] = {
    "5s": (lambda: internvl("qwen2"), True, lambda _: None, "vision_tower.encoder.layer."),
    "5n": (lambda: internvl("qwen2"), False, lambda _: None, "model.vision_tower.encoder.layer."),
    "qianfan hub": (qianfan, True, hub, "language_model.model.layers."),
    "qianfan 5s": (qianfan, True, lambda _: None, "language_model.model.encoder.layers."),
    "qianfan 5n": (qianfan, False, lambda _: None, "model.vision_tower.layers."),
}


@pytest.mark.parametrize("dialect", ["4.x", "5.x"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_and_dialect(spelling: str, dialect: str, tmp_path: Path) -> None:
    make, original, edit, prefix = SPELLINGS[spelling]
    theirs = make()
    theirs.save_pretrained(tmp_path, save_original_format=original)
    edit(tmp_path)
    if dialect == "4.x":
        ref.to_hub_dialect(tmp_path)
    assert any(name.startswith(prefix) for name in read_index(tmp_path))
    ours = load_folder(tmp_path).model
    assert tiles.difference(ours, theirs, chats(ours.spec)) <= TOLERANCE


# The tower alone, at sizes that its positions were and were not made for.


@pytest.mark.parametrize("config", [VIT, SIX_B, FINAL_NORM], ids=["300M", "6B", "final norm"])
def test_tower_alone(config: dict[str, Any], tmp_path: Path) -> None:
    theirs = tower(config)
    ours = load_vision(read_spec(ref.saved(theirs, tmp_path)))
    for height, width in ((28, 28), (42, 42), (35, 56)):
        pixels = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))
        with torch.no_grad():
            gap = ours(pixels) - theirs(pixels).last_hidden_state
        assert float(gap.abs().max()) <= TOLERANCE


# Each mistake must be seen by the comparisons above, by a margin.


def column_major(model: Vlm) -> None:
    """The channels of a square column by column."""
    join = model.connector.join

    def swapped(x: Tensor, ctx: Any) -> Tensor:
        joined = join(x, ctx)
        return joined.unflatten(-1, (2, 2, -1)).transpose(-3, -2).flatten(-3)

    model.connector.join = swapped


def unshuffled(model: Vlm) -> None:
    """Four rows in sequence instead of the square."""
    model.connector.join = lambda x, ctx: x.unflatten(1, (-1, 4)).flatten(2)


def transposed(model: Vlm) -> None:
    """`ps_version` v1 of the first releases: tokens in column order."""
    join = model.connector.join
    model.connector.join = lambda x, ctx: (
        join(x, ctx).unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)
    )


def without(*names: str) -> Callable[[Vlm], None]:
    def remove(model: Vlm) -> None:
        for block in model.vision.blocks:
            for name in names:
                setattr(block.attn if "norm" in name else block, name, None)

    return remove


def per_head(model: Vlm) -> None:
    """Queries and keys normed head by head instead of over the full width."""
    for block in model.vision.blocks:
        for norm in (block.attn.q_norm, block.attn.k_norm):
            norm.forward = by_heads(norm.weight, block.attn.heads)


def by_heads(weight: Tensor, heads: int) -> Callable[[Tensor], Tensor]:
    def normed(x: Tensor) -> Tensor:
        x = x.unflatten(-1, (heads, -1))
        return torch.nn.functional.rms_norm(x, x.shape[-1:], eps=1e-6).flatten(-2) * weight

    return normed


def norm_skipped(model: Vlm) -> None:
    model.connector.norm = None


def class_token_in(model: Vlm) -> None:
    """Rows 0..n-1 instead of 1..n."""
    left = model.vision._left
    model.vision._left = lambda x: left(torch.cat((x[:, -1:], x[:, :-1]), 1))


def thumbnail_first(model: Vlm) -> None:
    encode = model.encode

    def rotated(visuals: Any) -> Tensor:
        tokens = encode(visuals)
        [visual] = visuals
        ends = torch.tensor([m.tokens for m in visual.layout.media]).cumsum(0).tolist()
        runs = [tokens[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        return torch.cat([r.roll(4, 0) for r in runs]) if runs else tokens

    model.encode = rotated


MISTAKES: dict[str, tuple[str, Callable[[Vlm], None]]] = {
    "channels column by column": ("300M-qwen2", column_major),
    "no pixel shuffle": ("300M-qwen2", unshuffled),
    "transposed grid": ("300M-qwen2", transposed),
    "no layer scale": ("300M-qwen2", without("scale1", "scale2")),
    "no qk-norm": ("6B-llama", without("q_norm", "k_norm")),
    "qk-norm per head": ("6B-llama", per_head),
    "no projector norm": ("300M-qwen2", norm_skipped),
    "class token shifts the grid": ("300M-qwen2", class_token_in),
    "thumbnail first": ("300M-qwen2", thumbnail_first),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    name, break_it = MISTAKES[mistake]
    theirs = MODELS[name]()
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    same = chats(ours.spec)
    assert tiles.difference(ours, theirs, same) <= TOLERANCE
    break_it(ours)
    assert tiles.difference(ours, theirs, same) > SEEN


def changed(part: str, **values: Any) -> Callable[[Declared], Declared]:
    def change(declared: Declared) -> Declared:
        spec = getattr(declared, part)
        return replace(declared, **{part: spec.model_copy(update=values)})

    return change


SPEC_MISTAKES: dict[str, tuple[str, Callable[[Declared], Declared]]] = {
    "final norm left out": ("final norm", changed("vision", post_norm="unused")),
    "final norm too early": ("final norm unused", changed("vision", post_norm="applied")),
    "another layer": ("first layer", changed("vision", layer=2)),
    "LayerNorm for RMS eps": ("6B-llama", changed("vision", norm_eps=1e-2)),
    "projector gelu form": ("300M-qwen2", changed("connector", activation="gelu_tanh")),
    "projector norm eps": ("300M-qwen2", changed("connector", norm_eps=1e-2)),
    "tower gelu form": ("300M-qwen2", changed("vision", activation="gelu_tanh")),
}


@pytest.mark.parametrize("mistake", SPEC_MISTAKES)
def test_a_wrong_spec_is_seen(mistake: str, tmp_path: Path) -> None:
    name, change = SPEC_MISTAKES[mistake]
    theirs = MODELS[name]()
    ours = load(change(read_spec(ref.saved(theirs, tmp_path)))).model
    assert tiles.difference(ours, theirs, chats(ours.spec)) > SEEN


# What cannot be reproduced is refused by name.

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "class token kept": ({"vision_feature_select_strategy": "full"}, "select_strategy"),
    "odd ratio": ({"downsample_ratio": 0.4}, "downsample_ratio"),
    "no ratio": ({"downsample_ratio": 0}, "downsample_ratio"),
    "several layers": ({"vision_feature_layer": [-1, -2]}, "vision_feature_layer"),
    "another decoder": ({"text_config": {"model_type": "phi"}}, "phi"),
    "unknown key": ({"fancy": 1}, "fancy"),
    "no positions": ({"vision_config": VIT | {"use_absolute_position_embeddings": False}},
                     "use_absolute"),
    "norm": ({"vision_config": VIT | {"norm_type": "batch_norm"}}, "norm_type"),
    "qk-norm eps": ({"vision_config": SIX_B | {"layer_norm_eps": 1e-5}}, "layer_norm_eps"),
    "rms and final norm": (
        {"vision_config": SIX_B | {"use_mean_pooling": False}}, "norm_type"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_built_is_refused(name: str) -> None:
    change, field = REFUSED[name]
    config = {"model_type": "internvl", "vision_config": VIT, "text_config": TEXT} | change
    with pytest.raises(FamilyError, match=field):
        read_spec(config)


def test_published_config_alone() -> None:
    """InternVL3-8B-hf in the dialect of 4.x: counts without weights."""
    config = {
        "model_type": "internvl",
        "architectures": ["InternVLForConditionalGeneration"],
        "downsample_ratio": 0.5,
        "image_seq_length": 256,
        "image_token_id": 151667,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": False,
        "text_config": {"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944,
                        "num_hidden_layers": 28, "num_attention_heads": 28,
                        "num_key_value_heads": 4, "vocab_size": 151674, "rope_theta": 1000000.0,
                        "rope_scaling": None, "tie_word_embeddings": False},
        "vision_config": {"model_type": "internvl_vision", "attention_bias": True},
    }  # fmt: skip
    spec = read_spec(config).model
    assert spec.vision.depth == 24
    assert spec.resolution.max_tiles == 12
    assert not spec.language.tied_head
    assert layout(spec, [MediaSize(640, 480)]).tokens == 13 * 256
