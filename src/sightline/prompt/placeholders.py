"""Where pictures and clips stand in a rendered prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from sightline.core.errors import PromptError
from sightline.prompt.messages import FramesPart, ImagePart, MediaPart, VideoPart


class Place(NamedTuple):
    """text[start:stop] is the placeholder of this item; a picture, a clip and each frame of a clip
    that is read as pictures are one item, numbered through the conversation."""

    start: int
    stop: int
    item: int


def items_of(part: MediaPart) -> int:
    """How many items, each with its own placeholder, a part becomes."""
    return part.count if isinstance(part, FramesPart) else 1


def placeholder_texts(
    media: Sequence[MediaPart], image_text: str, clip_text: str | None
) -> tuple[str, ...]:
    """What a template writes for each part. Raises PromptError for a part that is not read."""
    return tuple(_text(i, part, image_text, clip_text) for i, part in enumerate(media))


def _text(index: int, part: MediaPart, image_text: str, clip_text: str | None) -> str:
    match part:
        case ImagePart():
            return image_text
        case VideoPart() | FramesPart() if clip_text is not None:
            return clip_text
        case _:
            kind = "document" if not isinstance(part, VideoPart | FramesPart) else "video"
            problem = f"holds a {kind} (media item {index}), which is not supported"
            raise PromptError("messages", problem, "give its pictures instead")


def find_places(
    written: Iterable[tuple[int, str]], texts: Sequence[str], image_text: str
) -> list[Place]:
    """The placeholders in what a template wrote, each with the number of its part.

    `written` are (start, text), `texts` the placeholder of each part. A template may set pictures
    and clips apart, but it keeps the order among pictures, and among clips.
    Raises PromptError unless each part has one placeholder.
    """
    kinds = sorted({image_text, *texts}, key=len, reverse=True)
    parts = {kind: [i for i, text in enumerate(texts) if text == kind] for kind in kinds}
    any_of = re.compile("|".join(map(re.escape, kinds)))
    found = [
        (start + match.start(), match.group())
        for start, text in written
        for match in any_of.finditer(text)
    ]
    for kind in kinds:
        count = sum(text == kind for _, text in found)
        if count != len(parts[kind]):
            what = "pictures" if kind == image_text else "clips"
            problem = f"writes {count} {kind!r} for {len(parts[kind])} {what}"
            raise PromptError("chat template", problem, f"give a template that knows {what}")
    orders = {kind: iter(numbers) for kind, numbers in parts.items()}
    return [Place(start, start + len(text), next(orders[text])) for start, text in found]


class Filled(NamedTuple):
    """A text with the words of clips that are read as pictures and those around pictures, and the
    places of its items.

    `moved` are pairs (stop, by): what stands at `stop` or later, as far as the next pair, went to
    the right by so much.
    """

    text: str
    places: tuple[Place, ...]
    moved: tuple[tuple[int, int], ...]


def with_words(
    text: str,
    places: Sequence[Place],
    media: Sequence[MediaPart],
    image_text: str,
    around: tuple[str, str] = ("", ""),
) -> Filled:
    """The words of each FramesPart in the place of its placeholder, and those `around` each
    picture; parts become items."""
    shown = image_text.join(around)
    first = [0, *accumulate(items_of(part) for part in media)]
    pieces: list[str] = []
    items: list[Place] = []
    moved = [(0, 0)]
    for start, stop, number in places:
        end, by = moved[-1]
        words, inner = _words(media[number], text[start:stop], image_text, shown)
        for i, found in enumerate(re.finditer(re.escape(inner), words)):
            a, b = found.span()
            items.append(Place(start + by + a, start + by + b, first[number] + i))
        pieces += [text[end:start], words]
        moved.append((stop, by + len(words) - (stop - start)))
    pieces.append(text[moved[-1][0] :])
    return Filled("".join(pieces), tuple(items), tuple(moved))


def _words(part: MediaPart, placeholder: str, image_text: str, shown: str) -> tuple[str, str]:
    """What stands in the place of a placeholder, and the placeholders in that."""
    match part:
        case FramesPart():
            return part.words.replace(image_text, shown), image_text
        case ImagePart():
            return shown, image_text
        case _:
            return placeholder, placeholder
