"""Qwen-VL's and CogVLM's prompts, written by hand, and their folders through the usual doors."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from PIL import Image
from tests.helpers.speaking import picture, user
from tests.parity import test_cogvlm, test_qwen1_vl
from tests.prompt import conversations
from tests.prompt.tokenizers import trained_bytes
from transformers import PreTrainedTokenizerFast

import sightline
from sightline.families import read_spec
from sightline.model.prepare import Preparer
from sightline.prompt.files import load_tokenizer
from sightline.vision.pixels import render

NUM_CHATS = 30
QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<imgpad>")


def written(folder: Path, special: tuple[str, ...], **named: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with these control tokens, in the folder."""
    backend = tokenizers.Tokenizer.from_str(trained_bytes())
    backend.add_special_tokens(list(special))
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **named)
    made.save_pretrained(folder)
    return made


def qwen_vl(folder: Path) -> tuple[PreTrainedTokenizerFast, int]:
    words = written(folder, QWEN, eos_token="<|endoftext|>")
    start, vocab = words.convert_tokens_to_ids("<img>"), len(words)
    theirs = test_qwen1_vl.Original(vocab=vocab)
    visual = test_qwen1_vl.VISUAL | {"image_start_id": start}
    test_qwen1_vl.saved(theirs, folder, vocab_size=vocab, visual=visual, seq_length=4096)
    return words, test_qwen1_vl.SIDE**2


def cogvlm(folder: Path) -> tuple[PreTrainedTokenizerFast, int]:
    words = written(folder, ("<image>",), bos_token="<s>", eos_token="</s>")
    theirs = test_cogvlm.Original(vocab=len(words))
    test_cogvlm.saved(theirs, folder, vocab_size=len(words), max_position_embeddings=4096)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 1}))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"add_bos_token": True}))
    return words, test_cogvlm.TOKENS


def say_qwen(chat: conversations.Chat, ask: bool, tokens: int) -> str:
    """make_context and from_list_format of Qwen-VL-Chat; its system prompt where none is given."""
    turns, shown = [], 0
    for message in chat:
        text = message["content"]
        if not isinstance(text, str):
            text = ""
            for part in message["content"]:
                shown += part["type"] == "image"
                pads = "<img>" + "<imgpad>" * tokens + "</img>"
                text += part.get("text", f"Picture {shown}: {pads}\n")
        turns.append(f"<|im_start|>{message['role']}\n{text}<|im_end|>")
    if chat[0]["role"] != "system":
        turns.insert(0, "<|im_start|>system\nYou are a helpful assistant.<|im_end|>")
    return "\n".join(turns) + ("\n<|im_start|>assistant\n" if ask else "")


def say_cogvlm(chat: conversations.Chat, ask: bool, tokens: int) -> str:
    """build_conversation_input_ids of cogvlm-chat: bos, pictures, questions and answers."""
    text = ""
    for i, message in enumerate(chat):
        content = message["content"]
        words = content if isinstance(content, str) else "".join(p.get("text", "") for p in content)
        if message["role"] == "user":
            text += f"Question: {words} Answer:"
        else:
            text += f" {words}" + ("</s>" if i == len(chat) - 1 else "\n")
    return "<s>" + "<image>" * tokens * conversations.num_pictures(chat) + text


FAMILIES = {"qwen_vl": (qwen_vl, say_qwen), "cogvlm": (cogvlm, say_cogvlm)}


@pytest.mark.parametrize("name", FAMILIES)
def test_same_ids_as_written_by_hand(name: str, tmp_path: Path) -> None:
    make, say = FAMILIES[name]
    words, tokens = make(tmp_path)
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    random = Random(name)
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat = conversations.chat(random, system=name == "qwen_vl", answered=not ask)
        wanted = words(say(chat, ask, tokens), add_special_tokens=False)["input_ids"]
        found = prepare([drawn(m) for m in chat], add_generation_prompt=ask)
        assert found.token_ids == wanted


def drawn(message: dict[str, Any]) -> dict[str, Any]:
    """The stand-ins of a message as real pictures."""
    if isinstance(message["content"], str):
        return message
    parts = [{"type": "image", "image": picture()} if p["type"] == "image" else p
             for p in message["content"]]  # fmt: skip
    return message | {"content": parts}


@pytest.mark.parametrize("name", FAMILIES)
def test_through_the_doors(name: str, tmp_path: Path) -> None:
    """Load, ask, save and load again: the same answer, cached and not, and the same logits."""
    FAMILIES[name][0](tmp_path / "hub")
    vlm, shown = sightline.load(tmp_path / "hub"), picture(40, 31)
    first = vlm.ask(shown, "What colour is the fox?", max_tokens=6)
    vlm.save(tmp_path / "ours")
    again = sightline.load(tmp_path / "ours")
    second = again.ask(shown, "What colour is the fox?", max_tokens=6)
    assert first.token_ids == second.token_ids
    prepared = [each.prepare([user(shown, "What?")]) for each in (vlm, again)]
    assert torch.equal(vlm.logits(prepared[0]), again.logits(prepared[1]))
    batch = vlm.answer_all(
        [[user("no picture")], [user(shown, "What colour is the fox?")]], max_tokens=6
    )
    assert batch[1].token_ids == first.token_ids


@pytest.mark.parametrize(
    ("version", "start"), [("base", "x"), ("vqa", "Question: x Short answer:")]
)
def test_other_versions_of_cogvlm(version: str, start: str, tmp_path: Path) -> None:
    cogvlm(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"template_version": version}))
    prepare = Preparer(read_spec(tmp_path).model, load_tokenizer(tmp_path))
    ids = prepare([user("x")]).token_ids
    assert load_tokenizer(tmp_path).decode(ids) == start


def test_pixels_are_those_of_a_squashed_picture(tmp_path: Path) -> None:
    """Resize((size, size), bicubic) of a PIL image, ToTensor, Normalize with CLIP's numbers."""
    cogvlm(tmp_path)
    spec = read_spec(tmp_path).model
    mean, std = (torch.tensor(values)[:, None, None] for values in (
        (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)))  # fmt: skip
    prepare = Preparer(spec, load_tokenizer(tmp_path))
    for width, height in ((1, 1), (3, 90), (28, 28), (200, 31)):
        shown = picture(width, height)
        side = spec.resolution.size
        small = Image.fromarray(shown).resize((side, side), Image.Resampling.BICUBIC)
        wanted = torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255
        prepared = prepare([user(shown, "What?")])
        assert torch.equal(prepared.pixels[0], (wanted - mean) / std)
        assert render(shown, prepared.layout.views[0], spec.resolution.pixels).shape[1] == side
