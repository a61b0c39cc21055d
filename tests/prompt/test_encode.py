"""Conversations as ids: spans, bos, targets, and nothing that a user types becomes control."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.prompt.tokenizers import CONTROL, source, trained_bytes, with_control

from sightline.core.errors import ContextOverflow, PromptError
from sightline.prompt.encode import Encoded, Span, check_context, encode
from sightline.prompt.grounding import style_tokens
from sightline.prompt.messages import parse_messages
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.prompt import BuiltinTemplate, ImageTokenSpec, JinjaTemplate, PromptSpec

PICTURE = {"type": "image", "image": b"a picture"}
NAMES = ("chatml", "vicuna", "llama2", "llama3", "mistral", "gemma", "phi", "plain")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return with_control(trained_bytes())[0]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def chat(*contents: Any) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": given} for i, given in enumerate(contents)]


def spec(tokenizer: Tokenizer, name: Any = "chatml", **fields: Any) -> PromptSpec:
    image = {"id": tokenizer.id_of("<image>")} | fields.pop("image", {})
    fields = {"template": BuiltinTemplate(name=name), "image": ImageTokenSpec(**image)} | fields
    return PromptSpec(**fields)


def run(
    tokenizer: Tokenizer, prompt: PromptSpec, contents: Any, spans: Any = (), **how: Any
) -> Any:
    return encode(parse_messages(chat(*contents)), tokenizer, prompt, spans, **how)


def target_text(tokenizer: Tokenizer, encoded: Encoded) -> str:
    pairs = zip(encoded.token_ids, encoded.targets, strict=True)
    return tokenizer.decode([id_ for id_, target in pairs if target], skip_special=False)


def test_a_picture_becomes_its_span_between_before_and_after(tokenizer: Tokenizer) -> None:
    image = tokenizer.id_of("<image>")
    prompt = spec(tokenizer, image={"before": (7, 8), "after": (9,)})
    contents = ([PICTURE, text("a"), PICTURE], "b", [PICTURE, text("c")])
    found = run(tokenizer, prompt, contents, [2, (None, 300, None), [301]])
    inside = [found.token_ids[span.start : span.stop] for span in found.spans]
    assert inside == [[image, image], [image, 300, image], [301]]
    assert [span.media for span in found.spans] == [0, 1, 2]
    for span in found.spans:
        assert found.token_ids[span.start - 2 : span.start] == [7, 8]
        assert found.token_ids[span.stop] == 9
        assert not any(found.targets[span.start - 2 : span.stop + 1])
        assert set(found.message_of[span.start : span.stop]) == {0 if span.media < 2 else 2}
    assert (found.visual_tokens, found.text_tokens) == (6, len(found.token_ids) - 6)
    assert len(found.targets) == len(found.message_of) == len(found.token_ids)
    assert found.text.count("<image>") == 3


def test_pictures_do_not_change_the_text_around_them(tokenizer: Tokenizer) -> None:
    contents = ([text("a "), PICTURE, text(" b")], "c")
    one, many = (run(tokenizer, spec(tokenizer), contents, [n]) for n in (1, 50))
    span = many.spans[0]
    assert many.token_ids[: span.start] == one.token_ids[: span.start]
    assert many.token_ids[span.stop :] == one.token_ids[span.start + 1 :]
    assert many.targets[span.stop :] == one.targets[span.start + 1 :]


def test_bos_is_written_once(tokenizer: Tokenizer) -> None:
    bos = tokenizer.id_of("<s>")
    for name in NAMES:  # llama2, llama3, mistral and gemma write it themselves
        found = run(tokenizer, spec(tokenizer, name, bos_id=bos), ("hi", "you"))
        assert found.token_ids[:2].count(bos) == 1
        assert found.token_ids[0] == bos
        assert (found.message_of[0], found.targets[0]) == (None, False)
    found = run(tokenizer, spec(tokenizer), ("hi", "you"))
    assert bos not in found.token_ids


def test_bos_moves_the_spans(tokenizer: Tokenizer) -> None:
    prompt = spec(tokenizer, "plain", bos_id=tokenizer.id_of("<s>"))
    found = run(tokenizer, prompt, ([PICTURE], "a caption"), [4])
    assert found.spans == (Span(1, 5, 0),)
    assert found.text == "<image>a caption</s>"


@pytest.mark.parametrize(
    ("name", "stop", "answer"),
    [
        ("chatml", "<|im_end|>", "12 dogs<|im_end|>"),
        ("vicuna", "</s>", " 12 dogs</s>"),
        ("llama2", "</s>", " 12 dogs </s>"),
        ("llama3", "<|eot_id|>", "12 dogs<|eot_id|>"),
        ("mistral", "</s>", " 12 dogs</s>"),
        ("gemma", "<end_of_turn>", "12 dogs<end_of_turn>"),
        ("phi", "</s>", " 12 dogs</s>"),
        ("plain", "</s>", "12 dogs</s>"),
    ],
)
def test_targets_are_what_the_model_has_to_write(name: str, stop: str, answer: str) -> None:
    for vocabulary in ("bytes", "spm-legacy", "unigram"):
        tokenizer, _ = with_control(source(vocabulary, None))
        prompt = spec(tokenizer, name, stop_ids=(tokenizer.id_of(stop),))
        found = run(tokenizer, prompt, ("How many?", "12 dogs", "And cats?", "12 dogs"))
        # A first space may be the tokenizer's own.
        assert target_text(tokenizer, found).lstrip() == (answer * 2).lstrip()
        asked = run(tokenizer, prompt, ("How many?",), add_generation_prompt=True)
        assert not any(asked.targets)
        if (name, vocabulary) != ("llama3", "bytes"):  # GPT-2's pattern cuts "\\n\\n12" at "\\n"
            first = found.targets.index(True)
            assert found.token_ids[:first] == asked.token_ids  # training continues the prompt


@pytest.mark.parametrize("name", ["vicuna", "llama2", "mistral", "phi"])
def test_a_space_that_is_a_token_of_its_own_is_learned(name: str) -> None:
    tokenizer, _ = with_control(source("spm-legacy", None))
    space, answer = tokenizer.id_of("▁"), "中文"
    found, content = (
        run(tokenizer, spec(tokenizer, name), ("What?", answer), targets=targets)
        for targets in ("answer", "content")
    )
    first = found.targets.index(True)
    assert found.token_ids[first] == space  # the prompt ends before it
    assert content.targets.index(True) == first + 1
    assert target_text(tokenizer, content) == answer


def test_a_space_of_the_generation_prompt_is_not_learned() -> None:
    tokenizer, _ = with_control(source("spm-legacy", None))
    template = (
        "{% for m in messages %}{{ 'A: ' if m.role == 'assistant' else 'Q:' }}{{ m.content }}\n"
        "{% endfor %}{% if add_generation_prompt %}{{ 'A: ' }}{% endif %}"
    )
    prompt = spec(tokenizer, template=JinjaTemplate(source=template))
    found = run(tokenizer, prompt, ("What?", "中文"))
    assert target_text(tokenizer, found) == "中文"


def test_content_targets_leave_out_the_end_of_turn(tokenizer: Tokenizer) -> None:
    prompt = spec(tokenizer, stop_ids=(tokenizer.id_of("<|im_end|>"),))
    found = run(tokenizer, prompt, ("hi", " you "), targets="content")
    assert target_text(tokenizer, found) == " you "
    assert target_text(tokenizer, run(tokenizer, prompt, ("hi", "you"))) == "you<|im_end|>"


def test_no_stop_ids_no_stop_target(tokenizer: Tokenizer) -> None:
    found = run(tokenizer, spec(tokenizer, stop_ids=()), ("hi", "you"))
    assert target_text(tokenizer, found) == "you"


def test_a_stop_token_behind_other_words_is_not_the_answers(tokenizer: Tokenizer) -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %} over</s>"
    prompt = spec(
        tokenizer,
        template=JinjaTemplate(source=template),
        stop_ids=(tokenizer.id_of("</s>"),),
    )
    assert target_text(tokenizer, run(tokenizer, prompt, ("hi", "you"))) == "you"


def test_messages_of_tokens(tokenizer: Tokenizer) -> None:
    prompt = spec(tokenizer, stop_ids=(tokenizer.id_of("<|im_end|>"),))
    found = run(tokenizer, prompt, ("hi", "you"))
    for i, words in enumerate(("hi", "you<|im_end|>")):
        pairs = zip(found.token_ids, found.message_of, strict=True)
        own = [id_ for id_, message in pairs if message == i]
        assert tokenizer.decode(own, skip_special=False) == words


HOSTILE = (*CONTROL, "<s>", "</s>", "<|im_", "start|>", "system\n", "\n", " ", "dog", "<ima", "ge>")


@pytest.mark.parametrize("vocabulary", ["bytes", "spm-legacy", "spm-first", "unigram"])
@pytest.mark.parametrize("name", NAMES)
@given(words=st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6).map("".join))
def test_nothing_typed_by_a_user_is_control(name: str, vocabulary: str, words: str) -> None:
    tokenizer, _ = with_control(source(vocabulary, None))
    if not words.strip():
        return
    harmless = run(tokenizer, spec(tokenizer, name), ([text("dog"), PICTURE], "a"), [3])
    hostile = run(tokenizer, spec(tokenizer, name), ([text(words), PICTURE], "a"), [3])
    unknown = {tokenizer.id_of("<unk>")} if "<unk>" in tokenizer else set()
    control = tokenizer.special_ids - unknown

    def controls(encoded: Encoded) -> list[int]:
        return [id_ for id_ in encoded.token_ids if id_ in control]

    assert controls(hostile) == controls(harmless)
    assert words.strip() in tokenizer.decode(hostile.token_ids)


def test_content_may_spell_the_tags_of_its_grounding_style(tokenizer: Tokenizer) -> None:
    words = "<|box_start|>(1,2),(3,4)<|box_end|><|im_end|>"
    prompt = spec(tokenizer, grounding="qwen", stop_ids=(tokenizer.id_of("<|im_end|>"),))
    found = run(tokenizer, prompt, ("where?", words))
    tags = [tokenizer.id_of(tag) for tag in style_tokens("qwen")]
    assert [id_ for id_ in found.token_ids if id_ in tags] == tags[2:]
    assert target_text(tokenizer, found) == words + "<|im_end|>"
    assert found.token_ids.count(tokenizer.id_of("<|im_end|>")) == 2
    plain = run(tokenizer, spec(tokenizer), ("where?", words))
    assert not set(tags) & set(plain.token_ids)
    named = run(tokenizer, spec(tokenizer, content_tokens=("<|box_end|>",)), ("where?", words))
    assert [id_ for id_ in named.token_ids if id_ in tags] == tags[3:]


def test_the_context_has_to_hold_it(tokenizer: Tokenizer) -> None:
    found = run(tokenizer, spec(tokenizer), ([PICTURE, text("a"), PICTURE],), [5, 30])
    total = len(found.token_ids)
    check_context(found, total)
    check_context(found, total + 8, answer_tokens=8)
    with pytest.raises(ContextOverflow) as caught:
        check_context(found, total - 1)
    assert f"{total} tokens ({total - 35} of text, 35 visual)" in caught.value.problem
    assert f"holds {total - 1}; picture 1 is the largest with 30" in caught.value.problem
    with pytest.raises(ContextOverflow, match="8 to answer"):
        check_context(found, total + 7, answer_tokens=8)
    words = run(tokenizer, spec(tokenizer), ("hi",))
    with pytest.raises(ContextOverflow, match="shorten the text"):
        check_context(words, 1)


BAD: list[tuple[dict[str, Any], Any, Any, str]] = [
    ({}, ([PICTURE],), [], "0 spans for 1"),
    ({}, ("hi",), [3], "1 spans for 0"),
    ({}, ([PICTURE, text("a")],), [0], r"spans\.0: has no tokens"),
    ({}, ([PICTURE, text("a")],), [()], r"spans\.0: has no tokens"),
    ({"image": {"id": 5}}, ([PICTURE, text("a")],), [3], r"prompt\.image\.id: is 5, but"),
    ({"image": {"text": "<pic>"}}, ([PICTURE, text("a")],), [3], "not in the vocabulary"),
]


@pytest.mark.parametrize(("fields", "contents", "spans", "says"), BAD)
def test_what_cannot_be_encoded(
    tokenizer: Tokenizer, fields: dict[str, Any], contents: Any, spans: Any, says: str
) -> None:
    with pytest.raises(PromptError, match=says):
        run(tokenizer, spec(tokenizer, **fields), contents, spans)


def test_an_answer_cannot_follow_an_answer(tokenizer: Tokenizer) -> None:
    with pytest.raises(PromptError, match="end with an assistant message"):
        run(tokenizer, spec(tokenizer), ("hi", "you"), add_generation_prompt=True)
