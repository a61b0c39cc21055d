"""Idefics3 and SmolVLM against transformers."""

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
from tests.parity.idefics3 import LONG, TOWER, chats, idefics3
from tests.parity.reference import TEXT, TOLERANCE
from torch import Tensor

from sightline.core.errors import FamilyError
from sightline.core.geometry import Grid, MediaSize
from sightline.families import Declared, read_spec
from sightline.families.headers import read_index
from sightline.model.vlm import Vlm
from sightline.resolution.policy import layout
from sightline.vision.embed import bucketed
from sightline.weights import load, load_folder

SEEN = 5 * TOLERANCE
UNEVEN = TOWER | {"image_size": 26, "patch_size": 2}  # 13 × 13 positions for 14 × 14 patches
MODELS: dict[str, Callable[[], Any]] = {
    "idefics3": lambda: idefics3(),
    "smolvlm": lambda: idefics3("smolvlm"),
    "factor 4": lambda: idefics3("smolvlm", scale_factor=4),
    "tied": lambda: idefics3(tie_word_embeddings=True),
    "one head of keys": lambda: idefics3(text_config=LONG | {"num_key_value_heads": 1}),
}


@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    same = chats(ours.spec, clip=theirs.config.model_type == "smolvlm")
    assert tiles.difference(ours, theirs, same) <= TOLERANCE
    tiles.assert_same_greedy(ours, theirs, same)


