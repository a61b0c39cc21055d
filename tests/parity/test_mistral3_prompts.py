"""Mistral Small 3.1's views, pixels and prompts against its processor, and a whole folder through
the usual doors."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from PIL import Image
from tests.helpers.waves import picture
from tests.parity.reference import TOLERANCE
from tests.parity.test_mistral3 import MISTRAL, mistral3
from tests.prompt import conversations
from tests.prompt.tokenizers import trained_bytes
from transformers import PreTrainedTokenizerFast
from transformers.models.pixtral import image_processing_pil_pixtral as pil

import sightline
from sightline.core.errors import PictureError
from sightline.core.geometry import MediaSize, Size
from sightline.families import read_spec
from sightline.model.prepare import Preparer
from sightline.prompt.files import load_tokenizer
from sightline.resolution.longest_edge import view_size
from sightline.resolution.policy import layout
from sightline.spec import LongestEdgeSpec
from sightline.weights import load_folder

NUM_CHATS, NUM_SIZES = 30, 500
EDGES = [(1, 1), (1, 1540), (1540, 1), (1, 1541), (1541, 1), (1, 6000), (6000, 1), (6000, 4000),
         (1540, 1540), (1541, 1541), (28, 28), (29, 28), (27, 57), (1539, 28), (3080, 3080),
         (1568, 784), (3, 6000), (4, 6000)]  # fmt: skip
SPECIAL = ("[IMG]", "[IMG_BREAK]", "[IMG_END]", "[INST]", "[/INST]", "[SYSTEM_PROMPT]",
           "[/SYSTEM_PROMPT]")  # fmt: skip
# mistralai/Mistral-Small-3.1-24B-Instruct-2503, without the default system prompt and its dates.
CHAT = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '[SYSTEM_PROMPT]' }}{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{{ message['content'][0]['text'] }}{% endif %}{{ '[/SYSTEM_PROMPT]' }}"
    "{% elif message['role'] == 'user' %}{% if message['content'] is string %}"
    "{{ '[INST]' + message['content'] + '[/INST]' }}{% else %}{{ '[INST]' }}"
    "{% for block in message['content'] %}{% if block['type'] == 'text' %}{{ block['text'] }}"
    "{% elif block['type'] in ['image', 'image_url'] %}{{ '[IMG]' }}"
    "{% else %}{{ raise_exception('Only text and image blocks are supported!') }}{% endif %}"
    "{% endfor %}{{ '[/INST]' }}{% endif %}{% elif message['role'] == 'assistant' %}"
    "{% if message['content'] is string %}{{ message['content'] + eos_token }}"
    "{% else %}{{ message['content'][0]['text'] + eos_token }}{% endif %}{% endif %}{% endfor %}"
)


def sizes(count: int) -> list[tuple[int, int]]:
    random = Random(7)
    return [(random.randint(1, 6000), random.randint(1, 4000)) for _ in range(count)]


@pytest.mark.parametrize(("edge", "multiple"), [(1540, 28), (1024, 16), (336, 14)])
def test_sizes_of_the_processor(edge: int, multiple: int) -> None:
    """The same views; the reference makes views without pixels of what is too narrow."""
    policy, refused = LongestEdgeSpec(edge=edge, multiple=multiple), 0
    for width, height in [*EDGES, *sizes(NUM_SIZES)]:
        blank = np.broadcast_to(np.uint8(0), (3, height, width))
        wanted = pil.get_resize_output_image_size(
            blank, (edge, edge), (multiple, multiple), "channels_first"
        )
        if 0 in wanted:
            refused += 1
            with pytest.raises(PictureError):
                view_size(policy, Size(width, height))
            continue
        assert view_size(policy, Size(width, height)) == Size(wanted[1], wanted[0])
    assert refused >= 2


def test_a_size_rounded_to_the_nearest_is_seen() -> None:
    """A policy that would round as Qwen's does differs on most sizes."""
    policy, differ = LongestEdgeSpec(edge=1540, multiple=28), 0
    for width, height in sizes(100):
        shrink = max(width / 1540, height / 1540, 1)
        nearest = Size(round(width / shrink / 28) * 28, round(height / shrink / 28) * 28)
        differ += nearest != view_size(policy, Size(width, height))
    assert differ > 30


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder as the reference writes it, its model and its processor, which wants torchvision
    for one function that the Pillow processor has, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "transformers.models.pixtral.image_processing_pixtral", pil)
        from transformers.models.pixtral.processing_pixtral import PixtralProcessor

        backend = tokenizers.Tokenizer.from_str(trained_bytes())
        backend.add_special_tokens(list(SPECIAL))
        words = PreTrainedTokenizerFast(
            tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<s>"
        )
        views = pil.PixtralImageProcessorPil(size={"longest_edge": 32}, patch_size=4)
        patch.setattr(PixtralProcessor, "check_argument_for_proper_class", lambda *_: None)
        processor = PixtralProcessor(
            views, words, patch_size=4, spatial_merge_size=2, chat_template=CHAT
        )
        folder = tmp_path_factory.mktemp("mistral3")
        ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
        text = MISTRAL | {"vocab_size": len(words), "max_position_embeddings": 4096} | ids
        theirs = mistral3(text_config=text, image_token_index=processor.image_token_id)
        theirs.save_pretrained(folder)
        processor.save_pretrained(folder)
        yield folder, theirs, processor


