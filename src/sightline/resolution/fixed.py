"""One square view a frame: CLIP's, SigLIP's, DINOv2's and LLaVA 1.5's resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from sightline.core.geometry import Size
from sightline.resolution.count import features
from sightline.resolution.frames import Group
from sightline.resolution.layout import Canvas, Learned, Segment, View
from sightline.spec import FixedSpec, ModelSpec


def view(policy: FixedSpec, picture: Size, frames: Group) -> View:
    """A view of `size` × `size` pixels, as transformers 5.23 cuts it.

    crop: `CLIPImageProcessor`, the long edge and both offsets rounded down; a picture smaller than
    the crop lies in its middle on zeros. pad: `LlavaImageProcessor` with `do_pad`.
    """
    square = Size(policy.size, policy.size)
    match policy.fit:
        case "squash":
            return View(0, Canvas(picture), square, Canvas(square), frames)
        case "crop":
            resized = _shortest_edge(picture, policy.shortest_edge or policy.size)
            return View(0, Canvas(picture), resized, _centre_cut(resized, square), frames)
        case "pad":
            return View(0, _centred_on_square(picture), square, Canvas(square), frames)
        case _:
            assert_never(policy.fit)


def segments(spec: ModelSpec, policy: FixedSpec, views: Sequence[View]) -> tuple[Segment, ...]:
    """The tokens of each view, between the learned vectors where the policy has them."""
    runs = [features(spec, view, i, i) for i, view in enumerate(views)]
    if policy.ends is None:
        return tuple(runs)
    first, last = policy.ends
    return tuple(s for run in runs for s in (Learned(first), run, Learned(last)))


def _shortest_edge(picture: Size, edge: int) -> Size:
    if picture.width <= picture.height:
        return Size(edge, edge * picture.height // picture.width)
    return Size(edge * picture.width // picture.height, edge)


def _centre_cut(resized: Size, window: Size) -> Canvas:
    left = (resized.width - window.width) // 2
    top = (resized.height - window.height) // 2
    return Canvas(window, -left, -top)


def _centred_on_square(picture: Size) -> Canvas:
    side = max(picture.width, picture.height)
    return Canvas(Size(side, side), (side - picture.width) // 2, (side - picture.height) // 2)
