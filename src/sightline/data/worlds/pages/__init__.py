"""Documents of several pages, each with one word that a question can ask for.

    paper = document(seed=0, index=7, num_pages=8)       # any (training)
    paper, page = heldout(seed=1, index=7, num_pages=8)  # pages and their words in turn
    paper.question(page.number), page.word               # "What is the word of page 2?", "saddle"
    pixels = draw(page)                                  # uint8[420, 320, 3]

Seeded, endless, random access, no torch. Needs a Pillow built with FreeType, as its wheels are: the
letters are those of its default font.
"""

from sightline.data.worlds.pages.page import (
    WORDS,
    Document,
    Page,
    document,
    draw,
    heldout,
)

__all__ = ["WORDS", "Document", "Page", "document", "draw", "heldout"]
