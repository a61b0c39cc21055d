"""Integer grids and sizes, and geometry in pixels of the picture that the user gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grid:
    """A rectangle of cells, row-major."""

    rows: int
    cols: int

    @property
    def area(self) -> int:
        return self.rows * self.cols


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class MediaSize:
    """What a layout needs to know of one picture or clip, from its header alone.

    `video` says that it was given as a clip, be it of one frame; `keyframes` are the frames that
    its file stores whole, where the file says so.
    """

    width: int
    height: int
    frames: int = 1
    fps: float | None = None
    video: bool = False
    keyframes: tuple[int, ...] = ()

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


@dataclass(frozen=True, slots=True)
class Point:
    """A position in pixels from the top left corner of the user's picture."""

    x: float
    y: float
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, corners in pixels of the user's picture; x1 and y1 are exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: str | None = None

    @property
    def area(self) -> float:
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    @property
    def centre(self) -> Point:
        return Point((self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2)

    def scaled(self, x: float, y: float) -> Box:
        """The box with its x coordinates times `x` and its y coordinates times `y`."""
        return Box(self.x0 * x, self.y0 * y, self.x1 * x, self.y1 * y, self.label)

    def iou(self, other: Box) -> float:
        """Intersection over union in 0..1; 0 if both are empty."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        shared = max(0.0, width) * max(0.0, height)
        union = self.area + other.area - shared
        return shared / union if union > 0 else 0.0
