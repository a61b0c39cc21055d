"""BLIP's prompts and pixels against its processors, and a whole folder through the usual doors."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
import tokenizers
import torch
from PIL import Image
from tests.helpers.speaking import picture, user
from tests.parity.blip import QFORMER, QUERIES, TEXTS, blip2, instructblip
from tests.prompt import conversations
from tests.prompt.tokenizers import CORPUS, trained_bytes
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import Blip2Processor, InstructBlipProcessor, PreTrainedTokenizerFast
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

import sightline
from sightline.core.errors import ContextOverflow, PromptError
from sightline.core.geometry import MediaSize
from sightline.families import read_spec
from sightline.model.prepare import Preparer
from sightline.prompt.files import load_tokenizer
from sightline.resolution.policy import layout
from sightline.spec import ModelSpec
from sightline.vision.pixels import render_all

NUM_CHATS = 30
VOCAB, IMAGE, PLACES = 600, 561, 512


def text_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE that puts <s> in front, as OPT's and Llama's do."""
    backend = tokenizers.Tokenizer.from_str(trained_bytes())
    bos = backend.token_to_id("<s>")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", bos)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def bert_tokenizer() -> PreTrainedTokenizerFast:
    """A small WordPiece with BERT's normaliser and marks."""
    backend = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    marks = [(mark, backend.token_to_id(mark)) for mark in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=marks
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, sep_token="[SEP]", mask_token="[MASK]", **named
    )


def image_processor() -> Any:
    return BlipImageProcessorPil(size={"height": 28, "width": 28})


TEXT_SIZE = {"vocab_size": VOCAB, "max_position_embeddings": 2048}
QFORMER_SIZE = {"vocab_size": 420, "max_position_embeddings": PLACES}


def folder_of(kind: str, folder: Path) -> tuple[Any, Any]:
    """A whole folder as the reference writes it: the model and its processor."""
    words, show = text_tokenizer(), image_processor()
    processor: Any
    if kind == "blip2":
        processor = Blip2Processor(show, words, num_query_tokens=QUERIES)
        theirs = blip2("opt", image_token_index=IMAGE, text_config=TEXTS["opt"] | TEXT_SIZE)
    else:
        processor = InstructBlipProcessor(show, words, bert_tokenizer(), num_query_tokens=QUERIES)
        text, qformer = TEXTS["llama"] | TEXT_SIZE, QFORMER | QFORMER_SIZE
        theirs = instructblip(
            "llama", image_token_index=IMAGE, text_config=text, qformer_config=qformer
        )
    assert processor.tokenizer.convert_tokens_to_ids("<image>") == IMAGE
    theirs.save_pretrained(folder)
    processor.save_pretrained(folder)
    return theirs, processor


