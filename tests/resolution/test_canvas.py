"""The canvas of Llama 3.2 Vision, against the library's own arithmetic and by its rules."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.mllama.image_processing_pil_mllama import (
    MllamaImageProcessorPil,
    get_all_supported_aspect_ratios,
    get_image_size_fit_to_canvas,
    get_optimal_tiled_canvas,
)

from sightline.core.geometry import Grid, Size
from sightline.resolution import canvas
from sightline.resolution.layout import Canvas
from sightline.spec import CanvasSpec, PixelSpec
from sightline.vision.pixels import render

POLICIES = {
    "llama-3.2": CanvasSpec(size=560, tiles=4),
    "nine tiles": CanvasSpec(size=336, tiles=9),
    "one tile": CanvasSpec(size=224, tiles=1),
}
EDGES = [
    (1, 1),
    (560, 560),
    (561, 560),
    (1120, 1120),
    (1121, 1120),
    (6000, 4000),
    (1, 4000),
    (6000, 1),
]


def sizes(seed: int) -> list[tuple[int, int]]:
    """500 sizes from 1 × 1 to 6000 × 4000, small ones as often as large ones."""
    random = Random(seed)
    drawn = [
        (int(6000 ** random.random()), int(4000 ** random.random()))
        for _ in range(500 - len(EDGES))
    ]
    return EDGES + drawn


@pytest.mark.parametrize("name", POLICIES)
def test_canvas_and_size_equal_the_reference_on_500_sizes(name: str) -> None:
    policy = POLICIES[name]
    for width, height in sizes(3):
        view = canvas.view(policy, Size(width, height), (0,))
        wanted = get_optimal_tiled_canvas(height, width, policy.tiles, policy.size)
        assert (view.size.height, view.size.width) == wanted
        fitted = get_image_size_fit_to_canvas(height, width, *wanted, policy.size)
        assert (view.resized.height, view.resized.width) == fitted
        assert view.window == Canvas(view.size)


@pytest.mark.parametrize("tiles", range(1, 10))
def test_arrangements_are_numbered_as_the_reference_numbers_them(tiles: int) -> None:
    found = [(grid.rows, grid.cols) for grid in canvas.arrangements(tiles)]
    assert found == get_all_supported_aspect_ratios(tiles)


SAMPLES = [*EDGES[:5], *[size for size in sizes(5)[8:200] if size[0] * size[1] < 400_000][:15]]


@pytest.mark.parametrize("size", SAMPLES)
def test_pixels_are_bit_equal(size: tuple[int, int]) -> None:
    policy = CanvasSpec(size=112, pixels=PixelSpec(backend="pillow", resample="bilinear"))
    width, height = size
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    processor = MllamaImageProcessorPil(
        size={"height": 112, "width": 112},
        image_mean=list(policy.pixels.mean),
        image_std=list(policy.pixels.std),
    )
    wanted = processor(Image.fromarray(pixels), return_tensors="pt")
    view = canvas.view(policy, Size(width, height), (0,))
    found = render(pixels, view, policy.pixels)
    rows, cols = view.size.height // 112, view.size.width // 112
    tiles = found.unflatten(2, (cols, 112)).unflatten(1, (rows, 112)).permute(1, 3, 0, 2, 4)
    assert wanted["num_tiles"] == [[rows * cols]]
    assert torch.equal(tiles.flatten(0, 1), wanted["pixel_values"][0, 0, : rows * cols])


@given(
    size=st.integers(1, 700),
    tiles=st.integers(1, 9),
    width=st.integers(1, 6000),
    height=st.integers(1, 6000),
)
def test_the_picture_lies_on_its_canvas(size: int, tiles: int, width: int, height: int) -> None:
    policy, picture = CanvasSpec(size=size, tiles=tiles), Size(width, height)
    view = canvas.view(policy, picture, (0,))
    assert view.size.width % size == view.size.height % size == 0
    assert Grid(view.size.height // size, view.size.width // size).area <= tiles
    assert 1 <= view.resized.width <= view.size.width
    assert 1 <= view.resized.height <= view.size.height
    assert view.resized.width <= max(size, width)
    assert view.resized.height <= max(size, height)


def test_a_tie_goes_to_the_smallest_canvas() -> None:
    """90 × 200 pixels fit two tiles and four at the same scale."""
    policy = CanvasSpec(size=100, tiles=4)
    assert canvas.best_tiles(policy, Size(400, 100)) == Grid(1, 4)
    assert canvas.best_tiles(policy, Size(90, 200)) == Grid(2, 1)
    assert canvas.best_tiles(policy, Size(1, 1)) == Grid(1, 1)
    assert canvas.best_tiles(policy, Size(5000, 5000)) == Grid(2, 2)
