"""A conversation rendered by its chat template, with the origin of every character known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, NamedTuple

from sightline.core.errors import PromptError
from sightline.prompt.marks import Leaf, Marks, Occurrence
from sightline.prompt.messages import ImagePart, Message, TextPart, media_of
from sightline.prompt.placeholders import Place, find_places, placeholder_texts, with_words
from sightline.prompt.sandbox import (
    MAX_ADDED_CHARS,
    PartList,
    TemplateFailure,
    clock,
    compile_template,
    run_template,
)

TEMPLATE = -1  # the origin of characters that the template wrote


class ContentSpan(NamedTuple):
    """text[start:stop] comes from this message."""

    start: int
    stop: int
    message: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt as text; the template wrote all but the `content` spans, which are in order.

    `media` are the placeholders in it, in order, each with the item that it stands for.
    """

    text: str
    content: tuple[ContentSpan, ...]
    media: tuple[Place, ...] = ()

    def control(self) -> bytes:
        """1 for each character that the template wrote, 0 for content."""
        mask = bytearray(b"\1") * len(self.text)
        for start, stop, _ in self.content:
            mask[start:stop] = bytes(stop - start)
        return bytes(mask)

    def origin(self) -> list[int]:
        """For each character the message that it comes from, or TEMPLATE."""
        origin = [TEMPLATE] * len(self.text)
        for start, stop, message in self.content:
            origin[start:stop] = [message] * (stop - start)
        return origin

    def written(self) -> list[tuple[int, str]]:
        """What the template wrote, cut where content stands: where each piece starts, and it."""
        ends = [0, *(span.stop for span in self.content)]
        starts = [*(span.start for span in self.content), len(self.text)]
        return [(end, self.text[end:start]) for end, start in zip(ends, starts, strict=True)]


class Shape(Enum):
    """Which contents a template is given as a string, the others as parts."""

    AS_GIVEN = auto()
    WORDS_AS_TEXT = auto()
    ALL_PARTS = auto()
    ALL_TEXT = auto()  # media stand in the string as placeholders


