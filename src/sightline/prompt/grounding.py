"""Boxes and points as words: pixels of the user's picture written and read in named styles.

| style     | box                                                | unit    |
|-----------|----------------------------------------------------|---------|
| percent   | `[12, 30, 45, 60]`                                 | 1/100   |
| shikra    | `[0.268,0.372,0.410,0.622]`                        | 1/1000  |
| cogvlm    | `[[268,372,410,622]]` (three digits, up to 999)    | 1/1000  |
| qwen1     | `<box>(268,372),(410,622)</box>`                   | 1/1000  |
| qwen      | `<|box_start|>(268,372),(410,622)<|box_end|>`      | 1/1000  |
| internvl  | `<box>[[268, 372, 410, 622]]</box>`                | 1/1000  |
| paligemma | `<loc0381><loc0274><loc0637><loc0420>` (y first)   | 1/1024  |
| pixels    | `{"bbox_2d": [90, 120, 300, 410], "label": "cup"}` | 1 pixel |
| json      | the same in thousandths                            | 1/1000  |

A point is one pair in the same form (`pixels`, `json`: `point_2d`); internvl and paligemma have
none. PaliGemma's mask codes, sixteen `<seg000>` to `<seg127>` behind a box, stay in the text.
`molmo` has only points, in thousandths: `<point x="26.8" y="37.2" alt="cup">cup</point>`.
Corners are x0 y0 x1 y1 unless said otherwise. Sources: Shikra (arXiv:2306.15195), CogVLM
(2311.03079), Qwen-VL (2308.12966; `qwen1`), Qwen2-VL (2409.12191), Qwen2.5-VL (2502.13923;
`pixels`), Qwen3-VL (2511.21631; `json`), InternVL (2404.16821), PaliGemma (2407.07726), Molmo
(2409.17146).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import assert_never

from sightline.core.errors import GroundingError
from sightline.core.geometry import Box, Point, Size
from sightline.prompt.geometry_text import Found, find_geometry
from sightline.spec.prompt import GroundingStyle

PALIGEMMA_BINS = 1024
_BREAKS: dict[GroundingStyle, tuple[str, ...]] = {
    "qwen1": ("<",),
    "qwen": ("<|",),
    "internvl": ("<",),
    "paligemma": (";", "<", "\n"),
    "molmo": ('"', "<", ">"),
}


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a text says in numbers, in pixels of the user's picture.

    `problems` name what looks like geometry and is none; it stays part of the text.
    """

    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    problems: tuple[str, ...] = ()


def write_box(box: Box, size: Size, style: GroundingStyle, *, frame: Size | None = None) -> str:
    """A box of a picture of `size` as text, with its label where it has one.

    `frame` is the size of the picture that the model saw, in whose pixels `pixels` counts.
    Raises GroundingError for a box outside the picture, and for a style without boxes.
    """
    _check_inside(((box.x0, box.y0), (box.x1, box.y1)), size)
    if box.x1 < box.x0 or box.y1 < box.y0:
        raise GroundingError("box", f"{box} has its corners reversed", "give x0 <= x1, y0 <= y1")
    _check_label(box.label, style)
    scale = _Scale.of(style, size, frame)
    x0, y0 = scale.write(box.x0, box.y0)
    x1, y1 = scale.write(box.x1, box.y1)
    match style:
        case "percent":
            return _named(box.label, f"[{x0}, {y0}, {x1}, {y1}]")
        case "shikra":
            return _named(box.label, f"[{x0},{y0},{x1},{y1}]")
        case "cogvlm":
            return _named(box.label, f"[[{x0:0>3},{y0:0>3},{x1:0>3},{y1:0>3}]]")
        case "qwen1":
            return _qwen1(box.label, f"({x0},{y0}),({x1},{y1})")
        case "qwen":
            return _qwen(box.label, f"({x0},{y0}),({x1},{y1})")
        case "internvl":
            ref = "" if box.label is None else f"<ref>{box.label}</ref>"
            return f"{ref}<box>[[{x0}, {y0}, {x1}, {y1}]]</box>"
        case "paligemma":
            places = "".join(f"<loc{int(value):04}>" for value in (y0, x0, y1, x1))
            return places if box.label is None else f"{places} {box.label}"
        case "pixels" | "json":
            return _json("bbox_2d", (x0, y0, x1, y1), box.label)
        case "molmo" | "none":
            raise _no_such("box", style)
        case _:
            assert_never(style)


def write_point(
    point: Point, size: Size, style: GroundingStyle, *, frame: Size | None = None
) -> str:
    """A point of a picture of `size` as text; see `write_box`."""
    _check_inside(((point.x, point.y),), size)
    _check_label(point.label, style)
    x, y = _Scale.of(style, size, frame).write(point.x, point.y)
    match style:
        case "percent":
            return _named(point.label, f"[{x}, {y}]")
        case "shikra":
            return _named(point.label, f"[{x},{y}]")
        case "cogvlm":
            return _named(point.label, f"[[{x:0>3},{y:0>3}]]")
        case "qwen1":
            return _qwen1(point.label, f"({x},{y})")
        case "qwen":
            return _qwen(point.label, f"({x},{y})")
        case "pixels" | "json":
            return _json("point_2d", (x, y), point.label)
        case "molmo":
            label = point.label or ""
            return f'<point x="{x}" y="{y}" alt="{label}">{label}</point>'
        case "internvl" | "paligemma" | "none":
            raise _no_such("point", style)
        case _:
            assert_never(style)


