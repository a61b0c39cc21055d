"""BLIP-2 and InstructBLIP of transformers, tiny and random, asked like other references."""

# V views  L words

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from tests.parity import reference as ref
from tests.parity.reference import IMAGE, TEXT, TOWER, VOCAB
from torch import Tensor

QUERIES = 5
QFORMER: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 28,
    "max_position_embeddings": 20,
    "cross_attention_frequency": 2,
}
OPT: dict[str, Any] = {
    "model_type": "opt",
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "ffn_dim": 48,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
TEXTS = {"opt": OPT, "llama": {"model_type": "llama", **TEXT}}


class Asked:
    """A reference that takes text alone, too, and shows every picture with the same words."""

    def __init__(self, model: Any, words: tuple[int, ...] = ()) -> None:
        self.model, self.words = model, words
        self.generation_config = model.language_model.generation_config

    def __call__(self, **inputs: Tensor) -> Any:
        return self._reader(inputs)(**self._with_words(inputs))

    def generate(self, **inputs: Any) -> Any:
        return self._reader(inputs).generate(**self._with_words(inputs))

    def _reader(self, inputs: dict[str, Any]) -> Any:
        return self.model if "pixel_values" in inputs else self.model.language_model

    def _with_words(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if not self.words or "pixel_values" not in inputs:
            return inputs
        ids_VL = torch.tensor([self.words]).expand(len(inputs["pixel_values"]), -1)
        told = {"qformer_input_ids": ids_VL, "qformer_attention_mask": torch.ones_like(ids_VL)}
        return inputs | told


@torch.no_grad()
def randomised(model: Any, seed: int = 0) -> Any:
    """BERT spells its norms with capitals."""
    ref.randomise(model, seed)
    for name, p in model.named_parameters():
        if name.endswith("LayerNorm.weight"):
            p.add_(1)
    return model


def blip2(text: str, seed: int = 0, **changes: Any) -> Any:
    """Blip2ForConditionalGeneration over a tiny text model."""
    config = hf.Blip2Config(
        vision_config={"model_type": "blip_2_vision_model", **TOWER},
        **_shared(text, QFORMER, changes),
    )
    return randomised(hf.Blip2ForConditionalGeneration(config), seed)


def instructblip(text: str, seed: int = 0, **changes: Any) -> Any:
    """InstructBlipForConditionalGeneration over a tiny text model."""
    config = hf.InstructBlipConfig(
        vision_config={"model_type": "instructblip_vision_model", **TOWER},
        **_shared(text, QFORMER, changes),
    )
    return randomised(hf.InstructBlipForConditionalGeneration(config), seed)


def _shared(text: str, qformer: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    fixed = {
        "qformer_config": qformer,
        "text_config": TEXTS[text],
        "num_query_tokens": QUERIES,
        "image_token_index": IMAGE,
    }
    return fixed | changes
