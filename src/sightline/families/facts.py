"""What people are told about a family."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.families.family import Part


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """One family for people. Each file of a whole model has its own as `FACTS`.

    Attributes:
        name: as in `Declared.family`.
        part: a whole model, a vision tower or a text model.
        model_types: what config.json calls it.
        covers: published models that it reads.
        proof: the test that compares it with the reference, and with what.
        exports: whether a model of ours can be written in its format.
        resolution: kinds of the spec, as `connector` and `fusion`; empty for a part alone.
        decoders: text families that it may have.
        grounding: the style that it writes boxes in.
        video: how a clip is read, if it is.
    """

    name: str
    part: Part
    model_types: tuple[str, ...]
    covers: str
    proof: str
    exports: bool = False
    resolution: tuple[str, ...] = ()
    connector: tuple[str, ...] = ()
    fusion: tuple[str, ...] = ()
    decoders: tuple[str, ...] = ()
    grounding: str = ""
    video: str = ""
