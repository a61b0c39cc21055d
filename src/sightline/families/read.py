"""From a published folder, or its config alone, to a declaration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sightline.core.errors import FamilyError, FolderError
from sightline.families.cogvlm import unnamed_type
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.family import TextFamily, TowerFamily
from sightline.families.files import Checkpoint, open_checkpoint
from sightline.families.llava_original import TEXT_TYPES
from sightline.families.models import known_types, original_reader, reader_of
from sightline.families.own import is_own, read_own
from sightline.families.parts import (
    decoder_rules,
    read_decoder,
    read_tower,
    tower_rules,
)
from sightline.families.prompts import read_text_prompt
from sightline.families.qwen1 import QWEN1
from sightline.families.qwen1_vl import with_pictures
from sightline.families.tables import TEXTS, TOWERS, near, whole_tower_family
from sightline.families.timm import is_timm, read_timm
from sightline.families.views import read_views
from sightline.spec.rules import matches


def read_spec(
    source: Path | str | Mapping[str, Any], *, tower: Path | str | None = None
) -> Declared:
    """Declare what `source` holds: a folder, published or our own, or a config as a mapping.

    `tower` is the folder of the vision tower, for original LLaVA folders that lack it.

    Raises FolderError for what is no model folder; FamilyError for an unknown architecture, an
    unknown key, a quantised checkpoint or a choice that cannot be reproduced; WeightError for
    damaged weights.
    """
    if not isinstance(source, Mapping) and is_own(Path(source)):
        return read_own(Path(source))
    checkpoint = open_checkpoint(source)
    refuse_quantised(checkpoint)
    declared = _read(checkpoint, None if tower is None else Path(tower))
    if "auto_map" in checkpoint.config:
        return declared.noting(
            f"the checkpoint brings code (auto_map), which is not run: family {declared.family} "
            "has tables of its own"
        )
    return declared


def _read(checkpoint: Checkpoint, tower: Path | None) -> Declared:
    model_type = checkpoint.config.get("model_type") or unnamed_type(checkpoint)
    if model_type in TEXT_TYPES and "mm_vision_tower" in checkpoint.config:
        return original_reader(checkpoint)(checkpoint, tower)
    if tower is not None:
        raise FamilyError("tower", f"has no meaning for {model_type}", "leave it out")
    if is_timm(checkpoint):
        return read_timm(checkpoint)
    text_alone = model_type in QWEN1.model_types and not with_pictures(checkpoint)
    if (reader := reader_of(model_type)) is not None and not text_alone:
        return reader(checkpoint)
    for family in TOWERS:
        if model_type in family.model_types:
            return _tower(checkpoint, family, checkpoint.config, "")
    if whole := whole_tower_family(model_type):
        return _tower(checkpoint, whole, side_config(checkpoint, "vision"), "vision_config")
    for text in TEXTS:
        if model_type in text.model_types:
            return _text(checkpoint, text)
    raise _unknown(checkpoint, model_type)


def _tower(
    checkpoint: Checkpoint, family: TowerFamily, data: Mapping[str, Any], where: str
) -> Declared:
    config = Config(data, where=where, defaults=family.defaults)
    spec, ignored = read_tower(family, config)
    rules = (*tower_rules(family, spec, checkpoint, family.roots), *family.whole)
    views, notes = read_views(checkpoint, family.views(spec.position_side), family.name)
    return Declared(
        family=family.name,
        resolution=views,
        vision=spec,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=notes,
    )


def side_config(checkpoint: Checkpoint, side: Literal["vision", "text"]) -> dict[str, Any]:
    """The config of one of two towers. CLIP's first releases keep the same values in
    `vision_config_dict` and `text_config_dict`, which then count."""
    given = checkpoint.config.get(f"{side}_config_dict") or checkpoint.config.get(f"{side}_config")
    return dict(given or {})


def _text(checkpoint: Checkpoint, family: TextFamily) -> Declared:
    spec, ignored = read_decoder(family, Config(checkpoint.config, defaults=family.defaults))
    spec, rules, notes = decoder_rules(family, spec, checkpoint, family.roots)
    return Declared(
        family=family.name,
        language=spec,
        text_prompt=read_text_prompt(checkpoint, {**family.defaults, **checkpoint.config}),
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=notes,
    )


def refuse_quantised(checkpoint: Checkpoint) -> None:
    """Weights in another format than plain floats need that format's own arithmetic."""
    nested = checkpoint.config.get("text_config") or {}
    for level in (checkpoint.config, nested):
        found = level.get("quantization_config") or level.get("compression_config")
        if isinstance(found, dict):
            method = found.get("quant_method") or found.get("format") or "unnamed"
            raise FamilyError(
                "quantization_config",
                f"{checkpoint.name} is quantised ({method})",
                "give the folder with the original weights and quantise on loading",
            )


def _unknown(checkpoint: Checkpoint, model_type: object) -> FamilyError | FolderError:
    if model_type is None:
        fix = "give the folder of a model in Hugging Face's format"
        return FolderError(checkpoint.name, "config.json names no model_type", fix)
    problem = f"{model_type!r} is not supported"
    if "auto_map" in checkpoint.config:
        problem += " and needs code from the checkpoint, which is never run"
    if alike := _lookalike(checkpoint):
        return FamilyError(
            "model_type",
            f"{problem}; all its tensors have the names of family {alike}",
            f"if its arithmetic is {alike}'s too, set model_type to {alike} and check the keys",
        )
    return FamilyError("model_type", problem, near(model_type, known_types()))


def _lookalike(checkpoint: Checkpoint) -> str | None:
    """A text family whose rules claim every tensor of the checkpoint."""
    names = checkpoint.tensors
    for family in TEXTS if names else ():
        typical = family.read(Config({}, defaults=family.defaults))
        for body, head in family.roots:
            patterns = [
                pattern
                for rule in family.rules(typical, body, head)
                for pattern in ((rule.disk,) if isinstance(rule.disk, str) else rule.disk)
            ]
            if all(any(matches(p, name) for p in patterns) for name in names):
                return family.name
    return None
