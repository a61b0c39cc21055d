"""Tokenizers in folders: every old and new way to say the same, and what is saved is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.prompt.tokenizers import NAMED, trained_bytes, trained_spm, with_control
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sightline.core.errors import PromptError
from sightline.prompt import convert
from sightline.prompt.files import load_tokenizer, save_tokenizer
from sightline.prompt.tokenizer import Tokenizer

TEXT = "<s>Two dogs <image> and\n<|im_end|> café 日本 </s>"


def write(folder: Path, **files: Any) -> Path:
    """Files by name, `__` for the dot; anything but text is written as JSON."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return [token.id for token in tokenizer.encode(text, b"\1" * len(text))]


def reference(folder: Path) -> Any:
    return PreTrainedTokenizerFast.from_pretrained(folder)


def test_a_folder_saved_by_the_reference_is_read(tmp_path: Path) -> None:
    _, theirs = with_control(trained_bytes())
    theirs.chat_template = "{{ messages[0].content }}"
    theirs.save_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path)
    assert ids(ours, TEXT) == theirs(TEXT, add_special_tokens=False)["input_ids"]
    assert ours.config.named["eos_token"] == "</s>"
    assert ours.config.chat_template == theirs.chat_template


@pytest.mark.parametrize("loader", [PreTrainedTokenizerFast, AutoTokenizer])
def test_a_folder_saved_by_us_is_read_by_the_reference(tmp_path: Path, loader: Any) -> None:
    first, _ = with_control(convert.from_sentencepiece(trained_spm()))
    ours = first.add_token("<new>")
    write(tmp_path, tokenizer_config__json={"padding_side": "left", "add_bos_token": False})
    save_tokenizer(ours, tmp_path / "saved")
    theirs = loader.from_pretrained(tmp_path / "saved")
    text = TEXT + "<new>"
    assert theirs(text, add_special_tokens=False)["input_ids"] == ids(ours, text)
    assert (theirs.bos_token, theirs.eos_token) == ("<s>", "</s>")
    assert theirs.convert_tokens_to_ids("<new>") == ours.id_of("<new>")
    again = load_tokenizer(tmp_path / "saved")
    assert again.added == ours.added
    assert ids(again, text) == ids(ours, text)


def test_what_a_config_says_survives_saving(tmp_path: Path) -> None:
    config = {
        "padding_side": "left",
        "add_bos_token": True,
        "model_max_length": 77,
        "eos_token": {"content": "</s>", "lstrip": False},
        "bos_token": "<s>",
        "pad_token": None,
        "additional_special_tokens": ["<extra>"],
        "chat_template": "{{ bos_token }}",
        "auto_map": {"AutoTokenizer": ["remote.py", None]},
    }
    write(tmp_path, tokenizer__json=trained_bytes(), tokenizer_config__json=config)
    save_tokenizer(load_tokenizer(tmp_path), tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())
    kept = ("padding_side", "add_bos_token", "model_max_length", "bos_token", "pad_token")
    assert {key: saved[key] for key in kept} == {key: config[key] for key in kept}
    assert saved["eos_token"] == "</s>"
    assert "auto_map" not in saved
    again = load_tokenizer(tmp_path / "saved")
    assert again.config.chat_template == "{{ bos_token }}"
    assert again.id_of("<extra>") in again.special_ids


def test_flags_in_the_config_count_more_than_in_the_file(tmp_path: Path) -> None:
    data = json.loads(convert.from_sentencepiece(trained_spm()))
    for token in data["added_tokens"]:
        token["normalized"] = True  # as Mistral 7B v0.1 has it
    decoder = {
        str(token["id"]): {key: value for key, value in token.items() if key != "id"}
        | {"normalized": False}
        for token in data["added_tokens"]
    }
    plain = write(tmp_path, tokenizer__json=data, tokenizer_config__json=NAMED)
    text = "dog</s>dog <s>"
    assert ids(load_tokenizer(plain), text) == reference(plain)(text)["input_ids"]
    config = NAMED | {"added_tokens_decoder": decoder}
    mended = write(tmp_path, tokenizer_config__json=config)
    found = ids(load_tokenizer(mended), text)
    assert found == reference(mended)(text)["input_ids"]
    assert 2 in found


