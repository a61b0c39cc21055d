"""Which tokens an answer consists of: training targets by construction, not by searching text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import Literal

from sightline.core.errors import PromptError
from sightline.prompt.chat import TEMPLATE, ChatTemplate, ContentSpan, Rendered
from sightline.prompt.messages import Message
from sightline.prompt.tokenizer import Token

# `content`: tokens that start in assistant content. `answer`: and what a model must write around it
# by itself, namely the spaces that are not in the generation prompt and the token that ends a turn.
Targets = Literal["answer", "content"]


def token_messages(
    tokens: Sequence[Token],
    rendered: Rendered,
    messages: Sequence[Message],
    *,
    lead: int = 0,
    stop_ids: Collection[int] = (),
) -> list[int | None]:
    """The message that each token belongs to, None for the template's.

    A token belongs to the message in whose content it starts. White space that the template puts in
    front of content does not count as a start: the `▁answer` of `ASSISTANT: answer` is content.
    To each assistant message also belong `lead` characters of template space before it and, if the
    template follows it with one of `stop_ids`, that token and the spaces before it.
    """
    origin = rendered.origin()
    answers = _answers(rendered, messages)
    for first, _ in answers:
        start = first.start - min(lead, _space_before(rendered, first))
        origin[start : first.start] = [first.message] * (first.start - start)
    starts = [_first_said(token, origin, rendered.text) for token in tokens]
    owners = [None if owner == TEMPLATE else owner for owner in starts]
    for _, last in answers:
        tail = _turn_end(tokens, rendered.text, origin, last.stop, stop_ids)
        owners[tail.start : tail.stop] = [last.message] * len(tail)
    return owners


def answer_lead(chat: ChatTemplate, rendered: Rendered, messages: Sequence[Message]) -> int:
    """How many characters of space a template writes between generation prompt and answer.

    Vicuna's prompt ends in `ASSISTANT:` and its answers start with a space, so that the space is
    the model's to write. Looked up at the first answer; 0 where the prompt is no prefix.
    """
    answers = _answers(rendered, messages)
    if not answers or not (space := _space_before(rendered, answers[0][0])):
        return 0
    first = answers[0][0]
    try:
        prompt = chat.render(messages[: first.message], add_generation_prompt=True).text
    except PromptError:
        return 0
    lead = first.start - len(prompt)
    return lead if rendered.text.startswith(prompt) and 0 <= lead <= space else 0


def _answers(
    rendered: Rendered, messages: Sequence[Message]
) -> list[tuple[ContentSpan, ContentSpan]]:
    """First and last content span of each assistant message."""
    found: dict[int, tuple[ContentSpan, ContentSpan]] = {}
    for span in rendered.content:
        if messages[span.message].role == "assistant":
            first, _ = found.get(span.message, (span, span))
            found[span.message] = first, span
    return list(found.values())


def _space_before(rendered: Rendered, span: ContentSpan) -> int:
    """The template's white space directly before a span."""
    end = max((other.stop for other in rendered.content if other.stop <= span.start), default=0)
    written = rendered.text[end : span.start]
    return len(written) - len(written.rstrip())


def _first_said(token: Token, origin: Sequence[int], text: str) -> int:
    """The origin of a token's first character that is not the template's white space."""
    for i in range(token.start, token.stop):
        if origin[i] != TEMPLATE or not text[i].isspace():
            return origin[i]
    return TEMPLATE


def _turn_end(
    tokens: Sequence[Token], text: str, origin: Sequence[int], end: int, stop_ids: Collection[int]
) -> range:
    """The tokens after text[:end] up to the one that ends the turn; empty if there is none."""
    first = bisect_left(tokens, end, key=lambda token: token.start)
    if first and tokens[first - 1].added and tokens[first - 1].stop > end:
        first -= 1  # an end token that swallows spaces of the content
    for i in range(first, len(tokens)):
        token = tokens[i]
        if token.added and token.id in stop_ids:
            return range(first, i + 1)
        written = TEMPLATE in origin[token.start : token.start + 1]
        if not written or not text[token.start : token.stop].isspace():
            break
    return range(0)
