"""Pictures as base64 in a text field, as TSV files hold them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from sightline.core.errors import PictureError
from sightline.data.dialects.context import Context
from sightline.data.dialects.media import from_base64
from sightline.data.sources.table import Table
from sightline.eval.tasks.table import Row
from sightline.pictures import probe

_LONGEST_INDEX = 64


@dataclass(frozen=True, slots=True, eq=False)
class CodedPicture:
    """A picture that a file holds as base64, decoded when it is asked about."""

    table: Table
    index: int
    field: str

    def read(self) -> bytes:
        """Its bytes. Raises DataError if it is not base64, or the file is not what it was."""
        row = Row(self.table, self.index, self.table.row(self.index))
        return from_base64(row.text(self.field), self.field, Context(row.where))

    @property
    def digest(self) -> str:
        """Equal for equal pictures."""
        return hashlib.sha256(self.read()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class CodedPictures:
    """Those of a file, by the field `index` of their rows. As in VLMEvalKit, a row may hold the
    index of another in place of a picture; here that must be one above it."""

    held: dict[str, CodedPicture] = field(default_factory=dict)

    def of(self, row: Row) -> CodedPicture:
        """The picture of the field `image`; its header is read now. Raises DataError."""
        text = row.text("image")
        if len(text) > _LONGEST_INDEX:
            self.held[row.text("index")] = found = _checked(row, "image")
            return found
        if text not in self.held:
            problem = f"is {text!r}, and no row above has a picture under this index"
            raise row.wrong("image", problem, "give the picture as base64")
        return self.held[text]


def _checked(row: Row, field: str) -> CodedPicture:
    picture = CodedPicture(row.table, row.index, field)
    try:
        probe(picture.read())
    except PictureError as error:
        raise row.wrong(field, f"{error.field}: {error.problem}", error.fix) from None
    return picture