TEMPLATE_FILES: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"tokenizer_config__json": {"chat_template": "a"}}, "a"),
    ({"tokenizer_config__json": {"chat_template": [{"name": "default", "template": "b"}]}}, "b"),
    ({"chat_template__json": {"chat_template": "c"}}, "c"),
    ({"processor_config__json": {"chat_template": "d"}}, "d"),
    ({"chat_template__jinja": "e", "tokenizer_config__json": {"chat_template": "a"}}, "e"),
    (
        {
            "chat_template__json": {"chat_template": "c"},
            "tokenizer_config__json": {"chat_template": "a"},
        },
        "c",
    ),
]


@pytest.mark.parametrize(("files", "expected"), TEMPLATE_FILES)
def test_the_chat_template_is_found(
    tmp_path: Path, files: dict[str, Any], expected: str | None
) -> None:
    write(tmp_path, tokenizer__json=trained_bytes(), **files)
    assert load_tokenizer(tmp_path).config.chat_template == expected


def test_tokens_that_a_model_names_are_control(tmp_path: Path) -> None:
    config = {"extra_special_tokens": {"image_token": "<pic>"}, "boi_token": "<boi>"}
    write(tmp_path, tokenizer__json=trained_bytes(), tokenizer_config__json=config)
    ours = load_tokenizer(tmp_path)
    assert ours.config.named == {"image_token": "<pic>", "boi_token": "<boi>"}
    assert {ours.id_of("<pic>"), ours.id_of("<boi>")} <= ours.special_ids


def test_old_special_token_files_are_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        tokenizer__json=trained_bytes(),
        special_tokens_map__json={"bos_token": {"content": "<s>"}, "eos_token": "</s>"},
    )
    assert load_tokenizer(tmp_path).config.named == NAMED


@pytest.mark.parametrize("legacy", [True, False])
def test_a_sentencepiece_folder_is_converted(tmp_path: Path, legacy: bool) -> None:
    (tmp_path / "tokenizer.model").write_bytes(trained_spm())
    write(
        tmp_path,
        tokenizer_config__json={"legacy": legacy},
        added_tokens__json={"<image>": 900, "<pad>": 901},
    )
    ours = load_tokenizer(tmp_path)
    assert (ours.id_of("<image>"), ours.vocab_size) == (900, 902)
    assert ours.config.named["eos_token"] == "</s>"
    prefixed = ours.token_of(ids(ours, "a<s>a")[-1])
    assert prefixed == ("▁a" if legacy else "a")


@pytest.mark.parametrize("kind", ["GPT2Tokenizer", "Qwen2Tokenizer", None, "BartTokenizer"])
def test_vocab_and_merges_are_converted(tmp_path: Path, kind: str | None) -> None:
    model = json.loads(trained_bytes())["model"]
    merges = "#version: 0.2\n" + "\n".join(" ".join(merge) for merge in model["merges"])
    write(
        tmp_path,
        vocab__json=model["vocab"],
        merges__txt=merges,
        tokenizer_config__json={"tokenizer_class": kind} if kind else {},
    )
    if kind == "BartTokenizer":
        with pytest.raises(PromptError, match="BartTokenizer"):
            load_tokenizer(tmp_path)
        return
    ours = load_tokenizer(tmp_path)
    split = {"GPT2Tokenizer": ["12", "34"], None: ["12", "34"]}.get(kind)
    assert ours.decode(ours.encode_text("a 1234")) == "a 1234"
    assert split or all(len(ours.token_of(id_)) == 1 for id_ in ours.encode_text("1234"))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no tokenizer"),
        ({"tokenizer__json": "{"}, r"tokenizer\.json"),
        ({"tokenizer__json": trained_bytes(), "tokenizer_config__json": "{"}, "not JSON"),
        ({"tokenizer__json": trained_bytes(), "tokenizer_config__json": "[]"}, "holds a list"),
        (
            {"tokenizer__json": trained_bytes(), "tokenizer_config__json": {"chat_template": [{}]}},
            "default",
        ),
        (
            {
                "tokenizer__json": trained_bytes(),
                "tokenizer_config__json": {"added_tokens_decoder": {"x": {}}},
            },
            "unknown form",
        ),
        (
            {
                "tokenizer__json": trained_bytes(),
                "tokenizer_config__json": {"additional_special_tokens": 3},
            },
            "unknown form",
        ),
        ({"tokenizer__model": "text"}, r"tokenizer\.model"),
    ],
)
def test_broken_folders_are_refused(tmp_path: Path, files: dict[str, Any], says: str) -> None:
    with pytest.raises(PromptError, match=says):
        load_tokenizer(write(tmp_path, **files))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(PromptError, match="UTF-8"):
        load_tokenizer(tmp_path)
