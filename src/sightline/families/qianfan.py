"""Qianfan-OCR (model_type qianfan_ocr): InternVL's config with the first releases' tensor names.

Source: transformers 5.23.0 models/qianfan_ocr and conversion_mapping.py. What 5.23.0 saves has
`encoder.` too much in the names of the decoder's blocks; both spellings are read, and its own
module names.
"""

from __future__ import annotations

from dataclasses import replace

from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily
from sightline.families.files import Checkpoint
from sightline.families.internvit import QIANFAN_VIT, first_rules, rules
from sightline.families.internvl import Weights, projector_rules, read_parts
from sightline.families.internvl_original import first_projector_rules
from sightline.families.llava_like import LANGUAGE_ROOTS
from sightline.families.parts import decoder_rules
from sightline.spec.language import DecoderSpec
from sightline.spec.rules import Rename, Rule, under
from sightline.spec.vision import VitSpec

STRAY = "language_model.model.encoder.layers."
PROOF = "tests/parity/test_internvl.py: logits and 32 greedy tokens of transformers 5.23.0"
FACTS = FamilyFacts(
    name="qianfan_ocr",
    part="model",
    model_types=("qianfan_ocr",),
    covers="Qianfan-OCR",
    proof=f"{PROOF}, three spellings",
    resolution=("tiling",),
    connector=("pixel_shuffle",),
    fusion=("interleave",),
    decoders=("qwen3", "qwen2", "llama"),
    grounding="internvl",
)


def read_qianfan(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for parts or choices that cannot be reproduced."""
    declared = read_parts(checkpoint, "qianfan_ocr", QIANFAN_VIT, "qwen3", _weights)
    assert declared.prompt is not None
    return replace(declared, prompt=declared.prompt.model_copy(update={"frames": None}))


def _weights(
    checkpoint: Checkpoint, vision: VitSpec, text: TextFamily, language: DecoderSpec
) -> Weights:
    language, rules, notes = decoder_rules(text, language, checkpoint, LANGUAGE_ROOTS)
    if any(name.startswith(STRAY) for name in checkpoint.tensors):
        rules = tuple(_stray(rule) for rule in rules)
    return language, (*_seen_rules(checkpoint, vision), *rules), notes


def _seen_rules(checkpoint: Checkpoint, vision: VitSpec) -> tuple[Rule, ...]:
    """Names of tower and connector."""
    if "model.vision_tower.embeddings.cls_token" in checkpoint.tensors:
        own = rules(vision, blocks="layers.")
        return (
            *under(own, disk="model.vision_tower."),
            *projector_rules("model.multi_modal_projector."),
        )
    return (*under(first_rules(vision), disk="vision_model."), *first_projector_rules())


def _stray(rule: Rule) -> Rule:
    if not isinstance(rule, Rename):
        return rule
    return replace(rule, disk=rule.disk.replace("language_model.model.layers.", STRAY))
