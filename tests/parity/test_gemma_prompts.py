"""PaliGemma's and Gemma 3's prompts and pixels against their processors, and whole folders through
the usual doors."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from PIL import Image
from tests.helpers.waves import picture
from tests.parity import gemma
from tests.parity.gemma import GEMMA, GEMMA2, GEMMA3
from tests.parity.reference import TOLERANCE
from tests.prompt import conversations
from tests.prompt.tokenizers import trained_bytes, trained_spm
from transformers import PaliGemmaProcessor, PreTrainedTokenizerFast
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.gemma3.processing_gemma3 import Gemma3Processor
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

import sightline
from sightline.core.errors import FamilyError, PromptError
from sightline.core.geometry import Box, Size
from sightline.families import read_spec
from sightline.model.prepare import Preparer
from sightline.prompt import convert
from sightline.prompt.files import load_tokenizer
from sightline.prompt.grounding import write_box
from sightline.spec import BuiltinTemplate
from sightline.spec.sampling import Sampling
from sightline.weights import load_folder

NUM_CHATS, NUM_SIZES = 30, 20
LONG = {"max_position_embeddings": 4096, "bos_token_id": 1, "eos_token_id": 2}
# google/gemma-3-4b-it.
CHAT = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"""
MARKS = ("<start_of_image>", "<end_of_image>", "<image_soft_token>", "<start_of_turn>",
         "<end_of_turn>")  # fmt: skip


@cache
def sentencepiece() -> str:
    """As Gemma's: no space is put in front, and runs of newlines are pieces."""
    newlines = ",".join("\n" * count for count in (1, 2, 3))
    return convert.from_sentencepiece(
        trained_spm(add_dummy_prefix=False, user_defined_symbols=newlines)
    )


SOURCES = {"spm": sentencepiece, "bytes": trained_bytes}


def paligemma_processor(words: str) -> Any:
    backend = tokenizers.Tokenizer.from_str(SOURCES[words]())
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<s>"}
    views = SiglipImageProcessorPil(size={"height": 28, "width": 28})
    views.image_seq_length = 4
    return PaliGemmaProcessor(views, PreTrainedTokenizerFast(tokenizer_object=backend, **named))


def gemma3_processor(words: str) -> Any:
    backend = tokenizers.Tokenizer.from_str(SOURCES[words]())
    backend.add_special_tokens(list(MARKS))
    named = {"boi_token": MARKS[0], "eoi_token": MARKS[1], "image_token": MARKS[2]}
    views = Gemma3ImageProcessorPil(size={"height": 56, "width": 56}, do_pan_and_scan=False)
    written = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<s>",
        extra_special_tokens=named,
    )  # fmt: skip
    return Gemma3Processor(views, written, chat_template=CHAT, image_seq_length=4)


def vocabulary(processor: Any) -> dict[str, int]:
    return LONG | {"vocab_size": len(processor.tokenizer)}


@cache
def whole(name: str, words: str, base: Path) -> tuple[Path, Any, Any]:
    """A folder as the reference writes it, its model and its processor."""
    folder = base / f"{name}-{words}"
    if name == "gemma3":
        processor = gemma3_processor(words)
        boi, eoi, image = processor.tokenizer.convert_tokens_to_ids(MARKS[:3])
        theirs = gemma.gemma3(
            GEMMA3 | vocabulary(processor),
            boi_token_index=boi,
            eoi_token_index=eoi,
            image_token_index=image,
        )
    else:
        processor = paligemma_processor(words)
        text = {"paligemma": GEMMA, "paligemma2": GEMMA2}[name]
        theirs = gemma.paligemma(
            text | vocabulary(processor),
            image_token_index=processor.image_token_id,
            vocab_size=len(processor.tokenizer),
        )
    theirs.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder, theirs, processor


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gemma")


def drawn(chat: conversations.Chat) -> tuple[conversations.Chat, list[np.ndarray]]:
    """The stand-ins of a conversation as real pictures."""
    shown: list[np.ndarray] = []
    seen: conversations.Chat = []
    for message in chat:
        content = message["content"]
        if not isinstance(content, str):
            content = [dict(part) for part in content]
            for part in content:
                if part["type"] == "image":
                    part["image"] = picture(20 + len(shown), 30)
                    shown.append(part["image"])
        seen.append(message | {"content": content})
    return seen, shown


