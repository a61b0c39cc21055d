"""TRL's supervised rows: `messages`, or `prompt` and `completion`; `image` or `images`.

Parts `{"type": "image"}` are filled in order. Where there are none, all pictures stand before the
words of the first user message that is a string, as TRL puts them. `<image>` in a text is words.
A prompt and a completion that are strings are a question and its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.data.dialects.context import Context
from sightline.data.dialects.fields import (
    NOT_READ,
    Fields,
    compares,
    entry,
    given_in,
    items_of,
    mappings,
    same,
    text_of,
)
from sightline.data.dialects.media import read_all
from sightline.data.dialects.parts import part_type
from sightline.data.dialects.turns import Said, role_of, said, settled
from sightline.data.dialects.writing import check_said, media_lists
from sightline.data.sample import Media, Part, Role, Sample, Text, Turn

NAMES = same("messages", "prompt", "completion", "image", "images", "tools")
ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
REFUSED = {
    **NOT_READ,
    "videos": "are clips, which TRL's rows do not hold",
    "objects": "are boxes of the dialect swift",
    "chat_template_kwargs": "change the template, which is the model's",
}


def fits(row: Mapping[str, Any]) -> bool:
    """Messages, or prompt and completion, whose pictures stand beside them."""
    if compares(row) or given_in(row, "videos", "objects"):
        return False
    names = ("messages",) if given_in(row, "messages") else ("prompt", "completion")
    pictures = given_in(row, "image", "images")
    return all(_shaped(row.get(name), name, pictures) for name in names)


def _shaped(value: object, name: str, pictures: bool) -> bool:
    if isinstance(value, str):
        return name != "messages" and bool(value)
    return mappings(value) and all(_takes(turn, pictures) for turn in value)


def _takes(turn: Mapping[str, Any], pictures: bool) -> bool:
    """Whether the pictures of a message stand elsewhere."""
    if {key for key, value in turn.items() if value is not None} != {"role", "content"}:
        return False
    content = turn["content"]
    if isinstance(content, str):
        return not (pictures and "<image>" in content)
    return mappings(content, "type") and all(map(_bare, content))


def _bare(part: Mapping[str, Any]) -> bool:
    keys = {key for key, value in part.items() if value is not None}
    return keys <= {"type", "text"} or (part.get("type") == "image" and keys <= {"type", "index"})


def read(row: Mapping[str, Any], context: Context) -> Sample:
    """Raises DataError."""
    fields = Fields(row, context, NAMES)
    images = read_images(fields)
    place = fields.name("messages" if fields.has("messages") else "prompt")
    if fields.has("messages"):
        given = asked(fields, "messages", "user")
    else:
        given = [*asked(fields, "prompt", "user"), *asked(fields, "completion", "assistant")]
    ended = settled(read_turns(given, images, context), context, place)
    tools = fields.tools()
    fields.refuse(REFUSED)
    return Sample(context.where, ended, tools=tools, columns=fields.rest())


def read_images(fields: Fields) -> list[Media]:
    """`image` or `images`. Raises DataError for both."""
    if fields.has("image") and fields.has("images"):
        raise fields.context.wrong("image", "is given beside images", "keep one of the two")
    name = "image" if fields.has("image") else "images"
    return read_all("image", fields.several(name), fields.name(name), fields.context)


# A message as it stands in the row, behind the name of its place.
Given = tuple[str, Any]


def asked(fields: Fields, name: str, role: Role) -> list[Given]:
    """A field that holds messages, or a string that is one message. Raises DataError."""
    value, place = fields.need(name), fields.name(name)
    if isinstance(value, str):
        return [(place, {"role": role, "content": value})]
    items = items_of(value, place, fields.context)
    return [(f"{place}.{i}", item) for i, item in enumerate(items)]


def read_turns(given: Sequence[Given], images: Sequence[Media], context: Context) -> list[Said]:
    """Turns with all pictures in their places. Raises DataError where the counts differ."""
    filler = _Filler(images)
    turns = [_turn(item, place, filler, context) for place, item in given]
    if filler.slots == 0 and (first := _first_string(given)) is not None:
        place, turn = turns[first]
        turns[first] = said(place, turn.role, [*images, *turn.parts])
    elif filler.slots != len(images):
        problem = f"{filler.slots} image parts in the messages for {len(images)} images"
        raise context.wrong("images", problem, 'write one {"type": "image"} for each image')
    return turns


class _Filler:
    """The pictures of a row, given to its image parts in order."""

    def __init__(self, images: Sequence[Media]) -> None:
        self._images, self.slots = images, 0

    def next(self, index: object, place: str, context: Context) -> Media | None:
        at, self.slots = self.slots, self.slots + 1
        if index is not None and index != at:
            fix = "order the images as the parts that show them"
            raise context.wrong(f"{place}.index", f"is {index!r:.20} at image part {at}", fix)
        return self._images[at] if at < len(self._images) else None


def _first_string(given: Sequence[Given]) -> int | None:
    for i, (_, item) in enumerate(given):
        if item["role"] == "user" and isinstance(item["content"], str):
            return i
    return None


def _turn(item: object, place: str, filler: _Filler, context: Context) -> Said:
    keys = entry(item, place, context, needs=("role", "content"), knows=())
    role = role_of(keys["role"], ROLES, f"{place}.role", context)
    content, where = keys["content"], f"{place}.content"
    if isinstance(content, str):
        return said(place, role, [Text(content)])
    parts = items_of(content, where, context)
    read = [_part(part, f"{where}.{i}", filler, context) for i, part in enumerate(parts)]
    return said(place, role, [part for part in read if part is not None])


def _part(part: object, place: str, filler: _Filler, context: Context) -> Part | None:
    match part_type(part, place, context):
        case "text":
            keys = entry(part, place, context, needs=("type", "text"), knows=())
            return Text(text_of(keys["text"], f"{place}.text", context))
        case "image":
            keys = entry(part, place, context, needs=("type",), knows=("index",))
            return filler.next(keys.get("index"), place, context)
        case other:
            fix = "use text or image, or name the dialect that knows it"
            raise context.wrong(f"{place}.type", f"{other!r:.40} is not read", fix)


def write(sample: Sample) -> dict[str, Any]:
    """Raises DataError for what the dialect cannot say."""
    check_said(sample, "trl", can=("tools",), keys=(*NAMES, *REFUSED))
    row: dict[str, Any] = {"messages": write_messages(sample.turns)}
    row |= {} if sample.tools is None else {"tools": sample.tools}
    return {**row, **media_lists(sample.turns), **sample.columns}


def write_messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Messages of strings, or of parts where there is a picture in them."""
    return [{"role": turn.role, "content": _content(turn)} for turn in turns]


def _content(turn: Turn) -> Any:
    if not turn.media:
        return turn.text
    return [
        {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
        for part in turn.parts
    ]
