"""Prompts and clips of Idefics3 and SmolVLM against their processors, and whole folders through the
usual doors."""

from __future__ import annotations

import json
import random as chance
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers as hf
from PIL import Image
from tests.helpers.waves import picture
from tests.parity import reference as ref
from tests.parity.idefics3 import EDGE, LONG, TILE, idefics3, image_processor
from tests.parity.reference import TOLERANCE
from tests.parity.video_processors import processor_module
from tests.prompt import conversations
from tests.prompt.tokenizers import CORPUS, byte_level
from tokenizers import pre_tokenizers, trainers
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

import sightline
from sightline.core.errors import FamilyError
from sightline.families import read_spec
from sightline.families.idefics3 import CHAT as SMOLVLM_2
from sightline.model.prepare import Preparer
from sightline.prompt.files import load_tokenizer
from sightline.weights import load_folder

TOKENS, NUM_CHATS = 4, 30
FAKE, END = "<fake_token_around_image>", "<end_of_utterance>"
PLACES = tuple(f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7))
CONTROL = ("<|begin_of_text|>", "<|im_start|>", FAKE, "<image>", "<video>", END)
# The chat template that HuggingFaceM4/Idefics3-8B-Llama3 was published with.
IDEFICS3 = (
    "<|begin_of_text|>{% for message in messages %}{{message['role'].capitalize()}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
# That of HuggingFaceTB/SmolVLM-Instruct, which knows no clips.
SMOLVLM = IDEFICS3.replace("<|begin_of_text|>", "<|im_start|>").replace(
    "message['role'].capitalize()", "message['role'] | capitalize"
)


def words(tags: bool = True) -> hf.PreTrainedTokenizerFast:
    """A small tokenizer with the family's tokens; two line breaks are one token, as in Llama 3."""
    backend = byte_level({}, [])
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator([*CORPUS * 3, *["\n\n\n a"] * 20], trainer)
    backend = tokenizers.Tokenizer.from_str(backend.to_str())
    backend.add_special_tokens([*CONTROL, *(("<global-img>", *PLACES) if tags else ())])
    named = {"fake_image_token": FAKE, "image_token": "<image>", "video_token": "<video>",
             "end_of_utterance_token": END}  # fmt: skip
    if tags:
        named["global_image_token"] = "<global-img>"
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, extra_special_tokens=named
    )


@pytest.fixture(scope="module")
def patch() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield monkeypatch


def idefics3_processor(tokenizer: Any, **options: Any) -> Any:
    pictures = image_processor(Idefics3ImageProcessorPil, **options)
    return hf.Idefics3Processor(pictures, tokenizer, TOKENS, chat_template=IDEFICS3)


def smolvlm_processor(patch: pytest.MonkeyPatch, chat: str = SMOLVLM) -> Any:
    """With the numbers of the library num2words, which is not here, for as many as the test has."""
    clips = image_processor(
        processor_module(patch, "smolvlm").SmolVLMVideoProcessor,
        video_sampling={"max_frames": 5, "fps": 2.0, "video_size": {"longest_edge": EDGE}},
    )
    # Lanczos, as torchvision 0.27 has it.
    backends = "transformers.image_processing_backends"
    patch.setattr(f"{backends}.is_torchvision_greater_or_equal", lambda _: True)
    numbers = dict(enumerate("zero one two three four five".split())) | {24: "twenty-four"}
    patch.setattr(processing_smolvlm, "num2words", numbers.__getitem__)
    # The check asks for a table of classes that is empty without torchvision.
    patch.setattr(hf.SmolVLMProcessor, "check_argument_for_proper_class", lambda *_: None)
    pictures = image_processor(SmolVLMImageProcessorPil)
    return hf.SmolVLMProcessor(pictures, words(), clips, TOKENS, chat_template=chat)


