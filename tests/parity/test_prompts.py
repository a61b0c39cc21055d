"""Token ids and training targets equal those of transformers, conversation by conversation."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.parity.chat_templates import PUBLISHED, Published
from tests.prompt import conversations
from tests.prompt.tokenizers import REAL, SMALL, source, with_control

from sightline.prompt.encode import Encoded, encode
from sightline.prompt.messages import parse_messages
from sightline.prompt.templates import builtin
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.prompt import BuiltinTemplate, ImageTokenSpec, JinjaTemplate, PromptSpec

NUM_CHATS = 30


@pytest.fixture(params=[*SMALL, *REAL])
def tokenizers(request: pytest.FixtureRequest) -> tuple[Tokenizer, Any]:
    real = request.param in REAL
    data: Path | None = request.getfixturevalue("shared_data") if real else None
    return with_control(source(request.param, data))


def spec_of(published: Published, ours: Tokenizer) -> PromptSpec:
    return PromptSpec(
        template=JinjaTemplate(source=published.source),
        image=ImageTokenSpec(text=published.image, id=ours.id_of(published.image)),
        stop_ids=(ours.id_of(published.stop),) if published.stop else (),
    )


def for_reference(published: Published, chat: conversations.Chat) -> conversations.Chat:
    """The conversation in the form that the template wants."""
    match published.pictures:
        case "strings":
            return conversations.as_strings(chat, published.image)
        case "parts":
            return conversations.as_parts(chat)
    return chat


def truth(
    published: Published, theirs: Any, chat: conversations.Chat, counts: list[int], ask: bool
) -> tuple[list[int], list[int], list[str]]:
    """Ids and answer mask after every placeholder is repeated as often as `counts` says, and the
    characters that each token covers.

    The reference stops its mask at the first token of an answer's last character; the other bytes
    of that character are answer, too.
    """
    given = for_reference(published, chat)
    options = {"chat_template": published.source, "add_generation_prompt": ask}
    text = theirs.apply_chat_template(given, tokenize=False, **options)
    out = theirs.apply_chat_template(
        given,
        return_assistant_tokens_mask=True,
        tokenizer_kwargs={"return_offsets_mapping": True},
        **options,
    )
    image = theirs.convert_tokens_to_ids(published.image)
    left = list(counts)
    ids: list[int] = []
    mask: list[int] = []
    covers: list[str] = []
    rows = zip(out["input_ids"], out["assistant_masks"], out["offset_mapping"], strict=True)
    end = 0
    for id_, answer, (start, stop) in rows:
        answer, end = (1, stop) if answer or start < end else (0, 0)
        repeats = left.pop(0) if id_ == image else 1
        ids += [id_] * repeats
        mask += [answer] * repeats
        covers += [text[start:stop]] * repeats
    assert not left
    return ids, mask, covers


def expanded_ids(
    published: Published, theirs: Any, chat: conversations.Chat, counts: list[int], ask: bool
) -> list[int]:
    """As a processor does it: repeat the placeholder in the text, then tokenise."""
    text = theirs.apply_chat_template(
        for_reference(published, chat),
        tokenize=False,
        chat_template=published.source,
        add_generation_prompt=ask,
    )
    before, *rest = text.split(published.image)
    assert len(rest) == len(counts)
    for count, piece in zip(counts, rest, strict=True):
        before += published.image * count + piece
    return list(theirs(before, add_special_tokens=False)["input_ids"])


def ours_of(
    published: Published, ours: Tokenizer, chat: conversations.Chat, counts: list[int], ask: bool
) -> Encoded:
    return encode(
        parse_messages(chat), ours, spec_of(published, ours), counts, add_generation_prompt=ask
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_ids_and_targets_equal_the_reference(name: str, tokenizers: tuple[Tokenizer, Any]) -> None:
    published, (ours, theirs) = PUBLISHED[name], tokenizers
    random = Random(name)
    joined = answers = 0
    for i in range(NUM_CHATS):
        answered = i % 3 != 0
        chat = conversations.chat(random, system=published.system, answered=answered)
        counts = [random.randrange(1, 7) for _ in range(conversations.num_pictures(chat))]
        ids, mask, covers = truth(published, theirs, chat, counts, ask=not answered)
        if published.pictures != "both":
            chat = conversations.shuffled_forms(chat, random)
        found = ours_of(published, ours, chat, counts, ask=not answered)
        assert found.token_ids == ids == expanded_ids(published, theirs, chat, counts, not answered)
        wrong = [covers[j] for j, t in enumerate(found.targets) if t != bool(mask[j])]
        # Ours starts with the answer; the reference also counts a token that runs into it: "](".
        assert all(published.touches and text[0] == published.touches for text in wrong), wrong
        joined, answers = joined + len(wrong), answers + sum(mask)
    assert joined < 0.01 * answers


# The built-in formats once more, by hand, in order: text and whether the model writes it. None is
# a user's text where an answer may follow with only white space between.
Written = list[tuple[str, bool | None]]


def say(message: dict[str, Any], gap: str = "\n") -> str:
    content = message["content"]
    return (
        content
        if isinstance(content, str)
        else "".join(part.get("text", f"<image>{gap}") for part in content)
    )


def chatml(chat: conversations.Chat, ask: bool) -> Written:
    written: Written = []
    for message in chat:
        answer = message["role"] == "assistant"
        written += [(f"<|im_start|>{message['role']}\n", False), (say(message), answer)]
        written += [("<|im_end|>", answer), ("\n", False)]
    return [*written, ("<|im_start|>assistant\n", False)] if ask else written


def vicuna(chat: conversations.Chat, ask: bool) -> Written:
    written: Written = []
    for message in chat:
        if message["role"] == "assistant":
            written += [("ASSISTANT:", False), (f" {say(message)}</s>", True)]
            continue
        given = conversations.as_parts([message])[0]["content"]
        images = ["<image>\n" for part in given if "text" not in part]
        texts = [part["text"] for part in given if "text" in part]
        start = "USER: " if message["role"] == "user" else ""
        written.append((start + "".join(images) + " ".join(texts) + " ", False))
    return [*written, ("ASSISTANT:", False)] if ask else written


def llama2(chat: conversations.Chat, ask: bool) -> Written:
    written: Written = []
    system = ""
    for message in chat:
        match message["role"]:
            case "system":
                system = f"<<SYS>>\n{say(message)}\n<</SYS>>\n\n"
            case "user":
                words, system = (system + say(message)).strip(), ""
                written.append((f"<s>[INST] {words} [/INST]", False))
            case _:
                written.append((f" {say(message).strip()} </s>", True))
    return written


def llama3(chat: conversations.Chat, ask: bool) -> Written:
    written: Written = [("<s>", False)]
    for message in chat:
        answer = message["role"] == "assistant"
        written.append((f"<|start_header_id|>{message['role']}<|end_header_id|>\n\n", False))
        written.append((say(message).strip() + "<|eot_id|>", answer))
    header = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    return [*written, (header, False)] if ask else written


def mistral(chat: conversations.Chat, ask: bool) -> Written:
    written: Written = [("<s>", False)]
    system = ""
    for message in chat:
        match message["role"]:
            case "system":
                system = say(message) + "\n\n"
            case "user":
                written.append((f"[INST] {system}{say(message)} [/INST]", False))
                system = ""
            case _:
                written.append((f" {say(message)}</s>", True))
    return written


def gemma(chat: conversations.Chat, ask: bool) -> Written:
    written: Written = [("<s>", False)]
    for message in chat:
        answer = message["role"] == "assistant"
        role = "model" if answer else "user"
        written.append((f"<start_of_turn>{role}\n", False))
        written += [(say(message).strip() + "<end_of_turn>", answer), ("\n", False)]
    return [*written, ("<start_of_turn>model\n", False)] if ask else written


def phi(chat: conversations.Chat, ask: bool) -> Written:
    written: Written = []
    for message in chat:
        match message["role"]:
            case "system":
                written.append((say(message) + "\n", False))
            case "user":
                written.append((f"Instruct: {say(message)}\n", False))
            case _:
                written += [("Output:", False), (f" {say(message)}</s>", True), ("\n", False)]
    return [*written, ("Output:", False)] if ask else written


def plain(chat: conversations.Chat, ask: bool) -> Written:
    written: Written = []
    for message in chat:
        if message["role"] == "assistant":
            written.append((say(message) + "</s>", True))
            continue
        given = conversations.as_parts([message])[0]["content"]
        images = ["<image>" for part in given if "text" not in part]
        texts = [part["text"] for part in given if "text" in part]
        written += [("".join(images), False), ("".join(texts), None), ("\n" * bool(texts), False)]
    return written


BY_HAND = {
    "chatml": chatml, "vicuna": vicuna, "llama2": llama2, "llama3": llama3,
    "mistral": mistral, "gemma": gemma, "phi": phi, "plain": plain,
}  # fmt: skip


def truth_by_hand(written: Written, theirs: Any) -> tuple[list[int], list[bool]]:
    """Ids of the reference tokenizer, and the tokens whose first character, white space that the
    template wrote set aside, is the model's."""
    text = "".join(piece for piece, _ in written)
    writer = [answer for piece, answer in written for _ in piece]
    out = theirs(text, add_special_tokens=False, return_offsets_mapping=True)
    targets = []
    for start, stop in out["offset_mapping"]:
        while start < stop - 1 and writer[start] is False and text[start].isspace():
            start += 1
        targets.append(bool(writer[start]))
    return out["input_ids"], targets


@pytest.mark.parametrize("name", BY_HAND)
def test_builtin_templates_equal_those_written_by_hand(
    name: Any, tokenizers: tuple[Tokenizer, Any]
) -> None:
    ours, theirs = tokenizers
    random = Random(name)
    stop = builtin(BuiltinTemplate(name=name)).stop or "</s>"
    spec = PromptSpec(
        template=BuiltinTemplate(name=name),
        image=ImageTokenSpec(id=ours.id_of("<image>")),
        stop_ids=(ours.id_of(stop),),
    )
    for i in range(NUM_CHATS):
        ask = i % 3 == 0
        chat = conversations.chat(random, system=name != "gemma", answered=not ask)
        written = BY_HAND[name](chat, ask)
        ids, targets = truth_by_hand(written, theirs)
        spans = [1] * conversations.num_pictures(chat)
        found = encode(parse_messages(chat), ours, spec, spans, add_generation_prompt=ask)
        assert found.text == "".join(piece for piece, _ in written)
        assert (found.token_ids, found.targets) == (ids, targets)
