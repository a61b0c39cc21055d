"""From a spec back to a published format: a config.json and the rules that name its tensors.

A family expresses a spec if the config that it writes reads back as the same spec: this is tried,
so that nothing is exported that would compute something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sightline.core.errors import FamilyError, SightlineError
from sightline.families.config import Config
from sightline.families.family import TextFamily, TowerFamily, activation_name
from sightline.families.llava_like import DECODERS, projector_rules
from sightline.families.tables import TEXTS, TOWERS
from sightline.families.views import write_views
from sightline.spec.connector import ConnectorSpec, MlpSpec
from sightline.spec.fusion import InterleaveSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.model import ModelSpec
from sightline.spec.prompt import ImageTokenSpec, PromptSpec
from sightline.spec.resolution import FixedSpec
from sightline.spec.rules import Rule, under
from sightline.spec.vision import ModuleSpec, VitSpec

HUB_TOWER, HUB_BODY, HUB_HEAD = (
    "vision_tower.vision_model.",
    "language_model.model.",
    "language_model.lm_head.",
)


@dataclass(frozen=True, slots=True)
class Published:
    """A spec in a published format.

    Attributes:
        family: the family that expresses it.
        files: JSON files by name, config.json among them.
        rules: read backwards, they name the tensors.
        norms: layer norms that the format has and the model does not: prefix on disk and width.
            They do not enter the features and are written as identities.
    """

    family: str
    files: Mapping[str, dict[str, Any]]
    rules: tuple[Rule, ...]
    norms: Mapping[str, int] = field(default_factory=dict)


def publish_model(spec: ModelSpec) -> Published:
    """As a LLaVA folder in the hub's spelling, which transformers 4.x and 5.x load.

    Raises FamilyError naming the choice that this format cannot express.
    """
    hidden_act, vision = _projector(spec.connector, spec.language.width), spec.vision
    views = spec.resolution
    if not isinstance(views, FixedSpec) or views.pixels.around is not None:
        raise FamilyError("resolution", "is not LLaVA's one view", "use our own folder")
    if views.ends is not None:
        raise FamilyError("resolution.ends", "are no part of LLaVA's format", "use our own folder")
    if (image := spec.prompt.image) != ImageTokenSpec(text=image.text, id=image.id):
        problem = "has tokens or words around it, LLaVA's has none"
        raise FamilyError("prompt.image", problem, "use our own folder")
    if spec.fusion != InterleaveSpec():
        raise FamilyError("fusion", "is not LLaVA's plain sequence", "use our own folder")
    if isinstance(vision, ModuleSpec):
        raise FamilyError("vision", f"{vision.name} is a module of yours", "use our own folder")
    if not isinstance(vision, VitSpec):
        raise FamilyError("vision", f"{vision.kind} is not LLaVA's tower", "use our own folder")
    tower, vision_config = _tower(vision)
    text, text_config = _text(spec.language, tuple(f for f in TEXTS if f.name in DECODERS))
    root = HUB_TOWER if tower.name in ("clip", "siglip") else "vision_tower."
    rules = (
        *under(tower.rules(vision), disk=root),
        *projector_rules(),
        *text.rules(spec.language, HUB_BODY, HUB_HEAD),
    )
    strategy = "default" if vision.class_token == "drop" else "full"
    config = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "vision_config": vision_config,
        "text_config": text_config,
        "image_token_index": spec.prompt.image.id,
        "image_seq_length": vision.tokens(vision.grid(views.size, views.size)),
        "projector_hidden_act": hidden_act,
        "multimodal_projector_bias": getattr(spec.connector, "bias", True),
        "vision_feature_layer": vision.layer,
        "vision_feature_select_strategy": strategy,
        "tie_word_embeddings": spec.language.tied_head,
    }
    files = {
        "config.json": config | prompt_ids(spec.prompt),
        "generation_config.json": prompt_ids(spec.prompt),
        "preprocessor_config.json": _views(views, tower),
        "processor_config.json": _processor(spec.prompt, vision, strategy),
    }
    missing = {f"{root}post_layernorm": vision.width} if vision.post_norm == "absent" else {}
    return Published("llava", files, rules, missing)


def publish_text(spec: DecoderSpec, prompt_files: Mapping[str, Any] | None = None) -> Published:
    """A text model alone, as the first family that expresses it."""
    family, config = _text(spec, TEXTS)
    config = {"architectures": [family.architecture], **config, **(prompt_files or {})}
    body, head = family.roots[0]
    return Published(family.name, {"config.json": config}, family.rules(spec, body, head))


def publish_tower(spec: VitSpec) -> Published:
    """A tower alone, without its head; which rows leave it is not part of the format."""
    family, config = _tower(spec, alone=True)
    root = "vision_model." if family.name in ("clip", "siglip") else ""
    rules = under(family.rules(spec), disk=root)
    return Published(family.name, {"config.json": config}, rules)


def prompt_ids(prompt: PromptSpec) -> dict[str, Any]:
    """bos, eos and pad as config.json and generation_config.json have them."""
    stops = list(prompt.stop_ids)
    return {
        "bos_token_id": prompt.bos_id,
        "eos_token_id": stops[0] if len(stops) == 1 else stops or None,
        "pad_token_id": prompt.pad_id,
    }


def _projector(connector: ConnectorSpec, width: int) -> str:
    if not isinstance(connector, MlpSpec) or connector.depth != 2 or connector.norms:
        raise FamilyError(
            "connector", f"{connector.kind} is not LLaVA's two layers", "use mlp with depth 2"
        )
    if connector.hidden not in (None, width):
        raise FamilyError(
            "connector.hidden",
            f"{connector.hidden} differs from the language width",
            "leave it out",
        )
    return activation_name(connector.activation)


def _text(spec: DecoderSpec, families: tuple[TextFamily, ...]) -> tuple[TextFamily, dict[str, Any]]:
    for family in families:
        if family.write is None:
            continue
        config = family.write(spec)
        if _reads_as(family, config, spec):
            return family, config
    names = ", ".join(family.name for family in families if family.write)
    raise FamilyError("language", f"is none of {names}", "export to our own folder with save")


def _tower(spec: VitSpec, *, alone: bool = False) -> tuple[TowerFamily, dict[str, Any]]:
    """`alone`: which rows leave the tower does not matter."""
    if not alone and spec.post_norm == "applied":
        raise FamilyError(
            "vision.post_norm", "LLaVA takes features before the final norm", "train with unused"
        )
    for family in TOWERS:
        if family.write is None or (spec.registers and not alone):
            continue
        config = family.write(spec)
        if _reads_as(family, config, spec):
            return family, config
    names = ", ".join(family.name for family in TOWERS)
    raise FamilyError("vision", f"is none of {names} as LLaVA uses them", "use our own folder")


def _reads_as(
    family: TextFamily | TowerFamily, config: dict[str, Any], spec: DecoderSpec | VitSpec
) -> bool:
    reader = Config(config, defaults=family.defaults)
    try:
        read = family.read(reader)
        reader.finish(family.name, family.harmless)
    except (SightlineError, ValueError):
        return False
    if isinstance(read, VitSpec) and isinstance(spec, VitSpec):
        return _encoder(read) == _encoder(spec)
    return read == spec


def _encoder(spec: VitSpec) -> VitSpec:
    """Without the choice of features: layer, class token on the way out, use of the final norm."""
    token = "absent" if spec.class_token == "absent" else "keep"
    chosen = {"layer": -1, "class_token": token, "post_norm": "unused"}
    return spec.model_copy(update=chosen)


def _views(views: FixedSpec, tower: TowerFamily) -> dict[str, Any]:
    kinds = {"siglip": "SiglipImageProcessor", "dinov2": "BitImageProcessor"}
    kind = kinds.get(tower.name, "CLIPImageProcessor")
    if views.fit == "pad":
        kind = "LlavaImageProcessor"
    return write_views(views, kind) | {"processor_class": "LlavaProcessor"}


def _processor(prompt: PromptSpec, vision: VitSpec, strategy: str) -> dict[str, Any]:
    return {
        "processor_class": "LlavaProcessor",
        "image_token": prompt.image.text,
        "patch_size": vision.patch,
        "vision_feature_select_strategy": strategy,
        "num_additional_image_tokens": vision.extra_tokens,
    }
