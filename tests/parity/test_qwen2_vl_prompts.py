"""Qwen-VL's pixels, counts and prompts against its processors, and a folder through the doors."""

# F frames  C channels  H, W rows and columns of pixels

from __future__ import annotations

import json
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
from tests.parity import qwen2_vl as qwen
from tests.parity import reference as ref
from tests.parity.chat_templates import QWEN2_VL
from tests.parity.video_processors import processor_module
from tests.prompt import conversations
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.processing_utils import ProcessorMixin
from transformers.video_utils import VideoMetadata

import sightline
from sightline.core.errors import ContextOverflow, PictureError
from sightline.core.geometry import MediaSize
from sightline.families import read_spec
from sightline.families.qwen2_vl import SIDES as SIDES_2
from sightline.families.qwen2_vl_views import CALLER
from sightline.families.qwen3_vl import SIDES as SIDES_3
from sightline.model.prepare import Preparer
from sightline.prompt.encode import encode
from sightline.prompt.files import load_tokenizer
from sightline.prompt.messages import parse_messages
from sightline.resolution.frames import sampled
from sightline.resolution.layout import Text
from sightline.resolution.native import view_size
from sightline.resolution.policy import layout
from sightline.spec import FramesSpec, ModelSpec, NativeSpec, PixelSpec
from sightline.vision.pixels import render_all

NUM_CHATS = 30
CONTROL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = ["What colour is the fox? 12 seconds, 3 seconds.", "système <b> 12.5 seconds> 中文 <"] * 3
# Qwen3-VL's published template without tools: no system prompt of its own.
QWEN3_VL = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' }}"
    "{%- if messages[0].content is string %}{{- messages[0].content }}{%- else %}"
    "{%- for content in messages[0].content %}{%- if 'text' in content %}{{- content.text }}"
    "{%- endif %}{%- endfor %}{%- endif %}{{- '<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}{%- if message.role == 'user' %}{{- '<|im_start|>user\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}"
    "{%- for content in message.content %}"
    "{%- if content.type == 'image' or 'image' in content or 'image_url' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif content.type == 'video' or 'video' in content %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{%- elif 'text' in content %}{{- content.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\n' }}{%- elif message.role == 'assistant' %}{{- '<|im_start|>assistant\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}"
    "{%- for content in message.content %}{%- if 'text' in content %}{{- content.text }}"
    "{%- endif %}{%- endfor %}{%- endif %}{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
TEMPLATES = {"qwen2_vl": QWEN2_VL, "qwen2_5_vl": QWEN2_VL, "qwen3_vl": QWEN3_VL}
SIDES = {"qwen2_vl": (28, SIDES_2), "qwen3_vl": (32, SIDES_3)}


def native(kind: str, **changes: Any) -> NativeSpec:
    """The policy of a family, pictures and clips as its classes have them."""
    multiple, sides = SIDES[kind]
    pixels = sides.pixels.model_copy(update={"backend": changes.pop("backend", "torch")})
    clips = sides.clips.model_copy(update={"of": sides.of})
    return NativeSpec(
        multiple=multiple, pictures=sides.pictures, clips=clips, pixels=pixels, **changes
    )


def image_processor(kind: str) -> Qwen2VLImageProcessorPil:
    multiple, sides = SIDES[kind]
    return Qwen2VLImageProcessorPil(
        patch_size=multiple // 2,
        size={
            "shortest_edge": sides.pictures.min_pixels,
            "longest_edge": sides.pictures.max_pixels,
        },
        image_mean=list(sides.pixels.mean),
        image_std=list(sides.pixels.std),
    )


@pytest.fixture(scope="module")
def videos() -> Iterator[dict[str, Any]]:
    """The video processors of both generations, over torch's own operators."""
    with pytest.MonkeyPatch.context() as patch:
        old = processor_module(patch, "qwen2_vl").Qwen2VLVideoProcessor
        new = processor_module(patch, "qwen3_vl").Qwen3VLVideoProcessor
        # A processor looks its parts' classes up where those that need torchvision are missing.
        patch.setattr(ProcessorMixin, "check_argument_for_proper_class", lambda *given: type)
        yield {"qwen2_vl": old, "qwen2_5_vl": old, "qwen3_vl": new}


