"""Pixels against transformers' image processors: equal to the last bit, or within 2 of 255."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.waves import picture
from transformers.image_processing_backends import PilBackend
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from sightline.core.geometry import Size
from sightline.pictures import open_picture
from sightline.resolution import fixed
from sightline.resolution.layout import Canvas, View
from sightline.spec import FixedSpec, PixelSpec
from sightline.spec.resolution import IMAGENET_MEAN, IMAGENET_STD
from sightline.vision.pixels import render

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
IMAGENET = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
BICUBIC, BILINEAR, LANCZOS = 3, 2, 1


@dataclass(frozen=True)
class Case:
    """A policy of ours and the processor that it stands for."""

    policy: FixedSpec
    theirs: PilBackend


def imagenet(kind: type[PilBackend], **options: object) -> PilBackend:
    return kind(image_mean=list(IMAGENET_MEAN), image_std=list(IMAGENET_STD), **options)


def policy(size: int, fit: str, edge: int | None = None, **pixels: object) -> FixedSpec:
    spec = PixelSpec(backend="pillow", **pixels)
    return FixedSpec(size=size, fit=fit, shortest_edge=edge, pixels=spec)


def square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


CASES = {
    "clip-336": Case(
        policy(336, "crop"),
        CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size=square(336)),
    ),
    "clip-odd": Case(
        policy(97, "crop", 120),
        CLIPImageProcessorPil(size={"shortest_edge": 120}, crop_size=square(97)),
    ),
    "crop-larger-than-edge": Case(
        policy(224, "crop", 101),
        CLIPImageProcessorPil(size={"shortest_edge": 101}, crop_size=square(224)),
    ),
    "dinov2": Case(
        policy(224, "crop", 256, **IMAGENET),
        imagenet(BitImageProcessorPil, size={"shortest_edge": 256}, crop_size=square(224)),
    ),
    "dinov2-bilinear": Case(
        policy(98, "crop", 112, resample="bilinear", **IMAGENET),
        imagenet(
            BitImageProcessorPil,
            size={"shortest_edge": 112},
            crop_size=square(98),
            resample=BILINEAR,
        ),
    ),
    "siglip-384": Case(
        policy(384, "squash", **HALF), SiglipImageProcessorPil(size=square(384), resample=BICUBIC)
    ),
    "siglip-lanczos": Case(
        policy(61, "squash", resample="lanczos", **HALF),
        SiglipImageProcessorPil(size=square(61), resample=LANCZOS),
    ),
    "llava-pad": Case(
        policy(336, "pad"),
        LlavaImageProcessorPil(do_pad=True, size={"shortest_edge": 336}, crop_size=square(336)),
    ),
    "llava-pad-imagenet": Case(
        policy(55, "pad", **IMAGENET),
        imagenet(LlavaImageProcessorPil, do_pad=True, size=square(55), do_center_crop=False),
    ),
}

SIZES = [
    (1, 1), (1, 2), (2, 1), (3, 3), (1, 20), (20, 1), (13, 7), (7, 13), (97, 97), (96, 98),
    (120, 97), (50, 333), (333, 50), (223, 225), (225, 223), (224, 224), (256, 256), (336, 336),
    (335, 337), (337, 335), (384, 384), (640, 480), (480, 640), (427, 641), (1000, 90), (90, 700),
    (1024, 1024), (1279, 853),
]  # fmt: skip


LARGE = [(name, (3000, 2000)) for name in ("clip-336", "siglip-384", "llava-pad")]
EVERYWHERE = [(name, size) for name in CASES for size in SIZES] + LARGE


def theirs(case: Case, pixels: np.ndarray) -> torch.Tensor:
    batch = case.theirs(Image.fromarray(pixels), return_tensors="pt")
    return batch["pixel_values"][0]


def view_of(case: Case, pixels: np.ndarray) -> View:
    height, width, _ = pixels.shape
    return fixed.view(case.policy, Size(width, height), (0,))


def ours(case: Case, pixels: np.ndarray, backend: str = "pillow") -> torch.Tensor:
    spec = case.policy.pixels.model_copy(update={"backend": backend})
    return render(pixels, view_of(case, pixels), spec)


def levels(case: Case, difference: torch.Tensor) -> float:
    """The largest difference in units of a stored pixel, before the division by std."""
    return float(
        (difference.abs() * torch.tensor(case.policy.pixels.std)[:, None, None]).max() * 255
    )


@pytest.mark.parametrize(("name", "size"), EVERYWHERE)
def test_pillow_backend_is_bit_equal(name, size):
    case, pixels = CASES[name], picture(*size)
    expected = theirs(case, pixels)
    found = ours(case, pixels)
    assert found.dtype == expected.dtype == torch.float32
    assert torch.equal(found, expected)


def rows_first(case: Case, pixels: np.ndarray) -> np.ndarray:
    """Pillow's resize with its two passes in torchvision's order, whatever this Pillow prefers."""
    view = view_of(case, pixels)
    filter_ = Image.Resampling[case.policy.pixels.resample.upper()]
    image = Image.fromarray(laid(pixels, view.before, case.policy.pixels.mean))
    image = image.resize((view.resized.width, image.height), filter_)
    return np.array(image.resize((view.resized.width, view.resized.height), filter_))


def laid(pixels: np.ndarray, canvas: Canvas, mean: tuple[float, ...]) -> np.ndarray:
    surface = Image.new(
        "RGB", (canvas.size.width, canvas.size.height), tuple(int(value * 255) for value in mean)
    )
    surface.paste(Image.fromarray(pixels), (canvas.x, canvas.y))
    return np.array(surface)


def without_resize(case: Case, pixels: np.ndarray, resized: np.ndarray) -> torch.Tensor:
    view = view_of(case, pixels)
    height, width, _ = resized.shape
    size = Size(width, height)
    return render(resized, replace(view, before=Canvas(size), resized=size), case.policy.pixels)


@pytest.mark.parametrize(("name", "size"), EVERYWHERE)
def test_torch_backend_is_within_two_levels_of_pillow(name, size):
    case, pixels = CASES[name], picture(*size)
    expected = without_resize(case, pixels, rows_first(case, pixels))
    difference = ours(case, pixels, "torch") - expected
    assert levels(case, difference) < 2.001
    assert (difference != 0).float().mean() < 0.05


@pytest.mark.parametrize("size", [(640, 480), (337, 335), (333, 50), (1000, 90), (1024, 1024)])
@pytest.mark.parametrize("name", CASES)
def test_torch_backend_is_within_two_levels_of_the_library(name, size):
    """For these, Pillow 13 resizes rows first too; for tall pictures that it squashes it does not,
    and then differs from itself as older releases are, and from torchvision, by up to 20 levels."""
    case, pixels = CASES[name], picture(*size)
    expected = theirs(case, pixels)
    assert torch.equal(without_resize(case, pixels, rows_first(case, pixels)), expected)
    assert levels(case, ours(case, pixels, "torch") - expected) < 2.001


PERTURBED = {
    "crop rounded up": ("clip-odd", lambda v: nudge(v, "window", 1, 0)),
    "crop one row off": ("clip-336", lambda v: nudge(v, "window", 0, -1)),
    "padding rounded up": ("llava-pad", lambda v: nudge(v, "before", 1, 1)),
    "small crop off centre": ("crop-larger-than-edge", lambda v: nudge(v, "window", -1, 0)),
    "long edge rounded up": ("dinov2", lambda v: replace(v, resized=longer(v.resized))),
    "squash one row short": (
        "siglip-384",
        lambda v: replace(v, before=Canvas(Size(v.before.size.width, v.before.size.height - 1))),
    ),
}


def nudge(view: View, surface: str, x: int, y: int) -> View:
    canvas: Canvas = getattr(view, surface)
    return replace(view, **{surface: replace(canvas, x=canvas.x + x, y=canvas.y + y)})


def longer(size: Size) -> Size:
    return replace(size, height=size.height + 1)


@pytest.mark.parametrize("mutation", PERTURBED)
def test_a_view_that_is_slightly_wrong_is_noticed(mutation):
    name, perturb = PERTURBED[mutation]
    case, pixels = CASES[name], picture(301, 427)
    expected, view = theirs(case, pixels), view_of(case, pixels)
    assert torch.equal(render(pixels, view, case.policy.pixels), expected)
    wrong = render(pixels, perturb(view), case.policy.pixels)
    assert levels(case, wrong - expected) > 3


PIXEL_MUTATIONS = {
    "another filter": {"resample": "bilinear"},
    "another mean": {"mean": IMAGENET_MEAN},
    "another std": {"std": IMAGENET_STD},
}


@pytest.mark.parametrize("mutation", PIXEL_MUTATIONS)
@pytest.mark.parametrize("name", ["clip-336", "llava-pad", "siglip-384"])
def test_pixel_arithmetic_that_is_slightly_wrong_is_noticed(name, mutation):
    case, pixels = CASES[name], picture(301, 427)
    wrong = case.policy.pixels.model_copy(update=PIXEL_MUTATIONS[mutation])
    assert not torch.equal(render(pixels, view_of(case, pixels), wrong), theirs(case, pixels))


def test_a_letterbox_of_another_colour_is_noticed():
    case, pixels = CASES["llava-pad"], picture(301, 427)
    black = laid(pixels, view_of(case, pixels).before, (0, 0, 0))
    size = Size(427, 427)
    wrong = render(black, replace(view_of(case, pixels), before=Canvas(size)), case.policy.pixels)
    assert levels(case, wrong - theirs(case, pixels)) > 50


@pytest.mark.parametrize("name", CASES)
def test_from_a_file_to_pixels(name, tmp_path):
    """The gateway and the renderer together give what the library makes of the same file."""
    case, path = CASES[name], tmp_path / "picture.png"
    rgba = np.dstack([picture(90, 61), np.arange(90 * 61).reshape(61, 90).astype(np.uint8)])
    Image.fromarray(rgba).save(path)
    expected = case.theirs(Image.open(path), return_tensors="pt")["pixel_values"][0]
    assert torch.equal(ours(case, open_picture(path).rgb), expected)
