"""What went wrong, to be looked at: pictures with the question, the answer and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from sightline.core.errors import SightlineError
from sightline.core.geometry import Box, Point, Size
from sightline.eval.item import Boxes, Item
from sightline.eval.report.facts import Report
from sightline.eval.report.judged import Judged, judged
from sightline.eval.report.thumbnail import Thumbnail, thumbnail
from sightline.eval.report.visible import escaped
from sightline.eval.report.words import number, plural
from sightline.eval.result import Result
from sightline.eval.said import Said

MANY = 24
WRONG = 0.5  # a score below it is a failure
PICTURES = 4  # of one question
TINY = 160  # pixels below which a picture is shown with its pixels


@dataclass(frozen=True, slots=True)
class Chosen:
    """rows: what is shown. total: how many there are. shares: whether scores are parts of 1."""

    rows: Judged
    total: int
    shares: bool

    @property
    def text(self) -> str:
        """What is shown, of how many."""
        shown = len(self.rows.items)
        if not self.shares:
            return f"The {plural(shown, 'answer')} with the lowest scores, of {self.total:,}."
        if not self.total:
            return "There is nothing to show."
        told = f"{plural(self.total, 'answer')} scored below {WRONG:g}."
        if shown == self.total:
            return told
        return f"{told} {shown:,} of them are shown, spread evenly over the kinds of question."


def chosen(made: Report, result: Result, count: int = MANY) -> Chosen:
    """Up to `count` failures of the questions as they are, in the order of the task: as many of
    each kind as can be, those of a kind evenly over the task. A metric whose scores are no shares
    (CIDEr) shows its lowest."""
    rows = judged(result, "full")
    percent = made.headline is not None and made.headline.percent
    if not (percent or set(rows.scores) <= {0.0, 1.0}):
        lowest = sorted(range(len(rows.items)), key=lambda place: (rows.scores[place], place))
        return Chosen(rows.at(sorted(lowest[:count])), len(rows.items), False)
    places = [place for place, score in enumerate(rows.scores) if score < WRONG]
    picked = spread_over_kinds(places, [item.kind for item in rows.items], count)
    return Chosen(rows.at(picked), len(places), True)


def spread_over_kinds(places: Sequence[int], kinds: Sequence[str], count: int) -> list[int]:
    """Some of the places, ascending: the same number of each kind where it has so many, and those
    of a kind evenly from its first to its last."""
    by_kind: dict[str, list[int]] = {}
    for place in places:
        by_kind.setdefault(kinds[place], []).append(place)
    quota = dict.fromkeys(sorted(by_kind), 0)
    for kind in islice(_turns({kind: len(by_kind[kind]) for kind in quota}), count):
        quota[kind] += 1
    picked = [
        rows[(2 * at + 1) * len(rows) // (2 * take)]
        for kind, take in quota.items()
        for rows in (by_kind[kind],)
        for at in range(take)
    ]
    return sorted(picked)


def _turns(sizes: dict[str, int]) -> list[str]:
    """Each kind in turn, until it has no more."""
    rounds = range(max(sizes.values(), default=0))
    return [kind for turn in rounds for kind, size in sizes.items() if turn < size]


def gallery(found: Chosen) -> list[str]:
    """A text and a list of cards, as HTML."""
    cards = [
        f'<li class="card">{card(item, said, score, found.shares)}</li>'
        for item, said, score in zip(
            found.rows.items, found.rows.said, found.rows.scores, strict=True
        )
    ]
    text = f"<p>{escaped(found.text)}</p>"
    if not cards:
        return [text]
    legend = (
        '<p class="quiet">Places in a picture: the truth in green with a dashed line, what was '
        "said in red with a whole one.</p>"
    )
    drawn = any(item.boxes or said.boxes or said.points for item, said in _pairs(found.rows))
    return [text, *([legend] if drawn else []), '<ul class="cards">', *cards, "</ul>"]


def _pairs(rows: Judged) -> list[tuple[Item, Said]]:
    return list(zip(rows.items, rows.said, strict=True))


def card(item: Item, said: Said, score: float, shares: bool) -> str:
    """One failure."""
    unit = " %" if shares else ""
    terms = (
        ("Question", item.question, ""),
        ("Said", said.text or _places_in_words(said.boxes) or "(nothing)", ' class="wrong"'),
        ("Truth", _truth(item), ' class="right"'),
        ("Score", f"{number(score, shares)}{unit}", ""),
    )
    rows = "".join(
        f'<dt>{name}</dt><dd{kind} dir="auto">{escaped(text)}</dd>' for name, text, kind in terms
    )
    heading = f'<h3>{escaped(item.key)} <span class="quiet">{escaped(item.kind)}</span></h3>'
    return f"{heading}{_pictures(item, said)}<dl>{rows}</dl>"


def _truth(item: Item) -> str:
    """Its words, or its places where it has none."""
    if isinstance(item.truth, Boxes):
        return "\n".join(item.truth.texts) or _places_in_words(item.truth.boxes)
    return item.answer


def _places_in_words(boxes: Sequence[Box]) -> str:
    """`box 10, 20 to 30, 44`, a line each."""
    return "\n".join(f"box {b.x0:.0f}, {b.y0:.0f} to {b.x1:.0f}, {b.y1:.0f}" for b in boxes)


def _pictures(item: Item, said: Said) -> str:
    """Its media; places are drawn where there is one, so that it is clear of which they are."""
    count = len(item.media)
    shown = [_picture(item, said, number) for number in range(min(count, PICTURES))]
    if count > PICTURES:
        shown.append(f'<p class="quiet">{count - PICTURES:,} more, not shown</p>')
    return "".join(shown)


def _picture(item: Item, said: Said, number: int) -> str:
    media, places = item.media[number], len(item.media) == 1
    try:
        small = thumbnail(media)
    except (SightlineError, OSError) as error:
        return f'<p class="warn">The {media.kind} cannot be shown: {escaped(str(error))}.</p>'
    over = _places(item.boxes, said, small.size) if places else ""
    note = f'<p class="quiet">{escaped(small.note)}</p>' if small.note else ""
    return drawing(small, over, _description(item, said, number)) + note


def _description(item: Item, said: Said, number: int) -> str:
    """What a screen reader says of a picture."""
    count = len(item.media)
    told = f"Picture {number + 1} of {count}" if count > 1 else "The picture that was asked about"
    drawn = len(said.boxes) + len(said.points)
    if count > 1 or not (item.boxes or drawn):
        return told
    return f"{told}, with places drawn in it: {len(item.boxes)} of the truth, {drawn} said"


def drawing(small: Thumbnail, over: str, description: str) -> str:
    """The picture with marks over it, in pixels of the picture in full."""
    width, height = small.size.width, small.size.height
    kind = ' class="tiny"' if max(width, height) < TINY else ""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escaped(description)}">'
        f'<image{kind} href="{small.uri}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none"/>{over}</svg>'
    )


def _places(truth: Sequence[Box], said: Said, size: Size) -> str:
    arm = max(size.width, size.height) / 40
    marks = [_box(box, "truth") for box in truth] + [_box(box, "said") for box in said.boxes]
    return "".join(marks + [_point(point, arm) for point in said.points])


def _box(box: Box, kind: str) -> str:
    x, y = min(box.x0, box.x1), min(box.y0, box.y1)
    place = (
        f'x="{x:.1f}" y="{y:.1f}" '
        f'width="{abs(box.x1 - box.x0):.1f}" height="{abs(box.y1 - box.y0):.1f}"'
    )
    return f'<rect class="halo" {place}/><rect class="{kind}" {place}/>'


def _point(point: Point, arm: float) -> str:
    """A cross, its arms in pixels of the picture."""
    corner = f"M{point.x - arm:.1f} {point.y - arm:.1f}"
    lines = f"{corner}l{2 * arm:.1f} {2 * arm:.1f}m0 {-2 * arm:.1f}l{-2 * arm:.1f} {2 * arm:.1f}"
    return "".join(f'<path class="{kind}" d="{lines}"/>' for kind in ("halo", "said"))
