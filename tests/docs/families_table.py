"""The README's table of families: `python -m tests.docs.families_table` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from sightline.families import FamilyFacts, catalogue

README = Path(__file__).resolve().parents[2] / "README.md"
_PLACE = re.compile(r"(?<=<!-- families -->\n).*?(?=<!-- /families -->)", re.DOTALL)
_HEAD = "| family | part | covers | written back | proved by |\n|---|---|---|---|---|\n"


def families_table() -> str:
    """The catalogue as Markdown."""
    return _HEAD + "".join(map(_row, catalogue()))


def _row(facts: FamilyFacts) -> str:
    test, _, compared = facts.proof.partition(": ")
    proof = f"[{Path(test).stem}]({test}): {compared}"
    cells = (f"`{facts.name}`", facts.part, facts.covers, "yes" if facts.exports else "no", proof)
    return f"| {' | '.join(cells)} |\n"


def written_table(text: str) -> str:
    """The table that stands between the marks of a README."""
    found = _PLACE.search(text)
    assert found, "README.md has lost its marks <!-- families --> and <!-- /families -->"
    return found.group()


def main() -> None:
    text = README.read_text(encoding="utf-8")
    written_table(text)
    README.write_text(_PLACE.sub(lambda _: families_table(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