def read_geometry(
    text: str, size: Size, style: GroundingStyle, *, frame: Size | None = None
) -> Geometry:
    """All boxes and points of a text, in pixels of a picture of `size`; see `write_box`.

    What looks like geometry but has a wrong form, numbers out of range or reversed corners is not
    returned but named in `problems`. Labels come back in the styles that set them apart.
    """
    scale = _Scale.of(style, size, frame)
    boxes: list[Box] = []
    points: list[Point] = []
    problems: list[str] = []
    for found in find_geometry(text, style):
        if problem := found.problem or scale.problem(found):
            problems.append(f"{found.text!r:.100} {problem}")
            continue
        pairs = [scale.read(x, y) for x, y in found.pairs]
        if len(pairs) == 1:
            points.append(Point(*pairs[0], found.label))
        else:
            boxes.append(Box(*pairs[0], *pairs[1], found.label))
    return Geometry(tuple(boxes), tuple(points), tuple(problems))


def counts_padding(style: GroundingStyle) -> bool:
    """Whether numbers are fractions of the square that a picture is padded to, where it is: give
    the functions above the size and the places of that (Shikra)."""
    return style == "shikra"


def style_tokens(style: GroundingStyle) -> tuple[str, ...]:
    """The added tokens of a style, which content may spell and decoding has to keep."""
    match style:
        case "qwen":
            tags = ("object_ref_start", "object_ref_end", "box_start", "box_end")
            return tuple(f"<|{tag}|>" for tag in tags)
        case "internvl" | "qwen1":
            return ("<ref>", "</ref>", "<box>", "</box>")
        case "paligemma":
            return tuple(f"<loc{value:04}>" for value in range(PALIGEMMA_BINS))
        case "none" | "percent" | "shikra" | "cogvlm" | "pixels" | "json" | "molmo":
            return ()
        case _:
            assert_never(style)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Pixels to a style's numbers and back: `full` of them are the whole width or height."""

    size: Size
    full: tuple[float, float]
    decimals: int = 0
    largest: tuple[float, float] | None = None  # where the last number is below `full`

    @classmethod
    def of(cls, style: GroundingStyle, size: Size, frame: Size | None) -> _Scale:
        if min(size.width, size.height) < 1:
            raise GroundingError("size", f"{size} is empty", "give the picture's size in pixels")
        match style:
            case "percent" | "none":
                return cls(size, (100, 100))
            case "shikra":
                return cls(size, (1, 1), decimals=3)
            case "qwen1" | "qwen" | "json" | "internvl":
                return cls(size, (1000, 1000))
            case "cogvlm":
                return cls(size, (1000, 1000), largest=(999, 999))
            case "paligemma":
                last = (PALIGEMMA_BINS - 1,) * 2
                return cls(size, (PALIGEMMA_BINS,) * 2, largest=last)
            case "pixels":
                seen = frame or size
                return cls(size, (seen.width, seen.height))
            case "molmo":
                return cls(size, (100, 100), decimals=1)
            case _:
                assert_never(style)

    def write(self, x: float, y: float) -> tuple[str, str]:
        """The nearest numbers; the last bin of CogVLM and PaliGemma is the far edge, too."""
        last = self.largest or self.full
        return (
            self._nearest(x / self.size.width * self.full[0], last[0]),
            self._nearest(y / self.size.height * self.full[1], last[1]),
        )

    def read(self, x: float, y: float) -> tuple[float, float]:
        return x / self.full[0] * self.size.width, y / self.full[1] * self.size.height

    def _nearest(self, number: float, last: float) -> str:
        return f"{abs(min(round(number, self.decimals), last)):.{self.decimals}f}"

    def problem(self, found: Found) -> str | None:
        """What is wrong with numbers of the right form."""
        limits = self.largest or self.full
        for pair in found.pairs:
            for number, limit in zip(pair, limits, strict=True):
                if not 0 <= number <= limit:
                    return f"has {number:g} outside 0..{limit:g}"
        if len(found.pairs) == 2 and any(
            a > b for a, b in zip(found.pairs[0], found.pairs[1], strict=True)
        ):
            return "has its corners reversed"
        return None


def _check_inside(corners: tuple[tuple[float, float], ...], size: Size) -> None:
    for x, y in corners:
        if not (0 <= x <= size.width and 0 <= y <= size.height):
            problem = f"({x:g}, {y:g}) is outside the picture of {size.width} × {size.height}"
            raise GroundingError("geometry", problem, "give pixels of the picture, cut to it")


def _check_label(label: str | None, style: GroundingStyle) -> None:
    """A label must not break the form that it stands in."""
    for breaks in _BREAKS.get(style, ()):
        if label is not None and breaks in label:
            problem = f"{label!r} cannot stand in style {style!r}"
            raise GroundingError("label", problem, f"write it without {breaks!r}")


def _named(label: str | None, numbers: str) -> str:
    return numbers if label is None else f"{label} {numbers}"


def _qwen1(label: str | None, pairs: str) -> str:
    ref = "" if label is None else f"<ref>{label}</ref>"
    return f"{ref}<box>{pairs}</box>"


def _qwen(label: str | None, pairs: str) -> str:
    ref = "" if label is None else f"<|object_ref_start|>{label}<|object_ref_end|>"
    return f"{ref}<|box_start|>{pairs}<|box_end|>"


def _json(key: str, numbers: tuple[str, ...], label: str | None) -> str:
    named = {} if label is None else {"label": label}
    return json.dumps({key: [int(number) for number in numbers]} | named, ensure_ascii=False)


def _no_such(what: str, style: GroundingStyle) -> GroundingError:
    return GroundingError("grounding", f"style {style!r} has no {what}", "choose another style")
