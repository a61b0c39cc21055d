"""Pixel shuffle: order of channels and tokens, and the grids it refuses."""

# V views  N rows  C channels

from __future__ import annotations

import pytest
import torch
from tests.helpers.tiny import BASE, randomise
from transformers import Idefics3Config, InternVLConfig
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector
from transformers.models.internvl.modeling_internvl import (
    InternVLModel,
    InternVLMultiModalProjector,
)

from sightline.connectors.context import ViewContext
from sightline.connectors.pixel_shuffle import PixelShuffleConnector
from sightline.core.errors import SpecError
from sightline.core.geometry import Grid
from sightline.spec import ModelSpec, PixelShuffleSpec

WIDTH, OUT = 6, 10


def built(**changes: object) -> PixelShuffleConnector:
    connector = PixelShuffleConnector(PixelShuffleSpec(**changes), WIDTH, OUT)
    randomise(connector, 0)
    return connector


def rows(grid: Grid, views: int = 2) -> torch.Tensor:
    return torch.randn(views, grid.area, WIDTH, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_internvl() -> None:
    ours, grid = built(), Grid(6, 6)
    config = InternVLConfig(
        vision_config={"hidden_size": WIDTH, "num_attention_heads": 2},
        text_config={"model_type": "qwen2", "hidden_size": OUT},
    )
    theirs = InternVLMultiModalProjector(config)
    names = {"layer_norm": "norm", "linear_1": "layers.0", "linear_2": "layers.1"}
    state = ours.state_dict()
    for name, p in theirs.named_parameters():
        part, kind = name.rsplit(".", 1)
        p.copy_(state[f"{names[part]}.{kind}"])
    x_VNC = rows(grid)
    shuffled = InternVLModel.pixel_shuffle(None, x_VNC.unflatten(1, (6, 6)), 0.5)
    wanted = theirs(shuffled.flatten(1, 2))
    assert torch.allclose(ours(x_VNC, ViewContext(grid)), wanted, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_idefics3(factor: int) -> None:
    grid = Grid(12, 12)
    ours = built(side=factor, norm="none", depth=1, bias=False)
    config = Idefics3Config(
        vision_config={"hidden_size": WIDTH, "num_attention_heads": 2},
        text_config={"model_type": "llama", "hidden_size": OUT, "num_attention_heads": 5},
        scale_factor=factor,
    )
    theirs = Idefics3Connector(config)
    theirs.modality_projection.proj.weight.copy_(ours.layers[0].weight)
    x_VNC = rows(grid)
    assert torch.allclose(ours(x_VNC, ViewContext(grid)), theirs(x_VNC), atol=1e-5)


@pytest.mark.parametrize("grid", [Grid(2, 6), Grid(6, 2), Grid(4, 8)])
def test_a_token_is_a_square_of_cells(grid: Grid) -> None:
    """Cell (y, x) holds 100 y + x: the channels of a token name its square, row by row."""
    cells = torch.arange(grid.rows)[:, None] * 100 + torch.arange(grid.cols)
    x_1N1 = cells.float().flatten()[None, :, None]
    connector = PixelShuffleConnector(PixelShuffleSpec(), 1, OUT)
    joined = connector.join(x_1N1, ViewContext(grid))[0].tolist()
    assert joined == [
        [100 * y + x, 100 * y + x + 1, 100 * (y + 1) + x, 100 * (y + 1) + x + 1]
        for y in range(0, grid.rows, 2)
        for x in range(0, grid.cols, 2)
    ]
    assert len(joined) == PixelShuffleSpec().tokens(grid.area, grid)


def test_what_it_cannot_join_is_refused() -> None:
    spec = PixelShuffleSpec(side=2)
    with pytest.raises(SpecError, match="3 × 4"):
        spec.tokens(12, Grid(3, 4))
    with pytest.raises(SpecError, match="class_token: drop"):
        spec.tokens(17, Grid(4, 4))


@pytest.mark.parametrize("resolution", [{"size": 12}, {"kind": "tiling", "tile": 12, "size": None}])
def test_a_model_whose_views_it_cannot_join_is_refused(resolution: dict[str, object]) -> None:
    """12 pixels are three patches of 4."""
    wanted = {k: v for k, v in (BASE["resolution"] | resolution).items() if v is not None}
    spec = BASE | {"resolution": wanted, "connector": {"kind": "pixel_shuffle"}}
    with pytest.raises(SpecError, match="3 × 3"):
        ModelSpec.parse(spec)
