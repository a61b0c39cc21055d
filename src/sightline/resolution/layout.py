"""What a conversation's media become, in integers alone (promise 1: one count)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sightline.core.geometry import Grid, Size
from sightline.spec.resolution import PoolSpec


@dataclass(frozen=True, slots=True)
class Canvas:
    """A surface of `size` pixels that a picture is laid on with its corner at (`x`, `y`).

    Negative offsets cut, positive ones leave background.
    """

    size: Size
    x: int = 0
    y: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """One encoder input: frames of media `media`, put on `before`, resized, put on `window`.

    original -> (pad or cut to `before`) -> resize to `resized` -> (pad or cut to `window`)

    `steps` are sizes that it is resized to on the way to `resized`, each rounded to uint8.

    An encoder that reads several frames at once gets as many; a picture is its own next frame.
    `pool` makes fewer tokens of it.
    """

    media: int
    before: Canvas
    resized: Size
    window: Canvas
    frames: tuple[int, ...] = (0,)
    pool: PoolSpec | None = None
    steps: tuple[Size, ...] = ()

    @property
    def size(self) -> Size:
        return self.window.size


@dataclass(frozen=True, slots=True)
class Stitch:
    """How the visual tokens of `tiles` views, row-major, become one sheet.

    Each view has `tile` of them. They are set side by side; the cells `kept` from (`top`, `left`)
    on remain (the rest showed padding), and are scaled bilinearly where the grid of the segment is
    another. The learned vector `row_end` follows every row.
    """

    tiles: Grid
    tile: Grid
    kept: Grid
    top: int = 0
    left: int = 0
    row_end: str | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """A run of visual tokens: the connector's rows for `view`, or a sheet of views from it on.

    `grid` is what they form (one row where they form none). Its area is `tokens`, less the ends of
    rows, and less a class token where the encoder keeps it. `time` is the place of the run on the
    time axis of its media. The last `padding` tokens show no part of the view. A run that is only
    a part of its view begins with the view's token `start`.
    """

    view: int
    tokens: int
    grid: Grid
    time: int = 0
    stitch: Stitch | None = None
    padding: int = 0
    start: int = 0


@dataclass(frozen=True, slots=True)
class Learned:
    """`tokens` copies of a learned vector, such as LLaVA-NeXT's newline."""

    name: str
    tokens: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """Fixed text ids inside a visual span: row tags, timestamps."""

    ids: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return len(self.ids)


Segment = Features | Learned | Text


@dataclass(frozen=True, slots=True)
class MediaLayout:
    """One media item in the sequence: an atomic run of segments.

    `memory` are runs kept outside the sequence for cross-attention.
    """

    segments: tuple[Segment, ...]
    memory: tuple[Features | Learned, ...] = ()

    @property
    def tokens(self) -> int:
        """Self-attention tokens of the whole span, tags included."""
        return sum(segment.tokens for segment in self.segments)

    @property
    def visual_tokens(self) -> int:
        """Those that come from the connector or are learned."""
        return sum(s.tokens for s in self.segments if not isinstance(s, Text))

    @property
    def memory_tokens(self) -> int:
        """Rows outside the sequence."""
        return sum(segment.tokens for segment in self.memory)


@dataclass(frozen=True, slots=True)
class VisualLayout:
    """All media of a conversation, in order; `views` are numbered across media.

    `sources` is given where a clip is read as pictures, each an item of `media`: for each item the
    number of the picture or clip that it comes from. `notes` say what a budget has changed.
    """

    views: tuple[View, ...]
    media: tuple[MediaLayout, ...]
    sources: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        return sum(item.tokens for item in self.media)

    @property
    def visual_tokens(self) -> int:
        return sum(item.visual_tokens for item in self.media)

    @property
    def memory_tokens(self) -> int:
        return sum(item.memory_tokens for item in self.media)

    def frames(self, media: int) -> tuple[int, ...]:
        """The frames of one media item that are looked at: those to decode, in order."""
        return tuple(sorted({f for v in self.views if v.media == media for f in v.frames}))

    def features(self) -> Iterable[Features]:
        """Feature runs in the order of sequence or memory."""
        for item in self.media:
            yield from (s for s in (*item.segments, *item.memory) if isinstance(s, Features))
