"""A conversation as token ids: placeholders for pictures, targets for training, by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sightline.core.errors import ContextOverflow, PromptError
from sightline.prompt.chat import ChatTemplate
from sightline.prompt.grounding import style_tokens
from sightline.prompt.labels import Targets, answer_lead, token_messages
from sightline.prompt.messages import Message, VideoPart, media_of
from sightline.prompt.placeholders import Place, items_of
from sightline.prompt.templates import template_source
from sightline.prompt.tokenizer import Token, Tokenizer
from sightline.spec.prompt import ImageTokenSpec, PromptSpec

# What one media item is in the sequence: so many placeholders, or placeholders (None) and text ids.
MediaSpan = int | Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Span:
    """token_ids[start:stop] stand for media item `media`; the tokens around it are outside."""

    start: int
    stop: int
    media: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation in the model's vocabulary; the lists are as long as each other.

    `text` is the prompt with one placeholder for each picture. `targets` are the tokens that
    training teaches. `message_of` is the index of the message that a token belongs to, None for
    the template's own.
    """

    text: str
    token_ids: list[int]
    targets: list[bool]
    message_of: list[int | None]
    spans: tuple[Span, ...] = ()

    @property
    def visual_tokens(self) -> int:
        """Tokens inside the spans of media."""
        return sum(span.stop - span.start for span in self.spans)

    @property
    def text_tokens(self) -> int:
        return len(self.token_ids) - self.visual_tokens


def encode(
    messages: Sequence[Message],
    tokenizer: Tokenizer,
    spec: PromptSpec,
    spans: Sequence[MediaSpan] = (),
    *,
    add_generation_prompt: bool = False,
    targets: Targets = "answer",
) -> Encoded:
    """Ids, targets and spans of a conversation.

    `spans` gives each item (a picture, a clip, or one frame of a clip that is read as pictures), in
    order, as a number of placeholders or as a run of placeholders (None) and text ids. An item
    becomes `before`, its span, `after`, as the spec says; the spans of the result are in the order
    of the sequence. The bos of the spec comes first unless the template has written it.

    `targets`: `content` are the tokens that start in assistant content (white space that the
    template puts before it set aside); `answer` adds what a model must write around it: spaces
    between the generation prompt and the content, and the stop token (one of `spec.stop_ids`) that
    the template writes after it, with only spaces between. Pictures are never targets.

    Raises PromptError for a template that fails or changes content, a wrong number of spans, a
    placeholder that the tokenizer does not know under the spec's id, and a request for an answer
    after an answer.
    """
    _check(messages, tokenizer, spec, spans)
    if add_generation_prompt and messages[-1].role == "assistant":
        problem = "end with an assistant message"
        raise PromptError("messages", problem, "end with a question, or ask for no answer")
    chat = chat_template(tokenizer, spec)
    rendered = chat.render(messages, add_generation_prompt=add_generation_prompt)
    allowed = (*style_tokens(spec.grounding), *spec.content_tokens)
    tokens = tokenizer.encode(rendered.text, rendered.control(), allowed)
    whole = targets == "answer"
    owners = token_messages(
        tokens,
        rendered,
        messages,
        lead=answer_lead(chat, rendered, messages) if whole else 0,
        stop_ids=spec.stop_ids if whole else (),
    )
    expansion = _Expansion(messages, spec, spans, rendered.media)
    if spec.bos_id is not None and not (tokens and tokens[0].id == spec.bos_id):
        expansion.add([spec.bos_id], None)
    for token, owner in zip(tokens, owners, strict=True):
        if spans and expansion.stands_for(token):
            expansion.add_item(token)
        else:
            expansion.add([token.id], owner)
    return expansion.finish(rendered.text)


def chat_template(tokenizer: Tokenizer, spec: PromptSpec) -> ChatTemplate:
    """The template of a spec with the tokens that it may name."""
    return ChatTemplate(
        template_source(spec.template),
        spec.image.text,
        dict(tokenizer.config.named),
        clip_text=spec.clip_text,
        around=spec.image.around,
    )


class Counted(Protocol):
    """A sequence of ids and where its media stand."""

    @property
    def token_ids(self) -> Sequence[int]: ...
    @property
    def spans(self) -> Sequence[Span]: ...
    @property
    def visual_tokens(self) -> int: ...
    @property
    def text_tokens(self) -> int: ...


