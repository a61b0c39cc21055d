"""LLaVA-NeXT's and OneVision's folders: how pictures enter, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import FamilyError, SpecError
from sightline.core.geometry import MediaSize
from sightline.families import Declared, read_spec
from sightline.resolution.policy import layout
from sightline.spec.resolution import CLIP_MEAN

WIDER = {"text_config": {"model_type": "mistral", "vocab_size": 32064}}
NEXT = {"model_type": "llava_next", **WIDER}
VIDEO = {"model_type": "llava_next_video", **WIDER}
ONEVISION = {"model_type": "llava_onevision"}
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
# preprocessor_config.json of llava-v1.6-mistral-7b-hf.
PICTURES = {
    "image_processor_type": "LlavaNextImageProcessor",
    "processor_class": "LlavaNextProcessor",
    "aspect_ratio_setting": "anyres",
    "crop_size": {"height": 336, "width": 336},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_pad": True,
    "do_rescale": True,
    "do_resize": True,
    "image_grid_pinpoints": PINPOINTS,
    "image_mean": list(CLIP_MEAN),
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 336},
}


def folder_of(folder: Path, config: dict[str, Any], **pictures: Any) -> Declared:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PICTURES | pictures))
    return read_spec(folder)


@pytest.mark.parametrize(
    ("config", "tokens"), [(NEXT, 2340), (VIDEO, 2340), (ONEVISION, 2929)], ids=str
)
def test_published_counts_from_the_config_alone(config: dict[str, Any], tokens: int) -> None:
    assert layout(read_spec(config).model, [MediaSize(640, 480)]).tokens == tokens


def test_a_plan_needs_no_torch() -> None:
    code = (
        "import sys, sightline; from sightline.families import read_spec; "
        f"spec = read_spec({ONEVISION}).model; "
        "print(sightline.plan(spec, images=[(640, 480)]).visual_tokens, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["2929", "False"]


def test_clips() -> None:
    """Pooled before the connector or after it; of a long clip 32 frames."""
    clip = [MediaSize(640, 480, frames=100, video=True)]
    assert layout(read_spec(VIDEO).model, clip).tokens == 32 * 144
    assert layout(read_spec(ONEVISION).model, clip).tokens == 32 * 196 + 1
    assert read_spec(NEXT).model.prompt.video is None


def test_the_processor_file_is_read(tmp_path: Path) -> None:
    declared = folder_of(tmp_path, NEXT, resample=1)
    assert declared.model.resolution.pixels.resample == "lanczos"
    assert not any("no processor file" in note for note in declared.notes)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image_grid_pinpoints": PINPOINTS[:2]}, "image_grid_pinpoints"),
        ({"size": {"shortest_edge": 224}}, "size"),
        ({"crop_size": {"height": 336, "width": 224}}, "crop_size"),
        ({"do_resize": False}, "do_resize"),
        ({"do_rescale": False}, "do_rescale"),
        ({"patches": 3}, "patches"),
    ],
)
def test_a_processor_that_disagrees_is_refused(
    change: dict[str, Any], field: str, tmp_path: Path
) -> None:
    with pytest.raises(FamilyError) as caught:
        folder_of(tmp_path, NEXT, **change)
    assert caught.value.field == f"preprocessor_config.{field}"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "newline": (NEXT | {"use_image_newline_parameter": False}, "use_image_newline_parameter"),
    "pinpoints": (NEXT | {"image_grid_pinpoints": [[336, 400]]}, "pinpoints"),
    "no pinpoint": (NEXT | {"image_grid_pinpoints": []}, "pinpoints"),
    "no pair": (NEXT | {"image_grid_pinpoints": [336]}, "pinpoints"),
    "pool": (VIDEO | {"spatial_pool_mode": "conv"}, "spatial_pool_mode"),
    "stride": (VIDEO | {"spatial_pool_stride": 1}, "stride"),
    "aspect": (ONEVISION | {"vision_aspect_ratio": "anyres"}, "vision_aspect_ratio"),
    "video token": (VIDEO | {"video_token_index": 32001}, "video"),
    "unknown": (NEXT | {"mm_tiles": 3}, "mm_tiles"),
    "layers": (NEXT | {"vision_feature_layer": [-2, -5]}, "vision_feature_layer"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_values_are_named(case: str) -> None:
    data, field = BAD[case]
    with pytest.raises(FamilyError) as caught:
        read_spec(data)
    assert field in caught.value.field, str(caught.value)


def test_a_kept_class_token_has_no_place_in_a_sheet() -> None:
    """The reference fails on it, too, in the middle of its forward pass."""
    with pytest.raises(SpecError) as caught:
        _ = read_spec(NEXT | {"vision_feature_select_strategy": "full"}).model
    assert caught.value.field == "resolution.merge"
