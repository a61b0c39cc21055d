"""What is asked of a model: pictures, text, answer, batch and number format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sightline.core.errors import PlanError
from sightline.core.geometry import MediaSize
from sightline.planner.decoder import decoder_scratch
from sightline.planner.encoder import encoder_scratch
from sightline.planner.formats import FORMATS, WeightDtype, as_dtype, weight_bytes
from sightline.planner.tensors import weights
from sightline.planner.work import Work, decode_work, encode_work, kv_bytes, prefill_work
from sightline.resolution.layout import VisualLayout
from sightline.resolution.policy import layout
from sightline.spec.model import ModelSpec

Picture = MediaSize | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Workload:
    """`batch` equal conversations. Build it with `workload`, which checks the numbers."""

    spec: ModelSpec
    media: tuple[MediaSize, ...]
    layout: VisualLayout
    text_tokens: int
    answer_tokens: int
    batch: int
    dtype: WeightDtype

    @property
    def span_tokens(self) -> tuple[int, ...]:
        """Tokens of each picture's or clip's span, the special tokens around it included."""
        prompt = self.spec.prompt
        readers = (
            prompt.video if size.video and prompt.video else prompt.image for size in self.media
        )
        around = (len(reader.before) + len(reader.after) for reader in readers)
        return tuple(item.tokens + n for item, n in zip(self.layout.media, around, strict=True))

    @property
    def visual_tokens(self) -> int:
        """Tokens of all spans."""
        return sum(self.span_tokens)

    @property
    def prompt_tokens(self) -> int:
        """Text and visual tokens of one conversation before its answer."""
        return self.text_tokens + self.visual_tokens

    @property
    def tokens(self) -> int:
        """All tokens of one conversation."""
        return self.prompt_tokens + self.answer_tokens

    @property
    def weight_bytes(self) -> int:
        """The whole model in this format, blocks that never run included."""
        parts = (weights(self.spec, p) for p in ("vision", "connector", "language"))
        return sum(weight_bytes(part, self.dtype) for part in parts)

    @property
    def kv_bytes(self) -> int:
        """Keys and values of one conversation with its answer."""
        return kv_bytes(self.spec, self.tokens, self.dtype, self.layout.memory_tokens)

    @property
    def workspace_bytes(self) -> int:
        """An upper estimate of what encoding or prefill of one conversation needs at its peak,
        besides weights and cache."""
        spec = self.spec
        encoding = encoder_scratch(spec.vision, (view.size for view in self.layout.views))
        prefill = decoder_scratch(spec.language, self.prompt_tokens)
        visual = self.layout.visual_tokens + self.layout.memory_tokens
        held = visual * spec.visual_width
        logits = 4 * spec.language.vocab
        return (max(encoding, prefill) + held) * FORMATS[self.dtype].value_bytes + logits

    def encode(self) -> Work:
        """All pictures of the batch."""
        return encode_work(self.spec, self.layout, self.dtype, self.batch)

    def prefill(self) -> Work:
        """All prompts of the batch."""
        memory = self.layout.memory_tokens
        return prefill_work(self.spec, self.prompt_tokens, self.dtype, self.batch, memory)

    def decode(self) -> Work:
        """One token for each of the batch, halfway through the answer."""
        context = self.prompt_tokens + self.answer_tokens // 2
        memory = self.layout.memory_tokens
        return decode_work(self.spec, context, self.dtype, self.batch, memory)

    def with_batch(self, batch: int) -> Workload:
        """The same conversations, `batch` of them."""
        return replace(self, batch=batch)


def workload(
    spec: ModelSpec,
    images: Sequence[Picture] = (),
    *,
    text_tokens: int = 0,
    answer_tokens: int = 0,
    batch: int = 1,
    dtype: WeightDtype = "bf16",
) -> Workload:
    """Lay out the pictures. Raises PlanError for numbers that make no sense."""
    for field, value, least in (
        ("text_tokens", text_tokens, 0),
        ("answer_tokens", answer_tokens, 0),
        ("batch", batch, 1),
    ):
        if type(value) is not int or value < least:
            raise PlanError(
                field, f"{value!r} is not usable", f"give an integer of {least} or more"
            )
    number, media = as_dtype(dtype), tuple(as_media(picture) for picture in images)
    laid = layout(spec, media)
    if laid.sources:  # a clip that is read as pictures
        media = tuple(media[source] for source in laid.sources)
    return Workload(spec, media, laid, text_tokens, answer_tokens, batch, number)


def as_media(picture: Picture) -> MediaSize:
    """A picture given as width and height. Raises PlanError for what is none."""
    match picture:
        case MediaSize() as media:
            pass
        case (width, height):
            media = MediaSize(width, height)
        case _:
            raise _no_picture(picture)
    if any(type(n) is not int or n < 1 for n in (media.width, media.height, media.frames)):
        raise _no_picture(picture)
    return media


def _no_picture(given: object) -> PlanError:
    return PlanError(
        "images", f"{given!r} is not a picture size", "give width and height of 1 or more"
    )
