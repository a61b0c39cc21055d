"""Answers whole, streamed, batched and searched for are the same answers."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from tests.helpers.speaking import END, assistant, parrot, picture, speaking, user

from sightline.api import VisionLanguageModel
from sightline.core.errors import PromptError, SamplingError
from sightline.core.geometry import Box, Point, Size
from sightline.model.generate import generate
from sightline.spec import NativeSpec
from sightline.spec.resolution import PixelRange
from sightline.spec.sampling import Sampling

VLM = speaking(seed=1)
ASKED = [
    [user(picture(), "Is it red?")],
    [user("How many are there?")],
    [user(picture(20, 5, 1), "And?"), assistant("a ring"), user("Where", picture(4, 4, 2), "?")],
    [user(picture(7, 7, 3), picture(9, 3, 4), "Describe both, the first and the second one.")],
]
OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampled": {"temperature": 3.0, "top_p": 0.95, "seed": 5},
    "penalised": {"repetition_penalty": 1.3, "temperature": 1.5, "top_k": 9},
}


def stop_in(text: str) -> str:
    """Two characters of the middle, which lie in different tokens."""
    return text[len(text) // 2 : len(text) // 2 + 2]


@pytest.mark.parametrize("stopped", [False, True], ids=["to the end", "stop string"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_streamed_is_whole_is_batched(options: dict[str, Any], stopped: bool) -> None:
    options = {**options, "max_tokens": 14}
    if stopped:
        texts = [VLM.ask(messages, **options).text for messages in ASKED]
        options["stop"] = tuple(stop_in(text) for text in texts)
    together = VLM.answer_all(ASKED, **options)
    for messages, batched in zip(ASKED, together, strict=True):
        answering = VLM.stream(messages, **options)
        pieces = list(answering)
        whole = VLM.ask(messages, **options)
        assert "".join(pieces).strip() == answering.answer.text == whole.text
        assert replace(whole, timings=None) == replace(answering.answer, timings=None) == batched
        assert whole.finish == ("stop" if stopped or END in whole.token_ids else "length")
        assert not any(stop in whole.text for stop in options.get("stop", ()))
        assert whole.usage.answer_tokens == len(whole.token_ids)
        prepared = VLM.prepare(messages)
        assert whole.usage.text_tokens + whole.usage.visual_tokens == len(prepared.token_ids)
    assert stopped == all(answer.usage.answer_tokens < 14 for answer in together)


def test_tokens_are_those_of_the_generator() -> None:
    items = [VLM.prepare(messages) for messages in ASKED]
    for item, messages in zip(items, ASKED, strict=True):
        tokens = [row[0] for row in generate(VLM.model, [item], Sampling(max_tokens=9))]
        assert VLM.ask(messages, max_tokens=9).token_ids == (*tokens,)


def test_the_stop_token_ends_an_answer_and_is_not_said() -> None:
    said = parrot(" it is", " red").ask(picture(), "What?")
    assert (said.text, said.finish, said.token_ids[-1]) == ("it is red", "stop", END)
    assert said.usage.answer_tokens == 3
    cut = parrot(" it is", " red").ask(picture(), "What?", max_tokens=1)
    assert (cut.text, cut.finish) == ("it is", "length")


def test_geometry_is_in_pixels_of_the_last_picture() -> None:
    pointing = parrot(" a ring [10, 20, 60, 70]", " and [50, 50]", " or [1, 2, 3]")
    said = pointing.ask([user(picture(50, 50), "x"), assistant("no"), user(picture(20, 10), "y")])
    assert [replace(b, label=None) for b in said.boxes] == [Box(2.0, 2.0, 12.0, 7.0)]
    assert [replace(p, label=None) for p in said.points] == [Point(10.0, 5.0)]
    assert len(said.problems) == 1
    assert pointing.ask("no picture?").boxes == ()


def test_pixels_are_those_of_the_resized_picture() -> None:
    """The 100 × 60 pixels of the user are seen as 48 × 16, and the answer counts in these."""
    pointing = parrot(' {"bbox_2d": [12, 8, 48, 16]}', ' {"point_2d": [24, 4]}', " [1, 2]")
    square = NativeSpec(multiple=16, pictures=PixelRange(min_pixels=256, max_pixels=1536))
    prompt = pointing.spec.prompt.model_copy(update={"grounding": "pixels"})
    pointing.model.spec = pointing.spec.model_copy(update={"resolution": square, "prompt": prompt})
    pointing = VisionLanguageModel(pointing.model, pointing.tokenizer)
    said = pointing.ask(picture(100, 60), "Where?")
    assert pointing.prepare([user(picture(100, 60), "Where?")]).layout.views[0].size == Size(48, 16)
    assert said.boxes == (Box(25, 30, 100, 60),)
    assert said.points == (Point(50, 15),)
    assert pointing.ask("Where?").boxes == ()


def test_beam_search_answers_and_does_not_stream() -> None:
    searched = VLM.ask(ASKED[0], beams=3, max_tokens=6)
    assert searched.usage.answer_tokens == len(searched.token_ids) <= 6
    with pytest.raises(SamplingError, match="beams"):
        VLM.stream(ASKED[0], beams=3)


def test_an_answer_is_not_there_before_it_ended() -> None:
    answering = VLM.stream(ASKED[0], max_tokens=3)
    with pytest.raises(RuntimeError, match="iterate"):
        _ = answering.answer


def test_notes_of_the_pictures_come_with_the_answer() -> None:
    file = BytesIO()
    frames = [Image.fromarray(picture(seed=s)) for s in range(3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert VLM.ask(file.getvalue(), "What?", max_tokens=1).notes == ("first of 3 frames",)


@pytest.mark.parametrize("given", [(), ("  ",), (picture(),), (picture(), 3)], ids=repr)
def test_a_missing_question_is_refused(given: tuple[Any, ...]) -> None:
    with pytest.raises(PromptError, match="question"):
        VLM.ask(*given)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"temperature": -1}, "temperature"), ({"top_p": 0}, "top_p"), ({"max_tokens": 0}, "max_t"),
     ({"stop": ("",)}, "stop"), ({"stop": ["a"]}, "stop"), ({"seed": -1}, "seed"),
     ({"top_k": 0}, "top_k"), ({"heat": 1}, "heat"), ({"temperature": float("nan")}, "temp")],
)  # fmt: skip
def test_invalid_sampling_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(SamplingError, match=field):
        VLM.ask("What?", **options)
