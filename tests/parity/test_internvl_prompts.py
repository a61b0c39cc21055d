"""InternVL's tiles, pixels and prompts against its processors, and whole folders through the usual
doors."""

from __future__ import annotations

import json
import random as chance
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from PIL import Image
from tests.helpers.waves import picture
from tests.parity import reference as ref
from tests.parity.internvl import (
    TEXTS,
    VIT,
    as_first,
    as_internlm2,
    first_config,
    internvl,
    qianfan,
)
from tests.parity.reference import TOLERANCE
from tests.parity.video_processors import processor_module
from tests.prompt import conversations
from tests.prompt.tokenizers import trained_bytes
from tests.resolution.specs import model
from transformers import InternVLProcessor, PreTrainedTokenizerFast, QianfanOCRProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

import sightline
from sightline.core.geometry import MediaSize
from sightline.families import read_spec
from sightline.families.internvl_prompt import NEWER, OLDER
from sightline.model.prepare import Preparer
from sightline.prompt.files import load_tokenizer
from sightline.resolution.policy import layout
from sightline.resolution.tiling import sheets
from sightline.spec import FixedSpec, ModelSpec, PixelSpec, TilingSpec
from sightline.spec.resolution import IMAGENET_MEAN, IMAGENET_STD
from sightline.vision.pixels import render_all
from sightline.weights import load_folder

SIDE, TOKENS, NUM_CHATS = 28, 4, 30
SPECIAL = ("<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<|im_start|>", "<|im_end|>",
           "<ref>", "</ref>", "<box>", "</box>")  # fmt: skip
# OpenGVLab/InternVL3-1B-hf, by transformers' convert_internvl_weights_to_hf.py with the placeholder
# that the processor of 5.23.0 looks for.
CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<IMG_CONTEXT>\n' }}{% elif content['type'] == 'video' %}{{ '<video>\n' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)
EDGES = [(1, 1), (1, 6000), (6000, 1), (6000, 4000), (448, 448), (896, 448), (672, 448), (448, 672),
         (1344, 896), (300, 200), (200, 300), (640, 480), (1280, 960), (634, 634), (633, 633),
         (1120, 896), (5, 4), (4, 5), (7, 3), (2, 1)]  # fmt: skip
LIMITS = [(1, 12), (1, 6), (1, 40), (3, 7), (6, 6), (1, 1)]


def random_sizes(count: int) -> list[tuple[int, int]]:
    draw = chance.Random(5)
    return [(draw.randint(1, 6000), draw.randint(1, 4000)) for _ in range(count)]


def tiles_of(policy: TilingSpec, width: int, height: int) -> int:
    return len(layout(tiled(policy), [MediaSize(width, height)]).views)


def tiled(policy: TilingSpec) -> ModelSpec:
    """A model that sees so."""
    return model(FixedSpec(size=policy.tile)).model_copy(update={"resolution": policy})


@pytest.mark.parametrize(("least", "most"), LIMITS)
def test_counts_of_the_processor(least: int, most: int) -> None:
    theirs = GotOcr2ImageProcessorPil(
        size={"height": 448, "width": 448}, min_patches=least, max_patches=most
    )
    policy = TilingSpec(tile=448, min_tiles=least, max_tiles=most)
    for width, height in [*EDGES, *random_sizes(500)]:
        asked = {"crop_to_patches": True}
        wanted = theirs.get_number_of_image_patches(height, width, asked)
        assert tiles_of(policy, width, height) == wanted, (width, height)


def first_sheet(width: int, height: int, least: int, most: int, side: int) -> tuple[int, int]:
    """`dynamic_preprocess` of the first releases: sheets in the order of a set."""
    ratios = {(i, j) for n in range(least, most + 1) for i in range(1, n + 1)
              for j in range(1, n + 1) if least <= i * j <= most}  # fmt: skip
    best, nearest = (1, 1), float("inf")
    for across, down in sorted(ratios, key=lambda ratio: ratio[0] * ratio[1]):
        away = abs(width / height - across / down)
        if away < nearest:
            best, nearest = (across, down), away
        elif away == nearest and width * height > 0.5 * side * side * across * down:
            best = across, down
    return best


@pytest.mark.parametrize("most", [6, 12, 40])
def test_sheets_of_the_first_releases(most: int) -> None:
    policy = TilingSpec(tile=448, max_tiles=most, thumbnail=False)
    spec = tiled(policy)
    for width, height in [*EDGES, *random_sizes(500)]:
        across, down = first_sheet(width, height, 1, most, 448)
        resized = layout(spec, [MediaSize(width, height)]).views[0].resized
        assert (resized.width, resized.height) == (448 * across, 448 * down), (width, height)


