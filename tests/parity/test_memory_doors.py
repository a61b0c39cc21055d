"""Llama 3.2 Vision and IDEFICS through the normal doors, beside the library's processors.

Ids of 30 conversations, pixels to the last bit, answers. The template of Llama 3.2 Vision is
written here from what it is known to print (headers, a dated system block where there are neither
pictures nor a system message of one's own); IDEFICS has none, its prompts are lists, written here
as the model card of idefics-9b-instruct writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers as hf
from PIL import Image
from tests.parity import memories, test_idefics, test_mllama
from tests.parity import reference as ref
from tests.parity.reference import TOLERANCE
from tests.prompt import conversations
from tests.prompt.tokenizers import trained_bytes
from transformers.models.idefics.image_processing_pil_idefics import IdeficsImageProcessorPil
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

import sightline
from sightline.api import VisionLanguageModel
from sightline.model.prepare import Prepared
from sightline.model.reference import reference_logits
from sightline.spec.sampling import Sampling

NUM_CHATS, SIDE = 30, 28
SIZES = [(1, 1), (28, 28), (29, 28), (57, 13), (13, 57), (300, 20), (20, 300), (64, 48), (111, 112)]
TEMPLATE = (
    "{{ bos_token }}{% set found = namespace(pictures=false) %}"
    "{% for message in messages if message['content'] is not string %}"
    "{% for part in message['content'] if part['type'] == 'image' %}"
    "{% set found.pictures = true %}{% endfor %}{% endfor %}"
    "{% if messages[0]['role'] != 'system' and not found.pictures %}"
    "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: {{ strftime_now('%d %b %Y') }}\n\n<|eot_id|>{% endif %}"
    "{% for message in messages %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MLLAMA_TOKENS = [
    "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<|python_tag|>", "<|image|>",
]  # fmt: skip
IDEFICS_TOKENS = ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]

Door = tuple[VisionLanguageModel, Any, Any]


def tokenizer_with(tokens: list[str], **named: str) -> Any:
    backend = tokenizers.Tokenizer.from_str(trained_bytes())
    backend.add_special_tokens(tokens)
    return hf.PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<s>", **named)


def without_endings(model: VisionLanguageModel) -> VisionLanguageModel:
    """Random models end at once; here they speak on."""
    prompt = model.spec.prompt.model_copy(update={"stop_ids": ()})
    pixels = model.spec.resolution.pixels.model_copy(update={"backend": "pillow"})
    views = model.spec.resolution.model_copy(update={"pixels": pixels})
    changed = model.spec.model_copy(update={"prompt": prompt, "resolution": views})
    return VisionLanguageModel(_respecified(model, changed), model.tokenizer)


def _respecified(model: VisionLanguageModel, spec: Any) -> Any:
    model.model.spec = spec
    return model.model


@pytest.fixture(scope="module")
def mllama(tmp_path_factory: pytest.TempPathFactory) -> Door:
    tokenizer = tokenizer_with(MLLAMA_TOKENS, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")
    image = tokenizer.convert_tokens_to_ids("<|image|>")
    config = hf.MllamaConfig(
        vision_config=test_mllama.VISION,
        text_config=test_mllama.TEXTS | {"vocab_size": image, "max_position_embeddings": 2048},
        image_token_index=image,
    )
    theirs = test_mllama.opened(ref.randomise(hf.MllamaForConditionalGeneration(config)))
    processor = hf.MllamaProcessor(
        MllamaImageProcessorPil(size={"height": SIDE, "width": SIDE}, max_image_tiles=4),
        tokenizer,
        chat_template=TEMPLATE,
    )
    return _door(theirs, processor, tmp_path_factory.mktemp("mllama"))


@pytest.fixture(scope="module")
def idefics(tmp_path_factory: pytest.TempPathFactory) -> Door:
    tokenizer = tokenizer_with(IDEFICS_TOKENS, bos_token="<s>", eos_token="</s>")
    changes = {"vocab_size": len(tokenizer) - 3, "additional_vocab_size": 3}
    theirs = test_idefics.tiny(**changes, max_position_embeddings=2048)
    processor = hf.IdeficsProcessor(IdeficsImageProcessorPil(image_size=SIDE), tokenizer)
    return _door(theirs, processor, tmp_path_factory.mktemp("idefics"))


def _door(theirs: Any, processor: Any, folder: Path) -> Door:
    ref.saved(theirs, folder)
    processor.save_pretrained(folder)
    return without_endings(sightline.load(folder)), theirs, processor


def picture(width: int, height: int, seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def chats(answered_share: int = 3) -> Iterator[tuple[conversations.Chat, list[Image.Image], bool]]:
    """Conversations with real pictures, and whether they ask for an answer."""
    random = Random(7)
    for i in range(NUM_CHATS):
        asks = i % answered_share == 0
        chat = conversations.chat(random, system=False, answered=not asks)
        pictures = []
        for message in chat:
            for part in message["content"] if message["role"] == "user" else ():
                if part["type"] == "image":
                    width, height = random.choice(SIZES)
                    part["image"] = picture(width, height, len(pictures))
                    pictures.append(part["image"])
        yield chat, pictures, asks


def mllama_inputs(processor: Any, chat: conversations.Chat, pictures: list[Any], asks: bool) -> Any:
    text = processor.apply_chat_template(
        conversations.as_parts(chat), add_generation_prompt=asks, tokenize=False
    )
    return processor(images=[pictures] if pictures else None, text=[text], return_tensors="pt")


def idefics_inputs(
    processor: Any, chat: conversations.Chat, pictures: list[Any], asks: bool
) -> Any:
    """One string for each run of text between pictures."""
    pieces: list[Any] = []
    for i, message in enumerate(conversations.as_parts(chat)):
        pieces.append(
            ("\n" if i else "") + ("User:" if message["role"] == "user" else "Assistant:")
        )
        for at, part in enumerate(message["content"]):
            words = part.get("text")
            pieces.append(part["image"] if words is None else (" " if at == 0 else "") + words)
        pieces.append("<end_of_utterance>")
    pieces += ["\nAssistant:"] if asks else []
    runs = [
        item
        for is_text, run in groupby(pieces, key=lambda piece: isinstance(piece, str))
        for item in (["".join(run)] if is_text else run)
    ]
    return processor(text=[runs], add_end_of_utterance_token=False, return_tensors="pt")


def stripped(chat: conversations.Chat) -> conversations.Chat:
    """IdeficsProcessor cuts spaces off beside pictures, which is no business of a template."""
    for message in chat:
        if isinstance(message["content"], str):
            message["content"] = message["content"].strip(" ")
        else:
            for part in message["content"]:
                if "text" in part:
                    part["text"] = part["text"].strip(" ")
    return chat


def tiles_of(prepared: Prepared) -> dict[str, torch.Tensor]:
    return test_mllama.as_tiles(prepared.pixels, prepared.layout)


def test_mllama_ids_pixels_and_masks(mllama: Door) -> None:
    ours, _, processor = mllama
    shown = 0
    for chat, pictures, asks in chats():
        found = ours.prepare(chat, add_generation_prompt=asks)
        wanted = mllama_inputs(processor, chat, pictures, asks)
        assert found.token_ids == wanted["input_ids"][0].tolist()
        if pictures:
            tiles = tiles_of(found)
            assert all(torch.equal(tiles[key], wanted[key]) for key in tiles)
        shown += len(pictures)
    assert shown > NUM_CHATS


def test_idefics_ids_and_pixels(idefics: Door) -> None:
    ours, _, processor = idefics
    for chat, pictures, asks in chats():
        found = ours.prepare(stripped(chat), add_generation_prompt=asks)
        wanted = idefics_inputs(processor, chat, pictures, asks)
        assert found.token_ids == wanted["input_ids"][0].tolist()
        if pictures:
            assert torch.equal(torch.stack(found.pixels), wanted["pixel_values"][0])


@pytest.mark.parametrize("family", ["mllama", "idefics"])
def test_whole_way_to_logits(family: str, request: pytest.FixtureRequest) -> None:
    """From messages to numbers, each side by its own path."""
    ours, theirs, processor = request.getfixturevalue(family)
    inputs = mllama_inputs if family == "mllama" else idefics_inputs
    for i, (chat, pictures, asks) in enumerate(chats()):
        if i % 6:
            continue
        prepared = ours.prepare(stripped(chat), add_generation_prompt=asks)
        mine = reference_logits(ours.model, prepared)
        wanted = memories.their_logits(theirs, inputs(processor, chat, pictures, asks))
        assert (mine - wanted).abs().max() <= TOLERANCE


@pytest.mark.parametrize("family", ["mllama", "idefics"])
def test_answers_whole_streamed_and_batched(family: str, request: pytest.FixtureRequest) -> None:
    ours, theirs, processor = request.getfixturevalue(family)
    inputs = mllama_inputs if family == "mllama" else idefics_inputs
    asked = [(stripped(chat), pictures) for chat, pictures, asks in chats() if asks][:4]
    together = ours.speaker.answer_all([chat for chat, _ in asked], Sampling(max_tokens=8))
    for (chat, pictures), batched in zip(asked, together, strict=True):
        wanted, _ = memories.their_greedy(theirs, inputs(processor, chat, pictures, True), 8)
        answer = ours.speaker.answer(chat, Sampling(max_tokens=8))
        assert list(answer.token_ids) == wanted == list(batched.token_ids)
        assert "".join(ours.stream(chat, max_tokens=8)).strip() == answer.text
        with torch.inference_mode():
            rows = ours.model.encode([ours.prepare(chat).visual])
        assert answer.usage.visual_tokens == len(rows)
