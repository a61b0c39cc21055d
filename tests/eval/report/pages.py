"""What a browser would make of a page, as far as tests need it."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset({"meta", "br", "hr", "img", "input", "link", "image", "rect", "line", "circle"})
CLOSED = frozenset({"path", "polygon", "polyline"})  # written `<path .../>`


class Page(HTMLParser):
    """Tags, attributes and text; raises where elements are not nested as they should be."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice: {tag} {names}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID | CLOSED:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def references(self) -> list[str]:
        """All that could be loaded or followed."""
        names = ("href", "src", "srcset", "action", "data", "poster", "xlink:href", "style")
        return [str(a[name]) for _, a in self.tags for name in names if name in a]


def check(html: str) -> Page:
    """A page that stands alone, is named, and can be read without eyes."""
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>") and page.all("html") == [{"lang": "en"}]
    assert all(r.startswith(("#part-", "data:image/")) for r in page.references())
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert style and "url(" not in style and "@import" not in style
    assert not {"script", "link", "iframe", "object", "embed", "form"} & {t for t, _ in page.tags}
    assert not [n for _, a in page.tags for n in a if n.startswith("on")]
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.all("a")} == {f"#{a['id']}" for a in page.all("section")}
    for name in ("svg", "nav", "section"):
        assert all(a.get("aria-label") or a.get("aria-labelledby") for a in page.all(name))
    assert all(a["aria-labelledby"] in ids for a in page.all("section"))
    assert all(a.get("scope") in ("row", "col") for a in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    regions = [a["aria-label"] for a in page.all("div")]
    assert len(regions) == len(set(regions)) and all(a["tabindex"] == "0" for a in page.all("div"))
    headings = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))
    return page
