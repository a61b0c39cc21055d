"""The convolutional stem against convolutions and norms written out, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sightline.core.errors import SpecError
from sightline.model.init import initialise
from sightline.spec import VitSpec
from sightline.vision.vit import VitEncoder

BASE = {"width": 32, "depth": 1, "heads": 2, "mlp_width": 48, "patch": 8, "image_size": 32}


def encoder(**changes) -> VitEncoder:
    built = VitEncoder(VitSpec(**(BASE | {"stem": "conv"} | changes)))
    initialise(built, seed=1)
    return built


def written_out(stem, pixels):
    """Every output pixel as a sum over its window, in float64."""
    x = pixels.double()
    for halving in stem.halvings:
        windows = F.unfold(x, 3, padding=1, stride=2)
        kernel = halving.weight.double().flatten(1)
        x = (kernel @ windows).unflatten(2, (x.shape[2] // 2, x.shape[3] // 2))
        mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
        scale, shift = (p.double()[:, None, None] for p in halving.norm.parameters())
        x = (x - mean) / (var + halving.norm.eps).sqrt() * scale + shift
        x = 0.5 * x * (1 + torch.erf(x / 2**0.5))
    rows = x.flatten(2).transpose(1, 2)
    return rows @ stem.project.weight.double().T + stem.project.bias.double()


def test_it_equals_convolutions_written_out():
    built = encoder()
    with torch.no_grad():
        for p in built.parameters():
            p.normal_(0.0, 0.2, generator=torch.Generator().manual_seed(p.numel()))
    pixels = torch.randn(2, 3, 32, 24, generator=torch.Generator().manual_seed(0))
    mine = built.patch_embed(pixels)
    assert mine.shape == (2, 4 * 3, 32)
    assert (mine - written_out(built.patch_embed, pixels)).abs().max() <= 1e-5


def test_rows_are_counted_by_the_spec():
    built = encoder()
    pixels = torch.zeros(1, 3, 40, 32)
    assert built(pixels).shape[1] == built.spec.tokens(built.spec.grid(32, 40))


def test_channels_double_up_to_the_width():
    assert VitSpec(**(BASE | {"stem": "conv"})).stem_widths == (8, 16, 32)


@pytest.mark.parametrize("patch", [2, 6, 14])
def test_a_patch_that_is_no_power_of_two_is_refused(patch):
    with pytest.raises(SpecError, match="power of two") as caught:
        VitSpec(**(BASE | {"stem": "conv", "patch": patch, "image_size": 56}))
    assert "patch" in caught.value.field
