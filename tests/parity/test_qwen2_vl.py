"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL against transformers: every spelling, both dialects."""

# T tokens

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.parity import qwen2_vl as qwen
from tests.parity import reference as ref
from tests.parity.qwen2_vl_configs import CONFIGS, PUBLISHED, PUBLISHED_SIZES
from tests.parity.reference import TOLERANCE
from torch import Tensor

from sightline.core.errors import FamilyError
from sightline.families import read_spec
from sightline.families.headers import read_index
from sightline.spec import ModelSpec
from sightline.weights import load_folder, save

KINDS = list(qwen.KINDS)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, qwen.Pair]:
    return {kind: qwen.pair(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_same_logits_and_answers(kind: str, pairs: dict[str, qwen.Pair]) -> None:
    theirs, ours = pairs[kind].theirs, qwen.ours_of(pairs[kind].folder)
    items = qwen.conversations(ours.spec)
    assert qwen.difference(ours, theirs, items) <= TOLERANCE
    qwen.assert_same_greedy(ours, theirs, items)


@pytest.mark.parametrize("kind", KINDS)
def test_same_logits_and_answers_about_clips(kind: str, pairs: dict[str, qwen.Pair]) -> None:
    """The reference is told our positions: its own run into a long clip (see below)."""
    theirs, ours = pairs[kind].theirs, qwen.ours_of(pairs[kind].folder)
    items = qwen.clips(ours.spec)
    assert qwen.difference(ours, theirs, items, clips=True) <= TOLERANCE
    qwen.assert_same_greedy(ours, theirs, items, clips=True)


def as_5s(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)


def as_5n(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, save_original_format=False)


def as_hub(model: Any, folder: Path) -> None:
    """A flat config, `visual.*` and `model.layers.*`."""
    model.save_pretrained(folder)
    qwen.flat(folder)


SPELLINGS = {
    "5s": (as_5s, "visual."),
    "5n": (as_5n, "model.visual."),
    "hub": (as_hub, "visual."),
}
SPELLED = [
    *[(kind, spelling, dialect) for kind in KINDS for spelling in ("5s", "5n")
      for dialect in ("4.x", "5.x")],
    ("qwen2_vl", "hub", "flat"),
    ("qwen2_5_vl", "hub", "flat"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spelling", "dialect"), SPELLED)
def test_every_spelling_and_dialect(kind: str, spelling: str, dialect: str, tmp_path: Path) -> None:
    theirs = qwen.reference_of(kind)
    write, prefix = SPELLINGS[spelling]
    write(theirs, tmp_path)
    if dialect == "4.x":
        qwen.old_dialect(tmp_path)
    prefix = "model.visual." if kind == "qwen3_vl" else prefix
    assert any(name.startswith(prefix) for name in read_index(tmp_path))
    ours = qwen.ours_of(tmp_path)
    assert qwen.difference(ours, theirs, qwen.conversations(ours.spec)) <= TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_a_tied_head(kind: str, tmp_path: Path) -> None:
    theirs = qwen.reference_of(kind)
    theirs.config.tie_word_embeddings = True
    theirs.lm_head.weight = theirs.model.language_model.embed_tokens.weight
    ours = qwen.ours_of(ref.saved(theirs, tmp_path))
    assert ours.spec.language.tied_head
    assert qwen.difference(ours, theirs, qwen.conversations(ours.spec)) <= TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_saving_keeps_every_bit(kind: str, pairs: dict[str, qwen.Pair], tmp_path: Path) -> None:
    loaded = load_folder(pairs[kind].folder)
    save(loaded.model, tmp_path)
    again = load_folder(tmp_path).model
    assert again.spec == loaded.model.spec
    before, after = loaded.model.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_stand_where_the_reference_puts_them(
    kind: str, pairs: dict[str, qwen.Pair]
) -> None:
    spec = qwen.ours_of(pairs[kind].folder).spec
    for name, item in qwen.conversations(spec).items():
        if name == "text":
            assert item.positions_AT.tolist() == [list(range(len(item.token_ids)))] * 3
        else:
            assert torch.equal(item.positions_AT, their_positions(pairs[kind].theirs, item, spec))


@pytest.mark.parametrize("kind", KINDS)
def test_clips_stand_where_the_reference_puts_them(kind: str, pairs: dict[str, qwen.Pair]) -> None:
    """All of Qwen3-VL's; else up to the end of the first clip. After a long one transformers 5.23
    lets text begin inside the clip; ours goes on beyond all of it, as 4.57 does."""
    spec = qwen.ours_of(pairs[kind].folder).spec
    for name, item in qwen.clips(spec).items():
        wanted, found = their_positions(pairs[kind].theirs, item, spec), item.positions_AT
        if kind == "qwen3_vl":
            assert torch.equal(found, wanted)
            continue
        end = item.token_ids.index(qwen.END)
        assert torch.equal(found[:, :end], wanted[:, :end])
        if name == "long":
            assert wanted[:, end:].min() <= found[:, :end].max() < found[:, end:].min()


def their_positions(model: Any, item: qwen.Shown, spec: ModelSpec) -> Tensor:
    """int64[3, T]."""
    inputs = qwen.inputs_of(model, item, spec.vision.patch)
    keys = ("input_ids", "mm_token_type_ids", "image_grid_thw", "video_grid_thw")
    given = {key: inputs[key] for key in keys if key in inputs}
    if spec.resolution.tokens_per_second is not None:
        given["second_per_grid_ts"] = torch.tensor(qwen.seconds_of(item))
    places, _ = model.model.get_rope_index(**given)
    return places[:, 0]


def test_published_configs() -> None:
    """Qwen2-VL 7B, Qwen2.5-VL 7B and Qwen3-VL 8B: config.json alone, every key of it."""
    for config, (vision, language) in zip(PUBLISHED, PUBLISHED_SIZES, strict=True):
        declared = read_spec(config)
        theirs = CONFIGS[declared.family](**json.loads(json.dumps(config)))
        spec, text, tower = declared.model, theirs.text_config, theirs.vision_config
        assert (spec.language.depth, spec.language.width) == (text.num_hidden_layers, language)
        assert spec.language.positions.theta == text.rope_parameters["rope_theta"]
        assert list(spec.language.positions.sections) == text.rope_parameters["mrope_section"]
        assert spec.language.norm.eps == text.rms_norm_eps
        assert (spec.vision.depth, spec.vision.width) == (tower.depth, vision)
        assert spec.resolution.multiple == tower.patch_size * tower.spatial_merge_size
        assert spec.prompt.image.id == theirs.image_token_id
        assert spec.prompt.video is not None and spec.prompt.video.id == theirs.video_token_id


BAD_KEYS: dict[str, tuple[str, dict[str, Any], str]] = {
    "four sections": ("text_config", {"rope_parameters": {
        "rope_type": "default", "rope_theta": 50.0, "mrope_section": [1, 1, 1, 1]}}, "sections?"),
    "sections that deal too few": ("text_config", {"rope_parameters": {
        "rope_type": "default", "rope_theta": 50.0, "mrope_section": [1, 1, 1]}}, "sections"),
    "interleaved sections": ("text_config", {"rope_parameters": {
        "rope_type": "default", "rope_theta": 50.0, "mrope_section": [2, 1, 1],
        "mrope_interleaved": True}}, "interleaved"),
    "four colours": ("vision_config", {"in_channels": 4}, "in_channels"),
    "odd heads": ("vision_config", {"num_heads": 5}, "heads"),
    "another rotation": ("vision_config", {"rope_parameters": {"rope_type": "linear"}}, "axial"),
    "an unknown key": ("vision_config", {"dropout_path": 0.1}, "dropout_path"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_configs_that_cannot_be_reproduced_are_refused(bad: str) -> None:
    level, change, named = BAD_KEYS[bad]
    config = json.loads(qwen.reference_config("qwen2_vl").to_json_string())
    config[level] |= change
    with pytest.raises(FamilyError, match=named):
        read_spec(config)


BAD_FILES: dict[str, tuple[dict[str, Any], str]] = {
    "another patch": ({"patch_size": 16}, "patch_size"),
    "frames one by one": ({"temporal_patch_size": 1}, "temporal_patch_size"),
    "no resizing": ({"do_resize": False}, "do_resize"),
    "an empty range": ({"min_pixels": 5000, "max_pixels": 4000}, "min_pixels"),
    "capped frames": ({"cap_pixels_per_frame": True}, "cap_pixels_per_frame"),
    "an unknown key": ({"sharpen": 2}, "sharpen"),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_preprocessing_that_cannot_be_reproduced_is_refused(bad: str, tmp_path: Path) -> None:
    change, named = BAD_FILES[bad]
    (tmp_path / "config.json").write_text(qwen.reference_config("qwen2_vl").to_json_string())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(change))
    with pytest.raises(FamilyError, match=named):
        read_spec(tmp_path)


def test_clips_in_other_colours_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(qwen.reference_config("qwen2_vl").to_json_string())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_std": [1.0, 1.0, 1.0]}))
    (tmp_path / "video_preprocessor_config.json").write_text("{}")
    assert read_spec(tmp_path)
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps({"fps": 2}))
    with pytest.raises(FamilyError, match="other pixels"):
        read_spec(tmp_path)