@pytest.fixture(scope="module", params=["blip2", "instructblip"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, *folder_of(request.param, folder)


def written(kind: str, chat: conversations.Chat, ask: bool) -> str:
    """The prompt after the pictures, by hand."""

    def say(message: dict[str, Any]) -> str:
        content = message["content"]
        return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)

    text = ""
    for i, message in enumerate(chat):
        last = i == len(chat) - 1
        if message["role"] == "user":
            if kind == "blip2":
                text += f"Question: {say(message)}" + (" Answer:" if last and ask else "")
            else:
                text += ("" if i == 0 else "\n") + say(message)
        elif kind == "blip2":
            text += f" Answer: {say(message)}" + ("\n" if last else ". ")
        else:
            text += f" {say(message)}</s>"
    return text


def test_same_ids_as_the_processor(whole: Any) -> None:
    kind, folder, _, processor = whole
    prepare = Preparer(read_spec(folder).model, load_tokenizer(folder))
    random, shown = Random(kind), Image.fromarray(picture())
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat = conversations.chat(random, system=False, answered=not ask)
        count = conversations.num_pictures(chat)
        pictures = {"images": shown} if count else {}
        wanted = list(processor(text=written(kind, chat, ask), **pictures)["input_ids"][0])
        wanted = [IMAGE] * QUERIES * max(0, count - 1) + wanted  # it knows at most one
        seen = [message | {"content": drawn(message["content"])} for message in chat]
        found = prepare(seen, add_generation_prompt=ask)
        assert found.token_ids == wanted
        assert [span.stop - span.start for span in found.spans] == [QUERIES] * count


def drawn(content: Any) -> Any:
    """The stand-ins of a conversation as real pictures."""
    if isinstance(content, str):
        return content
    return [{"type": "image", "image": picture()} if p["type"] == "image" else p for p in content]


def test_the_words_that_queries_read(tmp_path: Path) -> None:
    """Of one question: those of the reference. Answers are not read."""
    _, processor = folder_of("instructblip", tmp_path)
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    random = Random(3)
    for _ in range(NUM_CHATS):
        words = conversations.words(random)
        wanted = processor(text=words, images=Image.fromarray(picture()))["qformer_input_ids"][0]
        assert list(prepare([user(picture(), words)]).instruction_ids) == list(wanted)
    turns = [user(picture(), "What?"), {"role": "assistant", "content": "A fox."}, user("And?")]
    asked = [user(picture(), "What?\nAnd?")]
    assert prepare(turns).instruction_ids == prepare(asked).instruction_ids
    assert prepare([user("no picture")]).instruction_ids == ()


def test_marks_that_a_user_types_are_words(tmp_path: Path) -> None:
    folder_of("instructblip", tmp_path)
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    ids = prepare([user(picture(), "a [SEP] b <image> c")]).instruction_ids
    reader = load_tokenizer(tmp_path).config.instruction
    assert reader is not None
    assert [ids.count(reader.id_of(mark)) for mark in ("[CLS]", "[SEP]")] == [1, 1]


def test_too_many_words_for_the_connector(tmp_path: Path) -> None:
    folder_of("instructblip", tmp_path)
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    with pytest.raises(ContextOverflow, match="512"):
        prepare([user(picture(), "fox " * 600)])


def test_a_folder_without_the_second_tokenizer(tmp_path: Path) -> None:
    folder_of("instructblip", tmp_path)
    shutil.rmtree(tmp_path / "qformer_tokenizer")
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    with pytest.raises(PromptError, match="no vocabulary for the connector"):
        prepare([user(picture(), "What?")])


def test_through_the_doors(whole: Any, tmp_path: Path) -> None:
    """Pixels, ids and words of a picture give the reference's answer; saved, it stays the same."""
    kind, folder, theirs, processor = whole
    vlm, shown = sightline.load(folder), picture(40, 31)
    answer = vlm.ask(shown, "What colour is the fox?", max_tokens=6)
    inputs = processor(
        images=Image.fromarray(shown),
        text=written(kind, [user("What colour is the fox?")], ask=True),
        return_tensors="pt",
    )
    theirs.language_model.generation_config.eos_token_id = vlm.spec.prompt.stop_ids
    out = theirs.generate(**inputs, max_new_tokens=6, do_sample=False)
    assert list(answer.token_ids) == out[0, inputs["input_ids"].shape[1] :].tolist()
    vlm.save(tmp_path)
    again = sightline.load(tmp_path)
    prepared = [m.prepare([user(shown, "What?")]) for m in (vlm, again)]
    assert torch.equal(vlm.logits(prepared[0]), again.logits(prepared[1]))
    assert again.ask(shown, "What colour is the fox?", max_tokens=6).token_ids == answer.token_ids


def sizes(count: int) -> list[tuple[int, int]]:
    random = Random(0)
    edges = [(1, 1), (1, 4000), (6000, 1), (28, 28), (6000, 4000)]
    drawn = [(random.randint(1, 6000), random.randint(1, 4000)) for _ in range(count - len(edges))]
    return edges + drawn


def model_spec(**changes: Any) -> ModelSpec:
    empty = {"vision_config": {}, "qformer_config": {}, "text_config": {}}
    return read_spec({"model_type": "blip-2", "image_token_index": 3, **empty, **changes}).model


def test_same_pixels() -> None:
    """Bit by bit, from a single pixel to a large picture."""
    spec = model_spec()
    policy = spec.resolution.model_copy(
        update={"pixels": spec.resolution.pixels.model_copy(update={"backend": "pillow"})}
    )
    spec = spec.model_copy(update={"resolution": policy})
    processor = BlipImageProcessorPil(size={"height": 224, "width": 224})
    for width, height in [(1, 1), (1, 90), (90, 1), (224, 224), (1500, 900), *sizes(20)[5:]]:
        shown = picture(width % 700 + 1, height % 700 + 1, seed=width)
        size = MediaSize(shown.shape[1], shown.shape[0])
        [ours] = render_all([shown], layout(spec, [size]), policy.pixels)
        theirs = processor(Image.fromarray(shown), return_tensors="pt")["pixel_values"][0]
        assert torch.equal(ours, theirs), size


def test_counts_of_any_size() -> None:
    spec = model_spec()
    for size in sizes(500):
        assert layout(spec, [MediaSize(*size)]).visual_tokens == 32


def test_a_plan_of_the_config_alone() -> None:
    plan = sightline.plan(model_spec(), images=[(640, 480)])
    assert plan.visual_tokens == 32
