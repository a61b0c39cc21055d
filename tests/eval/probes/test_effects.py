"""What is done to pictures, against Pillow, numpy and the gateway that undoes it."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sightline.core.errors import DataError
from sightline.data.worlds import scenes
from sightline.eval.probes.effects import (
    Effect,
    Faded,
    FileKind,
    Jpeg,
    Noise,
    Oriented,
    Rotated,
    applied,
)
from sightline.pictures.gateway import open_picture

SCENE = scenes.draw(scenes.scene(0, 3), 96)
WIDE = SCENE[10:74].copy()
WIDE[:20, :30] = 0  # so that it is like itself in no other orientation
GREY = np.full((200, 200, 3), 128, np.uint8)


def seen(effect: Effect, pixels: NDArray[np.uint8] = SCENE) -> NDArray[np.int64]:
    """What a model gets to see."""
    return open_picture(applied(effect, pixels)).rgb.astype(np.int64)


def off(effect: Effect, pixels: NDArray[np.uint8] = SCENE) -> float:
    """Root of the mean squared change of a value."""
    return float(np.sqrt(((seen(effect, pixels) - pixels) ** 2).mean()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_what_is_stored_and_the_gateway_turns_it_back(
    orientation: int, kind: FileKind
) -> None:
    data = applied(Oriented(orientation, kind), WIDE)
    assert isinstance(data, bytes)
    stored = Image.open(BytesIO(data))
    assert stored.format == kind and stored.getexif()[0x0112] == orientation
    across = orientation >= 5
    assert stored.size == ((64, 96) if across else (96, 64))
    if not across:
        change = np.abs(np.asarray(stored.convert("RGB")).astype(int) - WIDE).mean()
        assert change > 8 if orientation > 1 else change < 4
    theirs = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    ours = open_picture(data).rgb
    assert ours.shape == WIDE.shape and (ours == theirs).all()
    if kind == "PNG":
        assert (ours == WIDE).all()
    assert np.abs(ours.astype(int) - WIDE).mean() < 4


def test_a_worse_jpeg_is_further_off() -> None:
    found = [off(Jpeg(quality)) for quality in (95, 50, 25, 10, 5, 1)]
    assert found == sorted(found) and found[-1] > 3 * found[0] > 0
    sizes = [len(applied(Jpeg(quality), SCENE)) for quality in (95, 50, 25, 10, 5, 1)]
    assert sizes == sorted(sizes, reverse=True)


def test_noise_has_the_deviation_that_is_asked_for_and_is_one_field_scaled() -> None:
    for sigma in (4.0, 16.0, 32.0):
        change = seen(Noise(sigma, 1), GREY) - GREY
        assert change.std() == pytest.approx(sigma, rel=0.02)
        assert abs(change.mean()) < 0.1 * sigma
    found = [off(Noise(sigma, 1)) for sigma in (0, 8, 16, 32, 64, 128)]
    assert found[0] == 0 and found == sorted(found)
    assert (seen(Noise(8, 1)) == seen(Noise(8, 1))).all()
    assert (seen(Noise(8, 1)) != seen(Noise(8, 2))).any()
    doubled = (seen(Noise(8, 1), GREY) - 128) * 2 - (seen(Noise(16, 1), GREY) - 128)
    assert np.abs(doubled).max() <= 2


@pytest.mark.parametrize("quarters", range(4))
def test_quarter_turns_are_exact_and_cut_to_what_is_full_at_any_angle(quarters: int) -> None:
    turned = seen(Rotated(90.0 * quarters))
    side = int(96 / 2**0.5)
    start = (96 - side) // 2
    whole = np.rot90(SCENE, quarters)[start : start + side, start : start + side]
    assert turned.shape == (side, side, 3) and (turned == whole).all()


@pytest.mark.parametrize("degrees", [10.0, 45.0, 200.0])
def test_a_turned_picture_has_no_empty_corners(degrees: float) -> None:
    white = np.full((97, 97, 3), 255, np.uint8)
    assert (seen(Rotated(degrees), white) == 255).all()


def test_a_picture_fades_to_its_mean_colour() -> None:
    mean = SCENE.mean((0, 1))
    for contrast in (0.0, 0.25, 1.0):
        wanted = mean + contrast * (SCENE - mean)
        assert np.abs(seen(Faded(contrast)) - wanted).max() <= 0.5 + 1e-9
    assert len(np.unique(seen(Faded(0.0)).reshape(-1, 3), axis=0)) == 1
    assert (seen(Faded(1.0)) == SCENE).all()


def test_dials_out_of_range_are_refused() -> None:
    for quality in (0, 96):
        with pytest.raises(DataError, match="1 to 95"):
            Jpeg(quality)
    for orientation in (0, 9):
        with pytest.raises(DataError, match="1 to 8"):
            Oriented(orientation)
    for contrast in (-0.1, 1.1):
        with pytest.raises(DataError, match="0 to 1"):
            Faded(contrast)
    with pytest.raises(DataError, match="0 or more"):
        Noise(-1, 0)
