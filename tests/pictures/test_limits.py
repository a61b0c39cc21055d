"""Bounds hold before a pixel is decoded."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image
from tests.pictures import samples

from sightline.core.errors import PictureError
from sightline.pictures import PictureLimits, open_picture, probe


def test_a_twenty_thousand_pixel_square_is_refused_before_decoding(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(samples.bomb())
    assert path.stat().st_size < 100_000
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    problem, grown_kib = run.stdout.splitlines()
    assert problem == "is 20000 × 20000 pixels, the limit is 67,108,864 in all"
    assert int(grown_kib) < 10 * 1024


MEASURE = """
import resource, sys
from sightline.core.errors import PictureError
from sightline.pictures import open_picture
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
try:
    open_picture(sys.argv[1])
except PictureError as error:
    print(error.problem)
print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "BMP", "JPEG"])
def test_pixel_limit_holds_in_each_format(kind):
    data = samples.encode(samples.noise(30, 20), kind)
    for open_ in (open_picture, probe):
        assert open_(data, PictureLimits(max_pixels=600))
        with pytest.raises(PictureError, match="30 × 20 pixels, the limit is 599"):
            open_(data, PictureLimits(max_pixels=599))


@pytest.mark.parametrize("source", [samples.noise(30, 2), Image.new("RGB", (30, 2))])
def test_limits_hold_for_arrays_and_images(source):
    for open_ in (open_picture, probe):
        assert open_(source, PictureLimits(max_pixels=60, min_side=2))
        with pytest.raises(PictureError, match="the limit is 59"):
            open_(source, PictureLimits(max_pixels=59))
        with pytest.raises(PictureError, match="shortest side must be 3"):
            open_(source, PictureLimits(min_side=3))


def test_limits_are_checked_themselves():
    with pytest.raises(ValueError):
        PictureLimits(max_pixels=0)
    with pytest.raises(ValueError):
        PictureLimits(formats=("EPS",))
