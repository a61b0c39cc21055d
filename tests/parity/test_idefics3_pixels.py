"""Rows of tiles and pixels of Idefics3 and SmolVLM against their image processor."""

from __future__ import annotations

import random as chance
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.waves import picture
from tests.parity.idefics3 import EDGE, TILE, image_processor
from tests.resolution.specs import model
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import SizeDict
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from sightline.core.geometry import Grid, MediaSize, Size
from sightline.resolution.policy import layout
from sightline.resolution.row_tiling import tiles
from sightline.spec import FixedSpec, ModelSpec, RowTilingSpec
from sightline.vision.pixels import render_all

POLICIES = [(1456, 364), (1536, 384), (2048, 512), (1920, 384), (364, 364), (300, 364), (1001, 100),
            (4095, 512)]  # fmt: skip
EDGES = [(1, 1), (1, 6000), (6000, 1), (6000, 4000), (364, 364), (728, 364), (363, 365), (2, 1),
         (1456, 1456), (1457, 1456), (640, 480), (480, 640), (1455, 729), (3, 4000)]  # fmt: skip


def sees(policy: RowTilingSpec) -> ModelSpec:
    """A model that sees so."""
    return model(FixedSpec(size=policy.tile)).model_copy(update={"resolution": policy})


@pytest.mark.parametrize(("edge", "tile"), POLICIES)
def test_tiles_of_the_processor(edge: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor's own steps on pictures without pixels; 500 random sizes for the first."""

    def sized(_: Any, image: Any, size: SizeDict, **__: Any) -> Any:
        return np.broadcast_to(np.uint8(0), (3, size.height, size.width))

    monkeypatch.setattr(PilBackend, "resize", sized)
    theirs = Idefics3ImageProcessorPil()
    policy = RowTilingSpec(tile=tile, edge=edge)
    draw = chance.Random(5)
    count = 500 if edge == 1456 else 60
    sizes = [(draw.randint(1, 6000), draw.randint(1, 4000)) for _ in range(count)]
    for width, height in [*EDGES, *sizes]:
        image = theirs.resize(np.broadcast_to(np.uint8(0), (3, height, width)),
                              SizeDict(longest_edge=edge))  # fmt: skip
        steps = [image.shape]
        image = theirs.resize_for_vision_encoder(image, tile)
        frames, rows, cols = theirs.split_images(image, {"longest_edge": tile})
        steps += [image.shape] * bool(rows)
        found = layout(sees(policy), [MediaSize(width, height)]).views
        assert tiles(policy, Size(width, height)) == Grid(rows, cols), (width, height)
        assert len(found) == len(frames)
        assert [(3, s.height, s.width) for s in found[-1].steps] == steps
        assert {view.size for view in found} == {Size(tile, tile)}
        assert max(rows, cols) <= policy.most_tiles


def test_the_processor_does_not_cut_as_it_counts() -> None:
    """`get_number_of_image_patches` does not scale the shorter side with the longer; we follow what
    is cut, which the test above reads off."""
    theirs, policy = Idefics3ImageProcessorPil(), RowTilingSpec(tile=100, edge=1001)
    asked = {"size": {"longest_edge": 1001}, "max_image_size": {"longest_edge": 100}}
    _, *counted = theirs.get_number_of_image_patches(600, 1000, asked)
    cut = tiles(policy, Size(1000, 600))
    assert (counted, [cut.rows, cut.cols]) == ([6, 11], [7, 11])


PIXEL_SIZES = [(1, 1), (1, 40), (40, 1), (28, 28), (56, 28), (27, 29), (90, 61), (61, 90), (300, 7),
               (13, 200), (84, 56), (85, 57), (120, 120), (121, 119), (400, 300), (300, 400),
               (99, 98), (500, 111), (37, 41), (640, 480)]  # fmt: skip


@pytest.mark.parametrize("split", [True, False], ids=["tiles", "whole"])
@pytest.mark.parametrize("size", PIXEL_SIZES)
def test_pixels_are_bit_equal(size: tuple[int, int], split: bool) -> None:
    """Each of several resizes rounds, tiles in order, the whole picture last."""
    theirs = image_processor(Idefics3ImageProcessorPil, do_image_splitting=split)
    shown = picture(*size)
    policy = RowTilingSpec(tile=TILE, edge=EDGE, split=split)
    policy = policy.model_copy(update={"pixels": pillow(policy)})
    found = render_all([shown], layout(sees(policy), [MediaSize(*size)]), policy.pixels)
    wanted = theirs(Image.fromarray(shown), return_tensors="pt")["pixel_values"]
    assert torch.equal(torch.stack(found), wanted[0])


def test_one_resize_instead_of_three_is_seen() -> None:
    shown = picture(400, 300)
    policy = RowTilingSpec(tile=TILE, edge=EDGE)
    laid = layout(sees(policy), [MediaSize(400, 300)])
    direct = tuple(view.__class__(view.media, view.before, view.resized, view.window)
                   for view in laid.views)  # fmt: skip
    found = render_all([shown], laid, policy.pixels)
    wrong = render_all([shown], laid.__class__(direct, laid.media), policy.pixels)
    assert float((torch.stack(found) - torch.stack(wrong)).abs().max()) > 0.03


def pillow(policy: RowTilingSpec) -> Any:
    return policy.pixels.model_copy(update={"backend": "pillow"})
