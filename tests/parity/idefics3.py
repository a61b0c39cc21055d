"""Tiny Idefics3s and SmolVLMs of transformers, and conversations about pictures of any shape."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import IMAGE, TEXT, words
from tests.parity.tiles import Seen

from sightline.core.geometry import MediaSize
from sightline.model.prepare import placeholders
from sightline.model.visual import VisualInput
from sightline.resolution.policy import layout
from sightline.spec import ModelSpec, RowTagsSpec

TILE, EDGE = 28, 112
LONG: dict[str, Any] = TEXT | {"model_type": "llama", "max_position_embeddings": 1024}
TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": TILE,
    "patch_size": 7,
}
TAGS = RowTagsSpec(
    around=(290,),
    whole=(291,),
    places=tuple(tuple((270 + 4 * row + col,) for col in range(4)) for row in range(4)),
    row_end=(292,),
    last_row_end=(293,),
)


def idefics3(kind: str = "idefics3", seed: int = 0, **changes: Any) -> Any:
    """A tiny random model of transformers of either type."""
    configs = {"idefics3": hf.Idefics3Config, "smolvlm": hf.SmolVLMConfig}
    models = {
        "idefics3": hf.Idefics3ForConditionalGeneration,
        "smolvlm": hf.SmolVLMForConditionalGeneration,
    }
    chosen = {"text_config": LONG, "vision_config": TOWER, "image_token_id": IMAGE} | changes
    return ref.randomise(models[kind](configs[kind](**chosen)), seed)


def tagged(spec: ModelSpec) -> ModelSpec:
    """With tags that can be told apart, as a tokenizer would give them."""
    views = spec.resolution.model_copy(update={"tags": TAGS})
    return spec.model_copy(update={"resolution": views})


def chats(spec: ModelSpec, clip: bool = False) -> dict[str, Seen]:
    """No picture, one, several of other shapes, one in the second turn, a clip if it is read."""
    text = [words(n, n) for n in (3, 4, 5, 6, 9)]
    made = {
        "text": chat(spec, text[4]),
        "one": chat(spec, text[0], MediaSize(640, 480), text[3], seed=1),
        "tall": chat(spec, MediaSize(37, 90), text[1], seed=2),
        "several": chat(spec, text[0], MediaSize(100, 1100), text[1], MediaSize(9, 9), text[2],
                        MediaSize(300, 40), text[0], seed=3),
        "second turn": chat(spec, text[4], text[2], MediaSize(99, 100), text[3], seed=4),
    }  # fmt: skip
    frame = MediaSize(90, 50, video=True)
    if clip:
        made["clip"] = chat(spec, text[0], frame, text[1], frame, text[2], frame, text[0], seed=5)
    return made


def chat(spec: ModelSpec, *parts: list[int] | MediaSize, seed: int = 0) -> Seen:
    """Runs of ids and pictures with their tags; every view has random pixels."""
    laid = layout(tagged(spec), [part for part in parts if isinstance(part, MediaSize)])
    generator = torch.Generator().manual_seed(seed)
    pixels = tuple(torch.randn(3, TILE, TILE, generator=generator) for _ in laid.views)
    items, ids = iter(laid.media), []
    for part in parts:
        marks = part if isinstance(part, list) else placeholders(next(items))
        ids += [IMAGE if id_ is None else id_ for id_ in marks]
    token_ids = torch.tensor(ids)
    item = Item(tuple(ids), token_ids == IMAGE, torch.arange(len(ids))[None],
                VisualInput(laid, pixels))  # fmt: skip
    inputs = {"input_ids": token_ids[None]}
    return Seen(item, inputs | ({"pixel_values": torch.stack(pixels)[None]} if pixels else {}))


def image_processor(kind: Any, **options: Any) -> Any:
    """An image or video processor of either family."""
    return kind(size={"longest_edge": EDGE}, max_image_size={"longest_edge": TILE}, **options)