@pytest.mark.parametrize("side", [3, 5, 14, 25])
def test_tiles_of_another_size_than_the_position_grid(side: int, tmp_path: Path) -> None:
    """25 is a side on which the reference's buckets are not the cells themselves."""
    theirs = idefics3(vision_config=TOWER | {"image_size": 2 * side, "patch_size": 2})
    ref.saved(theirs, tmp_path)
    processor = {"image_processor_type": "Idefics3ImageProcessor",
                 "size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 28}}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    ours = load_folder(tmp_path).model
    assert ours.spec.vision.position_grid == Grid(side, side)
    assert tiles.difference(ours, theirs, chats(ours.spec)) <= TOLERANCE


@pytest.mark.parametrize("name", ["idefics3", "smolvlm"])
def test_names_of_the_modules(name: str, tmp_path: Path) -> None:
    """They are those of the hub."""
    theirs = MODELS[name]()
    theirs.save_pretrained(tmp_path, save_original_format=False)
    assert "model.vision_model.post_layernorm.weight" in read_index(tmp_path)
    ours = load_folder(tmp_path).model
    assert tiles.difference(ours, theirs, chats(ours.spec)) <= TOLERANCE


@pytest.mark.parametrize("name", ["idefics3", "smolvlm"])
def test_dialect_of_4_x(name: str, tmp_path: Path) -> None:
    """With what the first releases' training code left in their config.json."""
    theirs = MODELS[name]()
    ref.to_hub_dialect(ref.saved(theirs, tmp_path))
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config |= {"image_seq_len": 4, "vocab_size": 300}
    config["text_config"] |= {"architectures": ["VLlama3ForCausalLM"], "qk_layer_norms": False,
                              "neftune_noise_alpha": 0.0, "pixel_shuffle_factor": 2,
                              "perceiver_config": {"model_type": "vllama3"},
                              "rope_interleaved": False, "use_resampler": False,
                              "_flash_attn_2_enabled": True}  # fmt: skip
    config["vision_config"] |= {"max_image_size": {"longest_edge": 28}, "model_type": name,
                                "size": {"longest_edge": 112}, "use_base_siglip": True,
                                "tie_word_embeddings": False}  # fmt: skip
    path.write_text(json.dumps(config))
    ours = load_folder(tmp_path).model
    assert tiles.difference(ours, theirs, chats(ours.spec)) <= TOLERANCE


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


def whole_first(model: Vlm) -> None:
    """The picture before its tiles."""
    encode = model.encode

    def rotated(visuals: Any) -> Tensor:
        tokens = encode(visuals)
        [visual] = visuals
        ends = torch.tensor([m.visual_tokens for m in visual.layout.media]).cumsum(0).tolist()
        runs = [tokens[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        return torch.cat([run.roll(4, 0) for run in runs]) if runs else tokens

    model.encode = rotated


def one_bucket_low(model: Vlm) -> None:
    """What transformers 4.57 makes of nearly every patch."""
    low = torch.tensor([0, 0, 1, 2])
    rows = (low[:, None] * 4 + low).flatten()
    model.vision.positions.data = model.vision.positions.data[rows]


MISTAKES: dict[str, Callable[[Vlm], None]] = {
    "channels column by column": column_major,
    "no pixel shuffle": unshuffled,
    "whole picture first": whole_first,
    "positions one bucket low": one_bucket_low,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs = idefics3()
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    same = chats(ours.spec)
    assert tiles.difference(ours, theirs, same) <= TOLERANCE
    MISTAKES[mistake](ours)
    assert tiles.difference(ours, theirs, same) > SEEN


def changed(part: str, **values: Any) -> Callable[[Declared], Declared]:
    def change(declared: Declared) -> Declared:
        spec = getattr(declared, part)
        return replace(declared, **{part: spec.model_copy(update=values)})

    return change


SPEC_MISTAKES: dict[str, tuple[dict[str, Any], Callable[[Declared], Declared]]] = {
    "final norm left out": (TOWER, changed("vision", post_norm="unused")),
    "the layer before": (TOWER, changed("vision", layer=-2)),
    "gelu form": (TOWER, changed("vision", activation="gelu")),
    "positions stretched": (UNEVEN, changed("vision", positions="bicubic")),
    "norm eps of the text": (TOWER, lambda d: replace(d, language=d.language.model_copy(
        update={"norm": d.language.norm.model_copy(update={"eps": 1e-2})}))),
}  # fmt: skip


@pytest.mark.parametrize("mistake", SPEC_MISTAKES)
def test_a_wrong_spec_is_seen(mistake: str, tmp_path: Path) -> None:
    tower, change = SPEC_MISTAKES[mistake]
    theirs = idefics3(vision_config=tower)
    declared = read_spec(ref.saved(theirs, tmp_path))
    views = declared.resolution.model_copy(update={"tile": 28, "edge": 112})
    declared = replace(declared, resolution=views)
    ours = load(declared).model
    assert tiles.difference(ours, theirs, chats(ours.spec)) <= TOLERANCE
    ours = load(change(declared)).model
    assert tiles.difference(ours, theirs, chats(ours.spec)) > SEEN


@pytest.mark.parametrize("side", (1, 2, 13, 19, 25, 26, 27, 29, 31, 32, 40, 64))
def test_buckets_are_those_of_the_reference(side: int) -> None:
    """Positions that are their own index, read off the reference's embeddings."""
    theirs = idefics3(vision_config=TOWER | {"image_size": side, "patch_size": 1})
    embeddings = theirs.model.vision_model.embeddings
    embeddings.position_embedding.weight.data = (
        torch.arange(side**2).float()[:, None].expand(-1, 32)
    )
    embeddings.patch_embedding.weight.data.zero_()
    embeddings.patch_embedding.bias.data.zero_()
    grid = Grid(side, max(1, side - 3))
    pixels = torch.zeros(1, 3, grid.rows, grid.cols)
    with torch.no_grad():
        wanted = embeddings(pixels, torch.ones(1, grid.rows, grid.cols, dtype=torch.bool))
    assert torch.equal(bucketed(0, Grid(side, side), grid), wanted[0, :, 0].long())


# What cannot be reproduced is refused by name.

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another decoder": ({"text_config": {"model_type": "qwen2"}}, "text_config.model_type"),
    "another tower": ({"vision_config": {"model_type": "siglip_vision_model"}}, "vision_config"),
    "unknown key": ({"fancy": 1}, "fancy"),
    "unknown key of the tower": ({"vision_config": TOWER | {"depth": 2}}, "depth"),
    "resampler": ({"text_config": LONG | {"use_resampler": True}}, "use_resampler"),
    "no factor": ({"scale_factor": 0}, "side"),
    "image token": ({"image_token_id": 300}, "image_token_id"),
}


@pytest.mark.parametrize("kind", ["idefics3", "smolvlm"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_built_is_refused(name: str, kind: str) -> None:
    change, field = REFUSED[name]
    config = {"model_type": kind, "vision_config": TOWER, "text_config": LONG,
              "image_token_id": 299} | change  # fmt: skip
    with pytest.raises(FamilyError, match=field):
        read_spec(config)


def test_published_shape_alone() -> None:
    """Idefics3-8B-Llama3 in the dialect of 4.x: counts without weights or torch."""
    config = {
        "model_type": "idefics3",
        "image_token_id": 128257,
        "scale_factor": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "text_config": TEXT | {"model_type": "llama", "vocab_size": 128259, "hidden_size": 4096},
        "vision_config": {"hidden_size": 1152, "image_size": 364, "intermediate_size": 4304,
                          "model_type": "idefics3_vision", "num_attention_heads": 16,
                          "num_hidden_layers": 27, "patch_size": 14},
    }  # fmt: skip
    spec = read_spec(config).model
    assert not spec.language.tied_head
    [laid] = layout(spec, [MediaSize(640, 480)]).media
    assert (laid.visual_tokens, laid.tokens) == (13 * 169, 2227)