@pytest.mark.parametrize("words", SOURCES)
def test_gemma3_same_ids(words: str, base: Path) -> None:
    folder, _, processor = whole("gemma3", words, base)
    prepare = Preparer(read_spec(folder).model, load_tokenizer(folder))
    random, several = Random(3), 0
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat, shown = drawn(conversations.chat(random, system=True, answered=not ask))
        text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=ask)
        images = {"images": [[Image.fromarray(one) for one in shown]]} if shown else {}
        wanted = processor(text=[text], add_special_tokens=False, **images)
        found = prepare(chat, add_generation_prompt=ask)
        assert found.token_ids == wanted["input_ids"][0]
        types = [int(visual) for visual in found.visual_T]
        assert types == [int(t) for t in wanted["token_type_ids"][0]]
        several += len(shown) > 1
    assert several >= 5


def test_the_template_of_gemma3_that_ships_with_us_writes_the_same(base: Path) -> None:
    spec = read_spec(whole("gemma3", "spm", base)[0]).model
    prepare = Preparer(spec, load_tokenizer(whole("gemma3", "spm", base)[0]))
    own = spec.prompt.model_copy(update={"template": BuiltinTemplate(name="gemma3")})
    builtin = replace(prepare, spec=spec.model_copy(update={"prompt": own}))
    random = Random(6)
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat, _ = drawn(conversations.chat(random, system=True, answered=not ask))
        ours, theirs = (p(chat, add_generation_prompt=ask) for p in (builtin, prepare))
        assert (ours.token_ids, ours.targets) == (theirs.token_ids, theirs.targets)


@pytest.mark.parametrize("words", SOURCES)
def test_paligemma_same_ids(words: str, base: Path) -> None:
    """One question; the reference knows words only behind the pictures.

    It reads question and answer apart. To vocabularies of Gemma's kind that is the same; a
    byte-level one, which no PaliGemma has, joins the space between them, and is only asked here.
    """
    folder, _, processor = whole("paligemma", words, base)
    prepare = Preparer(read_spec(folder).model, load_tokenizer(folder))
    random = Random(4)
    for i in range(NUM_CHATS):
        ask = i % 3 == 0 or words == "bytes"
        parts = [p for p in conversations.parts(random, 0) if "text" in p]
        count = random.randrange(1, 4)
        images = [{"type": "image", "image": picture(20 + n, 30)} for n in range(count)]
        chat = [{"role": "user", "content": images + parts}]
        asked = "<image>" * count + "".join(part["text"] for part in parts)
        answer = None if ask else conversations.words(random).strip()
        if answer is not None:
            chat.append({"role": "assistant", "content": answer})
        shown = [Image.fromarray(one["image"]) for one in images]
        wanted = processor(text=[asked], images=[shown], suffix=answer and [answer])
        found = prepare(chat, add_generation_prompt=ask)
        assert found.token_ids == wanted["input_ids"][0]
        types = wanted["token_type_ids"][0]
        assert found.groups is not None
        assert [-group for group in found.groups.ids] == types
        assert [int(target) for target in found.targets] == types


@pytest.mark.parametrize("name", ["paligemma", "gemma3"])
def test_pixels_are_bit_equal(name: str, base: Path) -> None:
    folder, _, processor = whole(name, "spm", base)
    spec = read_spec(folder).model
    pixels = spec.resolution.pixels.model_copy(update={"backend": "pillow"})
    view = spec.resolution.model_copy(update={"pixels": pixels})
    prepare = Preparer(spec.model_copy(update={"resolution": view}), load_tokenizer(folder))
    random = Random(5)
    for _ in range(NUM_SIZES):
        shown = picture(random.randrange(1, 120), random.randrange(1, 90))
        found = prepare([{"role": "user", "content": [{"type": "image", "image": shown}]}])
        wanted = processor.image_processor(Image.fromarray(shown), return_tensors="pt")
        assert torch.equal(torch.stack(found.pixels), wanted["pixel_values"])


