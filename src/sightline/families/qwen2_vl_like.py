"""What Qwen2-VL, Qwen2.5-VL and Qwen3-VL share: levels of the config, names, prompt.

Source: transformers 5.23.0 models/qwen2_vl, qwen2_5_vl and qwen3_vl. Folders of the hub keep the
text model's keys at the top of config.json (Qwen2-VL, Qwen2.5-VL); newer ones nest them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily, refusing
from sightline.families.files import Checkpoint, root_of
from sightline.families.parts import decoder_rules, read_decoder
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.qwen2_vl_views import Sides, read_native, read_stamps
from sightline.families.tokens import read_tokens
from sightline.spec.connector import MergerSpec
from sightline.spec.fusion import FusionSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import GroundingStyle, ImageTokenSpec, PromptSpec
from sightline.spec.resolution import NativeSpec, TimestampSpec
from sightline.spec.rules import FrameKernel, Fuse, Rename, Rule, under
from sightline.spec.vision import VitSpec

IDS = {
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}
HARMLESS = ("vision_token_id",)
VISION_HARMLESS = ("in_chans", "spatial_patch_size")
VISION_ROOTS = ("visual.", "model.visual.")
LANGUAGE_ROOTS = (("model.language_model.", "lm_head."), ("model.", "lm_head."))
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"


@dataclass(frozen=True, slots=True)
class Vision:
    """What a vision_config becomes."""

    encoder: VitSpec
    merger: MergerSpec
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """One model_type of this kind.

    `text_defaults` and `vision_defaults` are its classes' values for keys left out, `names` the
    tensors of its blocks and merger, `sections` how rotations are dealt where config.json does not
    say. `stamped` says that clips are read with their times as text.
    """

    facts: FamilyFacts
    text: TextFamily
    text_defaults: Mapping[str, Any]
    vision_defaults: Mapping[str, Any]
    vision: Callable[[Config], Vision]
    names: Mapping[str, str]
    fusion: Callable[[Vision], FusionSpec]
    sides: Sides
    sections: tuple[int, int, int]
    interleaved: bool
    grounding: GroundingStyle
    stamped: bool = False


def read_shape(checkpoint: Checkpoint, shape: Shape) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    family = shape.facts.name
    top, given = _levels(checkpoint.config)
    vision, ignored_vision = _vision(top, shape)
    language, ignored_text = _language(given, shape)
    tied = top.take("tie_word_embeddings", bool, False) or language.tied_head
    language, rules, notes = decoder_rules(
        shape.text, language.model_copy(update={"tied_head": tied}), checkpoint, LANGUAGE_ROOTS
    )
    native, view_notes = _views(checkpoint, top, vision, shape, language.vocab)
    prompt, prompt_notes = _prompt(checkpoint, top, language, {**shape.text_defaults, **given})
    rules = (*vision_rules(checkpoint, vision, shape), *rules)
    return Declared(
        family=family,
        resolution=native,
        vision=vision.encoder,
        connector=vision.merger,
        fusion=shape.fusion(vision),
        language=language,
        prompt=prompt.model_copy(update={"grounding": shape.grounding}),
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=(*top.finish(family, HARMLESS), *ignored_vision, *ignored_text),
        notes=(*view_notes, *prompt_notes, *notes),
    )


def vision_rules(checkpoint: Checkpoint, vision: Vision, shape: Shape) -> tuple[Rule, ...]:
    """Encoder and merger, at the prefix under which the checkpoint has them."""
    root = root_of(checkpoint, "patch_embed.proj.weight", VISION_ROOTS, shape.facts.name)
    width, frames = vision.encoder.width, vision.encoder.frames_per_view
    qkv = tuple(f"vision.blocks.{{i}}.attn.{name}.{{p}}" for name in "qkv")
    rules: tuple[Rule, ...] = (
        FrameKernel("patch_embed.proj.weight", "vision.patch_embed.weight", frames),
        Rename("patch_embed.proj.bias", "vision.patch_embed.bias"),
        Fuse("blocks.{i}.attn.qkv.{p}", qkv, rows=(width,) * 3),
        *(Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for disk, ours in shape.names.items()),
        Rename("pos_embed.weight", "vision.positions"),
    )
    return under(rules, disk=root)


def _levels(data: Mapping[str, Any]) -> tuple[Config, Mapping[str, Any]]:
    """The keys of the whole model, and those of its text model."""
    nested = data.get("text_config")
    if nested is not None:
        return Config({k: v for k, v in data.items() if k != "text_config"}), nested
    own = (*IDS, *HARMLESS, "vision_config")
    shared = {k: data[k] for k in ("tie_word_embeddings",) if k in data}
    flat = {k: v for k, v in data.items() if k not in own}
    return Config({k: data[k] for k in own if k in data} | shared), flat


def _vision(top: Config, shape: Shape) -> tuple[Vision, tuple[str, ...]]:
    config = top.sub("vision_config", shape.vision_defaults)
    config.expect("in_channels", 3, why="pictures have three colours")
    with refusing(shape.facts.name):
        vision = shape.vision(config)
    return vision, config.finish(shape.facts.name, VISION_HARMLESS)


def _language(given: Mapping[str, Any], shape: Shape) -> tuple[DecoderSpec, tuple[str, ...]]:
    plain, sections = _without_sections(given, shape.interleaved)
    config = Config(plain, where="text_config", defaults=shape.text_defaults)
    spec, ignored = read_decoder(shape.text, config)
    dealt = {"sections": sections or shape.sections, "interleaved": shape.interleaved}
    with refusing(shape.facts.name):
        positions = spec.positions.model_dump() | dealt
        return DecoderSpec.parse(spec.model_dump() | {"positions": positions}), ignored


def _without_sections(
    given: Mapping[str, Any], interleaved: bool
) -> tuple[dict[str, Any], list[int] | None]:
    """The keys of a text model whose positions have one axis, and the sections beside them."""
    plain, found = dict(given), None
    for key in ("rope_parameters", "rope_scaling"):
        if not isinstance(plain.get(key), dict):
            continue
        rope = Config(plain[key], where=f"text_config.{key}")
        found = rope.maybe("mrope_section", list) or found
        rope.expect("mrope_interleaved", interleaved, None, why="this family deals pairs one way")
        rest = {k: v for k, v in plain[key].items() if not k.startswith("mrope_")}
        plain[key] = {k: "default" if v == "mrope" else v for k, v in rest.items()}
    if found is not None and (len(found) != 3 or any(type(n) is not int for n in found)):
        raise FamilyError("text_config.mrope_section", f"is {found!r}", "give three numbers")
    return plain, found


def _views(
    checkpoint: Checkpoint, config: Config, vision: Vision, shape: Shape, vocab: int
) -> tuple[NativeSpec, tuple[str, ...]]:
    """Sizes of pictures and clips, and how a clip's time is told."""
    native, notes = read_native(checkpoint, vision.encoder, vision.merger.side, shape.sides)
    stamps: TimestampSpec | None = None
    if shape.stamped:
        stamps, more = read_stamps(checkpoint, _ids(config)[2:], vocab)
        notes = (*notes, *more)
    told = {"tokens_per_second": vision.tokens_per_second, "timestamps": stamps}
    return native.model_copy(update=told), notes


def _ids(config: Config) -> tuple[int, ...]:
    return tuple(config.take(key, int, default) for key, default in IDS.items())


def _prompt(
    checkpoint: Checkpoint, config: Config, language: DecoderSpec, text: Mapping[str, Any]
) -> tuple[PromptSpec, tuple[str, ...]]:
    written = read_text_prompt(checkpoint, checkpoint.config, text)
    tokens, (image, video, start, end) = read_tokens(checkpoint), _ids(config)
    around: dict[str, Any] = {} if written.template else {"before": (start,), "after": (end,)}
    prompt, notes = image_prompt(
        written,
        image=ImageTokenSpec(text=tokens.text_of(image) or IMAGE, id=image, **around),
        vocab=language.vocab,
        fallback="chatml",
    )
    clip = ImageTokenSpec(text=tokens.text_of(video) or VIDEO, id=video, **around)
    return prompt.model_copy(update={"video": clip}), notes
