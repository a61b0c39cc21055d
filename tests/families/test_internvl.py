"""InternVL's folders: how pictures and clips enter, tokens of the tokenizer, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.parity.internvl import VIT

from sightline.core.errors import FamilyError
from sightline.families import Declared, read_spec
from sightline.families.internvl_prompt import TEMPLATES, with_placeholder
from sightline.planner.work import parameters
from sightline.spec import FixedSpec, FramesSpec, JinjaTemplate, TilingSpec

TEXT = {"model_type": "qwen2", "vocab_size": 120, "hidden_size": 32, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_hidden_layers": 2, "intermediate_size": 48}  # fmt: skip
HF = {"model_type": "internvl", "image_token_id": 103, "text_config": TEXT, "vision_config": VIT}
FIRST = {
    "model_type": "internvl_chat",
    "ps_version": "v2",
    "dynamic_image_size": True,
    "llm_config": TEXT,
    "vision_config": {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2,
                      "intermediate_size": 48, "image_size": 448},
}  # fmt: skip
ADDED = ["<img>", "</img>", "<IMG_CONTEXT>", "<|im_end|>"]
PICTURES = {"image_processor_type": "GotOcr2ImageProcessorFast",
            "size": {"height": 28, "width": 28}}  # fmt: skip


def folder_of(
    folder: Path, config: dict[str, Any], added: list[str] | None = None, **files: Any
) -> Declared:
    """Config, tokenizer and processor files, no weights."""
    tokens = [{"id": 101 + i, "content": text} for i, text in enumerate(added or ADDED)]
    tokenizer = {"added_tokens": tokens, "model": {"vocab": {"a": 0, "b": 1}}}
    written = {"config": config, "tokenizer": tokenizer, **files}
    for name, content in written.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return read_spec(folder)


def test_ids_come_from_the_tokenizer(tmp_path: Path) -> None:
    prompt = folder_of(tmp_path, HF).model.prompt
    image = prompt.image
    assert (image.text, image.id, image.before, image.after) == (
        "<IMG_CONTEXT>", 103, (101,), (102,)
    )  # fmt: skip
    assert prompt.grounding == "internvl"
    assert prompt.frames is not None and prompt.frames.between == "\n"


def test_the_first_releases_take_all_ids_from_it(tmp_path: Path) -> None:
    declared = folder_of(tmp_path, FIRST | {"template": "internvl2_5"})
    prompt = declared.model.prompt
    assert (prompt.image.id, prompt.stop_ids) == (103, (104,))
    assert prompt.template == TEMPLATES["internvl2_5"]
    assert not declared.notes


def test_a_tokenizer_without_the_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FamilyError, match="no <img> and </img>"):
        folder_of(tmp_path, HF, ["<IMG_CONTEXT>"])


def test_a_config_alone_says_what_is_assumed() -> None:
    assert any("no tokenizer" in note for note in read_spec(HF).notes)
    first = read_spec(FIRST | {"template": "mine"})
    told = " ".join(first.notes)
    assert "template 'mine' is not known" in told and "<IMG_CONTEXT>" in told
    assert first.model.prompt.image.id == TEXT["vocab_size"] - 1


def test_templates_that_write_another_placeholder() -> None:
    known, other = (JinjaTemplate(source=f"{{{{ '{t}' }}}}") for t in ("<IMG_CONTEXT>", "<image>"))
    assert with_placeholder(other, "<IMG_CONTEXT>") == known
    assert with_placeholder(known, "<IMG_CONTEXT>") == known
    assert with_placeholder(None, "<IMG_CONTEXT>") is None


def test_tiles_as_the_folder_states_them(tmp_path: Path) -> None:
    stated = PICTURES | {"min_patches": 2, "max_patches": 5, "image_mean": [0.1, 0.2, 0.3],
                         "crop_to_patches": False, "crop_size": None}  # fmt: skip
    views = folder_of(tmp_path, HF, preprocessor_config=stated).model.resolution
    assert isinstance(views, TilingSpec)
    assert (views.tile, views.min_tiles, views.max_tiles, views.thumbnail) == (28, 2, 5, True)
    assert views.pixels.mean == (0.1, 0.2, 0.3)


def test_tiles_of_the_first_releases() -> None:
    views = read_spec(FIRST | {"use_thumbnail": True, "force_image_size": 224}).model.resolution
    assert isinstance(views, TilingSpec)
    assert (views.tile, views.max_tiles, views.thumbnail) == (224, 6, True)
    assert views.pixels.backend == "pillow"
    assert isinstance(read_spec(FIRST | {"dynamic_image_size": False}).resolution, FixedSpec)


CLIPS = {
    "all": ({}, FramesSpec(placing="middles")),
    "not asked for": ({"num_frames": 8}, FramesSpec(placing="middles")),
    "so many": (
        {"do_sample_frames": True, "num_frames": 8, "fps": 2},
        FramesSpec(sampling="uniform", count=8, placing="middles"),
    ),
    "a second": (
        {"do_sample_frames": True, "fps": 2},
        FramesSpec(sampling="fps", fps=2.0, placing="middles"),
    ),
}


@pytest.mark.parametrize("name", CLIPS)
def test_frames_as_the_folder_states_them(name: str, tmp_path: Path) -> None:
    change, frames = CLIPS[name]
    clips = {"video_processor_type": "InternVLVideoProcessor", "size": PICTURES["size"], **change}
    declared = folder_of(
        tmp_path, HF, preprocessor_config=PICTURES, video_preprocessor_config=clips
    )
    assert declared.resolution is not None
    assert declared.resolution.video == frames


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "oblong tiles": ({"size": {"height": 28, "width": 56}}, {}, "size"),
    "shortest edge": ({"size": {"shortest_edge": 28}, "do_center_crop": True}, {}, "size"),
    "nearest": ({"resample": 0}, {}, "resample"),
    "no resize": ({"do_resize": False}, {}, "do_resize"),
    "tiles": ({"min_patches": 20}, {}, "min_tiles"),
    "unknown key": ({"fancy": 1}, {}, "fancy"),
    "other frames": ({}, {"size": {"height": 56, "width": 56}}, "other views"),
    "other colours": ({}, {"image_mean": [0.0, 0.0, 0.0]}, "other views"),
    "first frames": ({}, {"initial_shift": 0.5}, "initial_shift"),
    "unknown clip key": ({}, {"fancy": 1}, "fancy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_views_that_cannot_be_reproduced_are_refused(name: str, tmp_path: Path) -> None:
    pictures, clips, field = REFUSED[name]
    with pytest.raises(FamilyError, match=field):
        folder_of(
            tmp_path,
            HF,
            preprocessor_config=PICTURES | pictures,
            video_preprocessor_config={"size": PICTURES["size"]} | clips,
        )


LARGE = {"norm_type": "layer_norm", "hidden_size": 1024, "num_hidden_layers": 24,
         "num_attention_heads": 16, "intermediate_size": 4096, "qkv_bias": True,
         "qk_normalization": False, "image_size": 448}  # fmt: skip
GIANT = {"hidden_size": 3200, "num_hidden_layers": 45, "image_size": 448}
INTERNLM2 = {"model_type": "internlm2", "vocab_size": 92553, "hidden_size": 4096, "bias": False,
             "intermediate_size": 14336, "num_key_value_heads": 8}  # fmt: skip
WIDE = {"hidden_size": 6144, "intermediate_size": 16384, "num_hidden_layers": 48,
        "num_attention_heads": 48}  # fmt: skip


@pytest.mark.parametrize(
    ("vision", "language", "billions"),
    [(LARGE, INTERNLM2, 8.08), (GIANT, INTERNLM2 | WIDE, 25.51)],
    ids=["InternVL2-8B", "InternVL2-26B"],
)
def test_published_sizes(vision: dict, language: dict, billions: float) -> None:
    spec = read_spec(FIRST | {"vision_config": vision, "llm_config": language}).model
    assert sum(parameters(spec)) / 1e9 == pytest.approx(billions, abs=0.01)
    assert spec.connector.tokens(1024, spec.vision.grid(448, 448)) == 256
