"""Whole models by the model_type of their config.json, as one closed list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sightline.families import (
    blip2,
    cogvlm,
    gemma3,
    idefics,
    idefics3,
    instructblip,
    internvl,
    internvl_original,
    llava,
    llava_next,
    llava_onevision,
    llava_original,
    mistral3,
    mllama,
    paligemma,
    qianfan,
    qwen1_vl,
    qwen2_vl,
    qwen3_vl,
    shikra,
    yi_vl,
)
from sightline.families.declared import Declared
from sightline.families.facts import FamilyFacts
from sightline.families.files import Checkpoint
from sightline.families.tables import part_types

Reader = Callable[[Checkpoint], Declared]

MODELS: tuple[tuple[FamilyFacts, Reader], ...] = (
    (llava.FACTS, llava.read_llava),
    (llava_original.FACTS, llava_original.read_llava_original),
    (internvl.FACTS, internvl.read_internvl),
    (internvl_original.FACTS, internvl_original.read_internvl_original),
    (qianfan.FACTS, qianfan.read_qianfan),
    (llava_next.FACTS, llava_next.read_llava_next),
    (llava_next.VIDEO_FACTS, llava_next.read_llava_next_video),
    (llava_onevision.FACTS, llava_onevision.read_llava_onevision),
    (yi_vl.FACTS, yi_vl.read_yi_vl),
    (shikra.FACTS, shikra.read_shikra),
    (qwen2_vl.FACTS, qwen2_vl.read_qwen2_vl),
    (qwen2_vl.FACTS_25, qwen2_vl.read_qwen2_5_vl),
    (qwen3_vl.FACTS, qwen3_vl.read_qwen3_vl),
    (blip2.FACTS, blip2.read_blip2),
    (instructblip.FACTS, instructblip.read_instructblip),
    (qwen1_vl.FACTS, qwen1_vl.read_qwen_vl),
    (cogvlm.FACTS, cogvlm.read_cogvlm),
    (gemma3.FACTS, gemma3.read_gemma3),
    (mistral3.FACTS, mistral3.read_mistral3),
    (paligemma.FACTS, paligemma.read_paligemma),
    (mllama.FACTS, mllama.read_mllama),
    (idefics.FACTS, idefics.read_idefics),
    (idefics3.FACTS, idefics3.read_idefics3),
    (idefics3.SMOLVLM_FACTS, idefics3.read_smolvlm),
)


def reader_of(model_type: object) -> Reader | None:
    """What reads checkpoints of this type; LLaVA's first release is told apart by `read`."""
    return next((read for facts, read in MODELS if model_type in facts.model_types), None)


def original_reader(checkpoint: Checkpoint) -> Callable[[Checkpoint, Path | None], Declared]:
    """What reads a checkpoint in LLaVA's first format."""
    if yi_vl.is_yi_vl(checkpoint):
        return yi_vl.read_yi_vl
    is_shikra = checkpoint.config.get("model_type") == "shikra"
    return shikra.read_shikra if is_shikra else llava_original.read_llava_original


def known_types() -> tuple[str, ...]:
    """Every model_type that a config may have at its top."""
    return (*(t for facts, _ in MODELS for t in facts.model_types), *part_types())
