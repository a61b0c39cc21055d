"""Backbones of timm as encoders: the last feature map is the grid."""

# V views  h, w rows and columns of pixels  C channels  Y, X rows and columns of cells  N cells

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sightline.core.errors import SpecError
from sightline.spec.vision import CnnSpec

MEASURED_SIDES = (4, 8)


class CnnEncoder(nn.Module):
    """float[V, 3, h, w] -> [V, N, C], the cells of timm's feature map row by row.

    The backbone is always in evaluation mode: batch norms use the statistics that came with the
    weights, as detectors do, so that no picture depends on another; nothing is dropped out.
    `pixels` beyond whole cells are cut, where timm would round up.

    Raises SpecError without timm, for a name that timm has not, and for numbers that are not the
    backbone's.
    """

    def __init__(self, spec: CnnSpec) -> None:
        super().__init__()
        self.spec, self.width, self.patch = spec, spec.width, spec.patch
        self.backbone = _backbone(spec.backbone, spec.stage).eval()
        for field, found in _facts(self.backbone, spec.backbone).items():
            if (stated := getattr(spec, field)) != found:
                raise SpecError(
                    f"vision.{field}",
                    f"is {stated}, that of {spec.backbone} is {found}",
                    f"write {field}: {found}",
                )

    def train(self, mode: bool = True) -> CnnEncoder:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, pixels_V3hw: Tensor) -> Tensor:
        grid, side = self.spec.grid(pixels_V3hw.shape[3], pixels_V3hw.shape[2]), self.patch
        x_VCYX = _features(self.backbone, pixels_V3hw[:, :, : grid.rows * side, : grid.cols * side])
        if x_VCYX.shape[1:] != (self.width, grid.rows, grid.cols):
            raise SpecError(
                "vision.backbone",
                f"{self.spec.backbone} gives {list(x_VCYX.shape[1:])} for a view of {grid.rows} × "
                f"{grid.cols} cells",
                "use one whose map is [channels, rows, columns]",
            )
        return x_VCYX.flatten(2).transpose(1, 2)

    @torch.no_grad()
    def draw(self, generator: Generator) -> None:
        """Timm's own first values, from `generator`."""
        seed = int(torch.randint(2**31, (), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            new = _backbone(self.spec.backbone, self.spec.stage)
        self.backbone.load_state_dict(new.state_dict())


def measured(backbone: str, stage: int | None = None) -> CnnSpec:
    """The spec of one of timm's backbones, every number counted without allocating it.

    Raises SpecError without timm, or for a name that timm has not.
    """
    with torch.device("meta"):
        module = _backbone(backbone, stage).eval()
    facts = _facts(module, backbone)
    small, large = (_work(module, side, facts["patch"]) for side in MEASURED_SIDES)
    cells = [side**2 for side in MEASURED_SIDES]
    cell_macs, cell_numbers = (
        (b - a) // (cells[1] - cells[0]) for a, b in zip(small, large, strict=True)
    )
    return CnnSpec(
        backbone=backbone,
        stage=stage,
        cell_macs=cell_macs,
        view_macs=small[0] - cell_macs * cells[0],
        cell_numbers=cell_numbers,
        **facts,
    )


def _timm(wanted: str) -> ModuleType:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # also what timm itself needs: torchvision
        raise SpecError(
            "vision.backbone",
            f"{wanted} is timm's, which cannot be imported ({error})",
            "pip install sightline[towers]",
        ) from None
    found: ModuleType = timm
    return found


def _backbone(name: str, stage: int | None) -> nn.Module:
    """Without a classifier, drawn by timm; nothing is fetched."""
    timm = _timm(name)
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:4])
        raise SpecError(
            "vision.backbone",
            f"timm {timm.__version__} has no {name}",
            f"use one of timm.list_models(){f', such as {near}' if near else ''}",
        )
    cut: dict[str, Any] = {"num_classes": 0, "global_pool": ""}
    try:
        if stage is not None:
            cut = {"features_only": True, "out_indices": (stage,)}
        made: nn.Module = timm.create_model(name, pretrained=False, **cut)
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        raise SpecError(
            "vision.stage", f"{stage} is no feature map of {name} ({error})", "use another"
        ) from None
    return made


def _facts(backbone: nn.Module, name: str) -> dict[str, int]:
    """Width, patch and parameters, as timm states them."""
    stages: Any = getattr(backbone, "feature_info", None)
    if not stages:
        raise SpecError("vision.backbone", f"timm states no strides of {name}", "use another")
    if hasattr(stages, "channels"):  # features_only
        [width], [patch] = stages.channels(), stages.reduction()
    else:
        width, patch = backbone.num_features, stages[-1]["reduction"]
    parameters = sum(p.numel() for p in backbone.parameters())
    return {"width": int(str(width)), "patch": patch, "parameters": parameters}


def _features(backbone: nn.Module, pixels_V3hw: Tensor) -> Tensor:
    found: Any = backbone
    if hasattr(found, "forward_features"):
        return found.forward_features(pixels_V3hw)
    [x_VCYX] = found(pixels_V3hw)
    return x_VCYX


def _work(module: nn.Module, side: int, patch: int) -> tuple[int, int]:
    """Multiply-adds, and numbers that convolutions put out, for a view of `side`² cells."""
    numbers: list[int] = []
    convolutions = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    hooks = [
        m.register_forward_hook(lambda _m, _in, out: numbers.append(out.numel()))
        for m in convolutions
    ]
    pixels = torch.empty(1, 3, side * patch, side * patch, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _features(module, pixels)
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops() // 2, sum(numbers)
