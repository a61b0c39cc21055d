"""Tokenizers for tests: real vocabularies from the shared data, and small ones trained here."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path

import sentencepiece
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from sightline.prompt import convert
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig

CONTROL = (
    "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>",
    "<image>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<end_of_utterance>",
    "<|begin_of_text|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<fake_token_around_image>",
)  # fmt: skip

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps. What colour is the fox?",
    "USER: How many red circles are there? ASSISTANT: There are 12 red circles in the picture.",
    "[INST] Describe the image. [/INST] A small blue square left of a large green triangle.",
    "Instruct: Où est le café ? Output: À gauche, près d'ici.\n\n\tÜber 3.14 ≈ π, naïve façade",
    'system user assistant model <b>bold</b> [0.1,0.2] (268,372) {"a": 1}  two  spaces   three',
    "日本語のテキスト、中文文本, 한국어 텍스트, русский текст, 😀😃 👍🏽 \u200d \u0301",
]


def byte_level(vocab: dict[str, int], merges: list[tuple[str, str]]) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@cache
def trained_bytes() -> str:
    """A small byte-level BPE: the text of its tokenizer.json."""
    tokenizer = byte_level({}, [])
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer.to_str()


@cache
def trained_spm(kind: str = "bpe", **options: object) -> bytes:
    """A small SentencePiece model file."""
    file = io.BytesIO()
    settings: dict[str, object] = {
        "sentence_iterator": iter(line for text in CORPUS * 3 for line in text.splitlines()),
        "model_writer": file,
        "model_type": kind,
        "vocab_size": 620,
        "byte_fallback": True,
        "character_coverage": 0.98,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "hard_vocab_limit": False,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(**settings | options)
    return file.getvalue()


@cache
def gpt2(data: Path) -> str:
    folder = data / "tokenizers" / "gpt2-bpe"
    vocab = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]
    tokenizer = byte_level(vocab, [(*line.split(" "),) for line in lines])  # type: ignore[misc]
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer.to_str()


@cache
def mistral(data: Path, legacy: bool) -> str:
    path = data / "tokenizers" / "mistral-spm" / "tokenizer.model.v1"
    return convert.from_sentencepiece(path.read_bytes(), legacy=legacy)


NAMED = {"bos_token": "<s>", "eos_token": "</s>"}


@cache
def with_control(source: str) -> tuple[Tokenizer, PreTrainedTokenizerFast]:
    """Ours and the reference's, with all control tokens that the templates of the tests write."""
    backend = tokenizers.Tokenizer.from_str(source)
    backend.add_special_tokens(list(CONTROL))
    theirs = PreTrainedTokenizerFast(tokenizer_object=backend, **NAMED)
    return Tokenizer(backend.to_str(), TokenizerConfig(named=dict(NAMED))), theirs


SMALL = ("bytes", "spm-legacy", "spm-first", "unigram")
REAL = ("gpt2", "mistral-legacy", "mistral-first")


def source(name: str, data: Path | None) -> str:
    match name:
        case "bytes":
            return trained_bytes()
        case "spm-legacy" | "spm-first":
            return convert.from_sentencepiece(trained_spm(), legacy=name == "spm-legacy")
        case "unigram":
            return convert.from_sentencepiece(trained_spm("unigram"))
    assert data is not None
    return gpt2(data) if name == "gpt2" else mistral(data, name == "mistral-legacy")
