"""Pages of a PDF as pictures, through pypdfium2 (the `pdf` extra).

PDFium is not thread-safe: one thread at a time may be in here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.core.errors import PictureError
from sightline.core.geometry import Size
from sightline.pictures.limits import DEFAULT_DOCUMENT_LIMITS, DocumentLimits
from sightline.pictures.picture import Picture
from sightline.pictures.source import DOCUMENT, EncodedSource, name_of, opened

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

DEFAULT_DPI = 144.0
_POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a document: its number from 1, of how many, and its size in points."""

    number: int
    of: int
    width: float
    height: float

    def pixels(self, dpi: float) -> Size:
        """What it is drawn on at so many dots per inch."""
        scale = dpi / _POINTS_PER_INCH
        return Size(math.ceil(self.width * scale), math.ceil(self.height * scale))


def probe_pages(
    source: EncodedSource,
    limits: DocumentLimits = DEFAULT_DOCUMENT_LIMITS,
    *,
    first: int = 1,
    last: int | None = None,
) -> tuple[Page, ...]:
    """The pages `first` to `last` (the end if None), counted from 1, without drawing them.

    Raises PictureError, which names the source, for a document that is encrypted, damaged or has
    no pages, a range outside it, and more pages than the limit.
    """
    name = name_of(source, DOCUMENT)
    with _document(source, name, limits) as document:
        return _pages(document, name, limits, first, last)


def open_pages(
    source: EncodedSource,
    limits: DocumentLimits = DEFAULT_DOCUMENT_LIMITS,
    *,
    dpi: float = DEFAULT_DPI,
    first: int = 1,
    last: int | None = None,
) -> tuple[Picture, ...]:
    """Draw these pages (see `probe_pages`) on white at `dpi` dots per inch, upright, with their
    annotations. All limits are checked before the first is drawn. Raises PictureError."""
    name = name_of(source, DOCUMENT)
    with _document(source, name, limits) as document:
        pages = _pages(document, name, limits, first, last)
        check_density(name, pages, dpi, limits)
        return tuple(_drawn(document, page, dpi, name) for page in pages)


def check_density(name: str, pages: tuple[Page, ...], dpi: float, limits: DocumentLimits) -> None:
    """Raises PictureError for a density that is none, and for too many pixels."""
    if not 0 < dpi < math.inf:
        raise PictureError("dpi", f"{dpi} is no density", "give dots per inch, over 0")
    total = 0
    for page in pages:
        size = page.pixels(dpi)
        total += size.area
        if not 0 < size.area <= limits.max_pixels:
            raise PictureError(
                name,
                f"page {page.number} would be {size.width} × {size.height} pixels at {dpi:g} dpi, "
                f"the limit is {limits.max_pixels:,} in all",
                "give a lower dpi or raise max_pixels",
            )
    if total > limits.max_total_pixels:
        raise PictureError(
            name,
            f"{len(pages)} pages would have {total:,} pixels at {dpi:g} dpi, the limit is "
            f"{limits.max_total_pixels:,}",
            "give fewer pages, a lower dpi, or raise max_total_pixels",
        )


@contextmanager
def _document(source: EncodedSource, name: str, limits: DocumentLimits) -> Iterator[PdfDocument]:
    pdfium = _library(name)
    with opened(source, limits, DOCUMENT) as stream:
        data = stream.read()
    if b"%PDF" not in data[:1024]:
        raise PictureError(name, "is not a PDF document", "give a PDF")
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        raise _unread(name, error.err_code) from None
    try:
        yield document
    finally:
        document.close()


def _unread(name: str, code: int) -> PictureError:
    """What PDFium's codes mean; it takes no document without pages, and calls that a success."""
    match code:
        case 0:
            return PictureError(name, "has no pages", "give a document with at least one")
        case 4:
            return PictureError(name, "is encrypted", "save it without a password")
        case _:
            return PictureError(name, "is damaged or incomplete", "save it again as PDF")


def _library(name: str) -> Any:
    try:
        import pypdfium2
    except ImportError:
        raise PictureError(
            name, "is a document, which needs pypdfium2", "pip install sightline[pdf]"
        ) from None
    return pypdfium2


def _pages(
    document: PdfDocument, name: str, limits: DocumentLimits, first: int, last: int | None
) -> tuple[Page, ...]:
    count = len(document)
    end = count if last is None else last
    if not 1 <= first <= end <= count:
        fix = f"give first and last within 1..{count}"
        raise PictureError(name, f"has {count} pages, not {first} to {end}", fix)
    if end - first + 1 > limits.max_pages:
        problem = f"would give {end - first + 1} pages, the limit is {limits.max_pages}"
        raise PictureError(name, problem, "give a range of pages or raise max_pages")
    sizes = [document.get_page_size(number - 1) for number in range(first, end + 1)]
    return tuple(Page(first + i, count, *size) for i, size in enumerate(sizes))


def _drawn(document: PdfDocument, page: Page, dpi: float, name: str) -> Picture:
    size = page.pixels(dpi)
    try:
        sheet = document[page.number - 1]
        bitmap = sheet.render(scale=dpi / _POINTS_PER_INCH, rev_byteorder=True)
        drawn = bitmap.to_numpy()
        rgb = np.array(drawn[..., :3] if drawn.ndim == 3 else drawn[..., None].repeat(3, 2))
        bitmap.close()
        sheet.close()
    except Exception:
        problem = f"page {page.number} cannot be drawn"
        raise PictureError(name, problem, "save it again as PDF, or leave it out") from None
    if rgb.shape != (size.height, size.width, 3):
        raise PictureError(name, f"page {page.number} has another size", "save it again as PDF")
    return Picture(rgb, (f"page {page.number} of {page.of}",))
