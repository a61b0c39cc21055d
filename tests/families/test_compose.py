"""Which rows a tower gives when it is joined with a text model, and what cannot be joined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.families.test_configs import CLIP, LLAMA, LLAVA

from sightline.core.errors import FamilyError
from sightline.families import Declared, compose_spec, read_spec
from sightline.spec import (
    FixedSpec,
    InterleaveSpec,
    LinearSpec,
    MlpSpec,
    ModuleSpec,
    NativeSpec,
    PixelRange,
    ResolutionSpec,
    RowTagsSpec,
    RowTilingSpec,
    TimestampSpec,
    VisualExpertSpec,
)

SIGLIP = CLIP | {"model_type": "siglip_vision_model"}
DINOV2 = {k: v for k, v in CLIP.items() if k != "intermediate_size"} | {"model_type": "dinov2"}


def joined(tower: dict[str, Any], **choices: Any):
    return compose_spec(read_spec(tower), read_spec(LLAMA), **choices).model


@pytest.mark.parametrize(
    ("tower", "class_token"), [(CLIP, "drop"), (SIGLIP, "absent"), (DINOV2, "drop")]
)
def test_features_of_a_tower_alone(tower: dict[str, Any], class_token: str) -> None:
    vision = joined(tower).vision
    assert (vision.layer, vision.class_token, vision.post_norm) == (-2, class_token, "unused")


def test_features_can_be_chosen() -> None:
    vision = joined(CLIP, layer=-1, class_token="keep").vision
    assert (vision.layer, vision.class_token) == (-1, "keep")


def test_features_of_a_whole_model_stay() -> None:
    source = LLAVA | {"vision_feature_layer": -3, "vision_feature_select_strategy": "full"}
    vision = joined(source).vision
    assert (vision.layer, vision.class_token) == (-3, "keep")


def test_default_and_chosen_connectors() -> None:
    assert joined(CLIP).connector == MlpSpec(depth=2, activation="gelu")
    assert joined(CLIP, connector=LinearSpec()).connector == LinearSpec()


def test_views_are_the_towers_own_or_chosen() -> None:
    assert joined(CLIP).resolution.fit == "crop"
    assert joined(SIGLIP).resolution.fit == "squash"
    chosen = FixedSpec(size=56, fit="pad")
    assert joined(CLIP, resolution=chosen).resolution == chosen


ID = (9,)
TAGS = RowTagsSpec(around=ID, whole=ID, places=((ID, ID),) * 2, row_end=ID, last_row_end=ID)
TIMES = TimestampSpec(digits=ID * 10, point=ID, open=ID, close=ID)
PATCHES = PixelRange(min_pixels=196, max_pixels=19600)


@pytest.mark.parametrize(
    "views",
    [
        RowTilingSpec(tile=28, edge=56, tags=TAGS),
        NativeSpec(multiple=14, pictures=PATCHES, timestamps=TIMES),
    ],
)
def test_ids_of_another_tokenizer_are_left_out_and_told_of(views: ResolutionSpec) -> None:
    tower, text = replace(read_spec(LLAVA), resolution=views), read_spec(LLAMA)
    found = compose_spec(tower, text)
    assert found.model.resolution.text_ids == ()
    assert any("llava's tokenizer" in note for note in found.notes)
    assert compose_spec(tower, tower).model.resolution == views
    assert compose_spec(tower, text, resolution=views).model.resolution == views


def test_experts_are_new_or_the_text_models_own() -> None:
    fusion = VisualExpertSpec(positions="shared")
    new = compose_spec(read_spec(CLIP), read_spec(LLAMA), fusion=fusion)
    assert "language.blocks.{i}.expert.{any}" in new.fresh
    own = replace(read_spec(LLAVA), fusion=fusion)
    kept = compose_spec(read_spec(CLIP), own)
    assert kept.model.fusion == fusion and not any("expert" in name for name in kept.fresh)
    with pytest.raises(FamilyError, match="weights of its own"):
        compose_spec(read_spec(CLIP), own, fusion=VisualExpertSpec())


def test_a_mask_that_is_not_taken_over_is_said_aloud() -> None:
    prefix = replace(read_spec(LLAVA), fusion=InterleaveSpec(mask="prefix"))
    said = compose_spec(read_spec(CLIP), prefix).notes
    assert any("fusion.mask: prefix, this is causal" in note for note in said)
    kept = compose_spec(read_spec(CLIP), prefix, fusion=prefix.fusion).notes
    assert not any("fusion.mask" in note for note in kept)


def test_a_module_of_ones_own() -> None:
    spec = ModuleSpec(name="Mine", width=12, patch=4, parameters=100)
    tower = Declared(family="module", vision=spec, resolution=FixedSpec(size=8))
    assert compose_spec(tower, read_spec(LLAMA)).model.vision == spec
    with pytest.raises(FamilyError, match="Mine"):
        compose_spec(tower, read_spec(LLAMA), layer=-1)


@pytest.mark.parametrize(
    ("vision", "language", "field"),
    [(LLAMA, LLAMA, "vision"), (CLIP, CLIP, "language")],
    ids=["no tower", "no text model"],
)
def test_a_missing_part(vision: dict[str, Any], language: dict[str, Any], field: str) -> None:
    with pytest.raises(FamilyError) as caught:
        compose_spec(read_spec(vision), read_spec(language))
    assert caught.value.field == field


def test_choices_that_contradict_the_tower() -> None:
    with pytest.raises(FamilyError, match="class_token"):
        joined(SIGLIP, class_token="keep")
    with pytest.raises(FamilyError, match="layer"):
        joined(CLIP, layer=-9)


@pytest.mark.parametrize("choice", [{"template": "chatml"}, {"image_text": "<picture>"}])
def test_a_prompt_beside_the_language_folders_own(choice: dict[str, Any]) -> None:
    with pytest.raises(FamilyError, match="own prompt"):
        compose_spec(read_spec(CLIP), read_spec(LLAVA), **choice)
