"""LLaVA-NeXT and LLaVA-NeXT-Video against transformers: tiles, newlines, pooled clips."""

# T tokens  V vocabulary

from __future__ import annotations

import json
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

from sightline.families import read_spec
from sightline.model import visual
from sightline.model.vlm import Vlm
from sightline.resolution.layout import Stitch
from sightline.spec import ModelSpec
from sightline.weights import load_folder, save

VIDEO = 298
PINPOINTS = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]
CLIP = {"model_type": "clip_vision_model", **TOWER, "image_size": 56}
LONG = {**TEXT, "max_position_embeddings": 512}
TEXTS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", **LONG},
    "mistral": {"model_type": "mistral", **LONG, "head_dim": 16, "sliding_window": 40},
    "qwen2": {"model_type": "qwen2", **LONG, "tie_word_embeddings": True},
}
SEEN = 5 * TOLERANCE


def next_of(text: str, **changes: Any) -> Any:
    config = hf.LlavaNextConfig(
        vision_config=CLIP,
        text_config=TEXTS[text],
        image_token_index=IMAGE,
        image_grid_pinpoints=PINPOINTS,
        **changes,
    )
    return ref.randomise(hf.LlavaNextForConditionalGeneration(config))


def video_of(text: str, **changes: Any) -> Any:
    config = hf.LlavaNextVideoConfig(
        vision_config=CLIP,
        text_config=TEXTS[text],
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        image_grid_pinpoints=PINPOINTS,
        **changes,
    )
    return ref.randomise(hf.LlavaNextVideoForConditionalGeneration(config))


def stills(spec: ModelSpec) -> dict[str, Seen]:
    """No picture, one, several of other shapes, one in the second turn; lengths differ."""
    text = [words(n, n) for n in (3, 4, 5, 6, 9)]
    return {
        "text": seen(spec, text[4]),
        "wide": seen(spec, text[0], picture(640, 480), text[3], seed=1),
        "tall": seen(spec, picture(20, 90), text[1], seed=2),
        "several": seen(
            spec, text[0], picture(30, 11), text[1], picture(9, 64), picture(1000, 999), text[0],
            seed=3,
        ),
        "second turn": seen(spec, text[4], text[2], picture(500, 100), text[3], seed=4),
        "line": seen(spec, text[0], picture(300, 7), text[2], seed=5),
        "upright line": seen(spec, text[2], picture(7, 400), text[0], seed=6),
    }  # fmt: skip


def clips(spec: ModelSpec) -> dict[str, Seen]:
    text = [words(n, n) for n in (3, 4, 5)]
    return {
        "clip": seen(spec, text[0], clip(3), text[1], seed=6),
        "two clips": seen(spec, clip(2), text[2], clip(2, 90, 90), text[0], seed=7),
        "clip and picture": seen(spec, text[1], picture(70, 30), text[0], clip(1), text[2], seed=8),
    }


MODELS: dict[str, Callable[[], Any]] = {
    "next-llama": lambda: next_of("llama"),
    "next-mistral": lambda: next_of("mistral"),
    "next-qwen2": lambda: next_of("qwen2", vision_feature_layer=-1),
    "next-no-bias": lambda: next_of("llama", multimodal_projector_bias=False),
    "video-llama": lambda: video_of("llama"),
    "video-mistral": lambda: video_of("mistral", spatial_pool_mode="max"),
    "video-stride": lambda: video_of("qwen2", spatial_pool_stride=4),
}


def chats_of(name: str, spec: ModelSpec) -> dict[str, Seen]:
    return stills(spec) | (clips(spec) if name.startswith("video") else {})


@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chats = chats_of(name, ours.spec)
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
@pytest.mark.parametrize("name", ["next-llama", "video-llama"])
def test_every_spelling_and_dialect(name: str, spelling: str, dialect: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    write, names = SPELLINGS[spelling]
    write(theirs, tmp_path)
    if dialect == "4.x":
        ref.to_hub_dialect(tmp_path)
        ref.edit_config(tmp_path, {"use_image_newline_parameter": True, "ignore_index": -100})
    assert set(names) <= set(load_file(tmp_path / "model.safetensors"))
    ours = load_folder(tmp_path).model
    chats = chats_of(name, ours.spec)
    assert tiles.difference(ours, theirs, {k: chats[k] for k in ("wide", "several")}) <= TOLERANCE


ORIGINAL_NAMES = (
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
    ("vision_tower.", "model.vision_tower.vision_tower.vision_model."),
    ("multi_modal_projector.linear_1.", "model.mm_projector.0."),
    ("multi_modal_projector.linear_2.", "model.mm_projector.2."),
    ("image_newline", "model.image_newline"),
)


@pytest.mark.parametrize("text", ["llama", "mistral"])
def test_names_of_the_first_release(text: str, tmp_path: Path) -> None:
    """A flat config, the tower inside, pinpoints as (width, height), no row for the placeholder."""
    theirs = next_of(text)
    folder = tmp_path / "original"
    theirs.save_pretrained(folder)
    theirs.model.vision_tower.save_pretrained(tmp_path / "tower")
    ref.edit_tensors(folder, ref.renamed(*ORIGINAL_NAMES))
    keys = {
        "model_type": f"llava_{text}",
        "mm_vision_tower": "tower",
        "mm_projector_type": "mlp2x_gelu",
        "mm_hidden_size": 32,
        "mm_vision_select_layer": -2,
        "mm_patch_merge_type": "spatial_unpad",
        "image_aspect_ratio": "anyres",
        "image_grid_pinpoints": [[width, height] for height, width in PINPOINTS],
        "image_crop_resolution": 224,
        "image_split_resolution": 224,
        "unfreeze_mm_vision_tower": True,
        "mm_vision_tower_lr": 2e-6,
        "use_mm_proj": True,
    }
    flat = theirs.config.text_config.to_dict() | keys
    (folder / "config.json").write_text(json.dumps(flat))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"added_tokens_decoder": {str(IMAGE): {"content": "<image>"}}})
    )
    loaded = load_folder(folder)
    assert loaded.declared.family == "llava_original"
    chats = stills(loaded.model.spec)
    assert tiles.difference(loaded.model, theirs, chats) <= TOLERANCE


