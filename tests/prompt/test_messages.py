"""What users may say, and how they are told what they may not."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import PromptError
from sightline.prompt.messages import (
    DocumentPart,
    ImagePart,
    Message,
    TextPart,
    VideoPart,
    media_of,
    parse_messages,
)

URI = "data:image/png;base64,AAAA"


def content(part: dict[str, Any]) -> Any:
    [message] = parse_messages([{"role": "user", "content": [part]}])
    return message.parts[0]


def test_strings_and_parts() -> None:
    picture = object()
    found = parse_messages(
        [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": picture},
                    {"type": "text", "text": "What is "},
                    {"type": "text", "text": "it? <image>"},
                ],
            },
            {"role": "assistant", "content": " A dog.\n"},
        ]
    )
    assert found == (
        Message("system", (TextPart("Be brief."),), plain=True),
        Message("user", (ImagePart(picture), TextPart("What is "), TextPart("it? <image>"))),
        Message("assistant", (TextPart(" A dog.\n"),), plain=True),
    )
    assert found[1].text == "What is it? <image>"
    assert media_of(found) == (ImagePart(picture),)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "image", "image": b"bytes"}, ImagePart(b"bytes")),
        ({"type": "image", "path": "a/b.png"}, ImagePart(Path("a/b.png"))),
        ({"type": "image", "path": Path("b.png")}, ImagePart(Path("b.png"))),
        ({"type": "image", "url": URI}, ImagePart(URI)),
        ({"type": "image", "base64": base64.b64encode(b"xyz").decode()}, ImagePart(b"xyz")),
        ({"type": "image_url", "image_url": {"url": URI}}, ImagePart(URI)),
        ({"type": "image_url", "image_url": {"url": URI, "detail": "auto"}}, ImagePart(URI)),
        ({"type": "image_url", "image_url": URI}, ImagePart(URI)),
        ({"type": "video", "video": "clip.mp4"}, VideoPart("clip.mp4")),
        ({"type": "document", "path": "a.pdf"}, DocumentPart(Path("a.pdf"))),
    ],
)
def test_media_parts(part: dict[str, Any], expected: object) -> None:
    assert content(part) == expected


class Shouting(str):
    """A string that is not what it prints."""

    def __str__(self) -> str:
        return self.upper()


def test_subclasses_of_str_become_plain_strings() -> None:
    text = content({"type": "text", "text": Shouting("quiet")}).text
    assert type(text) is str
    assert text == "quiet"


BAD: list[tuple[Any, str, str]] = [
    ("hello", "messages", "is a str"),
    ({"role": "user"}, "messages", "is a dict"),
    ([], "messages", "is empty"),
    (["hello"], "messages.0", "is a str"),
    ([{"role": "user"}], "messages.0", "'content'"),
    ([{"content": "a"}], "messages.0", "'role'"),
    ([{"role": "robot", "content": "a"}], "messages.0.role", "'robot' is unknown"),
    ([{"role": ["user"], "content": "a"}], "messages.0.role", "is unknown"),
    ([{"role": "user", "content": "a", "name": "x"}], "messages.0", "'name'"),
    ([{"role": "user", "content": None}], "messages.0.content", "is a NoneType"),
    ([{"role": "user", "content": b"a"}], "messages.0.content", "is a bytes"),
    ([{"role": "user", "content": ""}], "messages.0.content", "is empty"),
    ([{"role": "user", "content": " \n"}], "messages.0.content", "is empty"),
    ([{"role": "user", "content": []}], "messages.0.content", "is empty"),
    ([{"role": "user", "content": "a\ud800"}], "messages.0.content", "surrogate at character 1"),
]

BAD_PARTS: list[tuple[Any, str, str]] = [
    ("text", "messages.0.content.0", "is a str"),
    ({}, "messages.0.content.0", "'type'"),
    ({"type": "smell"}, "messages.0.content.0.type", "'smell' is unknown"),
    ({"type": ["text"]}, "messages.0.content.0.type", "is unknown"),
    ({"type": "text"}, "messages.0.content.0", "'text'"),
    ({"type": "text", "text": 3}, "messages.0.content.0.text", "is a int"),
    ({"type": "text", "text": "a", "bold": True}, "messages.0.content.0", "'bold'"),
    ({"type": "text", "text": " "}, "messages.0.content", "is empty"),
    ({"type": "image"}, "messages.0.content.0", "no source"),
    ({"type": "image", "image": None}, "messages.0.content.0", "no source"),
    ({"type": "image", "image": b"", "path": "a"}, "messages.0.content.0", "image and path"),
    ({"type": "image", "image": b"", "size": 3}, "messages.0.content.0", "'size'"),
    ({"type": "image", "path": 3}, "messages.0.content.0.path", "is a int"),
    ({"type": "image", "url": "http://a/b"}, "messages.0.content.0.url", "not a data URI"),
    ({"type": "image", "base64": "*"}, "messages.0.content.0.base64", "is not base64"),
    ({"type": "image", "base64": "é"}, "messages.0.content.0.base64", "is not base64"),
    ({"type": "image", "base64": 1}, "messages.0.content.0.base64", "is a int"),
    ({"type": "image_url"}, "messages.0.content.0", "'image_url'"),
    ({"type": "image_url", "image_url": {}}, "messages.0.content.0.image_url", "'url'"),
    (
        {"type": "image_url", "image_url": {"url": "file:///etc"}},
        "messages.0.content.0.image_url.url",
        "not a data URI",
    ),
    (
        {"type": "image_url", "image_url": {"url": URI, "detail": "high"}},
        "messages.0.content.0.image_url.detail",
        "'high'",
    ),
]


@pytest.mark.parametrize(("messages", "field", "says"), BAD)
def test_bad_messages_are_refused(messages: Any, field: str, says: str) -> None:
    with pytest.raises(PromptError) as caught:
        parse_messages(messages)
    assert caught.value.field == field
    assert says in caught.value.problem


@pytest.mark.parametrize(("part", "field", "says"), BAD_PARTS)
def test_bad_parts_are_refused(part: Any, field: str, says: str) -> None:
    with pytest.raises(PromptError) as caught:
        content(part)
    assert caught.value.field == field
    assert says in caught.value.problem
