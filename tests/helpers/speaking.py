"""Tiny models with a tokenizer and a chat template, in memory and as folders."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from tests.helpers.tiny import Json, merged, tiny_model, tiny_spec
from tokenizers import decoders, models, pre_tokenizers, trainers

from sightline.api import VisionLanguageModel
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig
from sightline.spec import ModelSpec

CONTROL = ("<pad>", "<|end|>", "<|user|>", "<|assistant|>", "<image>")
PAD, END, USER, ASSISTANT, IMAGE = range(5)
VOCAB = 340
CORPUS = [
    "What colour is the small star? How many red circles are there? Is there a blue cross?",
    "Describe the picture. a large green ring, two yellow squares and one white triangle.",
    "Where is it? [12, 30, 45, 60] left right above below yes no naïve café 日本 😀",
]
TEMPLATE = (
    "{%- for message in messages -%}<|{{ message['role'] }}|>"
    "{%- if message['content'] is string -%}{{ message['content'] }}{%- else -%}"
    "{%- for part in message['content'] -%}"
    "{{- '<image>' if part['type'] == 'image' else part['text'] -}}"
    "{%- endfor -%}{%- endif -%}"
    "{%- if message['role'] == 'assistant' -%}<|end|>{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
CHAT: Json = {
    "language": {"vocab": VOCAB, "context": 512},
    "prompt": {
        "template": {"kind": "jinja", "source": TEMPLATE},
        "image": {"text": "<image>", "id": IMAGE},
        "stop_ids": [END],
        "pad_id": PAD,
        "grounding": "percent",
    },
}


@cache
def trained(control: tuple[str, ...] = CONTROL) -> str:
    """A byte-level BPE with the control tokens at its first ids: the text of tokenizer.json."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - 20,
        special_tokens=list(control),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(CORPUS * 3, trainer)
    return made.to_str()


def tokenizer() -> Tokenizer:
    named = {"pad_token": "<pad>", "eos_token": "<|end|>"}
    return Tokenizer(trained(), TokenizerConfig(named=named))


def chat_spec(**sections: Json) -> ModelSpec:
    """The tiny spec with a template; changes by section."""
    return tiny_spec(**merged(CHAT, sections))


def speaking(seed: int = 0, **sections: Json) -> VisionLanguageModel:
    """A random model that can be asked."""
    return VisionLanguageModel(tiny_model(chat_spec(**sections), seed), tokenizer())


@torch.no_grad()
def parrot(*words: str, context: int = 512) -> VisionLanguageModel:
    """A model that answers every prompt with these words, each different, and looks at nothing.

    Attention and MLPs give zero, so that the next token depends on the last one alone; embedding
    and head chain the words, which are tokens of their own.
    """
    speaker = tokenizer()
    for word in words:
        speaker = speaker.add_token(word, special=False)
    language = {"width": 64, "depth": 1, "context": context, "vocab": VOCAB}
    model = tiny_model(chat_spec(language=language))
    chain = [ASSISTANT, *(speaker.id_of(word) for word in words), END]
    for name, p in model.language.named_parameters():
        if ".blocks" in f".{name}":
            p.zero_()
    embed, head = model.language.embed.weight, model.language.head.weight
    head.zero_()
    for token, after in itertools.pairwise(chain):
        head[after] = embed[token] / embed[token].norm()
    return VisionLanguageModel(model, speaker)


def saved(vlm: VisionLanguageModel, folder: Path) -> Path:
    vlm.save(folder)
    return folder


def picture(width: int = 12, height: int = 9, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def user(*parts: Any) -> dict[str, Any]:
    """A user message: texts and pictures in order."""
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image", "image": part}
        for part in parts
    ]
    return {"role": "user", "content": content}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def decoded(vlm: VisionLanguageModel, ids: Sequence[int]) -> str:
    return vlm.tokenizer.decode(ids, skip_special=False)