def sizes(count: int, seed: int) -> list[tuple[int, int]]:
    """1 × 1 to 6000 × 4000: any shape, small ones, and sides half way between multiples."""
    random = Random(seed)
    any_ = [(random.randint(1, 6000), random.randint(1, 4000)) for _ in range(count // 2)]
    small = [(random.randint(1, 300), random.randint(1, 300)) for _ in range(count // 4)]
    half = [(14 * random.randint(1, 60), 14 * random.randint(1, 60)) for _ in range(count // 4)]
    return [
        *any_,
        *small,
        *half,
        (1, 1),
        (6000, 4000),
        (1, 200),
        (1, 201),
        (4000, 19),
        (4000, 20),
        (3, 700),
        (5999, 29),
    ]


@pytest.mark.parametrize("kind", SIDES)
def test_counts_of_pictures(kind: str) -> None:
    policy, theirs = native(kind), image_processor(kind)
    refused = 0
    for width, height in sizes(500, 1):
        try:
            wanted = theirs.get_number_of_image_patches(height, width)
        except ValueError:
            with pytest.raises(PictureError, match="200 times"):
                view_size(policy, MediaSize(width, height), 1)
            refused += 1
            continue
        size = view_size(policy, MediaSize(width, height), 1)
        assert size.area * 4 == wanted * policy.multiple**2, (width, height)
    assert refused > 3


@pytest.mark.parametrize("kind", SIDES)
def test_counts_of_clips(kind: str, videos: dict[str, Any]) -> None:
    policy, theirs = native(kind), videos[kind]()
    random, refused = Random(2), 0
    for width, height in sizes(500, 3):
        frames = random.choice((1, 2, 3, 4, 5, 8, 17, 64))
        media = MediaSize(width, height, frames, video=True)
        try:
            wanted = theirs.get_num_of_video_patches(frames, height, width, {})
        except ValueError:
            with pytest.raises(PictureError):
                view_size(policy, media, frames)
            refused += 1
            continue
        views = -(-frames // 2)
        size = view_size(policy, media, frames)
        assert views * size.area * 4 == wanted * policy.multiple**2, (width, height, frames)
    assert refused > 5


@pytest.mark.parametrize("kind", SIDES)
def test_which_frames_are_taken(kind: str, videos: dict[str, Any]) -> None:
    spec = SIDES[kind][1].frames or CALLER
    theirs, random = videos[kind](), Random(4)
    for _ in range(200):
        total, fps = random.randint(4, 2500), random.choice((1.0, 5.0, 12.5, 24.0, 29.97, 60.0))
        metadata = VideoMetadata(total_num_frames=total, fps=fps)
        every = theirs.sample_frames(metadata, fps=2).tolist()
        wanted = [frame for frame in every if frame < total]  # its float steps may run over the end
        found = sampled(spec, MediaSize(64, 48, total, fps, video=True))
        assert list(found) == wanted, (total, fps)


def picture(width: int, height: int, frames: int = 1) -> np.ndarray:
    rng = np.random.default_rng(width * 10_007 + height)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9 + y / 31), np.cos(x / 17 - y / 7), np.sin(x * y / 997)], axis=2)
    noisy = 128 + 90 * waves + rng.normal(0, 30, (frames, height, width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


SHOWN = [
    (1, 1), (3, 2), (1, 90), (90, 1), (27, 29), (28, 28), (32, 48), (42, 42), (70, 70), (97, 61),
    (61, 97), (224, 224), (238, 210), (640, 480), (480, 640), (300, 20), (20, 300), (1024, 700),
    (1500, 900), (333, 1111),
]  # fmt: skip


@pytest.mark.parametrize("kind", SIDES)
def test_pixels_are_bit_equal(kind: str) -> None:
    policy, theirs = native(kind, backend="pillow"), image_processor(kind)
    spec = seeing(kind, policy)
    for width, height in SHOWN:
        [pixels] = picture(width, height)
        wanted = theirs(Image.fromarray(pixels), return_tensors="pt")
        [view] = render_all([pixels], layout(spec, [MediaSize(width, height)]), policy.pixels)
        found = qwen.patches_of(view, policy.multiple // 2)
        assert torch.equal(found, wanted["pixel_values"]), (width, height)


@pytest.mark.parametrize("kind", SIDES)
def test_pixels_of_clips(kind: str, videos: dict[str, Any]) -> None:
    """Within 1e-6: the video processors subtract and divide in one step of another form."""
    policy, theirs = native(kind), videos[kind]()
    spec = seeing(kind, policy)
    for width, height, frames in [(97, 61, 5), (30, 200, 2), (64, 64, 4), (500, 300, 3)]:
        clip = picture(width, height, frames)
        metadata = VideoMetadata(frames, 2.0, frames_indices=list(range(frames)))
        wanted = theirs(
            videos=[torch.from_numpy(clip).permute(0, 3, 1, 2)],
            do_sample_frames=False,
            cap_pixels_per_frame=False,
            video_metadata=[metadata],
            return_tensors="pt",
        )["pixel_values_videos"]
        media = MediaSize(width, height, frames, 2.0, video=True)
        views = render_all([clip], layout(spec, [media]), policy.pixels)
        found = torch.cat([qwen.patches_of(view, policy.multiple // 2) for view in views])
        assert float((found - wanted).abs().max()) <= 1e-6


def seeing(kind: str, policy: NativeSpec) -> ModelSpec:
    """The tiny model of a family with this policy."""
    config = json.loads(qwen.reference_config(kind).to_json_string())
    return read_spec(config).model.model_copy(update={"resolution": policy})


# A whole folder, as transformers writes it.


@dataclass(frozen=True)
class Whole:
    kind: str
    folder: Path
    theirs: Any
    processor: Any


def tokenizer() -> hf.PreTrainedTokenizerFast:
    """A small byte-level BPE that splits as Qwen's does: digits are tokens of their own."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens(list(CONTROL))
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )


@pytest.fixture(scope="module", params=["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, videos: dict[str, Any]
) -> Whole:
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    words = tokenizer()
    ids = {name: words.convert_tokens_to_ids(text) for name, text in zip(
        ("eos_token_id", "vision_start_token_id", "vision_end_token_id", "image_token_id",
         "video_token_id"), CONTROL[2:], strict=True)}  # fmt: skip
    theirs = ref.randomise(qwen.with_words(kind, len(words), ids))
    patch = 16 if kind == "qwen3_vl" else 14
    small = {"shortest_edge": (2 * patch) ** 2, "longest_edge": 20 * (2 * patch) ** 2}
    kinds = {"qwen2_vl": hf.Qwen2VLProcessor, "qwen2_5_vl": hf.Qwen2_5_VLProcessor,
             "qwen3_vl": hf.Qwen3VLProcessor}  # fmt: skip
    processor = kinds[kind](
        Qwen2VLImageProcessorPil(patch_size=patch, size=small),
        words,
        videos[kind](
            patch_size=patch,
            size={**small, "longest_edge": 48 * (2 * patch) ** 2},
            image_mean=list(PixelSpec().mean),
            image_std=list(PixelSpec().std),
        ),
        chat_template=TEMPLATES[kind],
    )
    theirs.save_pretrained(folder)
    processor.save_pretrained(folder)
    return Whole(kind, folder, theirs, processor)


def prepared_by(whole: Whole, backend: str = "pillow") -> Preparer:
    spec = read_spec(whole.folder).model
    pixels = spec.resolution.pixels.model_copy(update={"backend": backend})
    native_ = spec.resolution.model_copy(update={"pixels": pixels})
    return Preparer(spec.model_copy(update={"resolution": native_}), load_tokenizer(whole.folder))


def test_same_ids_as_the_processor(whole: Whole) -> None:
    """And the same pixels, as they come out of the whole way in."""
    prepare, random = prepared_by(whole), Random(whole.kind)
    for i in range(NUM_CHATS):
        chat = conversations.chat(random, system=True, answered=i % 3 != 0)
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
        if "pixel_values" in wanted:
            patch = prepare.spec.vision.patch
            made = torch.cat([qwen.patches_of(view, patch) for view in found.pixels])
            assert torch.equal(made, wanted["pixel_values"])


def drawn(content: Any, random: Random) -> Any:
    """The stand-ins of a conversation as real pictures of different sizes."""
    if isinstance(content, str):
        return content
    return [
        {"type": "image", "image": picture(random.randint(20, 150), random.randint(20, 150))[0]}
        if part["type"] == "image"
        else part
        for part in content
    ]


def for_processor(chat: Any) -> Any:
    def part_of(part: Any) -> Any:
        if part["type"] == "image":
            return {"type": "image", "image": Image.fromarray(part["image"])}
        return part

    return [
        message | {"content": [part_of(p) for p in message["content"]]}
        if not isinstance(message["content"], str)
        else message | {"content": [{"type": "text", "text": message["content"]}]}
        for message in chat
    ]


def test_same_ids_about_clips(whole: Whole) -> None:
    """Placeholders, and for Qwen3-VL the time of every view, between its own marks."""
    prepare = prepared_by(whole)
    random = Random(5)
    for _ in range(NUM_CHATS):
        total, fps = random.randint(4, 40), random.choice((2.0, 7.5, 29.97))
        width, height = random.randint(30, 200), random.randint(30, 200)
        clip = torch.zeros(total, 3, height, width, dtype=torch.uint8)
        metadata = VideoMetadata(total, fps, frames_indices=list(range(total)))
        text = "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Why?<|im_end|>\n"
        wanted = whole.processor(
            text=[text],
            videos=[clip],
            video_metadata=[metadata],
            do_sample_frames=False,
            cap_pixels_per_frame=False,
        )["input_ids"][0]
        every = prepare.spec.resolution.model_copy(update={"video": FramesSpec()})
        spec = prepare.spec.model_copy(update={"resolution": every})
        [item] = layout(spec, [MediaSize(width, height, total, fps, video=True)]).media
        marks: list[int | None] = []
        for segment in item.segments:
            marks += segment.ids if isinstance(segment, Text) else [None] * segment.tokens
        asked = parse_messages(
            [{"role": "user", "content": [{"type": "video", "video": b""},
                                          {"type": "text", "text": "Why?"}]}]
        )  # fmt: skip
        found = encode(asked, prepare.tokenizer, spec.prompt, [marks])
        lead = len(found.token_ids) - len(wanted)  # Qwen2-VL's template begins with a system prompt
        assert found.token_ids[lead:] == wanted


def test_through_the_doors(whole: Whole, tmp_path: Path) -> None:
    """Pixels and ids of a picture give the reference's answer; saved, it stays the same."""
    vlm, [shown] = sightline.load(whole.folder), picture(150, 90)
    answer = vlm.ask(shown, "What colour is the fox?", max_tokens=8)
    prepared = vlm.prepare([user(shown, "What colour is the fox?")])
    theirs, patch = whole.theirs, vlm.spec.vision.patch
    grid = torch.tensor([[1, *(side // patch for side in prepared.pixels[0].shape[1:])]])
    ids = torch.tensor([prepared.token_ids])
    inputs = {
        "input_ids": ids,
        "pixel_values": qwen.patches_of(prepared.pixels[0], patch),
        "image_grid_thw": grid,
        "mm_token_type_ids": (ids == theirs.config.image_token_id).int(),
    }
    theirs.model.rope_deltas = None
    theirs.generation_config.eos_token_id = list(vlm.spec.prompt.stop_ids)
    out = theirs.generate(
        **inputs, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False
    )
    assert list(answer.token_ids) == out[0, ids.shape[1] :].tolist()
    vlm.save(tmp_path)
    again = sightline.load(tmp_path)
    assert torch.equal(vlm.logits(prepared), again.logits(again.prepare(
        [user(shown, "What colour is the fox?")])))  # fmt: skip


def test_a_budget_lowers_the_pixels_and_says_so(whole: Whole) -> None:
    prepare, shown = prepared_by(whole), [user(picture(300, 200)[0], picture(90, 250)[0], "Why?")]
    free = prepare(shown)
    tight = prepare(shown, budget=free.visual_tokens - 1)
    assert free.visual_tokens // 2 < tight.visual_tokens < free.visual_tokens
    assert not free.notes and "lowers max_pixels" in tight.notes[0]
    with pytest.raises(ContextOverflow):
        prepare(shown, budget=1)
