"""The list behind `sightline models`: what can be read, and how each entry is proved."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.families.family import Part
from sightline.families.tables import TEXTS, TOWERS

LLAVA_PROOF = "tests/parity/test_llava.py: logits and 32 greedy tokens of transformers 5.23.0"


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """One family for people.

    Attributes:
        name: as in `Declared.family`.
        part: a whole model, a vision tower or a text model.
        model_types: what config.json calls it.
        covers: published models that it reads.
        exports: whether a model of ours can be written in its format.
        proof: the test that compares it with the reference, and with what.
    """

    name: str
    part: Part
    model_types: tuple[str, ...]
    covers: str
    exports: bool
    proof: str


COVERS = {
    "clip": "CLIP B, L, H and OpenCLIP's G/14, tower or both towers",
    "siglip": "SigLIP B, L and SO400M, tower or both towers",
    "dinov2": "DINOv2 S, B, L and giant",
    "dinov2_with_registers": "DINOv2 with registers",
    "llama": "Llama 1, 2, 3, Vicuna, Yi 1.5, SmolLM2",
    "yi": "Yi's first release",
    "mistral": "Mistral 7B",
    "qwen": "Qwen 1",
    "qwen2": "Qwen 1.5, 2 and 2.5",
    "qwen3": "Qwen3, dense",
    "gemma": "Gemma 1",
    "phi": "Phi-1, 1.5 and 2",
    "falcon": "Falcon 7B, 11B, 40B and 180B",
}


def catalogue() -> tuple[FamilyFacts, ...]:
    """Whole models first, then vision towers, then text models."""
    models = (
        FamilyFacts(
            "llava",
            "model",
            ("llava",),
            "LLaVA 1.5 and LLaVA-Interleave; CLIP, SigLIP or DINOv2 with Llama, Mistral, Qwen or "
            "Gemma",
            True,
            f"{LLAVA_PROOF}, three spellings, two dialects",
        ),
        FamilyFacts(
            "llava_original",
            "model",
            ("llava", "llava_llama", "llava_mistral"),
            "LLaVA v1 and 1.5 as first released",
            False,
            f"{LLAVA_PROOF}, renamed; v1 against its parts joined in the test",
        ),
    )
    towers = (
        FamilyFacts(
            f.name, "vision", (*f.model_types, *f.whole_types), COVERS[f.name], True, f.proof
        )
        for f in TOWERS
    )
    texts = (
        FamilyFacts(f.name, "language", f.model_types, COVERS[f.name], f.write is not None, f.proof)
        for f in TEXTS
    )
    return (*models, *towers, *texts)
