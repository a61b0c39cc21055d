"""Templates run with the origin of every character known, or are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import PromptError
from sightline.prompt.chat import ChatTemplate, Rendered
from sightline.prompt.messages import parse_messages
from sightline.prompt.sandbox import MAX_ADDED_CHARS

PICTURE = {"type": "image", "image": b"a picture"}
STRINGS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
TRIMS = "{% for m in messages %}<{{ m.role }}>\n{{ m.content | trim }}\n</>{% endfor %}"
PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% for p in m.content %}"
    "{% if p.type == 'image' %}<image>{% elif p.type == 'text' %}{{ p.text }}{% endif %}"
    "{% endfor %}</>{% endfor %}"
)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def render(source: str, *contents: Any, ask: bool = False, **variables: Any) -> Rendered:
    """Contents by user and assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": given} for i, given in enumerate(contents)]
    chat = ChatTemplate(source, "<image>", variables, now=lambda: datetime(2024, 7, 26))
    return chat.render(parse_messages(messages), add_generation_prompt=ask)


def shown(rendered: Rendered) -> str:
    """The text with the template's characters as dots."""
    return "".join(
        char if origin >= 0 else "·"
        for char, origin in zip(rendered.text, rendered.origin(), strict=True)
    )


@pytest.mark.parametrize("source", [STRINGS, PARTS])
@pytest.mark.parametrize("form", [lambda words: words, lambda words: [text(words)]])
def test_strings_and_parts_reach_templates_that_know_only_one(source: str, form: Any) -> None:
    found = render(source, form(" hi "), form("you"))
    assert found.text == "<user> hi </><assistant>you</>"
    assert shown(found) == "······ hi ··············you···"
    assert [text for _, text in found.written()] == ["<user>", "</><assistant>", "</>"]
    assert found.origin()[7:9] == [0, 0]
    assert [span.message for span in found.content] == [0, 1]


@pytest.mark.parametrize("source", [STRINGS, PARTS])
def test_pictures_stand_where_their_parts_stand(source: str) -> None:
    found = render(source, [text("a "), PICTURE, text(" b"), PICTURE, PICTURE], "<image>")
    assert found.text == "<user>a <image> b<image><image></><assistant><image></>"
    assert found.control() == bytes(char == "·" for char in shown(found))
    assert shown(found) == "······a ······· b····························<image>···"


def test_trimmed_white_space_is_the_templates_even_if_it_looks_alike() -> None:
    kept = render(STRINGS.replace("{{ m.content }}", "\n{{ m.content }}\n"), "\nhi\n")
    assert kept.text == "<user>\n\nhi\n\n</>"
    assert shown(kept) == "·······\nhi\n····"
    cut = render(TRIMS, "\nhi\n")
    assert cut.text == "<user>\nhi\n</>"
    assert shown(cut) == "·······hi····"


def test_one_side_may_be_trimmed() -> None:
    found = render("{{ messages[0].content.rstrip() + ' ' }}", " hi ")
    assert shown(found) == " hi·"
    found = render("{{ messages[0].content.lstrip('\n') }}", "\n hi \n")
    assert shown(found) == " hi \n"


def test_white_space_between_parts_is_no_control() -> None:
    found = render(PARTS, [PICTURE, text("\n"), text("hi")])
    assert found.text == "<user><image>\nhi</>"
    assert shown(found)[-5:] == "hi···"


@given(
    contents=st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=4),
    source=st.sampled_from((STRINGS, PARTS, TRIMS)),
)
def test_any_content_keeps_its_origin(contents: list[str], source: str) -> None:
    found = render(source, *contents)
    for i, given_text in enumerate(contents):
        span = next(span for span in found.content if span.message == i)
        core = given_text.strip() if source == TRIMS else given_text
        assert found.text[span.start : span.stop] == core


PRIVATE = st.characters(min_codepoint=0xF0000, max_codepoint=0xF0040)


@given(content=st.text(PRIVATE | st.characters(codec="utf-8"), min_size=1).filter(str.strip))
def test_marks_cannot_be_forged(content: str) -> None:
    found = render(STRINGS, content, content[::-1])
    assert found.text == f"<user>{content}</><assistant>{content[::-1]}</>"
    assert [found.text[span.start : span.stop] for span in found.content] == [
        content,
        content[::-1],
    ]


def test_all_private_characters_at_once_are_refused() -> None:
    everything = "".join(map(chr, range(0xF0000, 0x10FFFE)))
    with pytest.raises(PromptError, match="private Unicode"):
        render(STRINGS, everything)