TIES = [(634, 634), (633, 633), (2000, 1000), (600, 400), (1400, 600), (7, 3), (1792, 1344)]


@pytest.mark.parametrize("wrong", ["smaller on a tie", "larger on a tie"])
def test_a_wrong_tie_break_is_seen(wrong: str) -> None:
    """Of equally near sheets always the first, or always the last."""
    later = wrong.startswith("larger")
    differ = 0
    for width, height in TIES:
        found = sheets(1, 12)
        away = [abs(width / height - sheet.cols / sheet.rows) for sheet in found]
        near = [s.area for s, a in zip(found, away, strict=True) if a == min(away)]
        chosen = near[-1] if later else near[0]
        policy = TilingSpec(tile=448, thumbnail=False)
        differ += chosen != tiles_of(policy, width, height)
    assert differ >= 2


def test_published_count() -> None:
    assert tiles_of(TilingSpec(tile=448), 640, 480) == 13


PIXEL_SIZES = [(1, 1), (1, 40), (40, 1), (28, 28), (56, 28), (27, 29), (90, 61), (61, 90), (300, 7),
               (13, 200), (84, 56), (85, 57), (120, 120), (121, 119), (400, 300), (300, 400),
               (99, 98), (500, 111), (37, 41), (640, 480)]  # fmt: skip


@pytest.mark.parametrize("size", PIXEL_SIZES)
def test_pixels_are_bit_equal(size: tuple[int, int]) -> None:
    """Tiles in order, thumbnail last, by the Pillow processor, all of whose tiles are made."""
    theirs = image_processor()
    shown = picture(*size)
    pixels = PixelSpec(backend="pillow", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    spec = tiled(TilingSpec(tile=SIDE, pixels=pixels))
    found = render_all([shown], layout(spec, [MediaSize(*size)]), pixels)
    wanted = theirs(Image.fromarray(shown), crop_to_patches=True, return_tensors="pt")
    assert torch.equal(torch.stack(found), wanted["pixel_values"])


def image_processor(**options: Any) -> Any:
    return GotOcr2ImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        image_mean=list(IMAGENET_MEAN),
        image_std=list(IMAGENET_STD),
        **options,
    )


def tokenizer() -> PreTrainedTokenizerFast:
    backend = tokenizers.Tokenizer.from_str(trained_bytes())
    backend.add_special_tokens(list(SPECIAL))
    named = {"start_image_token": "<img>", "end_image_token": "</img>",
             "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"}  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", extra_special_tokens=named
    )


@pytest.fixture(scope="module")
def patch() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield monkeypatch


