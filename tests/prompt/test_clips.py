"""Pictures and clips in one conversation: each by its own placeholder, in the right place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parity.chat_templates import QWEN2_VL
from tests.prompt.tokenizers import trained_bytes, with_control

from sightline.core.errors import PromptError, SpecError
from sightline.core.geometry import MediaSize
from sightline.prompt.clip_words import clip_words, number_words
from sightline.prompt.encode import Encoded, encode
from sightline.prompt.messages import FramesPart, Message, VideoPart, parse_messages
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.prompt import (
    BuiltinTemplate,
    FrameTextSpec,
    ImageTokenSpec,
    JinjaTemplate,
    PromptSpec,
)

PICTURE = {"type": "image", "image": b"p"}
CLIP = {"type": "video", "video": b"c"}
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
NAMES = ("chatml", "vicuna", "llama2", "llama3", "mistral", "gemma", "phi", "plain")
MEDIA_FIRST = (  # LLaVA-OneVision's order: pictures, then clips, then words
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% for p in m.content if p.type == 'image' %}<|image_pad|>{% endfor %}"
    "{% for p in m.content if p.type == 'video' %}<|video_pad|>{% endfor %}"
    "{% for p in m.content if p.type == 'text' %}{{ p.text }}{% endfor %}<|im_end|>\n{% endfor %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return with_control(trained_bytes())[0].add_token(VIDEO)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def spec(tokenizer: Tokenizer, template: str, **fields: Any) -> PromptSpec:
    image = ImageTokenSpec(text=IMAGE, id=tokenizer.id_of(IMAGE))
    chosen = (
        BuiltinTemplate(name=template) if template in NAMES else JinjaTemplate(source=template)  # type: ignore[arg-type]
    )
    if "frames" not in fields:
        fields["video"] = ImageTokenSpec(text=VIDEO, id=tokenizer.id_of(VIDEO), before=(5,))
    return PromptSpec(template=chosen, image=image, **fields)


def messages(*contents: Any) -> tuple[Message, ...]:
    roles = ("user", "assistant")
    return parse_messages([{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)])


def shown(tokenizer: Tokenizer, found: Encoded) -> str:
    return tokenizer.decode(found.token_ids, skip_special=False)


def test_each_kind_has_its_placeholder_in_the_order_of_the_conversation(
    tokenizer: Tokenizer,
) -> None:
    prompt = spec(tokenizer, QWEN2_VL)
    said = messages([CLIP, text("a"), PICTURE], "b", [PICTURE, CLIP, text(f"{VIDEO} {IMAGE}")])
    found = encode(said, tokenizer, prompt, [2, 1, 3, (None, 300, None)])
    image, video = tokenizer.id_of(IMAGE), tokenizer.id_of(VIDEO)
    inside = [found.token_ids[span.start : span.stop] for span in found.spans]
    assert inside == [[video, video], [image], [image] * 3, [video, 300, video]]
    assert [span.media for span in found.spans] == [0, 1, 2, 3]
    before = [found.token_ids[span.start - 1] for span in found.spans]
    assert [id_ == 5 for id_ in before] == [True, False, False, True]
    assert found.token_ids.count(image) == 4 and found.token_ids.count(video) == 4
    assert f"{VIDEO} {IMAGE}<|im_end|>" in shown(tokenizer, found)


@pytest.mark.parametrize("name", NAMES)
def test_builtin_templates_show_clips(tokenizer: Tokenizer, name: str) -> None:
    said = messages([text("a"), CLIP, PICTURE, text("b")])
    found = encode(said, tokenizer, spec(tokenizer, name), [1, 2])
    kinds = [found.token_ids[span.start] for span in found.spans]
    assert kinds == [tokenizer.id_of(VIDEO), tokenizer.id_of(IMAGE)]


def test_a_template_may_set_pictures_before_clips(tokenizer: Tokenizer) -> None:
    said = messages([CLIP, PICTURE, text("a"), CLIP])
    found = encode(said, tokenizer, spec(tokenizer, MEDIA_FIRST), [1, 2, 3])
    assert [span.media for span in found.spans] == [1, 0, 2]
    assert [span.stop - span.start for span in found.spans] == [2, 1, 3]


PARTS = st.lists(st.sampled_from(["image", "video", "Is it?", "<|video_pad|>", "é"]), max_size=5)


@given(turns=st.lists(PARTS, min_size=1, max_size=3), split=st.booleans())
def test_any_mixture_has_every_item_once_and_keeps_what_is_said(
    tokenizer: Tokenizer, turns: list[list[str]], split: bool
) -> None:
    frames = FrameTextSpec(text=VIDEO, intro="{count_words} of {duration}\n", between="\n")
    prompt = spec(tokenizer, QWEN2_VL, **({"frames": frames} if split else {}))
    given_parts = {"image": PICTURE, "video": CLIP}
    contents: list[Any] = []
    for turn in turns:
        contents += [[*(given_parts.get(part, text(part)) for part in turn), text("What?")], "yes"]
    said = messages(*contents)
    words = clip_words(frames, IMAGE, MediaSize(8, 8, 50, 25.0, video=True), [0, 30])
    if split:
        said = tuple(
            replace(m, parts=tuple(words if isinstance(p, VideoPart) else p for p in m.parts))
            for m in said
        )
    sizes = {"image": [1], "video": [2, 3] if split else [4]}
    spans = [size for turn in turns for part in turn for size in sizes.get(part, [])]
    found = encode(said, tokenizer, prompt, spans)
    assert [span.stop - span.start for span in found.spans] == spans
    assert [span.media for span in found.spans] == list(range(len(spans)))
    clips = sum(part == "video" for turn in turns for part in turn)
    assert shown(tokenizer, found).count("two of 0:00:02\n") == (clips if split else 0)
    for i, turn in enumerate(turns):
        ids = [
            id_ for id_, of in zip(found.token_ids, found.message_of, strict=True) if of == 2 * i
        ]
        typed = "".join(part for part in turn if part not in given_parts) + "What?"
        own = {tokenizer.id_of(IMAGE), tokenizer.id_of(VIDEO), 5}
        content = [id_ for id_ in ids if id_ not in own]
        assert (
            tokenizer.decode(content, skip_special=False)
            .replace("<|vision_end|>", "")
            .replace("<|vision_start|>", "")
            == typed
        )
    targets = [id_ for id_, taught in zip(found.token_ids, found.targets, strict=True) if taught]
    assert tokenizer.decode(targets) == "yes" * len(turns)


def test_a_clip_that_is_read_as_pictures_is_written_out(tokenizer: Tokenizer) -> None:
    frames = FrameTextSpec(
        text=VIDEO,
        intro="You see {count_words} frames of a {duration} video.\n",
        frame="\nFrame from {time}:{image}",
        outro="\n\n",
    )
    prompt = spec(tokenizer, QWEN2_VL, frames=frames)
    clip = MediaSize(8, 8, 3000, 25.0, video=True)
    part = clip_words(frames, IMAGE, clip, [0, 1510, 2999])
    assert part == FramesPart(
        f"You see three frames of a 0:02:00 video.\n\nFrame from 00:00:{IMAGE}\nFrame from 01:00:"
        f"{IMAGE}\nFrame from 01:59:{IMAGE}\n\n",
        3,
    )
    said = (Message("user", (part, *messages([text("What?")])[0].parts)),)
    found = encode(said, tokenizer, prompt, [1, 1, 1], add_generation_prompt=True)
    marked = f"user\n<|vision_start|>{part.words}<|vision_end|>What?<|im_end|>"
    assert marked in shown(tokenizer, found)
    assert [span.media for span in found.spans] == [0, 1, 2]


def test_what_is_not_read_or_not_written_is_refused(tokenizer: Tokenizer) -> None:
    prompt = spec(tokenizer, QWEN2_VL)
    blind = prompt.model_copy(update={"video": None})
    with pytest.raises(PromptError, match=r"holds a video \(media item 1\)"):
        encode(messages([PICTURE, CLIP]), tokenizer, blind, [1, 1])
    deaf = prompt.model_copy(
        update={"template": JinjaTemplate(source="{{ messages[0].content[0].type }}<|image_pad|>")}
    )
    with pytest.raises(PromptError, match=r"writes 0 '<\|video_pad\|>' for 1 clips"):
        encode(messages([PICTURE, CLIP]), tokenizer, deaf, [1, 1])
    with pytest.raises(PromptError, match="1 spans for 2 media items"):
        encode(messages([PICTURE, CLIP]), tokenizer, prompt, [1])
    wrong = prompt.model_copy(update={"video": ImageTokenSpec(text=VIDEO, id=3)})
    with pytest.raises(PromptError, match=r"prompt.video.id: is 3, but the tokenizer's"):
        encode(messages([CLIP]), tokenizer, wrong, [1])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"frame": "Frame {n}"}, "has not one"),
        ({"frame": "{image}{image}"}, "has not one"),
        ({"frame": "{image} {count}"}, "'count'"),
        ({"intro": "{image}"}, "'image'"),
        ({"outro": "{"}, "'{'"),
    ],
)
def test_wrong_words_around_frames_are_refused(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        FrameTextSpec(**fields)


def test_one_way_to_read_clips() -> None:
    image = ImageTokenSpec(id=1)
    with pytest.raises(SpecError, match="beside a placeholder"):
        PromptSpec(image=image, video=ImageTokenSpec(text="<v>", id=2), frames=FrameTextSpec())
    with pytest.raises(SpecError, match="is the picture's"):
        PromptSpec(image=image, video=ImageTokenSpec(id=2))


def test_numbers_in_words() -> None:
    spelled = {
        0: "zero", 8: "eight", 13: "thirteen", 20: "twenty", 64: "sixty-four",
        100: "one hundred", 105: "one hundred and five", 768: "seven hundred and sixty-eight",
        1000: "one thousand", 1005: "one thousand and five",
        1234: "one thousand, two hundred and thirty-four",
    }  # fmt: skip
    assert {number: number_words(number) for number in spelled} == spelled


def test_ways_to_read_clips_survive_yaml() -> None:
    words = FrameTextSpec(intro="{count} frames\n", frame="{time}: {image}", outro="\n")
    for how in ({"frames": words}, {"video": ImageTokenSpec(text="<v>", id=2, after=(3,))}):
        prompt = PromptSpec(image=ImageTokenSpec(id=1), **how)  # type: ignore[arg-type]
        assert PromptSpec.from_yaml(prompt.to_yaml()) == prompt
