"""What a spec alone cannot refuse because it takes counting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from sightline.core.errors import ContextOverflow
from sightline.core.geometry import MediaSize
from sightline.planner.workload import Picture, Workload, workload
from sightline.spec.model import ModelSpec
from sightline.spec.resolution import FixedSpec


def check(
    spec: ModelSpec,
    media: Sequence[Picture] | None = None,
    *,
    text_tokens: int = 0,
    answer_tokens: int = 0,
) -> None:
    """Raise ContextOverflow unless these pictures (default: one), the text and the answer fit.

    The error names text and visual tokens and the first picture that has no room.
    """
    pictures = [standard_picture(spec)] if media is None else media
    check_fits(workload(spec, pictures, text_tokens=text_tokens, answer_tokens=answer_tokens))


def check_fits(work: Workload) -> None:
    """Raise ContextOverflow unless one conversation fits into the context."""
    context = work.spec.language.context
    if work.tokens <= context:
        return
    if max(work.span_tokens, default=0) > context:
        raise _one_too_large(work)
    counts = f"{work.text_tokens} text + {work.visual_tokens} visual"
    answer = f" + {work.answer_tokens} answer" if work.answer_tokens else ""
    raise ContextOverflow(
        "language.context",
        f"{counts}{answer} = {work.tokens} tokens exceed {context}{_first_without_room(work)}",
        "send fewer or smaller pictures, less text, or use a model with a longer context",
    )


def _one_too_large(work: Workload) -> ContextOverflow:
    context = work.spec.language.context
    index = next(i for i, tokens in enumerate(work.span_tokens) if tokens > context)
    size, tokens = work.media[index], work.span_tokens[index]
    return ContextOverflow(
        "language.context",
        f"{context} tokens cannot hold picture {index + 1} ({size.width}×{size.height}), "
        f"which is {tokens}",
        "lower the resolution, or use a language model with a longer context",
    )


def _first_without_room(work: Workload) -> str:
    """Which picture crosses the context, counting text and answer first."""
    used = work.text_tokens + work.answer_tokens
    for index, (size, tokens) in enumerate(zip(work.media, work.span_tokens, strict=True)):
        used += tokens
        if used > work.spec.language.context:
            name = f"picture {index + 1} of {len(work.media)} ({size.width}×{size.height}, "
            return f"; {name}{tokens} tokens) is the first without room"
    return ""


def standard_picture(spec: ModelSpec) -> MediaSize:
    """A picture of the size that the model was made for."""
    match spec.resolution:
        case FixedSpec(size=side):
            return MediaSize(side, side)
        case _:
            assert_never(spec.resolution)


def at_side(spec: ModelSpec, side: int) -> tuple[ModelSpec, MediaSize]:
    """The model that sees a square picture of `side` pixels in full, and that picture.

    A fixed resolution is changed to `side` (learned positions are stretched); one that follows
    the picture needs no change.
    """
    match spec.resolution:
        case FixedSpec() as fixed:
            seen = fixed.model_copy(update={"size": side, "shortest_edge": None})
            return spec.model_copy(update={"resolution": seen}), MediaSize(side, side)
        case _:
            assert_never(spec.resolution)