def written(kind: str, processor: Any, folder: Path) -> Any:
    """A folder as the reference writes it, and its model."""
    tokenizer = processor.tokenizer
    text = LONG | {"vocab_size": len(tokenizer), "max_position_embeddings": 8192,
                   "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}  # fmt: skip
    theirs = idefics3(kind, text_config=text, image_token_id=processor.image_token_id)
    theirs.save_pretrained(folder)
    processor.save_pretrained(folder)
    return theirs


@pytest.fixture(scope="module")
def whole(patch: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    folder, processor = tmp_path_factory.mktemp("smolvlm"), smolvlm_processor(patch)
    return folder, written("smolvlm", processor, folder), processor


def shown(random: chance.Random) -> np.ndarray:
    return picture(random.randrange(1, 90), random.randrange(1, 90))


def drawn(chat: conversations.Chat, random: chance.Random) -> tuple[conversations.Chat, list[Any]]:
    """The stand-ins of a conversation as real pictures; the pictures."""
    stills: list[Any] = []
    seen = []
    for message in conversations.as_parts(chat):
        parts = [dict(part) for part in message["content"]]
        for part in parts:
            if part["type"] == "image":
                part["image"] = shown(random)
                stills.append(part["image"])
        seen.append(message | {"content": parts})
    return seen, stills


def assert_same_ids(folder: Path, processor: Any, seed: int) -> None:
    prepare = Preparer(read_spec(folder).model, load_tokenizer(folder))
    random = chance.Random(seed)
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat, stills = drawn(conversations.chat(random, system=True, answered=not ask), random)
        text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=ask)
        media = {"images": [[Image.fromarray(still) for still in stills]]} if stills else {}
        wanted = processor(text=[text], return_tensors="pt", **media)
        found = prepare(chat, add_generation_prompt=ask)
        assert found.token_ids == wanted["input_ids"][0].tolist()
        assert len(found.pixels) == (wanted["pixel_values"].shape[1] if media else 0)


@pytest.mark.parametrize("split", [True, False], ids=["tiles", "whole"])
@pytest.mark.parametrize("tags", [True, False], ids=["tags as tokens", "tags as text"])
def test_same_ids_as_idefics3(tags: bool, split: bool, tmp_path: Path) -> None:
    processor = idefics3_processor(words(tags), do_image_splitting=split)
    written("idefics3", processor, tmp_path)
    assert_same_ids(tmp_path, processor, 3)
    views = read_spec(tmp_path).model.resolution
    assert len(views.tags.whole) == 1 if tags else len(views.tags.whole) > 1
    assert (len(views.tags.row_end), len(views.tags.last_row_end)) == (1, 1)


def test_same_ids_as_smolvlm(whole: Any) -> None:
    assert_same_ids(whole[0], whole[2], 4)


CLIPS = [(1, 2.0), (3, 1.0), (7, 0.5), (30, 4.0), (60, 10.0), (24, None), (5, None)]


@pytest.mark.parametrize(("frames", "fps"), CLIPS)
@pytest.mark.parametrize("chat", ["published", "knows clips"])
def test_clips(chat: str, frames: int, fps: float | None, patch: Any, tmp_path: Path) -> None:
    """Which frames, their words and ids, and pixels: equal to torchvision's resize; the reference
    folds 1/255 into mean and std. Clips of no known rate are not sampled there."""
    processor = smolvlm_processor(patch, SMOLVLM if chat == "published" else SMOLVLM_2)
    if fps is None:
        processor.video_processor.num_frames = processor.video_processor.fps = None
        processor.video_processor.video_sampling = None
    written("smolvlm", processor, tmp_path)
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    clip = np.stack([np.roll(picture(90, 61), 3 * i, 0) for i in range(frames)])
    part = {"type": "video", "video": clip} | ({} if fps is None else {"fps": fps})
    asked = [{"role": "user", "content": [part, {"type": "text", "text": "What moves?"}]}]
    found = prepare(asked)
    text = processor.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    seen = torch.from_numpy(clip).permute(0, 3, 1, 2)
    given: dict[str, Any] = {"videos": [[seen]]}
    if fps is not None:
        about = {"total_num_frames": frames, "fps": fps, "duration": frames / fps,
                 "frames_indices": list(range(frames)), "height": 61, "width": 90}  # fmt: skip
        given |= {"video_metadata": [about], "do_sample_frames": True}
    wanted = processor(text=[text], return_tensors="pt", **given)
    assert found.token_ids == wanted["input_ids"][0].tolist()
    assert torch.stack(found.pixels).sub(wanted["pixel_values"][0]).abs().max() <= 1e-6


SIZE, SIDE = {"longest_edge": EDGE}, {"longest_edge": TILE}
OTHER = {"longest_edge": 56}
CLIP_KEYS: dict[str, dict[str, Any]] = {
    "size counts more than video_size": {
        "size": SIZE, "video_sampling": {"max_frames": 64, "fps": 1, "video_size": OTHER}},
    "video_size alone": {"video_sampling": {"max_frames": 9, "fps": 0.5, "video_size": OTHER}},
    "numbers beside": {"size": OTHER, "num_frames": 7, "fps": 3},
    "sampling counts more": {"size": OTHER, "num_frames": 7, "fps": 3,
                             "video_sampling": {"max_frames": 64, "fps": 1, "video_size": SIZE}},
    "no fps": {"size": SIZE, "num_frames": 7},
}  # fmt: skip


@pytest.mark.parametrize("name", CLIP_KEYS)
def test_keys_of_the_video_processor(name: str, patch: Any, tmp_path: Path) -> None:
    keys = CLIP_KEYS[name] | {"max_image_size": SIDE}
    ref.saved(idefics3("smolvlm"), tmp_path)
    write = json.dumps({"size": SIZE, "max_image_size": SIDE})
    (tmp_path / "preprocessor_config.json").write_text(write)
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(keys))
    theirs = processor_module(patch, "smolvlm").SmolVLMVideoProcessor(
        **json.loads(json.dumps(keys))
    )
    views = read_spec(tmp_path).model.resolution
    assert (views.clip_edge or views.edge) == theirs.size["longest_edge"]
    both = (theirs.num_frames, theirs.fps)
    assert (views.video.max_frames, views.video.fps) == (both if None not in both else (None, None))


