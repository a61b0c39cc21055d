"""InstructBLIP with a decoder-only language model (Vicuna): BLIP-2 whose queries read the question.

Source: transformers 5.23.0 models/instructblip. `qformer_tokenizer/` holds the vocabulary in which
they read; what they are told is what the user says, in all turns (the reference: the prompt).
"""

from __future__ import annotations

from dataclasses import replace

from sightline.families.blip2 import FACTS as BLIP2
from sightline.families.blip2 import read_blip
from sightline.families.blip_prompt import WORDS
from sightline.families.declared import Declared
from sightline.families.files import Checkpoint

FACTS = replace(
    BLIP2,
    name="instructblip",
    model_types=("instructblip",),
    covers="InstructBLIP with Vicuna",
    proof="tests/parity/test_instructblip.py: logits and 32 greedy tokens of transformers 5.23.0",
)


def read_instructblip(checkpoint: Checkpoint) -> Declared:
    """Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_blip(checkpoint, "instructblip", WORDS)
