"""LLaVA-NeXT's and OneVision's prompts against their processors, and folders through the doors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers as hf
from PIL import Image
from tests.helpers.speaking import user
from tests.helpers.waves import picture
from tests.parity import reference as ref
from tests.parity.chat_templates import LLAVA_15, LLAVA_NEXT_MISTRAL
from tests.parity.reference import TEXT, TOWER
from tests.parity.video_processors import processor_module
from tests.prompt import conversations
from tests.prompt.tokenizers import trained_bytes
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.processing_utils import ProcessorMixin

import sightline
from sightline.families import read_spec
from sightline.model.prepare import Preparer
from sightline.prompt.files import load_tokenizer

NUM_CHATS = 30
SIDE = 56
PINPOINTS = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]
CONTROL = ("<pad>", "<image>", "<video>", "<|im_start|>", "<|im_end|>")
HALF = [0.5, 0.5, 0.5]
# The converter of transformers writes this one into LLaVA-OneVision's folders.
ONEVISION = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}"
    "{{ '<video>' }}{% endfor %}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}{% else %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ '\n' + content['text'] }}{% endgeneration %}{% endfor %}{% endif %}"
    "{{'<|im_end|>'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)
TEMPLATES = {
    "llava_next": LLAVA_NEXT_MISTRAL,
    "llava_next_video": LLAVA_15.replace(
        "{{ '<image>\n' }}{% endfor %}",
        "{{ '<image>\n' }}{% endfor %}"
        "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}"
        "{{ '<video>\n' }}{% endfor %}",
    ),
    "llava_onevision": ONEVISION,
}


@dataclass(frozen=True)
class Whole:
    """A folder as transformers writes it: model, tokenizer, processor."""

    kind: str
    folder: Path
    theirs: Any
    processor: Any


def tokenizer() -> hf.PreTrainedTokenizerFast:
    backend = tokenizers.Tokenizer.from_str(trained_bytes())
    backend.add_special_tokens(list(CONTROL))
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def model_of(kind: str, words: hf.PreTrainedTokenizerFast) -> Any:
    sizes = {**TEXT, "vocab_size": len(words), "max_position_embeddings": 4096}
    tower = {**TOWER, "image_size": SIDE}
    clip = {"model_type": "clip_vision_model", **tower}
    siglip = {"model_type": "siglip_vision_model", "vision_use_head": False, **tower}
    common = {
        "image_token_index": words.convert_tokens_to_ids("<image>"),
        "image_grid_pinpoints": PINPOINTS,
    }
    clips = {"video_token_index": words.convert_tokens_to_ids("<video>")}
    match kind:
        case "llava_next":
            text = {"model_type": "mistral", **sizes}
            config = hf.LlavaNextConfig(vision_config=clip, text_config=text, **common)
            model = hf.LlavaNextForConditionalGeneration(config)
        case "llava_next_video":
            text = {"model_type": "llama", **sizes}
            config = hf.LlavaNextVideoConfig(
                vision_config=clip, text_config=text, **common, **clips
            )
            model = hf.LlavaNextVideoForConditionalGeneration(config)
        case _:
            text = {"model_type": "qwen2", **sizes}
            chosen = {**common, **clips, "vision_aspect_ratio": "anyres_max_2"}
            config = hf.LlavaOnevisionConfig(vision_config=siglip, text_config=text, **chosen)
            model = hf.LlavaOnevisionForConditionalGeneration(config)
    return ref.randomise(model)


def processor_of(kind: str, words: Any, patch: pytest.MonkeyPatch) -> Any:
    square = {"height": SIDE, "width": SIDE}
    edge = {"size": {"shortest_edge": SIDE}, "crop_size": square}
    rows = {"patch_size": 14, "num_additional_image_tokens": 1}
    chosen = {"chat_template": TEMPLATES[kind], "vision_feature_select_strategy": "default"}
    images = LlavaNextImageProcessorPil(**edge, image_grid_pinpoints=PINPOINTS)
    match kind:
        case "llava_next":
            return hf.LlavaNextProcessor(images, words, **rows, **chosen)
        case "llava_next_video":
            videos = processor_module(patch, kind).LlavaNextVideoVideoProcessor(**edge)
            return hf.LlavaNextVideoProcessor(videos, images, words, **rows, **chosen)
        case _:
            pixels = {"size": square, "image_mean": HALF, "image_std": HALF}
            videos = processor_module(patch, kind).LlavaOnevisionVideoProcessor(**pixels)
            images = LlavaOnevisionImageProcessorPil(**pixels, image_grid_pinpoints=PINPOINTS)
            chosen = {"chat_template": ONEVISION, "vision_feature_select_strategy": "full"}
            facts = {"num_image_tokens": 16, "vision_aspect_ratio": "anyres_max_2"}
            return hf.LlavaOnevisionProcessor(images, words, videos, **facts, **chosen)


@pytest.fixture(scope="module", params=TEMPLATES)
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Whole]:
    kind, folder, words = request.param, tmp_path_factory.mktemp(request.param), tokenizer()
    with pytest.MonkeyPatch.context() as patch:
        # A processor looks its parts' classes up where those that need torchvision are missing.
        patch.setattr(ProcessorMixin, "check_argument_for_proper_class", lambda *given: type)
        theirs, processor = model_of(kind, words), processor_of(kind, words, patch)
        theirs.save_pretrained(folder)
        processor.save_pretrained(folder)
        yield Whole(kind, folder, theirs, processor)


def prepared_by(whole: Whole) -> Preparer:
    """With Pillow's own numbers, as the processors here have them."""
    spec = read_spec(whole.folder).model
    pixels = spec.resolution.pixels.model_copy(update={"backend": "pillow"})
    resolution = spec.resolution.model_copy(update={"pixels": pixels})
    tokens = load_tokenizer(whole.folder)
    return Preparer(spec.model_copy(update={"resolution": resolution}), tokens)


