"""The perceiver resampler against its equations, as the open Flamingo writes them."""

# V views  N rows  L latents  C width  H heads  K head dim

from __future__ import annotations

import pytest
import torch
from tests.helpers.tiny import randomise
from torch import Tensor
from torch.nn import functional as F

from sightline.connectors.context import ViewContext
from sightline.connectors.resampler import ResamplerBlock, ResamplerConnector
from sightline.core.geometry import Grid
from sightline.model.init import initialise
from sightline.spec.connector import ResamplerSpec

WIDTH, ROWS, CTX = 12, 7, ViewContext(Grid(1, 7))
SPECS = {
    "flamingo": ResamplerSpec(latents=3, depth=2, heads=2, head_dim=5),
    "idefics": ResamplerSpec(latents=4, depth=1, heads=3, head_dim=4, activation="relu"),
}


def built(spec: ResamplerSpec, outputs: int = WIDTH) -> ResamplerConnector:
    connector = ResamplerConnector(spec, WIDTH, outputs)
    randomise(connector, 0)
    return connector.requires_grad_(False)


def layer_norm(x: Tensor, norm: torch.nn.Module) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias)


def step(spec: ResamplerSpec, block: ResamplerBlock, x: Tensor, latents: Tensor) -> Tensor:
    """One block for one view [N, C] and its latents [L, C], head by head."""
    own = layer_norm(latents, block.latent_norm)
    seen = torch.cat((layer_norm(x, block.context_norm), own))
    heads = []
    for h in range(spec.heads):
        rows = slice(h * spec.head_dim, (h + 1) * spec.head_dim)
        q, k, v = (
            y @ m.weight[rows].T for y, m in ((own, block.q), (seen, block.k), (seen, block.v))
        )
        heads.append((q @ k.T / spec.head_dim**0.5).softmax(-1) @ v)
    latents = latents + torch.cat(heads, -1) @ block.out.weight.T
    inner = layer_norm(latents, block.mlp_norm) @ block.mlp.up.weight.T
    inner = F.gelu(inner) if spec.activation == "gelu" else F.relu(inner)
    return latents + inner @ block.mlp.down.weight.T


@pytest.mark.parametrize("name", SPECS)
def test_equals_the_equations(name: str) -> None:
    spec = SPECS[name]
    connector = built(spec)
    x_VNC = torch.randn(2, ROWS, WIDTH, generator=torch.Generator().manual_seed(1))
    wanted = []
    for x_NC in x_VNC:
        latents = connector.latents
        for block in connector.blocks:
            latents = step(spec, block, x_NC, latents)
        wanted.append(layer_norm(latents, connector.norm))
    torch.testing.assert_close(connector(x_VNC, CTX), torch.stack(wanted), rtol=0, atol=1e-5)


def test_any_number_of_rows_gives_the_same_number_of_tokens() -> None:
    spec = SPECS["flamingo"]
    connector = built(spec, outputs=20)
    for rows in (1, 5, 90):
        assert connector(torch.randn(3, rows, WIDTH), CTX).shape == (3, 3, 20)
        assert spec.tokens(rows, Grid(1, rows)) == 3
    assert spec.grid(Grid(4, 4)).area == 3


def test_projects_only_where_widths_differ() -> None:
    assert built(SPECS["idefics"]).project is None
    assert built(SPECS["idefics"], outputs=13).project is not None


def test_order_of_rows_does_not_matter() -> None:
    """Nothing says where a row stands but the row itself."""
    connector = built(SPECS["flamingo"])
    x_VNC = torch.randn(1, ROWS, WIDTH)
    shuffled = x_VNC[:, torch.randperm(ROWS)]
    torch.testing.assert_close(connector(x_VNC, CTX), connector(shuffled, CTX), rtol=0, atol=1e-5)


def test_a_new_one_tells_its_latents_apart() -> None:
    connector = ResamplerConnector(SPECS["flamingo"], WIDTH, WIDTH)
    initialise(connector, 0)
    out_LC = connector(torch.randn(1, ROWS, WIDTH), CTX)[0]
    assert out_LC.isfinite().all()
    assert torch.pdist(out_LC).min() > 0.1
