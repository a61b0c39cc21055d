"""Templates, stop ids, bos and the placeholder: read from a folder's tokenizer files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.families import compose_spec, read_spec
from sightline.prompt.files import load_tokenizer
from sightline.spec import BuiltinTemplate, JinjaTemplate

CHATML = "{% for m in messages %}{{ m.role }}{% endfor %}"
TEXT = {
    "model_type": "qwen2",
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
TOWER = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
TOKENIZER: dict[str, Any] = {
    "model": {"type": "BPE", "vocab": {chr(97 + i): i for i in range(20)}, "merges": []},
    "added_tokens": [{"id": 20, "content": "<s>"}, {"id": 21, "content": "</s>"}],
    "post_processor": None,
}
BOS_FIRST = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "config.json", TEXT)
    return tmp_path


def write(folder: Path, name: str, data: Any) -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    (folder / name).write_text(text, encoding="utf-8")


def prompt(folder: Path):
    found = read_spec(folder).text_prompt
    assert found is not None
    return found


# Ids that end an answer.


@pytest.mark.parametrize(
    ("generation", "config", "stops"),
    [
        ({"eos_token_id": [30, 31]}, {"eos_token_id": 3}, (30, 31)),
        ({"eos_token_id": 30}, {}, (30,)),
        ({}, {"eos_token_id": 3}, (3,)),
        ({}, {"eos_token_id": [3, 4]}, (3, 4)),
        ({}, {"eos_token_id": -1}, ()),
        ({}, {}, ()),
    ],
)
def test_stop_ids(folder: Path, generation: Any, config: Any, stops: tuple[int, ...]) -> None:
    write(folder, "generation_config.json", generation)
    write(folder, "config.json", TEXT | config)
    assert prompt(folder).stop_ids == stops


def test_stop_id_of_the_tokenizer_where_nothing_else_says(folder: Path) -> None:
    write(folder, "tokenizer.json", TOKENIZER)
    write(folder, "tokenizer_config.json", {"eos_token": {"content": "</s>"}})
    assert prompt(folder).stop_ids == (21,)


def test_class_defaults_where_config_omits_ids() -> None:
    """llava-1.5's nested config states neither; Llama's class has 1 and 2."""
    found = read_spec({**TEXT, "model_type": "llama"}).text_prompt
    assert found is not None and found.stop_ids == (2,)


# The first token.


@pytest.mark.parametrize(
    ("post", "stated", "kind", "bos"),
    [
        (BOS_FIRST, None, "PreTrainedTokenizerFast", 20),
        ({"type": "Sequence", "processors": [{"type": "ByteLevel"}, BOS_FIRST]}, None, "X", 20),
        (None, None, "LlamaTokenizer", None),
        (BOS_FIRST, False, "LlamaTokenizer", None),
        (None, True, "LlamaTokenizer", 20),
    ],
)
def test_bos(folder: Path, post: Any, stated: Any, kind: str, bos: int | None) -> None:
    write(folder, "tokenizer.json", TOKENIZER | {"post_processor": post})
    config = {"bos_token": "<s>", "tokenizer_class": kind, "add_bos_token": stated}
    write(folder, "tokenizer_config.json", config)
    assert prompt(folder).bos_id == bos


def test_bos_of_an_old_tokenizer_class(folder: Path) -> None:
    """Only tokenizer.model and a class name: Llama's puts bos in front."""
    write(folder, "config.json", TEXT | {"bos_token_id": 1})
    write(
        folder, "tokenizer_config.json", {"bos_token": "<s>", "tokenizer_class": "LlamaTokenizer"}
    )
    assert prompt(folder).bos_id == 1
    write(
        folder, "tokenizer_config.json", {"bos_token": "<s>", "tokenizer_class": "Qwen2Tokenizer"}
    )
    assert prompt(folder).bos_id is None


