"""Make the tokenizer of the embedded model: python recipes/tiny_tokenizer.py FOLDER

A byte-level BPE of 768 tokens over what scenes are asked and answered, so that any text can be
written and the numbers 0 to 92 are one token each wherever they stand (higher ones after a space).
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sightline.core.geometry import Size
from sightline.data.worlds import scenes
from sightline.prompt import files
from sightline.prompt.grounding import write_box
from sightline.prompt.tokenizer import Tokenizer as ChatTokenizer
from sightline.prompt.tokenizer import TokenizerConfig

CONTROL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<image>", "<|system|>")
UNIT = Size(1, 1)


def corpus() -> Iterator[str]:
    """Questions and answers about 12,000 scenes, and every number."""
    for index in range(12_000):
        rng = random.Random(index)
        for asked in scenes.questions(scenes.scene(11, index), rng, 10):
            yield asked.text
            yield scenes.answer_text(asked, lambda box: write_box(box, UNIT, "percent"))
    for number in range(101):
        yield from [f"[{number}, {number}, {number}, {number}] {number} {number}"] * 30


def train() -> str:
    """The text of tokenizer.json."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=768,
        min_frequency=2,
        show_progress=False,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return json.dumps(json.loads(tokenizer.to_str()))


if __name__ == "__main__":
    named = {"eos_token": "<|end|>", "pad_token": "<|pad|>"}
    config = TokenizerConfig(named=named, special=CONTROL[2:])
    files.save_tokenizer(ChatTokenizer(train(), config), Path(sys.argv[1]))
