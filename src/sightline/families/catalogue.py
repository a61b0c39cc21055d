"""The list behind `sightline models`: what can be read, and how each entry is proved."""

from __future__ import annotations

from sightline.families import timm
from sightline.families.facts import FamilyFacts
from sightline.families.models import MODELS
from sightline.families.tables import TEXTS, TOWERS

COVERS = {
    "clip": "CLIP B, L, H and OpenCLIP's G/14, tower or both towers",
    "siglip": "SigLIP B, L and SO400M, tower or both towers",
    "dinov2": "DINOv2 S, B, L and giant",
    "dinov2_with_registers": "DINOv2 with registers",
    "eva_clip_g": "EVA-CLIP g/14 as BLIP-2 stores it",
    "llama": "Llama 1, 2, 3, Vicuna, Yi 1.5, SmolLM2",
    "yi": "Yi's first release",
    "mistral": "Mistral 7B",
    "qwen": "Qwen 1",
    "qwen2": "Qwen 1.5, 2 and 2.5",
    "qwen3": "Qwen3, dense",
    "gemma": "Gemma 1",
    "gemma2": "Gemma 2",
    "gemma3_text": "Gemma 3's text models",
    "phi": "Phi-1, 1.5 and 2",
    "opt": "OPT 125M to 66B, other than 350M",
    "internvit": "InternViT 300M and 6B as first released",
    "internvit_hf": "InternViT in Hugging Face's format",
    "internlm2": "InternLM2 and 2.5",
    "falcon": "Falcon 7B, 11B, 40B and 180B",
}


def catalogue() -> tuple[FamilyFacts, ...]:
    """Whole models first, then vision towers, then text models."""
    towers = (
        FamilyFacts(
            f.name,
            "vision",
            (*f.model_types, *f.whole_types),
            COVERS[f.name],
            f.proof,
            f.write is not None,
        )
        for f in TOWERS
    )
    texts = (
        FamilyFacts(f.name, "language", f.model_types, COVERS[f.name], f.proof, f.write is not None)
        for f in TEXTS
    )
    return (*(facts for facts, _ in MODELS), *towers, timm.FACTS, *texts)
