"""The matrix of docs/recombination.md: `python -m tests.docs.recombination` writes it anew."""

from __future__ import annotations

import re

from tests.docs.blocks import ROOT
from tests.model.combinations import matrix

PAGE = ROOT / "docs" / "recombination.md"
_PLACE = re.compile(r"(?<=<!-- matrix -->\n).*?(?=<!-- /matrix -->)", re.DOTALL)


def written_matrix(text: str) -> str:
    """The matrix that stands between the marks of the page."""
    found = _PLACE.search(text)
    assert found, "docs/recombination.md has lost its marks <!-- matrix --> and <!-- /matrix -->"
    return found.group()


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    written_matrix(text)
    PAGE.write_text(_PLACE.sub(lambda _: matrix(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