@pytest.fixture(scope="module")
def whole(patch: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A folder as the reference writes it, its model and its processor."""
    folder = tmp_path_factory.mktemp("internvl")
    clips = processor_module(patch, "internvl").InternVLVideoProcessor(
        size={"height": SIDE, "width": SIDE},
        image_mean=list(IMAGENET_MEAN),
        image_std=list(IMAGENET_STD),
    )
    words = tokenizer()
    # The check asks for a table of classes that is empty without torchvision.
    patch.setattr(InternVLProcessor, "check_argument_for_proper_class", lambda *_: None)
    processor = InternVLProcessor(
        image_processor(max_patches=6), words, clips, image_seq_length=TOKENS, chat_template=CHAT
    )
    text = TEXTS["qwen2"] | {"vocab_size": len(words), "max_position_embeddings": 4096,
                             "bos_token_id": None, "eos_token_id": words.eos_token_id}  # fmt: skip
    theirs = internvl("qwen2", text_config=text, image_token_id=processor.image_token_id)
    theirs.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder, theirs, processor


def shown(random: chance.Random) -> np.ndarray:
    return picture(random.randrange(1, 90), random.randrange(1, 90))


def drawn(chat: conversations.Chat, random: chance.Random) -> tuple[conversations.Chat, list, list]:
    """The stand-ins of a conversation as real pictures, some as clips, of one length as the
    reference wants them; pictures; clips."""
    stills, clips, seen = [], [], []
    frames = random.randrange(1, 4)
    for message in chat:
        content = message["content"]
        if not isinstance(content, str):
            content = [dict(part) for part in content]
            for part in content:
                if part["type"] != "image":
                    continue
                if random.random() < 0.3:
                    clip = np.stack([picture(20, 30)] * frames)
                    clips.append(clip)
                    part.pop("image")
                    part |= {"type": "video", "video": clip}
                else:
                    part["image"] = shown(random)
                    stills.append(part["image"])
        seen.append(message | {"content": content})
    return seen, stills, clips


def test_same_ids_and_views_as_the_processor(whole: Any) -> None:
    folder, _, processor = whole
    spec = read_spec(folder).model
    prepare = Preparer(spec, load_tokenizer(folder))
    random, num_clips = chance.Random(3), 0
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat = conversations.chat(random, system=True, answered=not ask)
        chat, stills, clips = drawn(chat, random)
        text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=ask)
        media = {"images": [Image.fromarray(still) for still in stills]} if stills else {}
        if clips:
            media["videos"] = [torch.from_numpy(clip).permute(0, 3, 1, 2) for clip in clips]
            num_clips += 1
        wanted = processor(text=text, return_tensors="pt", **media)
        found = prepare(chat, add_generation_prompt=ask)
        assert found.token_ids == wanted["input_ids"][0].tolist()
        views = wanted["pixel_values"] if media else []
        assert len(found.pixels) == len(views)
        assert [s.stop - s.start for s in found.spans] == [m.tokens for m in found.layout.media]
    assert num_clips >= 5


def test_same_ids_as_the_processor_of_qianfan(tmp_path: Path) -> None:
    """Its template writes <image>, which is no token, and its processor puts the span there."""
    words = tokenizer()
    template = CHAT.replace("<IMG_CONTEXT>", "<image>")
    processor = QianfanOCRProcessor(
        image_processor(), words, image_seq_length=TOKENS, chat_template=template
    )
    text = TEXTS["qwen3"] | {"vocab_size": len(words), "max_position_embeddings": 4096}
    theirs = qianfan(text_config=text, image_token_id=processor.image_token_id)
    theirs.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    random = chance.Random(9)
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat = conversations.chat(random, system=True, answered=not ask)
        pictures = [shown(random) for _ in range(conversations.num_pictures(chat))]
        left = iter(pictures)
        chat = [message | {"content": filled(message["content"], left)} for message in chat]
        prompt = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=ask)
        media = {"images": [Image.fromarray(one) for one in pictures]} if pictures else {}
        wanted = processor(text=prompt, return_tensors="pt", **media)["input_ids"][0]
        assert prepare(chat, add_generation_prompt=ask).token_ids == wanted.tolist()


def test_pixels_of_clips(whole: Any) -> None:
    """Equal to torchvision's resize; the reference folds 1/255 into mean and std."""
    folder, _, processor = whole
    prepare = Preparer(read_spec(folder).model, load_tokenizer(folder))
    clip = np.stack([picture(90, 61), picture(90, 61)[::-1], picture(90, 61)[:, ::-1]])
    found = prepare([{"role": "user", "content": [{"type": "video", "video": clip}]}])
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2)
    wanted = processor.video_processor(videos=[frames], return_tensors="pt")["pixel_values_videos"]
    assert torch.stack(found.pixels).sub(wanted[0]).abs().max() <= 1e-6


def test_the_usual_doors(whole: Any) -> None:
    folder, theirs, processor = whole
    vlm = sightline.load(folder)
    assert vlm.model.spec.resolution.max_tiles == 6
    pictures = [picture(90, 40), picture(30, 75)]
    content = [{"type": "image", "image": p} for p in pictures]
    asked = [{"role": "user", "content": [*content, {"type": "text", "text": "What is it?"}]}]
    prepared = vlm.prepare(asked)
    inputs = {
        "input_ids": torch.tensor([prepared.token_ids]),
        "pixel_values": torch.stack(prepared.pixels),
    }
    with torch.no_grad():
        gap = vlm.logits(prepared) - theirs(**inputs).logits[0]
    assert float(gap.abs().max()) <= TOLERANCE
    theirs.generation_config.eos_token_id = None
    mask = torch.ones_like(inputs["input_ids"])
    out = theirs.generate(**inputs, attention_mask=mask, max_new_tokens=8, do_sample=False)
    wanted = out[0, len(prepared.token_ids) :].tolist()
    answer = vlm.ask(asked, max_tokens=8)
    stop = processor.tokenizer.eos_token_id
    assert list(answer.token_ids) == (wanted[: wanted.index(stop)] if stop in wanted else wanted)
    assert answer.usage.visual_tokens == prepared.visual_tokens


