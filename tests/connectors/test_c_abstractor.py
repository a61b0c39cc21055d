"""The C-Abstractor against Honeybee's arrangement of timm's RegStage."""

# V views  N cells  C vision width  W inner width  D language width

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from tests.helpers.timm_parts import timm_module
from tests.helpers.tiny import randomise
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.connectors.c_abstractor import CAbstractor, RegBlock
from sightline.connectors.context import ViewContext
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.spec.connector import CAbstractorSpec

INPUTS, OUTPUTS = 12, 20
TOLERANCE, SEEN = 1e-5, 5e-4


class Reference(nn.Module):
    """Positions, RegStage, average, RegStage, SiLU between matrices (honeybee/projectors)."""

    def __init__(self, spec: CAbstractorSpec) -> None:
        super().__init__()
        regnet, layers = timm_module("timm.models.regnet"), timm_module("timm.layers")
        stage = partial(
            regnet.RegStage, stride=1, dilation=1, act_layer=nn.SiLU, norm_layer=layers.LayerNorm2d
        )
        self.pos_emb = nn.Parameter(torch.empty(1, (spec.position_side or 0) ** 2, INPUTS))
        self.net = nn.Sequential(
            stage(spec.depth, INPUTS, spec.width),
            nn.AdaptiveAvgPool2d((spec.side, spec.side)),
            stage(spec.depth, spec.width, spec.width),
        )
        widths = [spec.width, *[OUTPUTS] * spec.mlp_depth]
        linears = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        between = [layer for linear in linears for layer in (nn.SiLU(), linear)]
        self.readout = nn.Sequential(*between[1:])

    def forward(self, x_VNC: Tensor, cells: Grid) -> Tensor:
        if self.pos_emb.numel():
            x_VNC = x_VNC + self.pos_emb
        x_VCYX = x_VNC.transpose(1, 2).unflatten(2, (cells.rows, cells.cols))
        made: Tensor = self.readout(self.net(x_VCYX).flatten(2).transpose(1, 2))
        return made


BLOCK = {
    "conv1.conv": "widen", "conv1.bn": "norm1", "conv2.conv": "mix", "conv2.bn": "norm2",
    "se.fc1": "squeeze", "se.fc2": "excite", "conv3.conv": "out", "conv3.bn": "norm3",
    "downsample.conv": "shortcut", "downsample.bn": "shortcut_norm",
}  # fmt: skip


def our_name(name: str) -> str:
    """connector.before.0.widen.weight of net.0.b1.conv1.conv.weight."""
    match name.split("."):
        case ["pos_emb"]:
            return "positions"
        case ["readout", number, kind]:
            return f"layers.{int(number) // 2}.{kind}"
        case ["net", stage, block, *rest, kind]:
            place = {"0": "before", "2": "after"}[stage]
            return f"{place}.{int(block[1:]) - 1}.{BLOCK['.'.join(rest)]}.{kind}"
    raise AssertionError(name)


def pair(**options: Any) -> tuple[CAbstractor, Reference]:
    """Ours and the reference with the same loud weights."""
    spec = CAbstractorSpec(**{"side": 2, "width": 16, "depth": 2} | options)
    ours, theirs = CAbstractor(spec, INPUTS, OUTPUTS), Reference(spec)
    randomise(theirs, 1)
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            p.add_(name.endswith("bn.weight"))
            if p.numel():
                ours.get_parameter(our_name(name)).copy_(p.view(ours.get_parameter(
                    our_name(name)).shape))  # fmt: skip
    return ours, theirs


def gap(ours: CAbstractor, theirs: Reference, cells: Grid) -> float:
    x_VNC = torch.randn(2, cells.area, INPUTS)
    with torch.no_grad():
        return float((ours(x_VNC, ViewContext(cells)) - theirs(x_VNC, cells)).abs().max())


@pytest.mark.parametrize(
    ("options", "cells"),
    [
        ({"position_side": 4}, Grid(4, 4)),
        ({"side": 3, "depth": 3, "position_side": 7}, Grid(7, 7)),
        ({"depth": 1, "mlp_depth": 1}, Grid(3, 5)),
        ({"width": INPUTS, "mlp_depth": 3}, Grid(6, 4)),
        ({"side": 4}, Grid(3, 3)),
    ],
)
def test_equals_regnets_stages(options: dict[str, Any], cells: Grid) -> None:
    ours, theirs = pair(**options)
    assert len(list(ours.parameters())) + (not theirs.pos_emb.numel()) == len(
        list(theirs.parameters())
    )
    assert gap(ours, theirs, cells) <= TOLERANCE


def flat_gate(block: RegBlock) -> None:
    block.excite.weight.data.zero_()


def narrow_kernel(block: RegBlock) -> None:
    """Only the middle of each kernel."""
    block.mix.weight.data[:, :, [0, 2]] = 0


def turned_kernel(block: RegBlock) -> None:
    block.mix.weight.data = block.mix.weight.data.transpose(2, 3).contiguous()


def no_shortcut(block: RegBlock) -> None:
    assert block.shortcut is not None
    block.shortcut.weight.data.zero_()


MISTAKES: dict[str, Callable[[RegBlock], None]] = {
    "gate without the picture": flat_gate,
    "kernel of one row": narrow_kernel,
    "rows and columns exchanged": turned_kernel,
    "no shortcut": no_shortcut,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_block_is_seen(mistake: str) -> None:
    ours, theirs = pair(position_side=4)
    MISTAKES[mistake](ours.before[0])  # type: ignore[arg-type]
    assert gap(ours, theirs, Grid(4, 4)) > SEEN


def test_another_norm_eps_is_seen() -> None:
    ours, theirs = pair()
    for block in ours.before:
        block.norm1.eps = 1e-2
    assert gap(ours, theirs, Grid(4, 4)) > SEEN


def test_positions_are_stretched_to_other_grids() -> None:
    ours, _ = pair(position_side=3)
    assert ours.positions is not None
    table_1CYX = ours.positions.detach().T.unflatten(1, (3, 3))[None]
    wanted_NC = F.interpolate(table_1CYX, (4, 6), mode="bicubic")[0].flatten(1).T
    x_VNC = torch.randn(1, 24, INPUTS)
    with torch.no_grad():
        found = ours(x_VNC, ViewContext(Grid(4, 6)))
        ours.positions = None
        assert torch.equal(found, ours(x_VNC + wanted_NC, ViewContext(Grid(4, 6))))


def test_a_class_token_is_refused() -> None:
    with pytest.raises(SpecError, match="class_token: drop"):
        CAbstractorSpec(side=2).tokens(17, Grid(4, 4))
