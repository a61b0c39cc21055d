"""What it says where it cannot see: yes, or no."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.data.worlds import scenes
from sightline.data.worlds.scenes.facts import dominant
from sightline.data.worlds.scenes.phrases import article
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.probes import staging
from sightline.eval.probes.effects import Faded
from sightline.eval.probes.judges import YesBias
from sightline.eval.probes.pictures import ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Lowest

LEVELS = (0.0, 5.0, 15.0, 40.0, 100.0)
KINDS = ("exists", "relation")
_SMALLEST, _LARGEST = 0.15, 0.25
_PLACE = {"left": "left of", "right": "right of", "above": "above", "below": "below"}
Things = tuple[scenes.Thing, ...]


def faded(seed: int, level: float, number: int) -> Sequence[Item]:
    """One question about two pictures, of one of which it is true; both faded to `level` % of their
    contrast. Number `number` is the same at every level."""
    kind = KINDS[number % len(KINDS)]
    question, *shown = _exists(seed, number) if kind == "exists" else _relation(seed, number)
    backdrop = staging.ground(staging.stream("prior/ground", seed, 0.0, number))
    cluster = f"prior/{seed}/{number}"
    return [
        Item(
            key=f"{cluster}/{level:g}/{truth}",
            parts=asked_about(
                ScenePicture(scenes.Scene(things, backdrop), Faded(level / 100)), question
            ),
            truth=Answers((truth,)),
            kind=kind,
            group=kind,
            cluster=cluster,
            unit=f"{cluster}/{level:g}",
            level=level,
        )
        for truth, things in zip(("yes", "no"), shown, strict=True)
    ]


def _exists(seed: int, number: int) -> tuple[str, Things, Things]:
    """An object beside another, then a third one in its place."""
    rng = staging.stream("prior/exists", seed, 0.0, number)
    looks = staging.different(rng, 3)
    asked, other = staging.scattered(rng, looks[:2], _SMALLEST, _LARGEST)
    third = staging.thing(looks[2], asked.x, asked.y, asked.side)
    return f"Is there {article(staging.name(looks[0]))}?", (asked, other), (third, other)


def _relation(seed: int, number: int) -> tuple[str, Things, Things]:
    """Two objects, clearly left and right of or above and below each other, then exchanged."""
    rng = staging.stream("prior/relation", seed, 0.0, number)
    looks = a, b = staging.different(rng, 2)
    while True:
        one, two = staging.scattered(rng, looks, _SMALLEST, _LARGEST)
        if (place := dominant(one, two)) is not None:
            break
    other = staging.thing(a, two.x, two.y, two.side), staging.thing(b, one.x, one.y, one.side)
    question = f"Is the {staging.name(a)} {_PLACE[place]} the {staging.name(b)}?"
    return question, (one, two), other


PRIOR = Probe(
    name="prior",
    title="Yes or no where the picture fades away",
    axis="contrast left in %",
    levels=LEVELS,
    unit=2,
    per_level=16,
    make=faded,
    judge=YesBias(),
    drawn=1,
    reading=Lowest(
        "yes where nothing is seen",
        "of the questions are answered with yes where there is nothing to see",
        "where all is clear; half are true",
    ),
)