def test_saved_and_loaded_again(whole: Any, tmp_path: Path) -> None:
    sightline.load(whole[0]).save(tmp_path / "own")
    first, again = load_folder(whole[0]).model, load_folder(tmp_path / "own").model
    assert again.spec == first.spec
    same = dict(again.named_parameters())
    assert all(torch.equal(p, same[name]) for name, p in first.named_parameters())


# The first releases: prompts as conversation.py writes them.


def first_prompt(chat: conversations.Chat, system: str, end: str, ask: bool) -> str:
    """By hand, with a picture as <image>."""

    def say(message: dict[str, Any]) -> str:
        content = message["content"]
        return content if isinstance(content, str) else "".join(
            part.get("text", "<image>\n") for part in content
        )  # fmt: skip

    if chat[0]["role"] == "system":
        system, chat = say(chat[0]), chat[1:]
    text = f"<|im_start|>system\n{system}{end}"
    for message in chat:
        text += f"<|im_start|>{message['role']}\n{say(message)}{end}"
    return text + ("<|im_start|>assistant\n" if ask else "")


FIRST = {
    "internlm2-chat": (OLDER, "<|im_end|>"),
    "Hermes-2": (OLDER, "<|im_end|>"),
    "internvl2_5": (NEWER, "<|im_end|>\n"),
}


@pytest.mark.parametrize("template", FIRST)
def test_same_ids_as_the_first_releases(template: str, tmp_path: Path) -> None:
    words = tokenizer()
    text = TEXTS["llama"] | {"vocab_size": len(words), "max_position_embeddings": 8192}
    theirs = internvl(
        "llama", text_config=text, image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>")
    )
    ref.saved(theirs, tmp_path)
    config = theirs.config.text_config
    ref.edit_tensors(tmp_path, lambda t: as_internlm2(as_first(t), config, "language_model."))
    (tmp_path / "config.json").write_text(
        json.dumps(first_config(theirs, "internlm2", template=template))
    )
    words.save_pretrained(tmp_path)
    declared = read_spec(tmp_path)
    spec = declared.model
    assert spec.prompt.stop_ids == (words.convert_tokens_to_ids("<|im_end|>"),)
    prepare = Preparer(spec, load_tokenizer(tmp_path))
    random = chance.Random(template)
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat = conversations.chat(random, system=True, answered=not ask)
        pictures = [shown(random) for _ in range(conversations.num_pictures(chat))]
        prompt = first_prompt(chat, *FIRST[template], ask)
        for one in pictures:
            count = TOKENS * tiles_of(TilingSpec(tile=SIDE), one.shape[1], one.shape[0])
            prompt = prompt.replace("<image>", f"<img>{'<IMG_CONTEXT>' * count}</img>", 1)
        left = iter(pictures)
        seen = [message | {"content": filled(message["content"], left)} for message in chat]
        found = prepare(seen, add_generation_prompt=ask)
        assert found.token_ids == list(words(prompt)["input_ids"])
    assert VIT["image_size"] == [SIDE, SIDE]


def filled(content: Any, pictures: Any) -> Any:
    if isinstance(content, str):
        return content
    return [{"type": "image", "image": next(pictures)} if p["type"] == "image" else p
            for p in content]  # fmt: skip


def test_frames_of_a_clip_in_the_first_releases(tmp_path: Path) -> None:
    """`Frame1: <image>\n` for each frame, one tile each, before the question."""
    words = tokenizer()
    text = TEXTS["qwen2"] | {"vocab_size": len(words), "max_position_embeddings": 8192}
    theirs = internvl(
        "qwen2", text_config=text, image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>")
    )
    ref.saved(theirs, tmp_path)
    ref.edit_tensors(tmp_path, as_first)
    (tmp_path / "config.json").write_text(json.dumps(first_config(theirs, "qwen2")))
    words.save_pretrained(tmp_path)
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    clip = np.stack([picture(90, 20)] * 3)
    content = [{"type": "video", "video": clip}, {"type": "text", "text": "What moves?"}]
    found = prepare([{"role": "user", "content": content}])
    one = f"<img>{'<IMG_CONTEXT>' * TOKENS}</img>\n"
    frames = "".join(f"Frame{n}: {one}" for n in (1, 2, 3))
    prompt = (f"<|im_start|>system\n{NEWER}<|im_end|>\n<|im_start|>user\n{frames}What moves?"
              "<|im_end|>\n<|im_start|>assistant\n")  # fmt: skip
    assert found.token_ids == list(words(prompt)["input_ids"])