def drawn(chat: conversations.Chat, random: Random) -> tuple[conversations.Chat, list[Any]]:
    """The stand-ins of a conversation as real pictures. No user types [INST] here: to the reference
    that is its control token, to us it is text."""
    shown: list[Any] = []
    seen: conversations.Chat = []
    for message in chat:
        content = message["content"]
        if isinstance(content, str):
            content = content.replace("[INST]", "INST")
        else:
            content = [dict(part) for part in content]
            for part in content:
                part |= {
                    key: part[key].replace("[INST]", "INST") for key in ("text",) if key in part
                }
                if part["type"] == "image":
                    part["image"] = picture(random.randrange(3, 60), random.randrange(3, 60))
                    shown.append(part["image"])
        seen.append(message | {"content": content})
    return seen, shown


def test_same_ids_as_the_processor(whole: Any) -> None:
    folder, _, processor = whole
    prepare = Preparer(read_spec(folder).model, load_tokenizer(folder))
    random, several = Random(3), 0
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat, shown = drawn(conversations.chat(random, system=True, answered=not ask), random)
        text = processor.apply_chat_template(chat, tokenize=False)
        images = {"images": [[Image.fromarray(one) for one in shown]]} if shown else {}
        wanted = processor(text=[text], add_special_tokens=False, **images)
        found = prepare(chat, add_generation_prompt=ask)
        assert found.token_ids == wanted["input_ids"][0].tolist()
        if shown:
            sizes = [[view.size.height, view.size.width] for view in found.layout.views]
            assert sizes == [list(size) for size in wanted["image_sizes"].tolist()]
        several += len(shown) > 1
    assert several >= 5


PIXEL_SIZES = [*sizes(8), (1, 1), (1, 30), (30, 1), (8, 8), (9, 8), (31, 33), (33, 31), (32, 32),
               (64, 32), (100, 7), (7, 100), (50, 49)]  # fmt: skip


@pytest.mark.parametrize("size", PIXEL_SIZES)
def test_pixels_are_bit_equal(size: tuple[int, int], whole: Any) -> None:
    folder, _, processor = whole
    spec = read_spec(folder).model
    pixels = spec.resolution.pixels.model_copy(update={"backend": "pillow"})
    view = spec.resolution.model_copy(update={"pixels": pixels})
    prepare = Preparer(spec.model_copy(update={"resolution": view}), load_tokenizer(folder))
    shown = picture(*(min(side, 900) for side in size))
    found = prepare([{"role": "user", "content": [{"type": "image", "image": shown}]}])
    wanted = processor.image_processor(
        Image.fromarray(shown), patch_size={"height": 8, "width": 8}, return_tensors="pt"
    )
    assert torch.equal(torch.stack(found.pixels), wanted["pixel_values"])


def test_the_usual_doors(whole: Any) -> None:
    folder, theirs, processor = whole
    vlm = sightline.load(folder)
    content = [{"type": "image", "image": picture(*size)} for size in ((31, 15), (15, 31))]
    asked = [{"role": "user", "content": [*content, {"type": "text", "text": "What is it?"}]}]
    prepared = vlm.prepare(asked)
    text = processor.apply_chat_template(asked, tokenize=False)
    shown = [Image.fromarray(part["image"]) for part in content]
    inputs = dict(processor(text=[text], images=[shown], add_special_tokens=False))
    inputs["pixel_values"] = torch.zeros_like(inputs["pixel_values"])
    for row, view in enumerate(prepared.pixels):  # by torch's resize, which ours is, too
        inputs["pixel_values"][row, :, : view.shape[1], : view.shape[2]] = view
    with torch.no_grad():
        gap = vlm.logits(prepared) - theirs(**inputs).logits[0]
    assert float(gap.abs().max()) <= TOLERANCE
    theirs.generation_config.eos_token_id = None
    out = theirs.generate(**inputs, max_new_tokens=8, do_sample=False)
    wanted = out[0, len(prepared.token_ids) :].tolist()
    for stop in vlm.spec.prompt.stop_ids:
        wanted = wanted[: wanted.index(stop)] if stop in wanted else wanted
    answer = vlm.ask(asked, max_tokens=8)
    assert list(answer.token_ids) == wanted
    assert "".join(vlm.stream(asked, max_tokens=8)).strip() == answer.text


def test_saved_and_loaded_again(whole: Any, tmp_path: Path) -> None:
    sightline.load(whole[0]).save(tmp_path / "own")
    first, again = load_folder(whole[0]).model, load_folder(tmp_path / "own").model
    assert again.spec == first.spec
    same = dict(again.named_parameters())
    assert all(torch.equal(p, same[name]) for name, p in first.named_parameters())


def test_tags_are_text_and_rows_are_pictures(whole: Any) -> None:
    spec = read_spec(whole[0]).model
    [item] = layout(spec, [MediaSize(32, 16)]).media
    assert (item.tokens, item.visual_tokens) == (10, 8)