# Templates.


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("chat_template.jinja", CHATML),
        ("chat_template.json", {"chat_template": CHATML}),
        ("tokenizer_config.json", {"chat_template": CHATML}),
        (
            "tokenizer_config.json",
            {"chat_template": [{"name": "tool_use", "template": "x"},
                               {"name": "default", "template": CHATML}]},
        ),
    ],
)  # fmt: skip
def test_template(folder: Path, file: str, data: Any) -> None:
    write(folder, file, data)
    assert prompt(folder).template == JinjaTemplate(source=CHATML)


def test_no_template(folder: Path) -> None:
    assert prompt(folder).template is None


# Whole models.


def llava(folder: Path, **changes: Any) -> None:
    data = {"model_type": "llava", "image_token_index": 22, "text_config": TEXT,
            "vision_config": TOWER} | changes  # fmt: skip
    write(folder, "config.json", data)


def test_placeholder_text_comes_from_the_tokenizer(folder: Path) -> None:
    llava(folder)
    assert read_spec(folder).model.prompt.image.text == "<image>"
    write(folder, "processor_config.json", {"image_token": "<pic>"})
    assert read_spec(folder).model.prompt.image.text == "<pic>"
    added = [*TOKENIZER["added_tokens"], {"id": 22, "content": "<IMG>"}]
    write(folder, "tokenizer.json", TOKENIZER | {"added_tokens": added})
    assert read_spec(folder).model.prompt.image.text == "<IMG>"


def test_builtin_template_is_said_aloud(folder: Path) -> None:
    llava(folder)
    declared = read_spec(folder)
    assert declared.model.prompt.template == BuiltinTemplate(name="chatml")
    assert any("chatml" in note for note in declared.notes)


@pytest.mark.parametrize("pad", [-1, 40, None])
def test_pad_outside_the_vocabulary_is_not_used(folder: Path, pad: int | None) -> None:
    llava(folder, pad_token_id=pad)
    assert read_spec(folder).model.prompt.pad_id == 0


# Composed models: where the placeholder goes.


def composed(folder: Path, **choices: Any):
    return compose_spec(read_spec(TOWER), read_spec(folder), **choices)


def test_placeholder_takes_a_free_row(folder: Path) -> None:
    """The tokenizer has 22 tokens, the embedding 40 rows."""
    write(folder, "tokenizer.json", TOKENIZER)
    declared = composed(folder)
    assert (declared.model.prompt.image.id, declared.model.language.vocab) == (22, 40)


def test_placeholder_grows_the_vocabulary(folder: Path) -> None:
    declared = composed(folder)
    assert (declared.model.prompt.image.id, declared.model.language.vocab) == (40, 41)
    assert any("token 40, a new row" in note for note in declared.notes)


def test_tokens_of_a_sentencepiece_model(folder: Path, shared_data: Path) -> None:
    """As many as the tokenizer that it is converted to: there the placeholder is added."""
    model = shared_data / "tokenizers" / "mistral-spm" / "tokenizer.model.v1"
    (folder / "tokenizer.model").write_bytes(model.read_bytes())
    write(folder, "config.json", TEXT | {"vocab_size": 32064})
    write(
        folder, "tokenizer_config.json", {"bos_token": "<s>", "tokenizer_class": "LlamaTokenizer"}
    )
    added = load_tokenizer(folder).add_token("<image>")
    assert composed(folder).model.prompt.image.id == added.id_of("<image>") == 32000
    assert prompt(folder).bos_id == added.id_of("<s>")


def test_placeholder_that_is_there_already(folder: Path) -> None:
    added = [*TOKENIZER["added_tokens"], {"id": 25, "content": "<image>"}]
    write(folder, "tokenizer.json", TOKENIZER | {"added_tokens": added})
    assert composed(folder).model.prompt.image.id == 25
    assert composed(folder, image_text="<other>").model.prompt.image.id == 26


def test_template_of_choice(folder: Path) -> None:
    write(folder, "chat_template.jinja", CHATML)
    assert composed(folder).model.prompt.template == JinjaTemplate(source=CHATML)
    chosen = composed(folder, template="vicuna").model.prompt.template
    assert chosen == BuiltinTemplate(name="vicuna")
