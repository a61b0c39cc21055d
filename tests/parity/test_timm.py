"""timm's folders as towers: their weights, the published sizes, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers.speaking import saved, speaking
from tests.helpers.timm_parts import timm_module

import sightline
from sightline.core.errors import FamilyError, WeightError
from sightline.families import read_spec
from sightline.families.timm import BACKBONES, backbone
from sightline.spec import FixedSpec
from sightline.vision.cnn import measured
from sightline.weights import load_vision

timm = timm_module("timm")
FAST = ("resnet50", "nfnet_l0", "dm_nfnet_f0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ResNet-50 as timm publishes it, with loud statistics."""
    made = tmp_path_factory.mktemp("timm") / "resnet50"
    made.mkdir()
    model = timm.create_model("resnet50")
    tensors = {name: t.contiguous() for name, t in model.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.copy_((1 + 0.2 * torch.randn(tensor.shape, generator=generator)).abs())
            tensor.mul_(0.2 if ".bn3." in name else 1)
    save_file(tensors, made / "model.safetensors")
    (made / "config.json").write_text(json.dumps(config()))
    return made


def config(name: str = "resnet50", **changes: Any) -> dict[str, Any]:
    """What timm's hub folders hold."""
    trained = timm.get_pretrained_cfg(name).to_dict()
    trained = {key: value for key, value in trained.items() if value is not None}
    data = {"architecture": name, "num_classes": 1000, "num_features": 2048,
            "pretrained_cfg": trained | changes}  # fmt: skip
    return dict(json.loads(json.dumps(data)))


def test_feature_maps_are_timms(folder: Path) -> None:
    reference = timm.create_model("resnet50").eval()
    reference.load_state_dict(load_file(folder / "model.safetensors"))
    ours = load_vision(read_spec(folder))
    for size in ((64, 64), (96, 64), (32, 160)):
        pixels = torch.randn(1, 3, *size)
        with torch.no_grad():
            wanted = reference.forward_features(pixels).flatten(2).transpose(1, 2)
            assert torch.equal(ours(pixels), wanted) and wanted.std() > 0.01


def test_joined_with_a_text_model_it_answers_and_is_read_back(folder: Path, tmp_path: Path) -> None:
    text = saved(speaking(), tmp_path / "text")
    vlm = sightline.compose(vision=str(folder), language=str(text),
                            resolution=FixedSpec(size=64), dtype="float32")  # fmt: skip
    kept = vlm.model.vision.backbone.state_dict()
    stored = load_file(folder / "model.safetensors")
    assert set(stored) - set(kept) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(stored[name], tensor) for name, tensor in kept.items())
    vlm.save(tmp_path / "whole")
    again = sightline.load(str(tmp_path / "whole"))
    for name, tensor in again.model.vision.backbone.state_dict().items():
        assert torch.equal(tensor, kept[name]), name
    picture = torch.zeros(40, 50, 3, dtype=torch.uint8).numpy()
    assert again.ask(picture, "Where?", max_tokens=3).usage.visual_tokens == 4


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in BACKBONES]
)
def test_sizes_are_timms(name: str) -> None:
    assert measured(name) == backbone(name)


@pytest.mark.parametrize(
    ("name", "size", "fit", "edge"),
    [("resnet50", 224, "crop", 235), ("dm_nfnet_f6", 448, "squash", None)],
)
def test_views(name: str, size: int, fit: str, edge: int | None) -> None:
    declared = read_spec(config(name))
    views = declared.resolution
    assert isinstance(views, FixedSpec) and declared.vision == backbone(name)
    assert (views.size, views.fit, views.shortest_edge) == (size, fit, edge)
    assert views.pixels.mean == (0.485, 0.456, 0.406) and declared.notes


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (config() | {"architecture": "resnet51"}, "resnet51 is not among"),
        (config() | {"pooling": "max"}, "pooling"),
        (config(blur="yes"), "pretrained_cfg.blur"),
        (config(crop_mode="border"), "pretrained_cfg.crop_mode"),
        (config(mean=[0.5]), "pretrained_cfg.mean"),
        (config(interpolation="random"), "interpolation"),
    ],
)
def test_what_is_not_known_is_refused(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(FamilyError, match=problem):
        read_spec(data)


def test_wrong_tensors_are_named(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["layer5.0.conv1.weight"] = tensors.pop("layer4.0.conv1.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config()))
    with pytest.raises(WeightError, match=r"layer4\.0\.conv1\.weight"):
        load_vision(read_spec(tmp_path))
