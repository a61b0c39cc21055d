"""The README's table of families: `python -m tests.docs.families_table` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from sightline.families import FamilyFacts, catalogue

README = Path(__file__).resolve().parents[2] / "README.md"
_PLACE = re.compile(r"(?<=<!-- families -->\n).*?(?=<!-- /families -->)", re.DOTALL)
_TITLES = (
    "family",
    "covers",
    "resolution",
    "connector",
    "fusion",
    "decoders",
    "boxes",
    "video",
    "written back",
    "proved by",
)
_HEAD = f"| {' | '.join(_TITLES)} |\n|{'---|' * len(_TITLES)}\n"
_PART = {"model": "", "vision": "tower alone", "language": "text model alone"}


def families_table() -> str:
    """The catalogue as Markdown."""
    return _HEAD + "".join(map(_row, catalogue()))


def _row(facts: FamilyFacts) -> str:
    test, _, compared = facts.proof.partition(": ")
    proof = f"[{Path(test).stem}]({test}): {compared}"
    cells = (
        f"`{facts.name}`",
        "; ".join(filter(None, (facts.covers, _PART[facts.part]))),
        *(_listed(kinds) for kinds in (facts.resolution, facts.connector, facts.fusion)),
        ", ".join(facts.decoders),
        facts.grounding,
        facts.video,
        "yes" if facts.exports else "no",
        proof,
    )
    return f"| {' | '.join(cells)} |\n"


def _listed(kinds: tuple[str, ...]) -> str:
    return ", ".join(f"`{kind}`" for kind in kinds)


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
