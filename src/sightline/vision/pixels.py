"""Run a layout: stored pixels in, encoder input out.

H W  picture rows and columns    h w  view rows and columns    C  red, green, blue (of each frame)
F    frames
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from sightline.core.errors import PictureError
from sightline.core.geometry import Size
from sightline.resolution.layout import Canvas, View, VisualLayout
from sightline.spec import PixelSpec

Pixels = NDArray[np.uint8] | Tensor
Rgb = tuple[int, int, int]

_BLACK: Rgb = (0, 0, 0)


def render(picture: Pixels, view: View, pixels: PixelSpec) -> Tensor:
    """uint8[H, W, 3] -> float32[3, h, w].

    Resizing is done on uint8 by the backend that `pixels` names: `torch` gives torchvision's
    numbers, `pillow` those of the installed Pillow. They differ by at most 2 levels of 255, except
    where Pillow 13 squashes a tall picture: it resizes columns first then, unlike older releases.
    Then (x / 255 - mean) / std in float32, bit-equal to transformers' `…ImageProcessorPil`.

    Where the picture does not reach, `view.before` shows the mean colour and `view.window` black.

    Raises PictureError for anything but uint8[H, W, 3] on the CPU.
    """
    out_Chw = torch.empty(3, view.size.height, view.size.width, dtype=torch.float32)
    _normalise(_seen(_resized(_checked(picture), view, pixels), view), pixels, out_Chw)
    return out_Chw


def render_all(
    pictures: Sequence[Pixels], layout: VisualLayout, pixels: PixelSpec
) -> tuple[Tensor, ...]:
    """The views of a layout, each float32[3 · frames, h, w].

    `pictures` are those that the layout was made for, one a media item: uint8[H, W, 3], or the
    frames `layout.frames(media)` of a clip, uint8[F, H, W, 3]. Neighbouring views of one resize
    share it.

    Raises PictureError for pictures that do not fit the layout.
    """
    _check_counts(pictures, layout)
    rendered: list[Tensor] = []
    for _, run in groupby(layout.views, key=_resize_key):
        views = list(run)
        first = views[0]
        frames = _frames(pictures[first.media], first, layout)
        resized = [_resized(frame_HWC, first, pixels) for frame_HWC in frames]
        rendered += [_rendered(resized, view, pixels) for view in views]
    return tuple(rendered)


def _rendered(resized: Sequence[Tensor], view: View, pixels: PixelSpec) -> Tensor:
    """The same cut of each resized frame, channels end to end."""
    size = view.size
    out_Chw = torch.empty(3 * len(resized), size.height, size.width, dtype=torch.float32)
    for frame_hwC, into in zip(resized, out_Chw.split(3), strict=True):
        _normalise(_seen(frame_hwC, view), pixels, into)
    return out_Chw


def mean_colour(pixels: PixelSpec) -> Rgb:
    """The mean, cut to whole numbers as LLaVA does: the colour of letterboxes unless one is set."""
    red, green, blue = (int(value * 255) for value in pixels.mean)
    return red, green, blue


def _resized(picture_HWC: Tensor, view: View, pixels: PixelSpec) -> Tensor:
    _check_reached(picture_HWC, view.before)
    laid_HWC = _laid(picture_HWC, view.before, pixels.around or mean_colour(pixels))
    for size in (*view.steps, view.resized):
        laid_HWC = _resize(laid_HWC, size, pixels)
    return laid_HWC


def _resize(picture_HWC: Tensor, size: Size, pixels: PixelSpec) -> Tensor:
    if picture_HWC.shape[:2] == (size.height, size.width):
        return picture_HWC
    match pixels.backend:
        case "torch":
            return _resize_torch(picture_HWC, size, pixels)
        case "pillow":
            return _resize_pillow(picture_HWC, size, pixels)
        case _:
            assert_never(pixels.backend)


def _seen(resized_hwC: Tensor, view: View) -> Tensor:
    return _laid(resized_hwC, view.window, _BLACK)


def _resize_torch(picture_HWC: Tensor, size: Size, pixels: PixelSpec) -> Tensor:
    """Channels stay last in memory: that is torch's fast path, 8 times Pillow's speed."""
    x_1CHW = picture_HWC.contiguous().permute(2, 0, 1)[None]
    y_1Chw = F.interpolate(
        x_1CHW, size=(size.height, size.width), mode=pixels.resample, antialias=True
    )
    return y_1Chw[0].permute(1, 2, 0)


def _resize_pillow(picture_HWC: Tensor, size: Size, pixels: PixelSpec) -> Tensor:
    image = Image.fromarray(picture_HWC.contiguous().numpy(), "RGB")
    resized = image.resize((size.width, size.height), Image.Resampling[pixels.resample.upper()])
    return torch.from_numpy(np.array(resized))


def _normalise(picture_hwC: Tensor, pixels: PixelSpec, out_Chw: Tensor) -> None:
    """Write (x / 255 - mean) / std. Float32 division by 255 gives the library's rounding of
    float64 times 1/255 for all 256 values."""
    mean_C11 = torch.tensor(pixels.mean, dtype=torch.float32)[:, None, None]
    std_C11 = torch.tensor(pixels.std, dtype=torch.float32)[:, None, None]
    out_Chw.copy_(picture_hwC.permute(2, 0, 1)).div_(255).sub_(mean_C11).div_(std_C11)


def _laid(picture_HWC: Tensor, canvas: Canvas, background: Rgb) -> Tensor:
    """The picture on its canvas: a view of it where the canvas lies inside, else a new surface,
    all background where the picture does not reach it."""
    rows, columns, _ = picture_HWC.shape
    height, width = canvas.size.height, canvas.size.width
    top, bottom = max(0, -canvas.y), min(rows, height - canvas.y)
    left, right = max(0, -canvas.x), min(columns, width - canvas.x)
    part_HWC = picture_HWC[top : max(top, bottom), left : max(left, right)]
    if part_HWC.shape[:2] == (height, width):
        return part_HWC
    surface_HWC = torch.tensor(background, dtype=torch.uint8).repeat(height, width, 1)
    if part_HWC.numel() == 0:
        return surface_HWC
    y, x = top + canvas.y, left + canvas.x
    surface_HWC[y : y + bottom - top, x : x + right - left] = part_HWC
    return surface_HWC


def _check_reached(picture_HWC: Tensor, canvas: Canvas) -> None:
    rows, columns, _ = picture_HWC.shape
    height, width = canvas.size.height, canvas.size.width
    if not (-rows < canvas.y < height and -columns < canvas.x < width):
        raise PictureError(
            "picture",
            f"of {columns} × {rows} pixels lies outside its canvas",
            "render the picture that the layout was made for",
        )


def _checked(picture: object) -> Tensor:
    if not isinstance(picture, np.ndarray | Tensor):
        raise _unfit(type(picture).__name__)
    found = f"{picture.dtype}{list(picture.shape)}".removeprefix("torch.")
    if picture.dtype not in (np.uint8, torch.uint8) or picture.ndim != 3:
        raise _unfit(found)
    if picture.shape[2] != 3 or 0 in picture.shape:
        raise _unfit(found)
    if isinstance(picture, np.ndarray):
        return torch.from_numpy(np.require(picture, requirements=["C", "W"]))
    if not picture.is_cpu:
        raise _unfit(f"{found} on {picture.device}")
    return picture


def _unfit(found: str) -> PictureError:
    return PictureError("picture", f"is {found}", "give uint8[H, W, 3] on the CPU")


def _frames(picture: Pixels, view: View, layout: VisualLayout) -> list[Tensor]:
    """The frames of a view; a frame that it holds twice is one tensor."""
    if picture.ndim != 4:
        return [_checked(picture)] * len(view.frames)
    place = {frame: i for i, frame in enumerate(layout.frames(view.media))}
    return [_checked(picture[place[frame]]) for frame in view.frames]


def _resize_key(view: View) -> tuple[int, tuple[int, ...], Canvas, tuple[Size, ...]]:
    return view.media, view.frames, view.before, (*view.steps, view.resized)


def _check_counts(pictures: Sequence[Pixels], layout: VisualLayout) -> None:
    if len(pictures) != len(layout.media):
        raise PictureError(
            "pictures",
            f"are {len(pictures)}, the layout has {len(layout.media)} media items",
            "give one picture for each",
        )
    for media, picture in enumerate(pictures):
        given = len(picture) if picture.ndim == 4 else 1
        wanted = len(layout.frames(media))
        if given != wanted:
            raise PictureError(
                f"pictures[{media}]",
                f"has {given} frames, the layout looks at {wanted}",
                "give the frames that the layout names",
            )