class _Refusal(PromptError):
    """Why one shape does not do; of several, the one that came furthest is told."""

    def __init__(self, error: PromptError, reached: int) -> None:
        super().__init__(error.field, error.problem, error.fix)
        self.reached = reached


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja source, the variables that it may use (bos_token, ...) and its picture placeholder.

    `now` is asked for the date by templates that write it. `clip_text` is the placeholder of a
    clip, None where clips are not read. `around` is put before and after each picture's.
    """

    source: str
    image_text: str
    variables: Mapping[str, Any]
    now: Callable[[], datetime] = datetime.now
    clip_text: str | None = None
    around: tuple[str, str] = ("", "")

    def render(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = False
    ) -> Rendered:
        """The conversation as text, pictures and clips as placeholders in their order; a clip that
        is read as pictures as its words, with a placeholder for each.

        Templates that take contents only as strings or only as parts are given what they take; one
        that knows no pictures gets placeholders where the parts stand.
        Raises PromptError if the template fails, drops or changes content, or writes another number
        of placeholders than there are pictures and clips, and for media that are not read.
        """
        job = _Job(self, messages, add_generation_prompt)
        refusals: list[_Refusal] = []
        tried: list[tuple[bool, ...]] = []
        for shape in Shape:
            if (as_text := _as_text(messages, shape)) in tried:
                continue
            tried.append(as_text)
            try:
                return job.render(as_text)
            except _Refusal as refusal:
                refusals.append(refusal)
        worst = max(refusals, key=lambda refusal: refusal.reached)
        raise PromptError(worst.field, worst.problem, worst.fix) from None


class _Job:
    """One conversation on its way through one template."""

    def __init__(self, chat: ChatTemplate, messages: Sequence[Message], asks: bool) -> None:
        self._chat, self._messages = chat, messages
        self._leaves = [
            Leaf.of(i, part.text)
            for i, message in enumerate(messages)
            for part in message.parts
            if isinstance(part, TextPart)
        ]
        self._media = media_of(messages)
        self._texts = placeholder_texts(self._media, chat.image_text, chat.clip_text)
        others = (chat.source, chat.image_text, *self._texts, *map(str, chat.variables.values()))
        self._marks = Marks(self._leaves, len(self._media), others)
        self._limit = 2 * sum(len(leaf.text) for leaf in self._leaves) + MAX_ADDED_CHARS
        self._variables = dict(chat.variables) | {
            "add_generation_prompt": asks,
            "documents": None,
            "image_token": chat.image_text,
            "strftime_now": clock(chat.now()),
            "tools": None,
            "video_token": chat.clip_text,
        }

    def render(self, as_text: tuple[bool, ...]) -> Rendered:
        """Rendered bare and marked. Raises _Refusal where the two do not agree."""
        bare = self._run(as_text, lambda i: self._leaves[i].text, lambda i: self._texts[i])
        marked = self._run(as_text, self._marks.marked, self._marks.media)
        try:
            text, found = self._marks.unmark(marked, self._texts)
        except PromptError as error:
            raise _Refusal(error, 3) from None
        self._check_nothing_lost(found)
        if text != bare:
            raise _Refusal(_depends_on_content(), 3)
        return self._placed(Rendered(text, tuple(self._spans(text, found, as_text))))

    def _run(
        self, as_text: tuple[bool, ...], write: Callable[[int], str], show: Callable[[int], str]
    ) -> str:
        contents = _contents(self._messages, as_text, write, show)
        template = compile_template(self._chat.source)
        limit = self._limit + sum(map(len, self._texts))
        try:
            return run_template(template, self._variables | {"messages": contents}, limit=limit)
        except TemplateFailure as failure:
            raise _Refusal(failure, 4 if failure.told else 0) from None

    def _check_nothing_lost(self, found: Sequence[Occurrence]) -> None:
        present = {occurrence.leaf for occurrence in found}
        for i, leaf in enumerate(self._leaves):
            if leaf.core and i not in present:
                role = self._messages[leaf.message].role
                problem = f"leaves out the text of message {leaf.message} ({role})"
                fix = "remove that message, or give another template"
                raise _Refusal(PromptError("chat template", problem, fix), 1)

    def _placed(self, rendered: Rendered) -> Rendered:
        """With all items found, and clips that are read as pictures written out."""
        image = self._chat.image_text
        try:
            places = find_places(rendered.written(), self._texts, image)
        except PromptError as error:
            raise _Refusal(error, 2) from None
        filled = with_words(rendered.text, places, self._media, image, self._chat.around)
        content = []
        for start, stop, message in rendered.content:
            by = next(by for end, by in reversed(filled.moved) if end <= start)
            content.append(ContentSpan(start + by, stop + by, message))
        return Rendered(filled.text, tuple(content), filled.places)

    def _spans(
        self, text: str, found: Sequence[Occurrence], as_text: tuple[bool, ...]
    ) -> Iterator[ContentSpan]:
        """The cores with the white space around them that comes from the content, too."""
        end = 0
        kept = self._kept_spaces(found, as_text)
        for (index, start, stop), (lead, trail) in zip(found, kept, strict=True):
            leaf = self._leaves[index]
            if lead:
                start -= _shared_end(text[end:start], leaf.lead)
            if trail:
                after = text[stop : stop + len(leaf.trail)]
                stop += _shared_end(after[::-1], leaf.trail[::-1])
            yield ContentSpan(start, stop, leaf.message)
            end = stop

    def _kept_spaces(
        self, found: Sequence[Occurrence], as_text: tuple[bool, ...]
    ) -> list[tuple[bool, bool]]:
        """Whether the template keeps the white space before and after each core."""
        spaces = [(bool(leaf.lead), bool(leaf.trail)) for leaf in self._leaves]
        bordered = [spaces[occurrence.leaf] for occurrence in found]
        space = self._marks.space
        if space is None or not any(map(any, bordered)):
            return bordered
        try:
            probe = self._run(as_text, self._marks.probing, self._marks.media)
            text, places = self._marks.unmark(probe, self._texts)
        except PromptError:
            return bordered
        if len(places) != len(found):
            return bordered
        return [
            (text[: place.start].endswith(space), text[place.stop :].startswith(space))
            for place in places
        ]


def _as_text(messages: Sequence[Message], shape: Shape) -> tuple[bool, ...]:
    match shape:
        case Shape.AS_GIVEN:
            return tuple(message.plain for message in messages)
        case Shape.WORDS_AS_TEXT:
            return tuple(not message.media for message in messages)
        case Shape.ALL_PARTS:
            return (False,) * len(messages)
        case Shape.ALL_TEXT:
            return (True,) * len(messages)


def _contents(
    messages: Sequence[Message],
    as_text: tuple[bool, ...],
    write: Callable[[int], str],
    show: Callable[[int], str],
) -> list[dict[str, Any]]:
    """The messages as templates see them; `write` and `show` give the text of the i-th words and
    of the i-th media item."""
    leaf = item = 0
    contents: list[dict[str, Any]] = []
    for message, text in zip(messages, as_text, strict=True):
        parts: list[dict[str, str]] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                parts.append({"type": "text", "text": write(leaf)})
                leaf += 1
            else:
                kind = "image" if isinstance(part, ImagePart) else "video"
                parts.append({"type": kind, "text": show(item)})
                item += 1
        contents.append({"role": message.role, "content": _content(parts, text)})
    return contents


def _content(parts: list[dict[str, str]], as_text: bool) -> str | PartList:
    if as_text:
        return "".join(part["text"] for part in parts)
    return PartList(part if part["type"] == "text" else {"type": part["type"]} for part in parts)


def _shared_end(text: str, ending: str) -> int:
    """How many characters of `ending`, counted from its end, end `text`."""
    return next(n for n in range(len(ending), -1, -1) if text.endswith(ending[len(ending) - n :]))


def _depends_on_content() -> PromptError:
    fix = "its words cannot be told from the content's: give another template"
    return PromptError("chat template", "decides by what the content says", fix)
