"""Processor files of the reference, read as views and written back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.families.test_configs import CLIP
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from sightline.core.errors import FamilyError
from sightline.families import read_spec
from sightline.families.files import Checkpoint
from sightline.families.views import read_views, write_views
from sightline.spec import FixedSpec, PixelSpec
from sightline.spec.resolution import IMAGENET_MEAN, IMAGENET_STD

HALF = (0.5, 0.5, 0.5)
DINO = {"size": {"shortest_edge": 256}, "image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}
SQUARE = {"height": 56, "width": 56}
PROCESSORS: dict[str, tuple[Any, FixedSpec]] = {
    "clip": (CLIPImageProcessorPil(), FixedSpec(size=224, fit="crop")),
    "clip 336": (
        CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
        FixedSpec(size=336, fit="crop"),
    ),
    "siglip": (
        SiglipImageProcessorPil(size=SQUARE),
        FixedSpec(size=56, pixels=PixelSpec(mean=HALF, std=HALF)),
    ),
    "dinov2": (
        BitImageProcessorPil(**DINO),
        FixedSpec(
            size=224,
            fit="crop",
            shortest_edge=256,
            pixels=PixelSpec(mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
    ),
    "llava pad": (
        LlavaImageProcessorPil(do_pad=True, size={"shortest_edge": 56}, crop_size=SQUARE),
        FixedSpec(size=56, fit="pad"),
    ),
    "llava crop": (LlavaImageProcessorPil(), FixedSpec(size=224, fit="crop")),
    "lanczos": (
        CLIPImageProcessorPil(resample=1),
        FixedSpec(size=224, fit="crop", pixels=PixelSpec(resample="lanczos")),
    ),
    "not normalised": (
        CLIPImageProcessorPil(do_normalize=False),
        FixedSpec(size=224, fit="crop", pixels=PixelSpec(mean=(0, 0, 0), std=(1, 1, 1))),
    ),
}


def views_in(folder: Path) -> FixedSpec:
    (folder / "config.json").write_text(json.dumps(CLIP))
    found = read_spec(folder).resolution
    assert isinstance(found, FixedSpec)
    return found


@pytest.mark.parametrize("name", PROCESSORS)
def test_processors_of_the_reference(name: str, tmp_path: Path) -> None:
    processor, wanted = PROCESSORS[name]
    processor.save_pretrained(tmp_path)
    assert (tmp_path / "preprocessor_config.json").is_file()
    assert views_in(tmp_path) == wanted


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_nested_dialect(name: str, tmp_path: Path) -> None:
    """5.x keeps the image processor inside processor_config.json."""
    processor, wanted = PROCESSORS[name]
    nested = {"image_processor": processor.to_dict(), "processor_class": "LlavaProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    assert views_in(tmp_path) == wanted


def test_sizes_as_plain_numbers(tmp_path: Path) -> None:
    """As CLIP's first files on the hub have them."""
    data = {
        "crop_size": 224,
        "size": 224,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "resample": 3,
        "feature_extractor_type": "CLIPFeatureExtractor",
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(data))
    assert views_in(tmp_path) == FixedSpec(size=224, fit="crop")


def test_no_processor_file_is_said_aloud(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CLIP))
    declared = read_spec(tmp_path)
    assert declared.resolution == FixedSpec(size=28, fit="crop")
    assert any("no processor file" in note and "28 px" in note for note in declared.notes)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "not resized": ({"do_resize": False}, "do_resize"),
    "not rescaled": ({"do_rescale": False}, "do_rescale"),
    "another factor": ({"rescale_factor": 1 / 127.5}, "rescale_factor"),
    "nearest": ({"resample": 0}, "resample"),
    "grey": ({"image_mean": [0.5]}, "image_mean"),
    "oblong": ({"crop_size": {"height": 224, "width": 336}}, "crop_size"),
    "of any shape": ({"do_center_crop": False}, "do_center_crop"),
    "longest edge": ({"size": {"shortest_edge": 224, "longest_edge": 448}}, "longest_edge"),
    "unknown": ({"do_sharpen": True}, "do_sharpen"),
    "padded after another crop": ({"do_pad": True, "size": {"shortest_edge": 256}}, "crop_size"),
    "text": ({"resample": "bicubic"}, "resample"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_reproduced(case: str, tmp_path: Path) -> None:
    change, field = REFUSED[case]
    data = write_views(FixedSpec(size=224, fit="crop"), "CLIPImageProcessor") | change
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(data))
    with pytest.raises(FamilyError) as caught:
        views_in(tmp_path)
    assert field in caught.value.field


unit = st.floats(0.01, 1).map(lambda x: round(x, 6))
colours = st.tuples(unit, unit, unit)
pixel_specs = st.builds(
    PixelSpec,
    resample=st.sampled_from(["bilinear", "bicubic", "lanczos"]),
    mean=colours,
    std=colours,
)
view_specs = st.one_of(
    st.builds(
        FixedSpec,
        size=st.integers(1, 999),
        fit=st.sampled_from(["squash", "pad", "crop"]),
        pixels=pixel_specs,
    ),
    st.integers(1, 500).flatmap(
        lambda size: st.builds(
            FixedSpec,
            size=st.just(size),
            fit=st.just("crop"),
            shortest_edge=st.integers(size + 1, 999),
            pixels=pixel_specs,
        )
    ),
)


@given(view_specs)
def test_written_views_read_back(tmp_path_factory: Any, spec: FixedSpec) -> None:
    folder = tmp_path_factory.mktemp("views")
    data = write_views(spec, "CLIPImageProcessor")
    (folder / "preprocessor_config.json").write_text(json.dumps(data))
    found, notes = read_views(Checkpoint({}, folder), FixedSpec(size=7), "clip")
    assert (found, notes) == (spec, ())
