"""Boxes and points survive being written and read, and what is no geometry is reported."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sightline.core.errors import GroundingError
from sightline.core.geometry import Box, Point, Size
from sightline.prompt.grounding import (
    Geometry,
    read_geometry,
    style_tokens,
    write_box,
    write_point,
)
from sightline.spec.prompt import GroundingStyle

SIZE = Size(400, 200)
BOX, POINT = Box(40, 50, 300, 150), Point(40, 50)

WRITTEN: list[tuple[GroundingStyle, str | None, str | None]] = [
    ("percent", "[10, 25, 75, 75]", "[10, 25]"),
    ("shikra", "[0.100,0.250,0.750,0.750]", "[0.100,0.250]"),
    ("qwen", "<|box_start|>(100,250),(750,750)<|box_end|>", "<|box_start|>(100,250)<|box_end|>"),
    ("cogvlm", "[[100,250,750,750]]", "[[100,250]]"),
    ("qwen1", "<box>(100,250),(750,750)</box>", "<box>(100,250)</box>"),
    ("json", '{"bbox_2d": [100, 250, 750, 750]}', '{"point_2d": [100, 250]}'),
    ("internvl", "<box>[[100, 250, 750, 750]]</box>", None),
    ("paligemma", "<loc0256><loc0102><loc0768><loc0768>", None),
    ("pixels", '{"bbox_2d": [40, 50, 300, 150]}', '{"point_2d": [40, 50]}'),
    ("molmo", None, '<point x="10.0" y="25.0" alt=""></point>'),
    ("none", None, None),
]
BOXES = [style for style, box, _ in WRITTEN if box]
POINTS = [style for style, _, point in WRITTEN if point]

# One unit of each style, as a share of the side.
UNIT = {"percent": 1e-2, "paligemma": 1 / 1024}
CAPPED = {"paligemma": 1 / 1024, "cogvlm": 1 / 1000}  # the last number stands for the far edge, too

sizes = st.builds(Size, st.integers(1, 4000), st.integers(1, 4000))
shares = st.floats(0, 1)


def unit(style: str, side: int) -> float:
    return 1.0 if style == "pixels" else side * UNIT.get(style, 1e-3)


def test_every_style_is_covered() -> None:
    assert {style for style, _, _ in WRITTEN} == set(get_args(GroundingStyle))


@pytest.mark.parametrize(("style", "box", "point"), WRITTEN)
def test_forms(style: GroundingStyle, box: str | None, point: str | None) -> None:
    for thing, write, form in ((BOX, write_box, box), (POINT, write_point, point)):
        if form is None:
            with pytest.raises(GroundingError, match="has no"):
                write(thing, SIZE, style)  # type: ignore[arg-type]
        else:
            assert write(thing, SIZE, style) == form  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("style", "form"),
    [
        ("percent", "a cup [10, 25, 75, 75]"),
        ("cogvlm", "a cup [[100,250,750,750]]"),
        ("qwen1", "<ref>a cup</ref><box>(100,250),(750,750)</box>"),
        ("json", '{"bbox_2d": [100, 250, 750, 750], "label": "a cup"}'),
        ("shikra", "a cup [0.100,0.250,0.750,0.750]"),
        (
            "qwen",
            "<|object_ref_start|>a cup<|object_ref_end|>"
            "<|box_start|>(100,250),(750,750)<|box_end|>",
        ),
        ("internvl", "<ref>a cup</ref><box>[[100, 250, 750, 750]]</box>"),
        ("paligemma", "<loc0256><loc0102><loc0768><loc0768> a cup"),
        ("pixels", '{"bbox_2d": [40, 50, 300, 150], "label": "a cup"}'),
    ],
)
def test_labels(style: GroundingStyle, form: str) -> None:
    named = Box(40, 50, 300, 150, "a cup")
    assert write_box(named, SIZE, style) == form
    [found] = read_geometry(form, SIZE, style).boxes
    assert found.label == (None if style in ("percent", "shikra", "cogvlm") else "a cup")


@pytest.mark.parametrize("style", BOXES)
@given(size=sizes, corners=st.tuples(shares, shares, shares, shares))
def test_boxes_come_back_within_half_a_unit(
    style: GroundingStyle, size: Size, corners: tuple[float, float, float, float]
) -> None:
    (x0, x1), (y0, y1) = sorted(corners[:2]), sorted(corners[2:])
    box = Box(x0 * size.width, y0 * size.height, x1 * size.width, y1 * size.height)
    found = read_geometry(write_box(box, size, style), size, style)
    assert not found.problems and not found.points
    [read] = found.boxes
    for axis, side in (("x", size.width), ("y", size.height)):
        for corner in (f"{axis}0", f"{axis}1"):
            was, now = getattr(box, corner), getattr(read, corner)
            last = was > side * (1 - CAPPED.get(style, 0))
            assert abs(now - was) <= unit(style, side) * (1 if last else 0.5) * (1 + 1e-6)


@pytest.mark.parametrize("style", POINTS)
@given(size=sizes, x=shares, y=shares)
def test_points_come_back_within_half_a_unit(
    style: GroundingStyle, size: Size, x: float, y: float
) -> None:
    point = Point(x * size.width, y * size.height)
    found = read_geometry(write_point(point, size, style), size, style)
    assert not found.problems and not found.boxes
    [read] = found.points
    room = 1 if style in CAPPED else 0.5
    assert abs(read.x - point.x) <= unit(style, size.width) * room * (1 + 1e-6)
    assert abs(read.y - point.y) <= unit(style, size.height) * room * (1 + 1e-6)


@pytest.mark.parametrize("style", ["qwen1", "qwen", "internvl", "paligemma", "pixels", "json"])
@given(label=st.text(st.characters(codec="utf-8"), min_size=1, max_size=8))
def test_labels_come_back_or_are_refused(style: GroundingStyle, label: str) -> None:
    assume(label == label.strip())
    try:
        written = write_box(Box(0, 0, 1, 1, label), SIZE, style)
    except GroundingError:
        assert set(label) & set("<;\n")
        return
    assert [box.label for box in read_geometry(written, SIZE, style).boxes] == [label]


def test_geometry_is_found_among_words_in_order() -> None:
    text = (
        "The cup <|box_start|>(0,0),(500,1000)<|box_end|> is at <|box_start|>(500,500)<|box_end|>."
    )
    assert read_geometry(text, SIZE, "qwen") == Geometry(
        boxes=(Box(0, 0, 200, 200),), points=(Point(200, 100),)
    )
    assert read_geometry(text, SIZE, "none") == Geometry()
    assert read_geometry("no boxes, see [1] and (2,3)", SIZE, "qwen") == Geometry()
    assert read_geometry("see [1] and [a]", SIZE, "percent") == Geometry()


def test_several_at_once() -> None:
    two = "<ref>dog</ref><box>[[0, 0, 500, 500], [500,500,1000,1000]]</box>"
    assert read_geometry(two, SIZE, "internvl").boxes == (
        Box(0, 0, 200, 100, "dog"),
        Box(200, 100, 400, 200, "dog"),
    )
    listed = '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "a {b}"}, {"point_2d": [5, 6]}]\n```'
    found = read_geometry(listed, SIZE, "pixels")
    assert found == Geometry((Box(1, 2, 3, 4, "a {b}"),), (Point(5, 6),))
    nested = '{"found": [{"bbox_2d": [1, 2, 3, 4]}], "n": 1}'
    assert read_geometry(nested, SIZE, "pixels").boxes == (Box(1, 2, 3, 4),)
    many = '<points x1="10.0" y1="20.0" x2="30.5" y2="40" alt="cups">cups</points>'
    assert read_geometry(many, SIZE, "molmo").points == (
        Point(40, 40, "cups"),
        Point(122, 80, "cups"),
    )
    locs = "<loc0000><loc0000><loc0512><loc0512> a cat ; <loc0512><loc0512><loc1023><loc1023> dog"
    found = read_geometry(locs, SIZE, "paligemma")
    assert [box.label for box in found.boxes] == ["a cat", "dog"]
    assert found.boxes[0] == Box(0, 0, 200, 100, "a cat")
    two = "[[000,000,500,500;500,500,999,999]]"
    assert read_geometry(two, SIZE, "cogvlm").boxes[0] == Box(0, 0, 200, 100)
    assert len(read_geometry(two, SIZE, "cogvlm").boxes) == 2


def test_mask_codes_of_paligemma_are_text_behind_a_box() -> None:
    locs, codes = "<loc0000><loc0000><loc0512><loc0512>", "<seg007>" * 16
    found = read_geometry(f"{locs}{codes} a cat ; {locs} dog", SIZE, "paligemma")
    assert [box.label for box in found.boxes] == ["a cat", "dog"] and not found.problems
    for bad in ("<seg007>" * 15, "<seg128>" * 16, "<seg7>" * 16, "<seg"):
        torn = read_geometry(f"{locs}{bad} a cat", SIZE, "paligemma")
        assert len(torn.boxes) == 1 and "is not 16 <seg000> tokens" in torn.problems[0]


def test_pixels_of_the_picture_that_the_model_saw() -> None:
    seen = Size(200, 100)
    assert write_box(BOX, SIZE, "pixels", frame=seen) == '{"bbox_2d": [20, 25, 150, 75]}'
    text = '{"bbox_2d": [20, 25, 150, 75]}'
    assert read_geometry(text, SIZE, "pixels", frame=seen).boxes == (BOX,)


PROBLEMS: list[tuple[GroundingStyle, str, str]] = [
    ("percent", "[10, 20, 30]", "3 numbers"),
    ("percent", "[10, 20, 30, 40, 50, 60]", "6 numbers"),
    ("percent", "[10, 20, 30, 101]", "101 outside 0..100"),
    ("percent", "[-1, 20, 30, 40]", "-1 outside"),
    ("percent", "[30, 20, 10, 40]", "reversed"),
    ("percent", "at [10, 20, 30", "cut short"),
    ("percent", "[10 20 30 40]", "not a list"),
    ("percent", "[10, 20,, 40]", "not a list"),
    ("shikra", "[0.1,0.2,0.3,1.4]", "1.4 outside 0..1"),
    ("shikra", "[0.1.2,0.2,0.3,0.4]", "not a list"),
    ("qwen", "<|box_start|>(1,2),(3,4)", "cut short"),
    ("qwen", "<|box_start|>(1,2),(3)<|box_end|>", "is not (x,y)"),
    ("qwen", "<|box_start|><|box_end|>", "is not (x,y)"),
    ("qwen", "<|box_start|>(1,2),(3,1001)<|box_end|>", "1001 outside 0..1000"),
    ("qwen1", "<box>(1,2),(3,4)", "cut short"),
    ("qwen1", "<box>(1,2),(3,1001)</box>", "1001 outside 0..1000"),
    ("cogvlm", "[[001,002,003,004", "cut short"),
    ("cogvlm", "[[001,002,003]]", "3 numbers"),
    ("cogvlm", "[[001,002,003,1000]]", "1000 outside 0..999"),
    ("cogvlm", "[[]]", "not a list"),
    ("json", '{"bbox_2d": [1, 2, 3, 1001]}', "1001 outside 0..1000"),
    ("internvl", "<box>[[1, 2, 3, 4]]", "cut short"),
    ("internvl", "<box>[1, 2, 3, 4]</box>", "is not [["),
    ("internvl", "<box>[[1, 2, 3]]</box>", "3 numbers instead of 4"),
    ("internvl", "<box>[[1, 2]]</box>", "2 numbers instead of 4"),
    ("internvl", "<box>[[1, 2, x, 4]]</box>", "not a list"),
    ("paligemma", "<loc0001><loc0002><loc0003>", "not four"),
    ("paligemma", "<loc1><loc0002><loc0003><loc0004>", "not four"),
    ("paligemma", "<loc0001><loc0002><loc0003><loc1024>", "1024 outside 0..1023"),
    ("paligemma", "<loc0009><loc0002><loc0003><loc0004>", "reversed"),
    ("pixels", '{"bbox_2d": [1, 2, 3]}', "4 numbers"),
    ("pixels", '{"bbox_2d": [1, 2, 3, "4"]}', "4 numbers"),
    ("pixels", '{"bbox_2d": [1, 2, 3, true]}', "4 numbers"),
    ("pixels", '{"bbox_2d": "all"}', "4 numbers"),
    ("pixels", '{"bbox_2d": [1, 2, 401, 4]}', "401 outside 0..400"),
    ("pixels", '{"point_2d": [1, 201]}', "201 outside 0..200"),
    ("pixels", '{"bbox_2d": [1, 2, 3', "is not JSON"),
    ("molmo", '<point x="10">a</point>', "no number"),
    ("molmo", '<point x="a" y="3">a</point>', "no number"),
    ("molmo", "<point>a</point>", "no x and y"),
    ("molmo", '<point x="10" y="100.1">a</point>', "100.1 outside 0..100"),
    ("molmo", '<point x="10" y="20"', "cut short"),
]


@pytest.mark.parametrize(("style", "text", "says"), PROBLEMS)
def test_problems_are_reported_and_not_mended(style: GroundingStyle, text: str, says: str) -> None:
    found = read_geometry(text, SIZE, style)
    assert not found.boxes and not found.points
    [problem] = found.problems
    assert says in problem


SCRAPS = (
    "<|box_start|>", "<|box_end|>", "(1,2)", ",", "[", "]", "[[", "]]", "1", "0.5", "<box>",
    "</box>", "<loc0001>", "<loc", "{", "}", '"bbox_2d":', '"point_2d":', "<point ", 'x="1"',
    'y="2"', ">",
)  # fmt: skip
scraps = st.lists(st.sampled_from(SCRAPS), max_size=14).map("".join)


@pytest.mark.parametrize("style", get_args(GroundingStyle))
@given(text=st.text(max_size=30) | scraps)
def test_any_text_can_be_read(style: GroundingStyle, text: str) -> None:
    found = read_geometry(text, SIZE, style)
    for box in found.boxes:
        assert 0 <= box.x0 <= box.x1 <= SIZE.width and 0 <= box.y0 <= box.y1 <= SIZE.height


@pytest.mark.parametrize("text", ['{"a":' * 5000, "{" * 20_000, "[" * 20_000, "<box>" * 5000])
def test_hostile_text_is_read_in_time(text: str) -> None:
    for style in get_args(GroundingStyle):
        read_geometry(text, SIZE, style)


@pytest.mark.parametrize(
    ("box", "size", "says"),
    [
        (Box(0, 0, 401, 10), SIZE, "outside the picture"),
        (Box(-1, 0, 4, 10), SIZE, "outside the picture"),
        (Box(0, 0, float("nan"), 10), SIZE, "outside the picture"),
        (Box(5, 0, 4, 10), SIZE, "reversed"),
        (Box(0, 0, 0, 0), Size(0, 5), "is empty"),
    ],
)
def test_boxes_that_cannot_be_written(box: Box, size: Size, says: str) -> None:
    with pytest.raises(GroundingError, match=says):
        write_box(box, size, "percent")


def test_tokens_of_styles() -> None:
    assert len(style_tokens("paligemma")) == 1024
    assert style_tokens("paligemma")[7] == "<loc0007>"
    for style in get_args(GroundingStyle):
        for token in style_tokens(style):
            assert token.startswith("<") and token.endswith(">")
