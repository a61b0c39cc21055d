"""Boxes and points of swift's rows: `objects: {ref, bbox, bbox_type, image_id}`.

Each `<ref-object>` in a text stands for the next name of `ref`, each `<bbox>` for the next entry of
`bbox`: [x, y] is a point, [x0, y0, x1, y1] a box, in pixels of the original picture (`real`) or in
shares of its sides (`norm1`). `image_id` says which of `images` each is of (0 where it does not).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sightline.core.geometry import Box, Point
from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import entry, text_of
from sightline.data.dialects.turns import Said, joined
from sightline.data.dialects.writing import refusal
from sightline.data.sample import Part, Places, Sample, Text, Unit

REF, BBOX = "<ref-object>", "<bbox>"
_SPLIT = re.compile(f"({REF}|{BBOX})")
_UNITS: dict[str, Unit] = {"real": "pixel", "norm1": "share"}
_TYPES: dict[Unit, str] = {unit: name for name, unit in _UNITS.items()}


class Objects:
    """The objects of a row, dealt to the placeholders of its texts in their order."""

    def __init__(self, value: object, context: Context) -> None:
        knows = ("ref", "bbox", "bbox_type", "image_id")
        keys = {} if value is None else entry(value, "objects", context, needs=(), knows=knows)
        self._context = context
        self._names = [
            text_of(ref, "objects.ref", context) for ref in _listed(keys, "ref", context)
        ]
        self._boxes = _listed(keys, "bbox", context)
        self._ids = _listed(keys, "image_id", context)
        self._unit = self._unit_of(keys.get("bbox_type", "real"))
        self._named = self._drawn = 0

    def _unit_of(self, kind: object) -> Unit:
        if isinstance(kind, str) and kind in _UNITS:
            return _UNITS[kind]
        fix = f"use {' or '.join(_UNITS)}"
        raise self._context.wrong("objects.bbox_type", f"{kind!r:.40} is unknown", fix)

    def placed(self, turns: Sequence[Said]) -> list[Said]:
        """Turns with names and places where their placeholders stand. Raises DataError for counts
        that differ, numbers that are no place, and a picture that the row does not have."""
        media = [item for _, turn in turns for item in turn.media]
        self._images = [i for i, item in enumerate(media) if item.kind == "image"]
        out = []
        for place, turn in turns:
            parts = joined(new for part in turn.parts for new in self._replaced(part))
            out.append(Said(place, replace(turn, parts=parts)))
        self._check()
        return out

    def _replaced(self, part: Part) -> list[Part]:
        if not isinstance(part, Text):
            return [part]
        parts: list[Part] = []
        for piece in _SPLIT.split(part.text):
            if piece == REF:
                parts += [Text(name) for name in self._names[self._named : self._named + 1]]
                self._named += 1
            elif piece == BBOX:
                parts += [self._place(self._drawn)] if self._drawn < len(self._boxes) else []
                self._drawn += 1
            else:
                parts.append(Text(piece))
        return parts

    def _place(self, index: int) -> Places:
        numbers = self._numbers(index)
        image = self._ids[index] if index < len(self._ids) else 0
        if type(image) is not int or not 0 <= image < len(self._images):
            problem = f"is {image!r:.20}, and the row has {len(self._images)} images"
            fix = "count images from 0"
            raise self._context.wrong(f"objects.image_id.{index}", problem, fix)
        media = self._images[image]
        if len(numbers) == 2:
            point = Point(numbers[0], numbers[1])
            return Places(points=(point,), media=media, unit=self._unit)
        x0, y0, x1, y1 = numbers
        return Places(boxes=(Box(x0, y0, x1, y1),), media=media, unit=self._unit)

    def _numbers(self, index: int) -> tuple[float, ...]:
        place, value = f"objects.bbox.{index}", self._boxes[index]
        if not isinstance(value, list | tuple) or len(value) not in (2, 4):
            raise self._context.wrong(place, "is no place", "give [x, y] or [x0, y0, x1, y1]")
        if not all(type(n) in (int, float) and 0 <= n < 1e300 for n in value):
            raise self._context.wrong(place, f"is {value!r:.80}", "give numbers from 0 up")
        if self._unit == "share" and max(value) > 1:
            raise self._context.wrong(place, f"is {value} in norm1", "give shares from 0 to 1")
        if len(value) == 4 and (value[0] > value[2] or value[1] > value[3]):
            raise self._context.wrong(place, f"{value} has its corners reversed", "swap them")
        return tuple(float(n) for n in value)

    def _check(self) -> None:
        counts = {REF: (self._named, self._names, "ref"), BBOX: (self._drawn, self._boxes, "bbox")}
        for mark, (found, items, name) in counts.items():
            if found != len(items):
                problem = f"{found} {mark} in the text for {len(items)} entries"
                fix = f"write one {mark} for each"
                raise self._context.wrong(f"objects.{name}", problem, fix)
        if len(self._ids) > len(self._boxes):
            problem = f"{len(self._ids)} entries for {len(self._boxes)} boxes"
            raise self._context.wrong("objects.image_id", problem, "give one for each box")


def _listed(keys: dict[str, Any], name: str, context: Context) -> list[Any]:
    value = keys.get(name, ())
    if not isinstance(value, list | tuple):
        raise context.wrong(f"objects.{name}", f"is a {type(value).__name__}", "give a list")
    return list(value)


def write_objects(sample: Sample) -> dict[str, Any]:
    """`objects`, where the sample has places. Raises DataError for those of several kinds of
    numbers, several in one part, labels, and places in clips."""
    places = [part for turn in sample.turns for part in turn.parts if isinstance(part, Places)]
    if not places:
        return {}
    units = {part.unit for part in places}
    if len(units) != 1 or not units <= set(_TYPES):
        raise refusal(sample, f"places in {' and '.join(sorted(units))}s", "swift")
    images = [i for i, media in enumerate(sample.media) if media.kind == "image"]
    objects = {
        "bbox": [_written(sample, part) for part in places],
        "bbox_type": _TYPES[units.pop()],
        "image_id": [_image(sample, part, images) for part in places],
    }
    return {"objects": objects}


def _written(sample: Sample, part: Places) -> list[float]:
    if len(part.boxes) + len(part.points) != 1:
        raise refusal(sample, "several places in one part", "swift", "give each a part of its own")
    items: list[Box | Point] = [*part.boxes, *part.points]
    if any(item.label is not None for item in items):
        raise refusal(sample, "a labelled place", "swift", "write the label among the words")
    if part.boxes:
        box = part.boxes[0]
        return [box.x0, box.y0, box.x1, box.y1]
    return [part.points[0].x, part.points[0].y]


def _image(sample: Sample, part: Places, images: list[int]) -> int:
    if part.media not in images:
        raise refusal(sample, "places in a clip", "swift")
    return images.index(part.media)
