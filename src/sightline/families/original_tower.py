"""The vision tower of an original LLaVA checkpoint: inside it, in another folder, or only named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Source
from sightline.families.family import TowerFamily, refusing
from sightline.families.files import Checkpoint, open_checkpoint
from sightline.families.llava_like import CLIP_L_336
from sightline.families.parts import chosen_layer, read_tower, tower_rules
from sightline.families.tables import tower_family, whole_tower_family
from sightline.spec.rules import Rule, under
from sightline.spec.vision import VitSpec

ROOT = "model.vision_tower.vision_tower.vision_model."
# Towers that checkpoints name without carrying their config: values of their config.json.
KNOWN: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14": CLIP_L_336 | {"image_size": 224},
    "openai/clip-vit-large-patch14-336": CLIP_L_336,
}


@dataclass(frozen=True, slots=True)
class Tower:
    """A tower as its own config declares it.

    `rules` are for the LLaVA checkpoint where that holds the weights, else empty; `source` is the
    other folder that does; `needs` the hub id to fetch where nothing here does.
    """

    family: TowerFamily
    spec: VitSpec
    rules: tuple[Rule, ...] = ()
    source: Source | None = None
    needs: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def find_tower(name: str, checkpoint: Checkpoint, given: Path | None) -> Tower:
    """`name` is mm_vision_tower; `given` a folder to use in its place.

    Raises FamilyError for a name that is neither a folder here nor known.
    """
    folder = given or _folder_here(name, checkpoint)
    if folder is None and name not in KNOWN:
        fix = "fetch it and give its folder as `tower`"
        raise FamilyError("mm_vision_tower", f"{name!r} is not a folder here", fix)
    other = Checkpoint(dict(KNOWN[name])) if folder is None else open_checkpoint(folder)
    family, spec, ignored = _read(other)
    if f"{ROOT}{family.anchor}" in checkpoint.tensors:
        inside = under(family.rules(spec), disk=ROOT)
        return Tower(family, spec, rules=inside, ignored=ignored)
    if folder is None:
        return Tower(family, spec, needs=(name,), ignored=ignored)
    rules = (*tower_rules(family, spec, other, family.roots), *family.whole)
    return Tower(family, spec, source=Source(folder, rules), ignored=ignored)


def choose_features(config: Config, spec: VitSpec) -> VitSpec:
    """The tower with the layer and rows that the LLaVA config asks for."""
    layer = chosen_layer(config, "mm_vision_select_layer", spec.depth)
    feature = config.take("mm_vision_select_feature", str, "patch")
    tokens = {"patch": "drop", "cls_patch": "keep"}
    if feature not in tokens:
        raise FamilyError("mm_vision_select_feature", f"is {feature!r}", "known: patch, cls_patch")
    if config.take("mm_hidden_size", int, spec.width) != spec.width:
        fix = "give the folder of the tower that it was trained with"
        raise FamilyError("mm_hidden_size", f"differs from the tower's {spec.width}", fix)
    has_class = spec.class_token != "absent"
    token = tokens[feature] if has_class else "absent"
    with refusing("llava_original"):
        chosen = {"layer": layer, "class_token": token, "post_norm": "unused"}
        return VitSpec(**(spec.model_dump() | chosen))


def _folder_here(name: str, checkpoint: Checkpoint) -> Path | None:
    """`name` as a path: absolute, or from the checkpoint or the folder around it."""
    if checkpoint.folder is None:
        return None
    bases = (checkpoint.folder, checkpoint.folder.parent)
    return next((base / name for base in bases if (base / name / "config.json").is_file()), None)


def _read(other: Checkpoint) -> tuple[TowerFamily, VitSpec, tuple[str, ...]]:
    model_type = other.config.get("model_type")
    whole = whole_tower_family(model_type)
    family = whole or tower_family(model_type, f"{other.name}: model_type")
    data = (other.config.get("vision_config") or {}) if whole else other.config
    spec, ignored = read_tower(
        family, Config(data, where="mm_vision_tower", defaults=family.defaults)
    )
    return family, spec, ignored
