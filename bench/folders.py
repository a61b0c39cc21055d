"""Random LLaVA folders in published shapes: they cost what the real ones cost and need no download.

Written by transformers itself, so that both engines read the format that is published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SPECIAL = ("<pad>", "<s>", "</s>", "<image>")
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of one model, in the words of its config.json."""

    name: str
    image: int
    patch: int
    vision: dict[str, int]
    text: dict[str, int]


VLM_A = Shape(
    name="clip-l-336-qwen2-0.5b",
    image=336,
    patch=14,
    vision={
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    },
    text={
        "vocab_size": 151_936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
)
TINY = Shape(
    name="tiny",
    image=56,
    patch=14,
    vision={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    text={
        "vocab_size": 320,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
)


def make_folder(folder: Path, shape: Shape, seed: int = 0) -> None:
    """Write config, bfloat16 weights N(0, 0.02²), byte tokenizer and processor."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    vision = {"model_type": "clip_vision_model", "image_size": shape.image}
    text = {"model_type": "qwen2", "max_position_embeddings": 32_768, "tie_word_embeddings": True}
    pad, begin, end, image = (256 + i for i in range(len(SPECIAL)))
    config = LlavaConfig(
        vision_config=vision | {"patch_size": shape.patch} | shape.vision,
        text_config=text
        | {"pad_token_id": pad, "bos_token_id": begin, "eos_token_id": end}
        | shape.text,
        image_token_index=image,
        tie_word_embeddings=True,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        torch.manual_seed(seed)
        LlavaForConditionalGeneration(config).save_pretrained(folder)
    finally:
        torch.set_default_dtype(before)
    _save_processor(folder, shape)


def _save_processor(folder: Path, shape: Shape) -> None:
    """One token a byte, and four special ones after them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlavaProcessor, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.add_special_tokens(list(SPECIAL))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        pad_token=SPECIAL[0],
        bos_token=SPECIAL[1],
        eos_token=SPECIAL[2],
        extra_special_tokens={"image_token": SPECIAL[3]},
    )
    pictures = CLIPImageProcessorPil(size={"shortest_edge": shape.image}, crop_size=shape.image)
    LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=shape.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)


def fresh_pictures(folder: Path, side: int, seed: int = 0) -> Iterator[Path]:
    """Endless JPEG files of soft coloured noise, `side` × `side` pixels, no two the same."""
    rng = np.random.default_rng(seed)
    number = 0
    while True:
        spots = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        path = folder / f"{number}.jpg"
        spots.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)
        yield path
        number += 1