def test_our_own_folder_keeps_the_newline(tmp_path: Path) -> None:
    ours = load_folder(ref.saved(next_of("llama"), tmp_path / "theirs")).model
    save(ours, tmp_path / "ours")
    again = load_folder(tmp_path / "ours").model
    assert again.spec == ours.spec
    state = again.state_dict()
    assert state.keys() == ours.state_dict().keys() and "learned.newline" in state
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.state_dict().items())


def test_lines_keep_only_the_whole_picture(tmp_path: Path) -> None:
    """They are narrower than half a token: the whole sheet is taken for padding, row ends stay."""
    spec = read_spec(ref.saved(next_of("llama"), tmp_path)).model
    chats = stills(spec)
    [lying], [upright] = (chats[n].item.visual.layout.media for n in ("line", "upright line"))
    assert (lying.tokens, upright.tokens) == (16, 16 + 12)


# Each mistake must be seen by the comparison above, by a margin.


def shifted(down: int, right: int) -> Callable[[Stitch], Stitch]:
    return lambda s: replace(s, top=s.top + down, left=s.left + right)


LAYOUT_MISTAKES: dict[str, tuple[str, Callable[[Seen], Seen]]] = {
    "one row lower": ("second turn", lambda c: tiles.stitch_changed(c, shifted(1, 0))),
    "one column to the left": ("tall", lambda c: tiles.stitch_changed(c, shifted(0, -1))),
    "whole picture last": ("wide", tiles.order_changed),
}


@pytest.mark.parametrize("mistake", LAYOUT_MISTAKES)
def test_a_wrong_layout_is_seen(mistake: str, tmp_path: Path) -> None:
    name, change = LAYOUT_MISTAKES[mistake]
    theirs = next_of("llama")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chat = stills(ours.spec)[name]
    assert tiles.difference(ours, theirs, {name: chat}) <= TOLERANCE
    assert tiles.difference(ours, theirs, {name: change(chat)}) > SEEN


def no_newline(model: Vlm) -> None:
    model.learned["newline"].data.zero_()


def newline_first(patch: pytest.MonkeyPatch) -> None:
    def with_row_starts(sheet_YXD: Tensor, stitch: Stitch, learned: Any) -> Tensor:
        return visual_ends(sheet_YXD, stitch, learned).roll(1, 0)

    visual_ends = visual.with_row_ends
    patch.setattr(visual, "with_row_ends", with_row_starts)


def tiles_in_columns(patch: pytest.MonkeyPatch) -> None:
    def stitched(stitch: Stitch, views: Any) -> Tensor:
        rows, cols = stitch.tiles.rows, stitch.tiles.cols
        return inner(stitch, [views[x * rows + y] for y in range(rows) for x in range(cols)])

    inner = visual.stitched
    patch.setattr(visual, "stitched", stitched)


def tile_by_tile(patch: pytest.MonkeyPatch) -> None:
    """The sheet read tile after tile, as if there were nothing to set side by side."""

    def stitched(stitch: Stitch, views: Any) -> Tensor:
        flat = torch.cat(list(views))[: stitch.kept.area]
        return flat.unflatten(0, (stitch.kept.rows, stitch.kept.cols))

    patch.setattr(visual, "stitched", stitched)


@pytest.mark.parametrize("mistake", [newline_first, tiles_in_columns, tile_by_tile])
def test_a_wrong_sheet_is_seen(
    mistake: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = next_of("llama")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chats = {"several": stills(ours.spec)["several"]}
    assert tiles.difference(ours, theirs, chats) <= TOLERANCE
    mistake(monkeypatch)
    assert tiles.difference(ours, theirs, chats) > SEEN


def test_a_missing_newline_is_seen(tmp_path: Path) -> None:
    theirs = next_of("llama")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    no_newline(ours)
    assert tiles.difference(ours, theirs, {"wide": stills(ours.spec)["wide"]}) > SEEN


@pytest.mark.parametrize("change", [{"at": "tokens"}, {"mode": "max"}, {"mode": "bilinear"}])
def test_wrong_pooling_is_seen(change: dict[str, Any], tmp_path: Path) -> None:
    """Stride 4, at which a bilinear step does not equal the mean."""
    theirs = video_of("qwen2", spatial_pool_stride=4)
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    chat = clips(ours.spec)["two clips"]
    assert tiles.difference(ours, theirs, {"clip": chat}) <= TOLERANCE
    assert tiles.difference(ours, theirs, {"clip": tiles.pool_changed(chat, **change)}) > SEEN
