"""Running a layout: backgrounds, sharing, clips and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.resolution.specs import model

from sightline.core.errors import PictureError
from sightline.core.geometry import MediaSize, Size
from sightline.resolution.layout import Canvas, MediaLayout, View, VisualLayout
from sightline.resolution.policy import layout
from sightline.spec import FixedSpec, PixelSpec
from sightline.vision import pixels as pixels_module
from sightline.vision.pixels import mean_colour, render, render_all

PLAIN = PixelSpec(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
BACKENDS = pytest.mark.parametrize("backend", ["torch", "pillow"])


def noise(width: int, height: int, *, frames: int | None = None, seed: int = 0) -> np.ndarray:
    shape = (height, width, 3) if frames is None else (frames, height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def still(before: Canvas, resized: Size, window: Canvas) -> View:
    return View(0, before, resized, window)


def levels(rendered: torch.Tensor) -> np.ndarray:
    """What `PLAIN` rendered, as uint8[h, w, 3]."""
    return (rendered * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def test_normalising_is_the_librarys_for_every_value():
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    size = Size(16, 16)
    spec = PixelSpec(mean=(0.1, 0.48145466, 0.9), std=(0.26862954, 0.5, 1.7))
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
    expected = ((ramp.astype(np.float64) * (1 / 255)).astype(np.float32) - mean) / std
    found = render(ramp, still(Canvas(size), size, Canvas(size)), spec)
    assert torch.equal(found, torch.from_numpy(expected).permute(2, 0, 1))


@BACKENDS
def test_backgrounds_are_the_mean_before_and_black_after_resizing(backend):
    spec = PixelSpec(backend=backend, mean=(0.5, 0.25, 0.999), std=(1.0, 1.0, 1.0))
    assert mean_colour(spec) == (127, 63, 254)
    white = np.full((2, 4, 3), 255, np.uint8)
    view = still(Canvas(Size(8, 4), 2, 1), Size(8, 4), Canvas(Size(10, 6), 1, 1))
    rgb = render(white, view, spec) + torch.tensor(spec.mean)[:, None, None]
    seen = levels(rgb)
    expected = np.zeros((6, 10, 3), np.uint8)
    expected[1:5, 1:9] = mean_colour(spec)
    expected[2:4, 3:7] = 255
    np.testing.assert_array_equal(seen, expected)


offsets = st.integers(-9, 9)
sides = st.integers(1, 9)


@given(sides, sides, sides, sides, offsets, offsets)
def test_a_canvas_shows_what_lies_on_it(width, height, columns, rows, x, y):
    picture = noise(width, height) | 1
    canvas = Canvas(Size(columns, rows), x, y)
    view = still(Canvas(Size(width, height)), Size(width, height), canvas)
    expected = np.zeros((rows, columns, 3), np.uint8)
    for row in range(rows):
        for column in range(columns):
            if 0 <= row - y < height and 0 <= column - x < width:
                expected[row, column] = picture[row - y, column - x]
    np.testing.assert_array_equal(levels(render(picture, view, PLAIN)), expected)


@pytest.mark.parametrize(("x", "y"), [(3, 0), (-2, 0), (0, 3), (0, -2)])
def test_a_picture_outside_the_surface_that_is_resized_is_refused(x, y):
    view = still(Canvas(Size(3, 3), x, y), Size(4, 4), Canvas(Size(4, 4)))
    with pytest.raises(PictureError, match="lies outside its canvas"):
        render(noise(2, 2), view, PLAIN)


@BACKENDS
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_all_views_at_once_are_the_views_one_by_one(fit, backend):
    policy = FixedSpec(size=28, fit=fit, pixels=PixelSpec(backend=backend))
    pictures = [noise(40, 30), noise(28, 28, seed=1), noise(7, 90, frames=3, seed=2)]
    media = [MediaSize(40, 30), MediaSize(28, 28), MediaSize(7, 90, frames=3, fps=1.0)]
    laid = layout(model(policy), media)
    found = render_all(pictures, laid, policy.pixels)
    assert [(*row.shape, row.dtype) for row in found] == [(3, 28, 28, torch.float32)] * 5
    stills = [pictures[0], pictures[1], *pictures[2]]
    for picture, view, row in zip(stills, laid.views, found, strict=True):
        assert torch.equal(row, render(picture, view, policy.pixels))


def test_neighbouring_views_of_one_resize_share_it(monkeypatch):
    resizes = []
    resize = pixels_module._resize_torch

    def counting(picture, size, spec):
        resizes.append(size)
        return resize(picture, size, spec)

    monkeypatch.setattr(pixels_module, "_resize_torch", counting)
    picture, whole, surface = noise(50, 40), Canvas(Size(50, 40)), Size(32, 32)
    tiles = [Canvas(Size(16, 16), -x, -y) for y in (0, 16) for x in (0, 16)]
    views = [still(whole, surface, tile) for tile in tiles]
    views.append(still(whole, Size(16, 16), Canvas(Size(16, 16))))
    laid = VisualLayout(tuple(views), (MediaLayout(()),))
    found = render_all([picture], laid, PLAIN)
    assert resizes == [surface, Size(16, 16)]
    whole_view = render(picture, still(whole, surface, Canvas(surface)), PLAIN)
    tiled = torch.cat([torch.cat([found[0], found[1]], 2), torch.cat([found[2], found[3]], 2)], 1)
    assert torch.equal(tiled, whole_view)


def test_no_views_give_an_empty_tensor():
    assert render_all([], VisualLayout((), ()), PLAIN) == ()


@BACKENDS
def test_arrays_and_tensors_of_any_stride_are_equal(backend):
    picture = noise(30, 20)
    spec = PixelSpec(backend=backend)
    view = still(Canvas(Size(30, 20)), Size(14, 14), Canvas(Size(14, 14)))
    expected = render(picture, view, spec)
    frozen = picture.copy()
    frozen.flags.writeable = False
    backwards = picture[::-1, ::-1].copy()[::-1, ::-1]
    planar = torch.from_numpy(picture).permute(2, 0, 1).contiguous().permute(1, 2, 0)
    for source in (
        torch.from_numpy(picture),
        frozen,
        backwards,
        planar,
        np.asfortranarray(picture),
    ):
        assert torch.equal(render(source, view, spec), expected)
    np.testing.assert_array_equal(frozen, picture)


def test_the_default_dtype_changes_nothing():
    picture, size = noise(9, 9), Size(9, 9)
    view = still(Canvas(size), size, Canvas(size))
    expected = render(picture, view, PixelSpec())
    torch.set_default_dtype(torch.float64)
    try:
        found = render(picture, view, PixelSpec())
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32 and torch.equal(found, expected)


BAD_PICTURES = {
    "float": (np.zeros((4, 4, 3), np.float32), r"float32\[4, 4, 3\]"),
    "planar": (np.zeros((3, 4, 4), np.uint8), r"uint8\[3, 4, 4\]"),
    "grey": (np.zeros((4, 4), np.uint8), r"uint8\[4, 4\]"),
    "empty": (np.zeros((0, 4, 3), np.uint8), r"uint8\[0, 4, 3\]"),
    "float tensor": (torch.zeros(4, 4, 3), r"float32\[4, 4, 3\]"),
    "elsewhere": (torch.zeros(4, 4, 3, dtype=torch.uint8, device="meta"), "on meta"),
    "a list": ([[[0, 0, 0]]], "is list"),
}


@pytest.mark.parametrize(("picture", "says"), BAD_PICTURES.values(), ids=BAD_PICTURES.keys())
def test_anything_but_stored_pixels_is_refused(picture, says):
    size = Size(4, 4)
    with pytest.raises(PictureError, match=says) as caught:
        render(picture, still(Canvas(size), size, Canvas(size)), PLAIN)
    assert caught.value.fix == "give uint8[H, W, 3] on the CPU"


def test_pictures_that_do_not_fit_the_layout_are_refused():
    laid = layout(model(FixedSpec(size=28)), [MediaSize(8, 8), MediaSize(8, 8, frames=2)])
    with pytest.raises(PictureError, match="pictures: are 1, the layout has 2 media items"):
        render_all([noise(8, 8)], laid, PLAIN)
    for clip in (noise(8, 8), noise(8, 8, frames=1)):
        with pytest.raises(PictureError, match=r"pictures\[1\]: has 1 frames, the layout loo"):
            render_all([noise(8, 8), clip], laid, PLAIN)


def test_views_have_sizes_of_their_own():
    size, small = Size(8, 8), Size(4, 4)
    views = (still(Canvas(size), size, Canvas(size)), still(Canvas(size), small, Canvas(small)))
    found = render_all([noise(8, 8)], VisualLayout(views, (MediaLayout(()),)), PLAIN)
    assert [view.shape for view in found] == [(3, 8, 8), (3, 4, 4)]


def test_a_view_of_several_frames_has_their_channels_end_to_end():
    clip, size = noise(8, 8, frames=2), Size(8, 8)
    whole = Canvas(size)
    views = tuple(View(0, whole, size, whole, frames) for frames in ((3, 7), (7, 7)))
    found = render_all([clip], VisualLayout(views, (MediaLayout(()),)), PLAIN)
    first, last = (render(frame, views[0], PLAIN) for frame in clip)
    assert torch.equal(found[0], torch.cat((first, last)))
    assert torch.equal(found[1], torch.cat((last, last)))