def drawn(content: Any, random: Random) -> Any:
    """The stand-ins of a conversation as real pictures of different shapes."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [
        {"type": "image", "image": picture(random.randint(5, 150), random.randint(5, 150))}
        if part["type"] == "image"
        else part
        for part in content
    ]


def for_processor(chat: Any) -> Any:
    def part_of(part: Any) -> Any:
        if part["type"] == "image":
            return {"type": "image", "image": Image.fromarray(part["image"])}
        return part

    return [message | {"content": [part_of(p) for p in message["content"]]} for message in chat]


def test_same_ids_and_pixels_as_the_processor(whole: Whole) -> None:
    """30 conversations with up to four pictures; also those of which only rows' ends remain."""
    prepare, random = prepared_by(whole), Random(whole.kind)
    pictures = 0
    for i in range(NUM_CHATS):
        chat = conversations.chat(random, system=False, answered=i % 3 != 0)
        chat = [message | {"content": drawn(message["content"], random)} for message in chat]
        wanted = whole.processor.apply_chat_template(
            for_processor(chat),
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=i % 3 == 0,
        )
        found = prepare(chat, add_generation_prompt=i % 3 == 0)
        assert found.token_ids == wanted["input_ids"][0].tolist()
        for number, tiles in enumerate(wanted.get("pixel_values", ())):
            views = zip(found.layout.views, found.pixels, strict=True)
            own = torch.stack([pixels for view, pixels in views if view.media == number])
            assert torch.equal(own, tiles[: len(own)])
            pictures += 1
    assert pictures > 30


def test_same_ids_and_pixels_about_clips(whole: Whole) -> None:
    """Frames within 1e-6: the video processors subtract and divide in another form."""
    random, spec = Random(5), read_spec(whole.folder).model
    if spec.prompt.video is None:
        assert whole.kind == "llava_next"
        return
    prepare = Preparer(spec, load_tokenizer(whole.folder))
    for _ in range(8):
        frames = random.randint(1, 6)
        size = random.randint(30, 150), random.randint(30, 150)
        clip = np.stack([np.roll(picture(*size), i, 0) for i in range(frames)])
        parts = [{"type": "video"}, {"type": "text", "text": "Why?"}]
        text = whole.processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True
        )
        wanted = whole.processor(
            text=[text], videos=[torch.from_numpy(clip).permute(0, 3, 1, 2)], return_tensors="pt"
        )
        found = prepare(
            [{"role": "user", "content": [{"type": "video", "video": list(clip)}, parts[1]]}]
        )
        assert found.token_ids == wanted["input_ids"][0].tolist()
        [pixels] = wanted["pixel_values_videos"]
        assert float((torch.stack(found.pixels) - pixels).abs().max()) <= 1e-6


def test_through_the_doors(whole: Whole, tmp_path: Path) -> None:
    """A picture and a question get the reference's answer; saved, it stays the same."""
    vlm, shown = sightline.load(whole.folder), picture(150, 60)
    asked = [user(shown, "What colour is the fox?")]
    prepared = vlm.prepare(asked)
    answer = vlm.ask(shown, "What colour is the fox?", max_tokens=8)
    ids = torch.tensor([prepared.token_ids])
    whole.theirs.generation_config.eos_token_id = list(vlm.spec.prompt.stop_ids)
    out = whole.theirs.generate(
        input_ids=ids,
        pixel_values=torch.stack(prepared.pixels)[None],
        image_sizes=torch.tensor([[60, 150]]),
        attention_mask=torch.ones_like(ids),
        max_new_tokens=8,
        do_sample=False,
    )
    assert list(answer.token_ids) == out[0, ids.shape[1] :].tolist()
    vlm.save(tmp_path)
    again = sightline.load(tmp_path)
    assert torch.equal(vlm.logits(prepared), again.logits(again.prepare(asked)))


def test_a_plan_counts_the_same(whole: Whole) -> None:
    """From the config alone."""
    config = read_spec(whole.folder).model
    assert sightline.plan(config, images=[(150, 60)]).visual_tokens == (
        prepared_by(whole)([user(picture(150, 60), "Why?")]).visual_tokens
    )
