"""Documents: pages as pictures, drawn as large as said, or a clear refusal."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from tests.pictures.media_samples import animation, document, video

from sightline.core.errors import PictureError
from sightline.core.geometry import Size
from sightline.pictures import DocumentLimits, open_pages, open_picture, probe_pages
from sightline.pictures.sorts import sort_of

SIZES = ((200, 100), (100, 50), (61, 97))
PDF = document(*SIZES)


def test_pages_are_drawn_at_the_density_asked_for() -> None:
    for dpi in (36, 72, 100, 144.5):
        pages = probe_pages(PDF)
        assert [(p.number, p.of, p.width, p.height) for p in pages] == [
            (i + 1, 3, *size) for i, size in enumerate(SIZES)
        ]
        drawn = open_pages(PDF, dpi=dpi)
        found = [Size(picture.size.width, picture.size.height) for picture in drawn]
        assert found == [page.pixels(dpi) for page in pages]
        assert [p.notes for p in drawn] == [(f"page {i} of 3",) for i in (1, 2, 3)]


def test_a_page_shows_what_stands_on_it() -> None:
    rgb = open_pages(PDF, dpi=72, last=1)[0].rgb
    assert rgb.shape == (100, 200, 3) and rgb.flags["C_CONTIGUOUS"]
    black = rgb.sum(-1) == 0
    assert black[52:, :98].all() and not black[:48].any() and not black[:, 102:].any()
    turned = open_pages(document((200, 100), rotate=90), dpi=72)[0].rgb
    assert turned.shape == (200, 100, 3) and turned[10, 10].sum() == 0


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, [1, 2, 3]),
        ({"first": 2}, [2, 3]),
        ({"last": 2}, [1, 2]),
        ({"first": 3, "last": 3}, [3]),
    ],
)
def test_a_range_of_pages(wanted: dict[str, int], numbers: list[int]) -> None:
    assert [page.number for page in probe_pages(PDF, **wanted)] == numbers
    assert [p.notes[0] for p in open_pages(PDF, **wanted)] == [f"page {n} of 3" for n in numbers]


BAD: list[tuple[bytes, dict[str, Any], str]] = [
    (PDF, {"first": 4}, "has 3 pages, not 4 to 3"),
    (PDF, {"last": 4}, "has 3 pages, not 1 to 4"),
    (PDF, {"first": 3, "last": 2}, "has 3 pages, not 3 to 2"),
    (PDF, {"first": 0}, "has 3 pages, not 0"),
    (document(), {}, "has no pages"),
    (document((10, 10), encrypted=True), {}, "document bytes: is encrypted; save it without"),
    (PDF[: len(PDF) // 3], {}, "is damaged|has no pages"),
    (b"%PDF-1.7 and nothing", {}, "is damaged or incomplete"),
    (b"hello", {}, "is not a PDF document"),
    (b"", {}, "is empty"),
]


@pytest.mark.parametrize(("data", "how", "problem"), BAD, ids=range(len(BAD)))
def test_what_is_no_document_is_refused(data: bytes, how: dict[str, Any], problem: str) -> None:
    for door in (probe_pages, open_pages):
        with pytest.raises(PictureError, match=problem):
            door(data, **how)


def test_limits_are_checked_before_a_page_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.pictures.pages._drawn", lambda *_: pytest.fail("drawn"))
    for limits, dpi, problem in (
        ({"max_bytes": 10}, 72, "bytes, the limit is 10"),
        ({"max_pages": 2}, 72, "would give 3 pages, the limit is 2"),
        ({"max_pixels": 19_999}, 72, "page 1 would be 200 × 100 pixels at 72 dpi"),
        ({"max_total_pixels": 30_000}, 72, "3 pages would have 30,917 pixels"),
        ({}, 0, "is no density"),
        ({}, float("nan"), "is no density"),
        ({}, 1e6, "page 1 would be"),
    ):
        with pytest.raises(PictureError, match=problem):
            open_pages(PDF, DocumentLimits(**limits), dpi=dpi)


def test_documents_without_the_extra_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(PictureError, match=r"needs pypdfium2; pip install sightline\[pdf\]"):
        probe_pages(PDF)


def test_sorts_are_told_from_content() -> None:
    assert sort_of(PDF) == "document" and sort_of(video(2)) == "video"
    gif = animation(2)
    assert sort_of(gif) == "image" and sort_of(gif, moving=True) == "video"
    assert sort_of(animation(2, "WEBP"), moving=True) == "video"
    assert sort_of(np.zeros((2, 4, 4, 3), np.uint8)) == "video"
    assert sort_of(np.zeros((4, 4, 3), np.uint8)) == "image"
    assert sort_of(["a.png", "b.png"]) == "video"
    assert sort_of("nowhere.mp4") == "image" and sort_of(7) == "image"


@pytest.mark.parametrize(
    ("data", "fix"), [(PDF, "give it as a document"), (video(2), "give it as a video")]
)
def test_what_is_no_picture_is_sent_to_its_door(data: bytes, fix: str) -> None:
    with pytest.raises(PictureError, match=fix):
        open_picture(data)
