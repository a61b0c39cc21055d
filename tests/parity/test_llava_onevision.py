"""LLaVA-OneVision against transformers: shrunk sheets, several pictures, pooled clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from tests.parity import reference as ref
from tests.parity import tiles
from tests.parity.reference import IMAGE, TEXT, TOLERANCE, TOWER, words
from tests.parity.tiles import Seen, clip, picture, seen
from torch import Tensor
from torch.nn import functional as F

from sightline.families import Declared, read_spec
from sightline.model import visual
from sightline.spec import ModelSpec
from sightline.weights import load, load_folder

VIDEO = 298
SIDES = (42, 84, 126)
PINPOINTS = [[height, width] for height in SIDES for width in SIDES]
# An odd number of patches, so that pooling has a rest.
SIGLIP = {
    "model_type": "siglip_vision_model", "vision_use_head": False, **TOWER, "image_size": 42,
}  # fmt: skip
CLIP = {"model_type": "clip_vision_model", **TOWER, "image_size": 42}
LONG = {**TEXT, "max_position_embeddings": 512}
TEXTS: dict[str, dict[str, Any]] = {
    "qwen2": {"model_type": "qwen2", **LONG},
    "qwen2-tied": {"model_type": "qwen2", **LONG, "tie_word_embeddings": True},
    "llama": {"model_type": "llama", **LONG},
}
SEEN = 5 * TOLERANCE
MODELS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "siglip-qwen2": (SIGLIP, "qwen2", {"vision_aspect_ratio": "anyres_max_2"}),
    "siglip-tied": (SIGLIP, "qwen2-tied", {"vision_aspect_ratio": "anyres_max_4"}),
    "no shrinking": (SIGLIP, "qwen2", {}),
    "clip-llama": (
        CLIP,
        "llama",
        {
            "vision_feature_select_strategy": "default",
            "vision_feature_layer": -2,
            "vision_aspect_ratio": "anyres_max_3",
        },
    ),
}


def reference_of(name: str) -> Any:
    tower, text, changes = MODELS[name]
    config = hf.LlavaOnevisionConfig(
        vision_config=tower,
        text_config=TEXTS[text],
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        image_grid_pinpoints=PINPOINTS,
        **changes,
    )
    return ref.randomise(hf.LlavaOnevisionForConditionalGeneration(config))


def chats_of(spec: ModelSpec) -> dict[str, Seen]:
    """No picture, one of several shapes, several, one in the second turn, clips; lengths differ."""
    text = [words(n, n) for n in (3, 4, 5, 6, 9)]
    return {
        "text": seen(spec, text[4]),
        "wide": seen(spec, text[0], picture(640, 250), text[3], seed=1),
        "tall": seen(spec, picture(50, 190), text[1], seed=2),
        "large": seen(spec, text[2], picture(1000, 990), text[1], seed=3),
        "small": seen(spec, text[2], picture(20, 20), text[1], seed=4),
        "several": several(seen(
            spec, text[0], picture(30, 11), text[1], picture(9, 64), picture(600, 500), text[0],
            seed=5,
        ), 3),
        "second turn": seen(spec, text[4], text[2], picture(300, 500), text[3], seed=6),
        "clip": seen(spec, text[0], clip(3), text[1], seed=7),
        "two clips": seen(spec, clip(2), text[2], clip(2, 90, 90), text[0], seed=8),
        "clip and picture": seen(spec, text[1], picture(70, 30), text[0], clip(1), seed=9),
    }  # fmt: skip


def several(chat: Seen, pictures: int) -> Seen:
    """The reference is told how many pictures a conversation has."""
    return Seen(chat.item, chat.inputs | {"batch_num_images": torch.tensor([pictures])})


@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs = reference_of(name)
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chats = chats_of(ours.spec)
    assert tiles.difference(ours, theirs, chats) <= TOLERANCE
    tiles.assert_same_greedy(ours, theirs, chats)


def as_5s(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)


def as_5n(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, save_original_format=False)


def as_hub(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    ref.edit_tensors(folder, ref.renamed(("vision_tower.", "vision_tower.vision_model.")))


SPELLINGS: dict[str, tuple[Callable[[Any, Path], None], tuple[str, str]]] = {
    "5s": (as_5s, ("image_newline", "vision_tower.encoder.layers.0.mlp.fc1.weight")),
    "5n": (as_5n, ("model.image_newline", "model.vision_tower.encoder.layers.0.mlp.fc1.weight")),
    "hub": (as_hub, ("image_newline", "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight")),
}


@pytest.mark.parametrize("dialect", ["4.x", "5.x"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_and_dialect(spelling: str, dialect: str, tmp_path: Path) -> None:
    theirs = reference_of("siglip-qwen2")
    write, names = SPELLINGS[spelling]
    write(theirs, tmp_path)
    if dialect == "4.x":
        ref.to_hub_dialect(tmp_path)
        ref.edit_config(tmp_path, {"use_image_newline_parameter": True, "ignore_index": -100})
    assert set(names) <= set(load_file(tmp_path / "model.safetensors"))
    ours = load_folder(tmp_path).model
    chats = chats_of(ours.spec)
    assert tiles.difference(ours, theirs, {k: chats[k] for k in ("wide", "clip")}) <= TOLERANCE


# Each mistake must be seen by the comparison above, by a margin.


def nearest(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    return F.interpolate(x, size, mode="nearest")


def corners_aligned(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    return F.interpolate(x, size, mode=mode, align_corners=True)


def antialiased(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    return F.interpolate(x, size, mode=mode, antialias=True)


class Functional:
    """torch.nn.functional with another interpolation."""

    def __init__(self, interpolate: Callable[..., Tensor]) -> None:
        self.interpolate = interpolate


@pytest.mark.parametrize("name", ["large", "clip"])
@pytest.mark.parametrize("mistake", [nearest, corners_aligned, antialiased])
def test_another_interpolation_is_seen(
    mistake: Callable[..., Tensor], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = reference_of("siglip-qwen2")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chats = {name: chats_of(ours.spec)[name]}
    assert tiles.difference(ours, theirs, chats) <= TOLERANCE
    monkeypatch.setattr(visual, "F", Functional(mistake))
    assert tiles.difference(ours, theirs, chats) > SEEN


def last_layer_normed(declared: Declared) -> Declared:
    assert declared.vision is not None
    vision = declared.vision.model_copy(update={"post_norm": "applied"})
    return replace(declared, vision=vision)


def test_the_norm_after_the_last_layer_is_seen(tmp_path: Path) -> None:
    theirs = reference_of("siglip-qwen2")
    declared = read_spec(ref.saved(theirs, tmp_path))
    chats = {"small": chats_of(declared.model)["small"]}
    assert tiles.difference(load(declared).model, theirs, chats) <= TOLERANCE
    assert tiles.difference(load(last_layer_normed(declared)).model, theirs, chats) > SEEN


@pytest.mark.parametrize("name", ["several", "clip"])
def test_a_newline_before_the_rest_is_seen(name: str, tmp_path: Path) -> None:
    theirs = reference_of("siglip-qwen2")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chat = chats_of(ours.spec)[name]
    assert tiles.difference(ours, theirs, {name: chat}) <= TOLERANCE
    assert tiles.difference(ours, theirs, {name: tiles.order_changed(chat)}) > SEEN


def test_pooling_before_the_connector_is_seen(tmp_path: Path) -> None:
    theirs = reference_of("siglip-qwen2")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chat = tiles.pool_changed(chats_of(ours.spec)["clip"], at="features")
    assert tiles.difference(ours, theirs, {"clip": chat}) > SEEN
