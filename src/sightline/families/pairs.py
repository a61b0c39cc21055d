"""Pairs of towers from published folders, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.clip_pair import CLIP_PAIR
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.export import Published
from sightline.families.family import refusing
from sightline.families.files import Checkpoint, open_checkpoint
from sightline.families.own import is_own, read_own
from sightline.families.pair_family import PairConfig, PairFamily
from sightline.families.parts import read_tower
from sightline.families.read import refuse_quantised, side_config
from sightline.families.siglip_pair import SIGLIP_PAIR
from sightline.families.tables import near
from sightline.families.tokens import TokenFacts, read_tokens
from sightline.families.views import read_views, write_views
from sightline.spec.pair import PairSpec

PAIRS: tuple[PairFamily, ...] = (CLIP_PAIR, SIGLIP_PAIR)
SIDES = ("text_config", "text_config_dict", "vision_config", "vision_config_dict")


def read_pair(source: Path | str | Mapping[str, Any]) -> Declared:
    """Declare both towers of a folder, a published one or our own, or of a config alone.

    Raises FolderError for what is no model folder, FamilyError for a folder of something else or a
    choice that cannot be reproduced, WeightError for damaged weights.
    """
    if not isinstance(source, Mapping) and is_own(Path(source)):
        declared = read_own(Path(source))
        if declared.pair is None:
            fix = "load it with sightline.load"
            raise FamilyError(str(source), "holds a whole model, not a pair of towers", fix)
        return declared
    checkpoint = open_checkpoint(source)
    refuse_quantised(checkpoint)
    model_type = checkpoint.config.get("model_type")
    for family in PAIRS:
        if model_type in family.model_types:
            return _read(checkpoint, family)
    known = tuple(t for family in PAIRS for t in family.model_types)
    raise FamilyError("model_type", f"{model_type!r} is no pair of towers", near(model_type, known))


def _read(checkpoint: Checkpoint, family: PairFamily) -> Declared:
    top = Config(checkpoint.config, defaults=family.top)
    for side in SIDES:
        top.maybe(side, dict)
    tower = Config(
        side_config(checkpoint, "vision"), where="vision_config", defaults=family.tower.defaults
    )
    vision, ignored = read_tower(family.tower, tower)
    text = Config(side_config(checkpoint, "text"), where="text_config", defaults=family.text)
    views, notes = read_views(checkpoint, family.tower.views(vision.position_side), family.name)
    with refusing(family.name):
        spec = family.read(PairConfig(top, text, vision, views, read_tokens(checkpoint)))
    ignored = (*ignored, *text.finish(family.name, ("dropout",)), *top.finish(family.name))
    sources = (Source(checkpoint.folder, family.rules(spec)),) if checkpoint.folder else ()
    return Declared(
        family=family.name,
        resolution=views,
        vision=spec.vision,
        pair=spec,
        sources=sources,
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=notes,
    )


def publish_pair(spec: PairSpec) -> Published:
    """As the first family that expresses the pair. Raises FamilyError if none does."""
    for family in PAIRS:
        config = family.write(spec)
        if _expresses(family, config, spec):
            files = {
                "config.json": {"architectures": [family.architecture], **config},
                "preprocessor_config.json": write_views(spec.resolution, family.image_processor),
            }
            return Published(family.name, files, family.rules(spec))
    names = " and ".join(family.name for family in PAIRS)
    problem = f"is expressed by none of {names}"
    raise FamilyError("pair", problem, "save it in our own format")


def _expresses(family: PairFamily, config: Mapping[str, Any], spec: PairSpec) -> bool:
    """Whether the config reads back as the same towers, heads and projections."""
    try:
        tower = Config(config["vision_config"], defaults=family.tower.defaults)
        text = Config(config["text_config"], defaults=family.text)
        vision = family.tower.read(tower)
        top = Config(config, defaults=family.top)
        nothing = TokenFacts(added={}, vocab={})
        read = family.read(PairConfig(top, text, vision, spec.resolution, nothing))
    except ValueError:
        return False
    return _computed(read) == _computed(spec)


def _computed(spec: PairSpec) -> PairSpec:
    """Without what config.json does not say: how words become ids, where the scale began."""
    words = {"bos_id": None, "eos_id": 0, "pad_id": 0, "cleaning": "none", "long_text": "refuse"}
    loss = spec.loss.model_copy(update={"scale": 1.0})
    if spec.text.pool == "end":  # whose place depends on the id
        words["eos_id"] = spec.text.eos_id
    text = spec.text.model_copy(update=words)
    return spec.model_copy(update={"text": text, "loss": loss})
