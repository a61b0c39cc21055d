"""The same question in other words."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core.errors import DataError
from sightline.data.worlds import scenes
from sightline.data.worlds.scenes.templates import TEMPLATES
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.probes import staging
from sightline.eval.probes.judges import Agreement
from sightline.eval.probes.pictures import ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Spread

LEVELS = (1.0, 2.0, 3.0, 4.0)
ORDER = "order of options"
KINDS = ("colour.of", "shape.of", "count.all", "exists.both", ORDER)
_ORDERS = (
    "Is the {a} left or right of the {b}?",
    "Is the {a} right or left of the {b}?",
    "Left or right of the {b}: where is the {a}?",
    "Right or left of the {b}: where is the {a}?",
)
_STREAM = 7919  # apart from the series that `sightline eval scenes` asks


def phrased(seed: int, level: float, number: int) -> Sequence[Item]:
    """Version `level` of a question about a scene: another phrasing or, of the kind `ORDER`, one of
    two phrasings with the two answers named in either order."""
    turn, at = divmod(number, len(KINDS))
    kind, version = KINDS[at], staging.whole("prompts", level)
    template = "relation.horizontal" if kind == ORDER else kind
    scene, asked = scenes.heldout(seed + _STREAM, turn, (template,))
    versions = _ORDERS if kind == ORDER else _phrasings(template)
    if not 1 <= version <= len(versions):
        raise DataError("prompts", f"has no version {version}", f"use 1 to {len(versions)}")
    unit = f"prompts/{seed}/{number}"
    words = versions[version - 1].format(**dict(asked.slots))
    item = Item(
        key=f"{unit}/{level:g}",
        parts=asked_about(ScenePicture(scene), words),
        truth=Answers((asked.answer,)),
        kind=kind,
        group=template,
        cluster=unit,
        unit=unit,
        level=level,
    )
    return [item]


def _phrasings(template: str) -> tuple[str, ...]:
    [found] = [one.phrases for one in TEMPLATES if one.name == template]
    return found[: len(LEVELS)]


PROMPTS = Probe(
    name="prompts",
    title="One question in several phrasings",
    axis="version of the question",
    levels=LEVELS,
    per_level=40,
    make=phrased,
    judge=Agreement(),
    reading=Spread("spread of versions, points", "Right by version of the question"),
)
