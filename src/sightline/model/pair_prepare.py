"""One picture and one text to what a pair of towers reads: the way of training and of use."""

# B rows  V views  T tokens

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import torch
from torch import Tensor

from sightline.core.errors import ContextOverflow, PromptError
from sightline.pictures.gateway import PictureSource, open_picture
from sightline.pictures.limits import DEFAULT_LIMITS, PictureLimits
from sightline.prompt.tokenizer import Tokenizer
from sightline.resolution.policy import one_view
from sightline.spec.pair import PairSpec, TextEncoderSpec
from sightline.vision.pixels import render_all

NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class TextIds:
    """A text's ids, ends included; `cut` is how many tokens the context had no room for."""

    ids: tuple[int, ...]
    cut: int = 0


@dataclass(frozen=True, slots=True)
class PairRow:
    """float32[3, H, W] of a picture, the text that belongs to it, and where both come from."""

    id: str
    pixels_3HW: Tensor
    text: TextIds


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Rows side by side: picture i belongs to text i. Those after the first `rows` count for
    nothing.

    Attributes:
        ids: where the rows come from.
        tokens: those of the texts, without padding.
        visual_tokens: rows that leave the vision encoder.
        cut_tokens: those that long texts lost.
    """

    pixels_B3HW: Tensor
    token_ids_BT: Tensor
    ids: tuple[str, ...]
    tokens: int
    visual_tokens: int
    cut_tokens: int = 0

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def weight(self) -> float:
        """What a loss summed over the rows is divided by."""
        return float(self.rows)

    @property
    def capacity(self) -> int:
        """Places for tokens of texts."""
        return self.token_ids_BT.numel() if self.rows else 0

    @property
    def target_tokens(self) -> int:
        """None: whole texts are told apart, not tokens."""
        return 0

    def to(self, device: torch.device, dtype: torch.dtype) -> PairBatch:
        """On `device`, pixels in `dtype`."""
        return replace(
            self,
            pixels_B3HW=self.pixels_B3HW.to(device, dtype),
            token_ids_BT=self.token_ids_BT.to(device),
        )

    def silent(self) -> PairBatch:
        """One picture and one text that run through both towers, and are no row."""
        return PairBatch(self.pixels_B3HW[:1], self.token_ids_BT[:1], (), 0, 0)


@dataclass(frozen=True, slots=True)
class PairPreparer:
    """A pair's way in: its spec, its tokenizer and the limits on pictures."""

    spec: PairSpec
    tokenizer: Tokenizer
    limits: PictureLimits = DEFAULT_LIMITS

    def __call__(self, picture: PictureSource, text: str, *, id: str = "") -> PairRow:
        """Raises PictureError, PromptError or ContextOverflow."""
        return PairRow(id, self.pixels(picture), self.text(text))

    @property
    def visual_tokens(self) -> int:
        """Rows that leave the vision encoder for one picture."""
        side = self.spec.resolution.size
        return self.spec.vision.tokens(self.spec.vision.grid(side, side))

    def pixels(self, picture: PictureSource) -> Tensor:
        """float32[3, H, W]. Raises PictureError."""
        policy = self.spec.resolution
        opened = open_picture(picture, self.limits, over=policy.pixels.over)
        [pixels_3HW] = render_all([opened.rgb], one_view(policy, opened.size), policy.pixels)
        return pixels_3HW

    def text(self, text: str) -> TextIds:
        """Raises PromptError for an empty text, ContextOverflow for one that is too long and may
        not be cut."""
        spec = self.spec.text
        words = self.tokenizer.encode_text(cleaned(text, spec))
        if not words:
            raise PromptError("text", f"{text!r:.40} has no token", "give words")
        room = spec.stack.context - spec.extra_tokens
        if len(words) > room and spec.long_text == "refuse":
            problem = f"{text!r:.40} takes {len(words)} tokens, there is room for {room}"
            raise ContextOverflow("text", problem, "shorten it, or set text.long_text: cut")
        start = () if spec.bos_id is None else (spec.bos_id,)
        return TextIds((*start, *words[:room], spec.eos_id), max(0, len(words) - room))


def cleaned(text: str, spec: TextEncoderSpec) -> str:
    """The text as the tokenizer is given it."""
    match spec.cleaning:
        case "none":
            return text
        case "lower":
            return text.lower()
        case "canonical":
            return " ".join(text.lower().translate(NO_PUNCTUATION).split())
        case _:
            assert_never(spec.cleaning)


def padded(spec: TextEncoderSpec, texts: Sequence[TextIds]) -> Tensor:
    """int64[B, T]: T is the longest text's length, or the whole context."""
    longest = max(len(text.ids) for text in texts)
    length = spec.stack.context if spec.padding == "context" else longest
    return torch.tensor([[*t.ids, *[spec.pad_id] * (length - len(t.ids))] for t in texts])


def collate_pairs(spec: PairSpec, rows: Sequence[PairRow]) -> PairBatch:
    """Rows side by side."""
    texts = [row.text for row in rows]
    side = spec.resolution.size
    return PairBatch(
        torch.stack([row.pixels_3HW for row in rows]),
        padded(spec.text, texts),
        tuple(row.id for row in rows),
        sum(len(text.ids) for text in texts),
        len(rows) * spec.vision.tokens(spec.vision.grid(side, side)),
        sum(text.cut for text in texts),
    )
