"""One view at the picture's own shape."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.resolution.policy import PolicySpec

Ids = tuple[Annotated[int, Field(ge=0)], ...]


class PixelRange(Spec):
    """How many pixels a picture, or each frame of a clip, or all of them together, may have."""

    min_pixels: int = Field(ge=1)
    max_pixels: int = Field(ge=1)
    of: Literal["frame", "clip"] = "frame"

    @model_validator(mode="after")
    def _not_empty(self) -> PixelRange:
        if self.min_pixels > self.max_pixels:
            raise SpecError(
                "max_pixels", f"{self.max_pixels} is below min_pixels {self.min_pixels}", "raise it"
            )
        return self


class TimestampSpec(Spec):
    """`<12.5 seconds>` before each view of a clip, as ids of the model's tokenizer (Qwen3-VL).

    `open` is `<`, `close` is ` seconds>`; `start` and `end` stand around the view's tokens. Digits
    are tokens of their own.
    """

    digits: Ids = Field(min_length=10, max_length=10)
    point: Ids
    open: Ids
    close: Ids
    start: Ids = ()
    end: Ids = ()

    def ids(self, seconds: float) -> tuple[int, ...]:
        """What stands before a view in the middle of which the clip has run for `seconds`."""
        whole, tenth = f"{seconds:.1f}".split(".")
        before = tuple(self.digits[int(digit)] for digit in whole)
        return (*self.open, *before, *self.point, self.digits[int(tenth)], *self.close, *self.start)


class NativeSpec(PolicySpec):
    """Both sides rounded to `multiple`, the whole picture scaled into a range of pixels (Qwen2-VL).

    `pictures` is the range of pictures, `clips` that of clips (None: the same). A side more than
    `max_ratio` times the other is refused. In time, views of a clip count one by one, or
    `tokens_per_second` each second (Qwen2.5-VL); with `timestamps` each stands behind its time.
    """

    kind: Literal["native"] = "native"
    multiple: int = Field(ge=1)
    pictures: PixelRange
    clips: PixelRange | None = None
    max_ratio: float = Field(default=200.0, gt=1)
    tokens_per_second: float | None = Field(default=None, gt=0)
    timestamps: TimestampSpec | None = None

    @model_validator(mode="after")
    def _pictures_have_frames_of_their_own(self) -> NativeSpec:
        if self.pictures.of != "frame":
            raise SpecError("pictures.of", "clip has no meaning for pictures", "use frame")
        return self

    @property
    def least_side(self) -> int:
        """Pixels of the shortest side that a view can have."""
        return self.multiple

    @property
    def text_ids(self) -> tuple[int, ...]:
        """Ids that its layouts write."""
        t = self.timestamps
        return () if t is None else (*t.digits, *t.point, *t.open, *t.close, *t.start, *t.end)
