"""Tiny PaliGemmas and Gemmas 3 of transformers, and conversations with the groups of both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import IMAGE, TEXT, TOWER, VOCAB, WIDTH, words
from tests.parity.tiles import Seen
from torch import Tensor

from sightline.core.geometry import MediaSize
from sightline.model.visual import VisualInput
from sightline.resolution.groups import Groups, groups
from sightline.resolution.policy import layout
from sightline.spec import ModelSpec

BOI, EOI = 297, 298
SIGLIP = {"model_type": "siglip_vision_model", "vision_use_head": False, **TOWER}
GEMMA = {"model_type": "gemma", **TEXT, "head_dim": 16, "tie_word_embeddings": True}
# Soft caps tight enough to bend, a window shorter than a prompt and than a picture.
GEMMA2 = GEMMA | {
    "model_type": "gemma2",
    "num_hidden_layers": 2,
    "query_pre_attn_scalar": 5,
    "sliding_window": 3,
    "attn_logit_softcapping": 2.0,
    "final_logit_softcapping": 3.0,
}
GEMMA3 = GEMMA | {
    "model_type": "gemma3_text",
    "num_hidden_layers": 2,
    "query_pre_attn_scalar": 5,
    "sliding_window": 3,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 700.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 90.0},
    },
}


def paligemma(text: dict[str, Any] = GEMMA, seed: int = 0, **changes: Any) -> Any:
    """A tiny random PaliGemma; its soft cap is applied by eager attention alone."""
    config = hf.PaliGemmaConfig(
        vision_config=SIGLIP,
        text_config=text,
        projection_dim=WIDTH,
        hidden_size=WIDTH,
        **{"image_token_index": IMAGE, "vocab_size": VOCAB, **changes},
    )
    config._attn_implementation = "eager"
    return ref.randomise(hf.PaliGemmaForConditionalGeneration(config), seed)


def gemma3(text: dict[str, Any] = GEMMA3, patch: int = 7, seed: int = 0, **changes: Any) -> Any:
    """A tiny random Gemma 3: 56 pixels by `patch`, pooled to 2 × 2 tokens."""
    config = hf.Gemma3Config(
        vision_config={**SIGLIP, "image_size": 56, "patch_size": patch},
        text_config=text,
        mm_tokens_per_image=4,
        **{"image_token_index": IMAGE, "boi_token_index": BOI, "eoi_token_index": EOI, **changes},
    )
    return ref.randomise(hf.Gemma3ForConditionalGeneration(config), seed)


Types = Callable[[Tensor, int], Tensor]


def prefix(ids_T: Tensor, prompt: int) -> Tensor:
    """PaliGemma: 0 for the prompt, 1 for the answer."""
    return (torch.arange(len(ids_T)) >= prompt).long()


def pictured(ids_T: Tensor, prompt: int) -> Tensor:
    """Gemma 3: 1 for tokens of pictures."""
    del prompt
    return (ids_T == IMAGE).long()


def chats(spec: ModelSpec, types: Types) -> dict[str, Seen]:
    """No picture, one, several, one in the second turn; of unequal lengths."""
    text = [words(n, n) for n in (2, 3, 4, 6, 9)]
    parts: dict[str, tuple[list[int] | None, ...]] = {
        "text": (text[4],),
        "one": (text[0], None, text[3]),
        "several": (None, text[1], None, None, text[2]),
        "second turn": (text[4], text[1], None, text[0]),
    }
    return {
        name: chat(spec, *some, types=types, seed=seed)
        for seed, (name, some) in enumerate(parts.items())
    }


def chat(
    spec: ModelSpec,
    *parts: list[int] | None,
    types: Types,
    seed: int = 0,
    answer: int = 0,
) -> Seen:
    """Runs of ids, and None for each picture; the last `answer` tokens are not the prompt's."""
    laid = layout(spec, [MediaSize(40, 30)] * sum(part is None for part in parts))
    generator = torch.Generator().manual_seed(seed)
    pixels = tuple(
        torch.randn(3, view.size.height, view.size.width, generator=generator)
        for view in laid.views
    )
    ids: list[int] = []
    runs: list[tuple[int, int]] = []
    spans = iter(laid.media)
    for part in parts:
        if part is None:
            before, after = spec.prompt.image.before, spec.prompt.image.after
            start = len(ids) + len(before)
            runs.append((start, start + next(spans).tokens))
            part = [*before, *[IMAGE] * (runs[-1][1] - start), *after]
        ids += part
    token_ids, prompt = torch.tensor(ids), len(ids) - answer
    item = Item(
        tuple(ids),
        token_ids == IMAGE,
        torch.arange(len(ids))[None],
        VisualInput(laid, pixels),
        groups=groups(spec, len(ids), prompt, runs),
    )
    inputs = {"input_ids": token_ids[None], "token_type_ids": types(token_ids, prompt)[None]}
    return Seen(item, inputs | ({"pixel_values": torch.stack(pixels)} if pixels else {}))


def regrouped(chat: Seen, change: Callable[[Groups], Groups | None]) -> Seen:
    """The same conversation under a mask that is slightly wrong."""
    assert chat.item.groups is not None
    return replace(chat, item=replace(chat.item, groups=change(chat.item.groups)))
