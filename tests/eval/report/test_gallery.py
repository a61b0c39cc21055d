"""What is shown of what went wrong: which answers, small pictures, and places where they are."""

from __future__ import annotations

import base64
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.eval.report.pages import check
from tests.eval.report.results import Length, item, picture, place, result, said

from sightline.core.errors import PictureError
from sightline.core.geometry import Box, Point
from sightline.data.sample import Media
from sightline.eval.item import asked_about
from sightline.eval.report import as_html, report
from sightline.eval.report.gallery import chosen, spread_over_kinds
from sightline.eval.report.thumbnail import thumbnail


def test_places_are_drawn_where_they_are() -> None:
    one = said("", boxes=(Box(5, 6, 25, 26),), points=(Point(40, 30),))
    made = result([place(0)], {"full": [one]}, Length())
    page = check(as_html(report(made), made))
    marks = [a for a in page.all("rect") if a["class"] in ("truth", "said")]
    corners = [(a["class"], a["x"], a["y"], a["width"], a["height"]) for a in marks]
    assert corners == [
        ("truth", "10.0", "8.0", "20.0", "12.0"),
        ("said", "5.0", "6.0", "20.0", "20.0"),
    ]
    assert [a["d"] for a in page.all("path")][-1] == "M38.4 28.4l3.2 3.2m0 -3.2l-3.2 3.2"
    cards = [a for a in page.all("svg") if a.get("viewbox") == "0 0 64 48"]
    assert len(cards) == 1 and "1 of the truth, 2 said" in str(cards[0]["aria-label"])
    assert "box 5, 6 to 25, 26" in page.text


def test_places_are_not_drawn_where_several_pictures_are() -> None:
    one = place(0)
    two = replace(one, parts=(Media("image", picture(3)), *one.parts))
    made = result([two], {"full": [said("", boxes=(Box(5, 6, 25, 26),))]}, Length())
    page = check(as_html(report(made), made))
    assert not [a for a in page.all("rect") if a["class"] in ("truth", "said")]
    labels = [a["aria-label"] for a in page.all("svg")][-2:]
    assert labels == ["Picture 1 of 2", "Picture 2 of 2"]


def test_pictures_are_small_upright_and_bare(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (500, 800, 3), np.uint8))
    tags = Image.Exif()
    tags[0x0112], tags[0x010E] = 6, "a secret place"  # turned by a right angle; a description
    image.save(tmp_path / "photo.jpg", exif=tags)
    small = thumbnail(Media("image", tmp_path / "photo.jpg"))
    assert (small.size.width, small.size.height) == (500, 800)
    data = base64.b64decode(small.uri.partition(",")[2])
    shown = Image.open(BytesIO(data))
    assert shown.size == (200, 320) and not shown.getexif() and b"secret" not in data


class Stored:
    def read(self) -> np.ndarray:
        return picture(9, 33, 21)


def test_stored_pictures_and_clips_are_shown() -> None:
    assert thumbnail(Media("image", Stored())).size.width == 33
    clip = thumbnail(Media("video", [picture(1), picture(2)]))
    assert clip.note == "first frame of a clip" and clip.size.width == 64
    with pytest.raises(PictureError, match=r"nowhere\.png"):
        thumbnail(Media("image", "/nowhere.png"))


def test_a_picture_that_cannot_be_opened_is_said_in_its_place() -> None:
    one = replace(item(0), parts=asked_about("/nowhere.png", "What?"))
    made = result([one], {"full": ["no"]})
    page = check(as_html(report(made), made))
    assert "The image cannot be shown: /nowhere.png: cannot be read" in page.text


def test_the_gallery_says_how_many_failures_there_are() -> None:
    items = [item(n, kind="abc"[n % 3]) for n in range(60)]
    made = result(items, {"full": ["no" if n % 2 else "yes" for n in range(60)]})
    found = chosen(report(made), made, 6)
    assert found.total == 30 and len(found.rows.items) == 6
    assert [i.kind for i in found.rows.items].count("a") == 2
    assert found.text == (
        "30 answers scored below 0.5. 6 of them are shown, spread evenly over the kinds of "
        "question."
    )
    right = result(items, {"full": ["yes"] * 60})
    assert chosen(report(right), right).text == "There is nothing to show."
    errors = result(items, {"full": ["y" * (n % 7) for n in range(60)]}, Length())
    lowest = chosen(report(errors), errors, 3)
    assert lowest.text == "The 3 answers with the lowest scores, of 60."
    assert lowest.rows.scores == (0.0, 0.0, 0.0)


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(0, 30))
def test_a_spread_takes_of_every_kind_what_it_can(kinds: list[str], count: int) -> None:
    picked = spread_over_kinds(range(len(kinds)), kinds, count)
    assert picked == sorted(set(picked)) and len(picked) == min(count, len(kinds))
    taken = {kind: sum(kinds[at] == kind for at in picked) for kind in set(kinds)}
    for kind, many in taken.items():
        if many < kinds.count(kind):
            assert many + 1 >= max(taken.values())
