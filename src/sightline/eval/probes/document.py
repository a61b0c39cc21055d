"""One page of many."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.data.sample import Media
from sightline.data.worlds import pages
from sightline.eval.item import Answers, Item
from sightline.eval.probes import staging
from sightline.eval.probes.judges import OneWord
from sightline.eval.probes.pictures import PagePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Largest

LEVELS = (1.0, 2.0, 4.0, 8.0, 16.0)


def asked(seed: int, level: float, number: int) -> Sequence[Item]:
    """The word of one page, of which no other has it; every page a picture, and numbered."""
    count = staging.whole("document", level)
    paper, page = pages.heldout(seed, number, count)
    pictures = (Media("image", PagePicture(shown)) for shown in paper.pages)
    item = Item(
        key=f"document/{seed}/{level:g}/{number}",
        parts=(*pictures, paper.question(page.number)),
        truth=Answers((page.word,)),
        kind="first" if page.number == 1 else "last" if page.number == count else "between",
        group="page",
        level=level,
    )
    return [item]


DOCUMENT = Probe(
    name="document",
    title="The word on one of several pages",
    axis="pages",
    levels=LEVELS,
    per_level=16,
    make=asked,
    judge=OneWord(),
    reading=Largest("reads among, pages", "pages", "Finds a page and reads it"),
)