def check_context(encoded: Counted, context: int, *, answer_tokens: int = 0) -> None:
    """Raises ContextOverflow, naming the largest picture, if the prompt and `answer_tokens` more
    do not fit into `context` tokens."""
    total = len(encoded.token_ids) + answer_tokens
    if total <= context:
        return
    parts = [f"{encoded.text_tokens} of text", f"{encoded.visual_tokens} visual"]
    parts += [f"{answer_tokens} to answer"] if answer_tokens else []
    problem = f"need {total} tokens ({', '.join(parts)}), the context holds {context}"
    fix = "shorten the text"
    if encoded.spans:
        largest = max(encoded.spans, key=lambda span: span.stop - span.start)
        problem += f"; picture {largest.media} is the largest with {largest.stop - largest.start}"
        fix = "give fewer or smaller pictures, or shorten the text"
    raise ContextOverflow("messages", problem, fix)


class _Expansion:
    """The sequence in the making: tokens, and media in place of their placeholders."""

    def __init__(
        self,
        messages: Sequence[Message],
        spec: PromptSpec,
        spans: Sequence[MediaSpan],
        places: Sequence[Place],
    ) -> None:
        self._messages, self._layouts, self._places = messages, spans, places
        readers = (spec.image, *([spec.video] if spec.video else ()))
        self._readers = {reader.written_id: reader for reader in readers}
        self._owners_of_items = [
            i
            for i, message in enumerate(messages)
            for part in message.media
            for _ in range(items_of(part))
        ]
        self._ids: list[int] = []
        self._targets: list[bool] = []
        self._owners: list[int | None] = []
        self._spans: list[Span] = []

    def stands_for(self, token: Token) -> bool:
        """Whether this is the placeholder of a picture or clip."""
        return token.id in self._readers

    def add(self, ids: Sequence[int], owner: int | None, *, taught: bool = True) -> None:
        """Ids of one message; those of an answer are targets if they are `taught`."""
        answer = owner is not None and self._messages[owner].role == "assistant"
        self._ids.extend(ids)
        self._targets.extend([taught and answer] * len(ids))
        self._owners.extend([owner] * len(ids))

    def add_item(self, placeholder: Token) -> None:
        """The next picture or clip: before, its span, after."""
        if not placeholder.added or len(self._spans) == len(self._layouts):
            raise self._mismatch(len(self._spans) + 1)
        item, reader = self._places[len(self._spans)].item, self._readers[placeholder.id]
        layout, owner = self._layouts[item], self._owners_of_items[item]
        marks = [None] * layout if isinstance(layout, int) else layout
        self.add(reader.before, owner, taught=False)
        start = len(self._ids)
        self.add([reader.id if id_ is None else id_ for id_ in marks], owner, taught=False)
        self._spans.append(Span(start, len(self._ids), item))
        self.add(reader.after, owner, taught=False)

    def finish(self, text: str) -> Encoded:
        if len(self._spans) != len(self._layouts):
            raise self._mismatch(len(self._spans))
        return Encoded(text, self._ids, self._targets, self._owners, tuple(self._spans))

    def _mismatch(self, found: int) -> PromptError:
        problem = f"gives {found} placeholder tokens for {len(self._layouts)} pictures"
        fix = "the placeholder must be an added token, written once for each picture"
        return PromptError("chat template", problem, fix)


def _check(
    messages: Sequence[Message],
    tokenizer: Tokenizer,
    spec: PromptSpec,
    spans: Sequence[MediaSpan],
) -> None:
    media = media_of(messages)
    items = sum(items_of(part) for part in media)
    if len(spans) != items:
        problem = f"{len(spans)} spans for {items} media items"
        raise PromptError("spans", problem, "lay out every picture once")
    for i, span in enumerate(spans):
        if (span if isinstance(span, int) else len(span)) < 1:
            raise PromptError(f"spans.{i}", "has no tokens", "give every picture at least one")
    if any(not isinstance(part, VideoPart) for part in media):
        _check_placeholder(tokenizer, spec.image, "image")
    if spec.video is not None and any(isinstance(part, VideoPart) for part in media):
        _check_placeholder(tokenizer, spec.video, "video")


def _check_placeholder(tokenizer: Tokenizer, reader: ImageTokenSpec, name: str) -> None:
    if reader.text in tokenizer and tokenizer.id_of(reader.text) == reader.written_id:
        return
    found = tokenizer.id_of(reader.text) if reader.text in tokenizer else "not in the vocabulary"
    problem = f"is {reader.written_id}, but the tokenizer's {reader.text!r} is {found}"
    fix = "add the token (add_token) and use its id"
    raise PromptError(f"prompt.{name}.id", problem, fix)