@pytest.mark.parametrize("name", ["paligemma", "paligemma2", "gemma3"])
def test_the_usual_doors(name: str, base: Path) -> None:
    folder, theirs, _ = whole(name, "spm", base)
    vlm = sightline.load(folder)
    content = [{"type": "image", "image": picture(*size)} for size in ((90, 40), (30, 75))]
    asked = [{"role": "user", "content": [*content, {"type": "text", "text": "What is it?"}]}]
    prepared = vlm.prepare(asked)
    ids = torch.tensor([prepared.token_ids])
    types = prepared.visual_T.long() if name == "gemma3" else torch.zeros(ids.shape[1]).long()
    inputs = {
        "input_ids": ids,
        "token_type_ids": types[None],
        "pixel_values": torch.stack(prepared.pixels),
    }
    with torch.no_grad():
        gap = vlm.logits(prepared) - theirs(**inputs).logits[0]
    assert float(gap.abs().max()) <= TOLERANCE
    theirs.generation_config.eos_token_id = None
    mask = torch.ones_like(ids)
    out = theirs.generate(**inputs, attention_mask=mask, max_new_tokens=8, do_sample=False)
    wanted = out[0, ids.shape[1] :].tolist()
    for stop in vlm.spec.prompt.stop_ids:
        wanted = wanted[: wanted.index(stop)] if stop in wanted else wanted
    answer = vlm.ask(asked, max_tokens=8)
    assert list(answer.token_ids) == wanted
    assert [a.token_ids for a in vlm.answer_all([asked, asked], max_tokens=8)] == [
        answer.token_ids, answer.token_ids]  # fmt: skip
    assert "".join(vlm.stream(asked, max_tokens=8)).strip() == answer.text


@pytest.mark.parametrize("name", ["paligemma2", "gemma3"])
def test_saved_and_loaded_again(name: str, base: Path, tmp_path: Path) -> None:
    folder, _, _ = whole(name, "spm", base)
    sightline.load(folder).save(tmp_path / "own")
    first, again = load_folder(folder).model, load_folder(tmp_path / "own").model
    assert again.spec == first.spec
    same = dict(again.named_parameters())
    assert all(torch.equal(p, same[name]) for name, p in first.named_parameters())


def test_paligemma_places_and_codes_are_tokens(base: Path) -> None:
    """In a question and in an answer, where they become boxes."""
    folder, _, processor = whole("paligemma", "spm", base)
    vlm, size = sightline.load(folder), Size(64, 32)
    assert vlm.spec.prompt.grounding == "paligemma"
    said = write_box(Box(8, 4, 32, 16), size, "paligemma") + " cup ; <seg001><seg127>"
    shown = {"type": "image", "image": picture(size.width, size.height)}
    chat = [
        {"role": "user", "content": [shown, {"type": "text", "text": said}]},
        {"role": "assistant", "content": said},
    ]
    ids = vlm.prepare(chat, add_generation_prompt=False).token_ids
    wanted = processor.tokenizer.convert_tokens_to_ids(
        ["<loc0128>", "<loc0128>", "<loc0512>", "<loc0512>", "<seg001>", "<seg127>"]
    )
    places = [id_ for id_ in ids if id_ in wanted]
    assert places == [*wanted, *wanted]
    stream = vlm.speaker.text_stream(Sampling(max_tokens=64))
    text = "".join(stream.push(id_) for id_ in ids[-len(ids) // 2 :])
    assert "<loc0128><loc0128><loc0512><loc0512>" in text and "<seg001><seg127>" in text


@pytest.mark.parametrize(
    "chat",
    [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "caption en"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
         {"role": "user", "content": "c"}],
    ],
)  # fmt: skip
def test_paligemma_knows_one_question(chat: conversations.Chat, base: Path) -> None:
    folder, _, _ = whole("paligemma", "spm", base)
    prepare = Preparer(read_spec(folder).model, load_tokenizer(folder))
    with pytest.raises(PromptError, match="one question"):
        prepare(chat)


def test_a_chat_template_of_paligemma_is_refused(base: Path, tmp_path: Path) -> None:
    _, theirs, processor = whole("paligemma", "spm", base)
    theirs.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(CHAT)
    with pytest.raises(FamilyError, match="chat_template"):
        read_spec(tmp_path)
