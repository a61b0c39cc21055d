"""Backbones of timm as encoders: timm's own features, planned as they are, refused by name."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from tests.helpers.timm_parts import timm_module
from tests.helpers.tiny import tiny_spec
from torch.utils.flop_counter import FlopCounterMode

from sightline.core.errors import SpecError
from sightline.core.geometry import Size
from sightline.families.timm import backbone
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.planner.encoder import encoder_flops, encoder_kept, encoder_scratch
from sightline.planner.work import parameters
from sightline.spec import CnnSpec, ModelSpec
from sightline.vision.cnn import CnnEncoder, measured

timm = timm_module("timm")
# timm's smallest of either kind: 373 and 190 thousand parameters, 32 pixels a cell.
SMALL = {
    "test_resnet": CnnSpec(backbone="test_resnet", width=96, patch=32, parameters=372_688,
                           cell_macs=4_098_048, cell_numbers=25_568),
    "test_nfnet": CnnSpec(backbone="test_nfnet", width=192, patch=32, parameters=190_080,
                          cell_macs=11_394_048, view_macs=15_360, cell_numbers=48_064),
}  # fmt: skip
SIZES = [(64, 64), (96, 160), (128, 32)]


def encoder(spec: CnnSpec) -> CnnEncoder:
    """Loud weights: nothing is at a value that hides a wrong layer."""
    made = CnnEncoder(spec).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for tensor in made.state_dict().values():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            around = tensor.ndim < 2
            tensor.copy_((around + 0.2 * noise).abs() if around else 0.05 * noise)
    return made


def theirs(spec: CnnSpec, weights: dict[str, torch.Tensor]) -> Any:
    cut: dict[str, Any] = {"num_classes": 0, "global_pool": ""}
    if spec.stage is not None:
        cut = {"features_only": True, "out_indices": (spec.stage,)}
    made = timm.create_model(spec.backbone, **cut)
    made.load_state_dict(weights)
    return made.eval()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SMALL)
def test_rows_are_the_last_feature_map(name: str, size: tuple[int, int]) -> None:
    ours, pixels = encoder(SMALL[name]), torch.randn(2, 3, *size)
    reference = theirs(SMALL[name], ours.backbone.state_dict())
    with torch.no_grad():
        wanted = reference.forward_features(pixels)
    found = ours(pixels)
    grid = ours.spec.grid(size[1], size[0])
    assert found.shape == (2, ours.spec.tokens(grid), ours.spec.out_width)
    assert torch.equal(found, wanted.flatten(2).transpose(1, 2)) and found.std() > 0.1


@pytest.mark.parametrize("size", SIZES)
def test_rows_of_an_earlier_stage(size: tuple[int, int]) -> None:
    spec = measured("test_resnet", 2)
    ours, pixels = encoder(spec), torch.randn(1, 3, *size)
    with torch.no_grad():
        [wanted] = theirs(spec, ours.backbone.state_dict())(pixels)
    assert spec.patch == 8 and spec.parameters < SMALL["test_resnet"].parameters
    assert torch.equal(ours(pixels), wanted.flatten(2).transpose(1, 2))


def test_pixels_beyond_whole_cells_are_cut() -> None:
    ours, pixels = encoder(SMALL["test_resnet"]), torch.randn(1, 3, 70, 127)
    assert torch.equal(ours(pixels), ours(pixels[:, :, :64, :96]))
    assert ours.spec.grid(127, 70).area == 6


@pytest.mark.parametrize("name", SMALL)
def test_no_picture_depends_on_another_even_in_training(name: str) -> None:
    ours, pixels = encoder(SMALL[name]), torch.randn(3, 3, 64, 64)
    ours.train()
    before = {key: t.clone() for key, t in ours.state_dict().items()}
    torch.testing.assert_close(ours(pixels)[:1], ours(pixels[:1]))
    assert all(torch.equal(t, before[key]) for key, t in ours.state_dict().items())


def model_spec(vision: CnnSpec, side: int = 64) -> ModelSpec:
    data = tiny_spec().model_dump() | {"resolution": {"kind": "fixed", "size": side}}
    return ModelSpec.parse(data | {"vision": vision.model_dump()})


@pytest.mark.parametrize("name", SMALL)
def test_the_plan_is_what_is_built(name: str) -> None:
    spec = model_spec(SMALL[name])
    model = build_model(spec)
    built = [sum(p.numel() for p in part.parameters()) for part in model.children()]
    assert list(parameters(spec)) == built[:3]
    for side in (64, 96):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.vision(torch.zeros(1, 3, side, side))
        assert encoder_flops(SMALL[name], Size(side, side)) == counter.get_total_flops()


@pytest.mark.parametrize("name", SMALL)
def test_memory_is_within_what_is_planned(name: str) -> None:
    """Kept for a backward pass: close; alive at once: no more."""
    ours, view = CnnEncoder(SMALL[name]), Size(128, 128)
    own = {t.untyped_storage().data_ptr() for t in ours.state_dict().values()}
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point() and tensor.data_ptr() not in own and tensor.ndim == 4:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // 4
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        ours(torch.randn(1, 3, 128, 128))
    planned = encoder_kept(SMALL[name], [view], checkpointing=False)
    assert 0.8 * planned <= sum(kept.values()) <= 1.2 * planned
    assert encoder_scratch(SMALL[name], [view]) <= planned


@pytest.mark.parametrize("name", SMALL)
def test_the_numbers_of_small_backbones(name: str) -> None:
    assert measured(name) == SMALL[name]


def test_resnet_50() -> None:
    ours, pixels = encoder(backbone("resnet50")), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        wanted = theirs(ours.spec, ours.backbone.state_dict()).forward_features(pixels)
    assert ours(pixels).shape == (1, 6, 2048)
    assert torch.equal(ours(pixels), wanted.flatten(2).transpose(1, 2))


def test_new_ones_are_a_function_of_the_seed() -> None:
    spec = model_spec(SMALL["test_resnet"])
    models = [build_model(spec) for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        state = torch.random.get_rng_state()
        initialise(model, seed)
        assert torch.equal(state, torch.random.get_rng_state())
    first, same, other = (model.vision.backbone.conv1[0].weight for model in models)
    assert torch.equal(first, same) and not torch.equal(first, other)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"width": 64}, "vision.width: is 64, that of test_resnet is 96"),
        ({"patch": 16}, "vision.patch: is 16, that of test_resnet is 32"),
        ({"parameters": 5}, "vision.parameters: is 5, that of test_resnet is 372688"),
        ({"stage": 9}, "vision.stage: 9 is no feature map of test_resnet"),
        ({"backbone": "resnet51"}, "vision.backbone: timm 1.0.31 has no resnet51"),
        ({"backbone": "hf-hub:timm/resnet50.a1_in1k"}, "has no hf-hub:timm"),
    ],
)
def test_what_does_not_fit_the_backbone_is_refused(change: dict[str, Any], problem: str) -> None:
    spec = SMALL["test_resnet"].model_copy(update=change)
    with pytest.raises(SpecError) as caught:
        CnnEncoder(spec)
    assert problem in str(caught.value) and caught.value.fix


def test_rows_that_form_no_map_are_refused() -> None:
    spec = CnnSpec(backbone="test_vit", width=64, patch=16, parameters=0, cell_macs=0,
                   cell_numbers=0)  # fmt: skip
    parameters = sum(p.numel() for p in timm.create_model("test_vit", num_classes=0).parameters())
    made = CnnEncoder(spec.model_copy(update={"parameters": parameters}))
    with pytest.raises(SpecError, match=r"gives \[101, 64\]"):
        made(torch.zeros(1, 3, 160, 160))


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SpecError, match=r"pip install sightline\[towers\]"):
        build_model(model_spec(SMALL["test_resnet"]))
    assert parameters(model_spec(SMALL["test_resnet"]))[0] == 372_688
