"""Rows of every dialect say what their kits mean by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.dialect_rows import (
    CONVERSATIONS,
    HERE,
    JUDGED,
    PAIRS,
    PNG,
    PROMPTS,
    A,
    B,
    Case,
    answer,
    chat,
    gpt,
    system,
    user,
)

from sightline.data.dialects import Context, read_row
from sightline.data.sample import Media
from sightline.data.sources import open_source
from sightline.spec.train import Dialect, FilesSpec


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_read(name: str) -> None:
    dialect, row, sample = CONVERSATIONS[name]
    assert read_row(dialect, row, HERE) == sample
    assert sample.kind == "conversation"


KINDS = [("preference", PAIRS), ("judged", JUDGED), ("prompt", PROMPTS)]


@pytest.mark.parametrize(
    ("kind", "case"), [(k, c) for k, cases in KINDS for c in cases.values()],
    ids=[f"{k}: {n}" for k, cases in KINDS for n in cases],
)  # fmt: skip
def test_pairs_judged_answers_and_prompts_are_read(kind: str, case: Case) -> None:
    dialect, row, sample = case
    assert read_row(dialect, row, HERE) == sample
    assert sample.kind == kind


def test_nothing_of_the_row_is_changed() -> None:
    cases = {**CONVERSATIONS, **PAIRS, **JUDGED, **PROMPTS}
    for dialect, row, _ in cases.values():
        before = json.dumps(row, default=repr)
        read_row(dialect, row, HERE)
        assert json.dumps(row, default=repr) == before


def test_columns_and_tags_of_dataset_info_are_followed() -> None:
    row = {
        "dialogue": [
            {"role": "sys", "content": "S"},
            {"role": "user", "content": "<image>Q"},
            {"role": "assistant", "content": "A"},
        ],
        "pictures": ["a.png"],
        "images": "not these",
    }
    context = Context(
        HERE.where,
        HERE.media,
        columns={"messages": "dialogue", "images": "pictures"},
        tags={
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "sys",
        },
    )
    sample = read_row("sharegpt", row, context)
    assert sample.turns == (system("S"), user(A, "Q"), answer("A"))
    assert sample.columns == {"images": "not these"}
    alpaca = Context(HERE.where, columns={"prompt": "q", "response": "a"})
    assert read_row("alpaca", {"q": "Q", "a": "A"}, alpaca).turns == (user("Q"), answer("A"))
    caption = Context(HERE.where, columns={"image": "png", "text": "txt"})
    picture = Media("image", PNG)
    assert read_row("caption", {"png": PNG, "txt": "A"}, caption).turns == (
        user(picture),
        answer("A"),
    )


def test_a_ranked_row_follows_tags() -> None:
    row = {
        "messages": chat("Q"),
        "good": {"role": "assistant", "content": "good"},
        "bad": {"role": "assistant", "content": "bad"},
    }
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
    }
    context = Context("r:1", columns={"chosen": "good", "rejected": "bad"}, tags=tags)
    sample = read_row("preference", row, context)
    assert (sample.turns, sample.rejected) == (
        (user("Q"), answer("good")),
        (user("Q"), answer("bad")),
    )
    judged = Context("r:1", columns={"kto_tag": "label"}, tags=tags)
    assert read_row("kto", {"messages": chat("Q", "A"), "label": True}, judged).desirable is True


def test_pictures_in_memory_pass_as_they_are() -> None:
    picture, array = Image.new("RGB", (2, 2)), np.zeros((2, 2, 3), np.uint8)
    row = {"images": [picture, array, bytearray(PNG), Path("b.png"), "/else/x.png"], "texts": [
        {"user": "Q", "assistant": "A"}]}  # fmt: skip
    media = read_row("finevision", row, HERE).media
    assert media[0].source is picture and media[1].source is array
    assert [m.source for m in media[2:]] == [PNG, Path("/data/b.png"), Path("/else/x.png")]


@pytest.mark.parametrize(
    ("dialect", "row"),
    [
        ("llava", {"image": ["a.png", "b.png"], "conversations": gpt("Q", "A")}),
        ("swift", {"images": ["a.png", "b.png"], "messages": chat("Q", "A")}),
        ("sharegpt", {"images": ["a.png", "b.png"], "conversations": gpt("Q", "A")}),
    ],
)
def test_media_without_placeholders_stand_first_if_the_recipe_says_so(
    dialect: Dialect, row: dict[str, Any]
) -> None:
    first = Context(HERE.where, HERE.media, media_first=True)
    assert read_row(dialect, row, first).turns == (user(A, B, "Q"), answer("A"))
    with pytest.raises(ValueError, match=r"0 <image>.* in the text for 2 images"):
        read_row(dialect, row, HERE)


def test_openai_formatting_of_dataset_info_is_sharegpt_with_tags(tmp_path: Path) -> None:
    """LLaMA-Factory's "openai" formatting reads placeholders and lists as its sharegpt does."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user"}
    info = {
        "file_name": "rows.json",
        "formatting": "openai",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {**tags, "assistant_tag": "assistant"},
    }
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": info}))
    row = {"messages": chat("<image>Q", "A"), "images": ["a.png"]}
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    [opened] = open_source(FilesSpec(path="dataset_info.json#mine"), tmp_path)
    picture = Media("image", tmp_path / "a.png")
    rows: Any = opened.source
    assert rows.sample(0).turns == (user(picture, "Q"), answer("A"))