REFUSED: list[tuple[str, list[Any], str]] = [
    ("{{ messages[0].content | upper }}", ["hi"], "changes the text of message 0"),
    ("{{ messages[0].content.replace('<image>', '') }}", ["a <image> b"], "changes the text"),
    ("{{ messages[0].content[:2] }}", ["hello"], "changes the text of message 0"),
    ("{{ messages[0].content.split('</think>')[-1] }}", ["a</think>b"], "changes the text"),
    ("{{ messages[0].content | length }}{{ messages[0].content }}", ["hi"], "decides by what"),
    (
        "{% if messages[0].content == 'hi' %}!{% endif %}{{ messages[0].content }}",
        ["hi"],
        "decides",
    ),
    ("{{ messages[0].content }}", ["hi", "you"], r"leaves out the text of message 1 \(assistant\)"),
    ("nothing", ["hi"], "leaves out the text of message 0"),
    (PARTS.replace("<image>", "[pic]"), [[PICTURE, text("a")]], "writes 0 '<image>' for 1"),
    (PARTS + "<image>", [[PICTURE, text("a")]], "writes 2 '<image>' for 1 pictures"),
    (STRINGS + "<image>", ["hi"], "writes 1 '<image>' for 0 pictures"),
    ("{{ raise_exception('No: ' + messages[0].role) }}", ["hi"], "refuses the conver.*No: user"),
    ("{{ nothing.at.all }}", ["hi"], "'nothing' is undefined"),
    ("{{ 1 / 0 }}", ["hi"], "division by zero"),
    ("{{ ''.__class__.__mro__ }}{{ messages[0].content.__class__ }}", ["hi"], "unsafe"),
    ("{% for i in range(10**9) %}x{% endfor %}", ["hi"], "Range too big"),
    ("{% for i in range(99999) %}{{ 'x' * 99 }}{% endfor %}", ["hi"], "writes more than"),
    ("{% if %}", ["hi"], r"cannot be read.*line 1"),
    ("{% include 'x' %}", ["hi"], "refuses"),
]


@pytest.mark.parametrize(("source", "contents", "says"), REFUSED)
def test_templates_that_do_not_keep_content_are_refused(
    source: str, contents: list[Any], says: str
) -> None:
    with pytest.raises(PromptError, match=says):
        render(source, *contents)


@pytest.mark.parametrize("source", ["{{ messages[0].content.split('</think>')[-1] }}"])
def test_a_transformation_that_changes_nothing_is_fine(source: str) -> None:
    assert shown(render(source, "hi")) == "hi"


def test_what_a_template_says_counts_more_than_how_it_fails_on_other_forms() -> None:
    source = "{% if not add_generation_prompt %}{{ raise_exception('ask!') }}{% endif %}" + STRINGS
    with pytest.raises(PromptError, match="ask!"):
        render(source, [PICTURE, text("hi")])
    assert render(source, [PICTURE, text("hi")], ask=True).text == "<user><image>hi</>"


def test_templates_see_what_they_see_in_transformers() -> None:
    source = (
        "{{ bos_token }}{{ strftime_now('%d %b %Y') }}{{ {'a': '<é>'} | tojson }}"
        "{% generation %}{{ messages[0].content }}{% endgeneration %}"
        "{% for i in range(5) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}"
        "{% if tools is none and documents is none %}!{% endif %}{{ image_token[1:] }}"
    )
    found = render(source, "hi", bos_token="<s>")
    assert found.text == '<s>26 Jul 2024{"a": "<é>"}hi01!image>'


def test_the_template_may_write_much_but_not_without_end() -> None:
    source = "{{ 'x' * %d }}{{ messages[0].content }}"
    assert len(render(source % (MAX_ADDED_CHARS - 10), "hi").text) == MAX_ADDED_CHARS - 8
    with pytest.raises(PromptError, match="writes more than"):
        render(source % (MAX_ADDED_CHARS + 10), "hi")


@pytest.mark.parametrize("kind", ["video", "document"])
def test_other_media_are_refused(kind: str) -> None:
    with pytest.raises(PromptError, match=f"holds a {kind}"):
        render(PARTS, [{"type": kind, "path": "a"}, text("hi")])


def test_content_that_stands_twice_is_content_twice() -> None:
    found = render("{{ messages[0].content }}|{{ messages[0].content }}", " a ")
    assert shown(found) == " a · a "
