"""Whole folders of CLIP and SigLIP, from pictures and words to logits, against their processors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from tests.parity import reference as ref
from tests.parity.reference import TOLERANCE, TOWER
from tests.parity.test_pairs import TEXT
from tests.prompt.tokenizers import trained_spm
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

import sightline
from sightline.prompt import convert

WORDS = (
    "a photo of a cat",
    "Two DOGS, one (small) house!",
    "  spaces   and\nlines  ",
    "it's 42% of <|endoftext|> or </s>",
    "naïve café",
)


def pictures() -> list[np.ndarray]:
    """Of the tower's own size, where no resampler is asked."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (28, 28, 3), dtype=np.uint8) for _ in range(3)]


@torch.no_grad()
def gap(model: Any, processor: Any, tokens: Any, folder: Path, words: tuple[str, ...]) -> float:
    views = processor(images=pictures(), return_tensors="pt")["pixel_values"]
    wanted = model(input_ids=tokens, pixel_values=views).logits_per_image
    found = sightline.load_pair(folder, dtype="float32").logits(pictures(), words)
    return float((found - wanted).abs().max())


@pytest.mark.parametrize("eos", [49407, 2], ids=["end", "first files"])
def test_clip(eos: int, shared_data: Path, tmp_path: Path) -> None:
    data = (shared_data / "tokenizers" / "clip-bpe" / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    bpe = json.loads(convert.from_clip(data))["model"]
    words = hf.CLIPTokenizer(bpe["vocab"], [tuple(merge) for merge in bpe["merges"]])
    side = TEXT | {"vocab_size": 49408, "max_position_embeddings": 20, "eos_token_id": eos}
    model = ref.randomise(hf.CLIPModel(hf.CLIPConfig(vision_config=TOWER, text_config=side)))
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    )
    for part in (model, words, images):
        part.save_pretrained(tmp_path)
    plain = tuple(text for text in WORDS if "<" not in text)
    tokens = words(plain, padding=True, return_tensors="pt")["input_ids"]
    assert gap(model, images, tokens, tmp_path, plain) <= TOLERANCE


def test_siglip(tmp_path: Path) -> None:
    """Words as SentencePiece cuts them after punctuation is gone; pads are seen."""
    path = tmp_path / "spiece.model"
    path.write_bytes(
        trained_spm(
            "unigram",
            normalization_rule_name="nmt_nfkc",
            remove_extra_whitespaces=True,
            byte_fallback=False,
        )
    )
    words = hf.SiglipTokenizer(str(path), pad_token="</s>")
    side = TEXT | {
        "vocab_size": len(words),
        "max_position_embeddings": 48,
        "projection_size": TOWER["hidden_size"],
    }
    model = ref.randomise(hf.SiglipModel(hf.SiglipConfig(vision_config=TOWER, text_config=side)))
    images = SiglipImageProcessorPil(size={"height": 28, "width": 28})
    for part in (model, words, images):
        part.save_pretrained(tmp_path)
    plain = tuple(text for text in WORDS if "<" not in text)
    tokens = words(plain, padding="max_length", max_length=48, return_tensors="pt")["input_ids"]
    assert gap(model, images, tokens, tmp_path, plain) <= TOLERANCE
    ours = sightline.load_pair(tmp_path).prepare
    for text, row in zip(plain, tokens, strict=True):
        ids = ours.text(text).ids
        assert list(ids) == row[: len(ids)].tolist()