def test_other_tiles_of_clips_are_refused(tmp_path: Path) -> None:
    ref.saved(idefics3("smolvlm"), tmp_path)
    for name, side in (("preprocessor", SIDE), ("video_preprocessor", OTHER)):
        keys = json.dumps({"size": SIZE, "max_image_size": side})
        (tmp_path / f"{name}_config.json").write_text(keys)
    with pytest.raises(FamilyError, match="max_image_size"):
        read_spec(tmp_path)


def test_the_usual_doors(whole: Any) -> None:
    folder, theirs, processor = whole
    vlm = sightline.load(folder)
    assert (vlm.model.spec.resolution.tile, vlm.model.spec.resolution.edge) == (TILE, EDGE)
    content = [{"type": "image", "image": p} for p in (picture(90, 40), picture(30, 75))]
    asked = [{"role": "user", "content": [*content, {"type": "text", "text": "What is it?"}]}]
    prepared = vlm.prepare(asked)
    inputs = {
        "input_ids": torch.tensor([prepared.token_ids]),
        "pixel_values": torch.stack(prepared.pixels)[None],
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


# Preprocessing that cannot be reproduced is refused by name.

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "other resize": ({"do_resize": False}, "do_resize"),
    "a square": ({"size": {"height": 9, "width": 9}}, "longest_edge|height|width"),
    "a huge edge": ({"size": {"longest_edge": 5000}}, "edge"),
    "unpadded": ({"do_pad": False}, "do_pad"),
    "unknown key": ({"fancy": 1}, "fancy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_preprocessing_is_refused(name: str, tmp_path: Path) -> None:
    change, field = REFUSED[name]
    ref.saved(idefics3(), tmp_path)
    keys = {"size": {"longest_edge": EDGE}, "max_image_size": {"longest_edge": TILE}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(keys | change))
    with pytest.raises(FamilyError, match=field):
        read_spec(tmp_path)


def test_a_tokenizer_without_the_tokens_is_refused(whole: Any, tmp_path: Path) -> None:
    ref.saved(idefics3(), tmp_path)
    byte_level({"a": 0}, []).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(FamilyError, match="fake_token_around_image"):
        read_spec(tmp_path)
