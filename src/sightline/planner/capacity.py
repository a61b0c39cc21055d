"""The largest picture, batch and context that a memory holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sightline.core.config import Spec
from sightline.core.errors import PlanError
from sightline.planner.context import at_side, standard_picture
from sightline.planner.formats import WeightDtype
from sightline.planner.units import show_bytes
from sightline.planner.work import kv_bytes
from sightline.planner.workload import Picture, Workload, workload
from sightline.resolution.layout import VisualLayout
from sightline.spec.model import ModelSpec

MAX_SIDE = 8192  # larger pictures are not searched


class Fit(Spec):
    """What one memory holds.

    kv_memory_bytes: what weights and workspace leave. max_batch: conversations of the given kind at
    once. max_context: tokens of one conversation (at most what the model was made for).
    max_pictures: pictures of the given size in one conversation with its text and answer.
    max_side: side in pixels of the largest square picture that the model could see in full, beside
    text and answer; 0 if none fits. Fixed resolutions would have to be set to it.
    """

    memory_bytes: int
    weight_bytes: int
    workspace_bytes: int
    kv_memory_bytes: int
    max_batch: int
    max_context: int
    max_pictures: int
    max_side: int


def fit(
    spec: ModelSpec,
    memory_bytes: int,
    *,
    images: Sequence[Picture] | None = None,
    text_tokens: int = 100,
    answer_tokens: int = 100,
    dtype: WeightDtype = "bf16",
) -> Fit:
    """Largest batch, context, number and size of pictures; `images` (default: one) is the kind of
    conversation. Raises PlanError if the memory does not even hold the weights."""
    pictures = [standard_picture(spec)] if images is None else images
    work = workload(
        spec, pictures, text_tokens=text_tokens, answer_tokens=answer_tokens, dtype=dtype
    )
    left = kv_memory(work, memory_bytes)
    if left < 0:
        needed = show_bytes(work.weight_bytes + work.workspace_bytes)
        raise PlanError(
            "memory",
            f"{show_bytes(memory_bytes)} do not hold the model's {needed} in {dtype}",
            "use a smaller format (int8, int4), a smaller model, or more memory",
        )
    return Fit(
        memory_bytes=memory_bytes,
        weight_bytes=work.weight_bytes,
        workspace_bytes=work.workspace_bytes,
        kv_memory_bytes=left,
        max_batch=requests(work, memory_bytes),
        max_context=_max_context(work, left),
        max_pictures=_max_pictures(work, memory_bytes),
        max_side=_max_side(work, memory_bytes),
    )


def concurrency(
    spec: ModelSpec,
    memory_bytes: int,
    text_tokens: int,
    images: Sequence[Picture] = (),
    *,
    answer_tokens: int = 0,
    dtype: WeightDtype = "bf16",
) -> int:
    """Conversations whose keys and values fit into `memory_bytes`: the memory that the weights
    leave. No room is lost to blocks or padding, as in a paged cache with small pages."""
    work = workload(spec, images, text_tokens=text_tokens, answer_tokens=answer_tokens, dtype=dtype)
    if memory_bytes < 0:
        raise PlanError("memory", f"{memory_bytes} bytes are less than nothing", "give 0 or more")
    if work.tokens == 0:
        raise PlanError("text_tokens", "there is neither text nor picture", "give one of them")
    return memory_bytes // work.kv_bytes


def kv_memory(work: Workload, memory_bytes: int) -> int:
    """What weights and workspace leave for keys and values; negative if they do not fit."""
    return memory_bytes - work.weight_bytes - work.workspace_bytes


def requests(work: Workload, memory_bytes: int) -> int:
    """Conversations of this kind that a memory holds beside the weights."""
    if work.tokens > work.spec.language.context:
        return 0
    return max(0, kv_memory(work, memory_bytes)) // max(1, work.kv_bytes)


def needed_bytes(work: Workload) -> int:
    """Weights, cache and workspace of the whole batch at once."""
    return work.weight_bytes + work.batch * (work.kv_bytes + work.workspace_bytes)


def pictures_in_context(work: Workload) -> int | None:
    """How many of its first picture the context holds beside text and answer; None without one."""
    if not work.media:
        return None
    left = work.spec.language.context - work.text_tokens - work.answer_tokens
    return max(0, left) // max(1, work.span_tokens[0])


def _max_context(work: Workload, left: int) -> int:
    """Tokens of one conversation whose cache fits."""
    context, dtype = work.spec.language.context, work.dtype
    return _largest(context, lambda tokens: kv_bytes(work.spec, tokens, dtype) <= left)


def _max_pictures(work: Workload, memory_bytes: int) -> int:
    """Copies of the first picture that one conversation has room for."""
    most = pictures_in_context(work) or 0
    return _largest(most, lambda times: requests(_repeated(work, times), memory_bytes) > 0)


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number of 0..limit that fits, if all below one that fits do too."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _repeated(work: Workload, times: int) -> Workload:
    """The same conversation with its first picture `times` times (views keep its number)."""
    own = tuple(view for view in work.layout.views if view.media == 0)
    spans = VisualLayout(own * times, work.layout.media[:1] * times)
    return replace(work, media=work.media[:1] * times, layout=spans)


def _max_side(work: Workload, memory_bytes: int) -> int:
    patch = work.spec.vision.patch
    for side in range(MAX_SIDE // patch * patch, 0, -patch):
        if requests(seen_at(work, side), memory_bytes):
            return side
    return 0


def seen_at(work: Workload, side: int) -> Workload:
    """The same conversation about one square picture that is seen at `side` pixels."""
    spec, media = at_side(work.spec, side)
    seen = workload(
        spec,
        [media],
        text_tokens=work.text_tokens,
        answer_tokens=work.answer_tokens,
        dtype=work.dtype,
    )
    return replace(seen, batch=work.batch)
