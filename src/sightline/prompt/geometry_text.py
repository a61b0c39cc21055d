"""Finding what looks like geometry in a text, style by style, in the style's own numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, assert_never

from sightline.spec.prompt import GroundingStyle

Pair = tuple[float, float]

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_BRACKET = re.compile(r"\[[-+\d.,\s]*(?:\]|$)")
_NUMBERS = re.compile(rf"\s*{_NUMBER}(?:\s*,\s*{_NUMBER})*\s*")
_QWEN = re.compile(
    r"(?:<\|object_ref_start\|>(?P<label>(?:(?!<\|).)*)<\|object_ref_end\|>)?"
    r"<\|box_start\|>(?P<body>(?:(?!<\|).)*)(?P<end><\|box_end\|>)?",
    re.DOTALL,
)
_QWEN1 = re.compile(
    r"(?:<ref>(?P<label>[^<]*)</ref>)?<box>(?P<body>[^<]*)(?P<end></box>)?", re.DOTALL
)
_QWEN_PAIRS = re.compile(
    rf"\s*\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)(?:\s*,\s*\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\))?\s*"
)
_INTERNVL = re.compile(
    r"(?:<ref>(?P<label>[^<]*)</ref>)?<box>(?P<body>[^<]*)(?P<end></box>)?", re.DOTALL
)
_INTERNVL_LIST = re.compile(r"\s*\[\s*\[[^][]*\](?:\s*,\s*\[[^][]*\])*\s*\]\s*")
_COGVLM = re.compile(r"\[\[(?P<body>[-+\d.,;\s]*)(?P<end>\]\])?")
_PALIGEMMA = re.compile(
    r"(?P<run>(?:<loc[^<>\s;]*>?)+)(?P<mask>(?:<seg[^<>\s;]*>?)*)(?P<label>[^;<\n]*)"
)
_MOLMO = re.compile(r"<points?\b(?P<head>[^<>]*)(?P<end>>)?")
_ATTRIBUTE = re.compile(r'([a-z]+)(\d*)\s*=\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Found:
    """One pair of numbers (a point), two (a box), or what is wrong with the text."""

    text: str
    pairs: tuple[Pair, ...] = ()
    label: str | None = None
    problem: str | None = None


def find_geometry(text: str, style: GroundingStyle) -> Iterator[Found]:
    """All that looks like geometry of this style, in order."""
    match style:
        case "percent" | "shikra":
            return _brackets(text)
        case "cogvlm":
            return _cogvlm(text)
        case "qwen1":
            return _paired(text, _QWEN1)
        case "qwen":
            return _paired(text, _QWEN)
        case "internvl":
            return _internvl(text)
        case "paligemma":
            return _paligemma(text)
        case "pixels" | "json":
            return _objects(text)
        case "molmo":
            return _molmo(text)
        case "none":
            return iter(())
        case _:
            assert_never(style)


def _brackets(text: str) -> Iterator[Found]:
    for match in _BRACKET.finditer(text):
        whole = match.group()
        numbers = _numbers(whole)
        if len(numbers) < 2:  # "[1]" is a citation
            continue
        if not whole.endswith("]"):
            yield Found(whole, problem="is cut short")
        elif not _NUMBERS.fullmatch(whole[1:-1]):
            yield Found(whole, problem="is not a list of numbers")
        else:
            yield _from_numbers(whole, numbers)


def _cogvlm(text: str) -> Iterator[Found]:
    for match in _COGVLM.finditer(text):
        if not match["end"]:
            yield Found(match.group(), problem="is cut short")
            continue
        for inner in match["body"].split(";"):
            if _NUMBERS.fullmatch(inner):
                yield _from_numbers(match.group(), _numbers(inner))
            else:
                yield Found(match.group(), problem="is not a list of numbers")


def _paired(text: str, form: re.Pattern[str]) -> Iterator[Found]:
    for match in form.finditer(text):
        if not match["end"]:
            yield Found(match.group(), problem="is cut short")
        elif not _QWEN_PAIRS.fullmatch(match["body"]):
            yield Found(match.group(), problem="is not (x,y),(x,y)")
        else:
            yield _from_numbers(match.group(), _numbers(match["body"]), match["label"])


def _internvl(text: str) -> Iterator[Found]:
    for match in _INTERNVL.finditer(text):
        if not match["end"]:
            yield Found(match.group(), problem="is cut short")
        elif not _INTERNVL_LIST.fullmatch(match["body"]):
            yield Found(match.group(), problem="is not [[x0, y0, x1, y1]]")
        else:
            for inner in re.findall(r"\[([^][]*)\]", match["body"]):
                yield _box_only(match.group(), inner, match["label"])


def _box_only(whole: str, inner: str, label: str | None) -> Found:
    if not _NUMBERS.fullmatch(inner):
        return Found(whole, problem="is not a list of numbers")
    numbers = _numbers(inner)
    if len(numbers) != 4:
        return Found(whole, problem=f"has {len(numbers)} numbers instead of 4")
    return _from_numbers(whole, numbers, label)


def _paligemma(text: str) -> Iterator[Found]:
    for match in _PALIGEMMA.finditer(text):
        run = match["run"]
        if not re.fullmatch(r"(?:<loc\d{4}>){4}", run):
            yield Found(run, problem="is not four <loc0000> tokens")
            continue
        if not re.fullmatch(r"((<seg(0\d\d|1[01]\d|12[0-7])>){16})?", match["mask"]):
            yield Found(run + match["mask"], problem="has a mask that is not 16 <seg000> tokens")
        y0, x0, y1, x1 = _numbers(run)
        yield Found(run, ((x0, y0), (x1, y1)), match["label"].strip() or None)


def _objects(text: str) -> Iterator[Found]:
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            data, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            following = text.find("{", start + 1)
            rest = text[start:following] if following >= 0 else text[start:]
            if '"bbox_2d"' in rest or '"point_2d"' in rest:
                yield Found(rest.strip(), problem="is not JSON")
            start = following
            continue
        yield from _in_json(data)
        start = text.find("{", end)


def _in_json(data: Any) -> Iterator[Found]:
    """Geometry at any depth."""
    if isinstance(data, dict):
        for key, count in (("bbox_2d", 4), ("point_2d", 2)):
            if key in data:
                yield _from_json(json.dumps(data), data[key], count, data.get("label"))
        data = list(data.values())
    for item in data if isinstance(data, list) else ():
        yield from _in_json(item)


def _from_json(whole: str, values: Any, count: int, label: Any) -> Found:
    numbers = values if isinstance(values, list) else []
    if len(numbers) != count or not all(type(number) in (int, float) for number in numbers):
        return Found(whole, problem=f"does not hold {count} numbers")
    return _from_numbers(whole, numbers, label if isinstance(label, str) else None)


def _molmo(text: str) -> Iterator[Found]:
    for match in _MOLMO.finditer(text):
        if not match["end"]:
            yield Found(match.group(), problem="is cut short")
            continue
        named = {(name, number): value for name, number, value in _ATTRIBUTE.findall(match["head"])}
        label = named.get(("alt", "")) or None
        places = [number for name, number in named if name == "x"]
        if not places:
            yield Found(match.group(), problem="has no x and y")
        for number in places:
            pair = [named.get((axis, number), "") for axis in "xy"]
            if all(re.fullmatch(_NUMBER, value) for value in pair):
                yield _from_numbers(match.group(), [float(value) for value in pair], label)
            else:
                yield Found(match.group(), problem="has no number for x and y")


def _from_numbers(whole: str, numbers: list[float], label: str | None = None) -> Found:
    if len(numbers) not in (2, 4):
        return Found(whole, problem=f"has {len(numbers)} numbers instead of 4 or 2")
    pairs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return Found(whole, pairs, label)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(_NUMBER, text)]
