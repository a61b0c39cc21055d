"""All probes, by name."""

from __future__ import annotations

from sightline.core.errors import DataError
from sightline.eval.probes.acuity import GLYPHS, OBJECTS
from sightline.eval.probes.binding import BINDING
from sightline.eval.probes.counting import COUNTING
from sightline.eval.probes.document import DOCUMENT
from sightline.eval.probes.hallucination import HALLUCINATION
from sightline.eval.probes.position import POSITION
from sightline.eval.probes.prior import PRIOR
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.prompts import PROMPTS
from sightline.eval.probes.robustness import EXIF, JPEG, NOISE, ROTATION
from sightline.eval.probes.space import SPACE
from sightline.eval.probes.video import BUDGET, ORDER

PROBES: tuple[Probe, ...] = (
    GLYPHS,
    OBJECTS,
    COUNTING,
    SPACE,
    HALLUCINATION,
    BINDING,
    DOCUMENT,
    ORDER,
    BUDGET,
    PRIOR,
    PROMPTS,
    POSITION,
    JPEG,
    NOISE,
    ROTATION,
    EXIF,
)


def probe(name: str) -> Probe:
    """The probe of this name. Raises DataError listing the names."""
    for found in PROBES:
        if found.name == name:
            return found
    names = ", ".join(found.name for found in PROBES)
    raise DataError(name, "is no probe", f"name one of {names}")
