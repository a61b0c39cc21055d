"""Rows of conversations: weights token by token, and places that the model reads back."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, get_args

import pytest
from tests.helpers.speaking import PAD, chat_spec, decoded, picture, speaking, tokenizer
from tests.model.combinations import RESOLUTIONS, VIT

from sightline.core.errors import DataError, GroundingError, SpecError
from sightline.core.geometry import Box, Point, Size
from sightline.data.rows import ConversationMaker, messages_of, training_row
from sightline.data.sample import Media, Part, Places, Sample, Text, Turn
from sightline.model.answer import Answer
from sightline.model.batch import collate
from sightline.model.prepare import Preparer
from sightline.model.speaker import Speaker
from sightline.prompt.grounding import style_tokens
from sightline.prompt.tokenizer import Tokenizer
from sightline.resolution.project import seen_size, surface
from sightline.spec import ModelSpec
from sightline.spec.prompt import GroundingStyle
from sightline.spec.sampling import Sampling
from sightline.spec.train import PackSpec, PadSpec

VLM = speaking()
POLICIES = {
    **RESOLUTIONS,
    "padded": {"kind": "fixed", "size": 16, "fit": "pad"},
    "cropped": {"kind": "fixed", "size": 16, "fit": "crop"},
}
STYLES: tuple[GroundingStyle, ...] = tuple(s for s in get_args(GroundingStyle) if s != "none")
UNITS = {"percent": 100, "paligemma": 1024}  # of the others 1000
SIZES = [(60, 21), (21, 60), (9, 9)]
OPTIONS = Sampling(max_tokens=9)


@cache
def worded(style: GroundingStyle) -> Tokenizer:
    """With the tokens of a style."""
    words = tokenizer()
    for token in style_tokens(style):
        words = words.add_token(token, special=False)
    return words


def speaker(policy: str, style: GroundingStyle) -> Speaker:
    """What reads answers; its model is only a spec."""
    words = worded(style)
    base = chat_spec(language={"vocab": 2048}, prompt={"grounding": style}).model_dump()
    resolution = {"kind": policy, **POLICIES[policy]}
    vision = {**VIT, "kind": "vit", "image_size": 16}
    spec = ModelSpec.parse(base | {"resolution": resolution, "vision": vision})

    class Silent:
        pass

    model: Any = Silent()
    model.spec = spec
    return Speaker(model, words)


def question(size: tuple[int, int], *said: Part) -> Sample:
    """The second of two pictures is asked about, and they differ."""
    shown = Turn("user", (Media("image", picture(33, 12)), Media("image", picture(*size))))
    return Sample("rows.jsonl:7", (shown, Turn("assistant", said)))


def read_back(reader: Speaker, sample: Sample) -> Answer:
    """What the model is taught to say, as it would be read if it said so."""
    row = training_row(sample, reader.prepare)
    wanted = [row.prepared.token_ids[i] for i, weight in enumerate(row.weights) if weight]
    text = reader.text_stream(OPTIONS)
    for token in wanted:
        text.push(token)
    text.close()
    return reader.finished(row.prepared, wanted, text, None)


def unit_size(reader: Speaker, sample: Sample) -> tuple[float, float]:
    """Pixels of the original picture that one step of the style's numbers is."""
    prepared = training_row(sample, reader.prepare).prepared
    style, last = reader.model.spec.prompt.grounding, prepared.media[-1].size
    if style == "pixels":
        seen = seen_size(prepared.layout, 1, last)
        return last.width / seen.width, last.height / seen.height
    whole = surface(prepared.layout, 1).size if style == "shikra" else last
    return whole.width / UNITS.get(style, 1000), whole.height / UNITS.get(style, 1000)


def place(size: tuple[int, int], kind: str, unit: str) -> Places:
    width, height = size
    x, y = {"pixel": (1, 1), "share": (1 / width, 1 / height),
            "thousandth": (1000 / width, 1000 / height)}[unit]  # fmt: skip
    if kind == "box":
        box = Box(2 * x, 1 * y, (width - 3) * x, height * y, "cup")
        return Places(boxes=(box, replace(box, x0=5 * x)), media=1, unit=unit)  # type: ignore[arg-type]
    return Places(points=(Point(4 * x, 7 * y, "cup"),), media=1, unit=unit)  # type: ignore[arg-type]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("policy", POLICIES)
def test_places_are_read_back_in_the_pixels_of_the_original(
    policy: str, style: GroundingStyle
) -> None:
    """Within half a step of the style; CogVLM and PaliGemma have no number for the far edge."""
    reader = speaker(policy, style)
    reach = 1.01 if style in ("cogvlm", "paligemma") else 0.501
    for size, unit in zip(SIZES, ("pixel", "share", "thousandth"), strict=True):
        for kind in ("box", "point"):
            if (kind, style) in LACKING:
                continue
            sample = question(size, Text("It is at "), place(size, kind, unit))
            answer = read_back(reader, sample)
            assert answer.problems == ()
            found, wanted = corners(answer.boxes, answer.points), place(size, kind, "pixel")
            truth = corners(wanted.boxes, wanted.points)
            step = unit_size(reader, sample)
            assert len(found) == len(truth)
            for (x, y), (true_x, true_y) in zip(found, truth, strict=True):
                assert abs(x - true_x) <= reach * step[0] + 1e-9
                assert abs(y - true_y) <= reach * step[1] + 1e-9


LACKING = {("box", "molmo"), ("point", "internvl"), ("point", "paligemma")}


def corners(boxes: tuple[Box, ...], points: tuple[Point, ...]) -> list[tuple[float, float]]:
    return [
        *((x, y) for box in boxes for x, y in ((box.x0, box.y0), (box.x1, box.y1))),
        *((point.x, point.y) for point in points),
    ]


@pytest.mark.parametrize("style", ["qwen", "pixels", "json", "internvl", "paligemma"])
def test_labels_are_read_back(style: GroundingStyle) -> None:
    size = (60, 21)
    answer = read_back(speaker("native", style), question(size, place(size, "box", "pixel")))
    assert [(box.label or "").strip() for box in answer.boxes] == ["cup", "cup"]


def test_pixels_are_those_that_the_model_sees() -> None:
    """60 × 21 is seen as 32 × 8: by hand."""
    reader = speaker("native", "pixels")
    sample = question((60, 21), Places(boxes=(Box(30, 0, 60, 21),), media=1))
    assert seen_size(training_row(sample, reader.prepare).prepared.layout, 1, Size(60, 21)) == Size(
        32, 8
    )
    [_, said] = messages_of(sample.turns, reader.prepare)
    assert said["content"] == '{"bbox_2d": [16, 0, 32, 8]}'


def test_shikra_counts_the_padding() -> None:
    """40 × 20 lies in a square of 40, ten below its top edge: by hand."""
    sample = question((40, 20), Places(boxes=(Box(0, 0, 40, 10),), media=1))
    [_, said] = messages_of(sample.turns, speaker("padded", "shikra").prepare)
    assert said["content"] == "[0.000,0.250,1.000,0.500]"
    [_, said] = messages_of(sample.turns, speaker("cropped", "shikra").prepare)
    assert said["content"] == "[0.000,0.000,1.000,0.500]"


def test_places_are_one_part_with_the_words_around_them() -> None:
    """Templates may put spaces between parts."""
    place = Places(boxes=(Box(0, 0, 30, 21),), media=0)
    asked = Turn("user", (Media("image", picture(60, 21)), Text("Is "), place, Text(" a cup?")))
    [turn] = messages_of((asked,), speaker("padded", "percent").prepare)
    assert [part["type"] for part in turn["content"]] == ["image", "text"]
    assert turn["content"][1]["text"] == "Is [0, 0, 50, 100] a cup?"


@pytest.mark.parametrize(
    ("places", "error", "problem"),
    [
        (Places(boxes=(Box(0, 0, 10, 10),), media=2), DataError, "picture 2"),
        (Places(boxes=(Box(0, 0, 10, 10),), media=1), GroundingError, "outside the picture of 9"),
        (Places(points=(Point(-1, 0),), media=1), GroundingError, "outside"),
        (Places(boxes=(Box(0, 0, 900, 1001),), media=1, unit="thousandth"), GroundingError, "outs"),
        (Places(boxes=(Box(3, 0, 2, 4),), media=1), GroundingError, "reversed"),
    ],
)
def test_places_that_are_none_are_refused(
    places: Places, error: type[Exception], problem: str
) -> None:
    reader = speaker("padded", "shikra")
    with pytest.raises(error, match=problem):
        training_row(question((9, 9), places), reader.prepare)


def test_places_without_a_picture_are_refused() -> None:
    sample = Sample("x:1", (Turn("user", (Text("?"),)), Turn("assistant", (Places(),))))
    with pytest.raises(DataError, match="without pictures"):
        training_row(sample, VLM.speaker.prepare)


def said(*turns: tuple[str, float]) -> Sample:
    """Question and answer by turns, each answer with its weight."""
    pairs = [
        (
            Turn("user", (Media("image", picture()), Text("Is it?"))),
            Turn("assistant", (Text(t),), w),
        )
        for t, w in turns
    ]
    return Sample("x:1", tuple(turn for pair in pairs for turn in pair))


def test_each_answer_has_its_weight() -> None:
    row = training_row(said(("a ring", 1.0), ("no", 0.0), ("two", 2.5)), VLM.speaker.prepare)
    taught: dict[float, list[int]] = {}
    for id_, weight in zip(row.prepared.token_ids, row.weights, strict=True):
        taught.setdefault(weight, []).append(id_)
    assert set(taught) == {0.0, 1.0, 2.5}
    assert decoded(VLM, taught[1.0]) == "a ring<|end|>"
    assert decoded(VLM, taught[2.5]) == "two<|end|>"
    assert row.weights[0] == 0.0


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        (said(("no", 0.0)), "no token to learn"),
        (Sample("x:1", (Turn("user", (Text("?"),)),)), "a prompt row"),
        (replace(said(("no", 1.0)), desirable=True), "a judged row"),
        (replace(said(("no", 1.0)), rejected=said(("yes", 1.0)).turns), "a preference row"),
        (replace(said(("no", 1.0)), tools="[]"), "declares tools"),
    ],
)
def test_rows_that_teach_nothing_here_are_refused_alike(sample: Sample, problem: str) -> None:
    maker = ConversationMaker(VLM.speaker.prepare)
    for way in (maker.make, maker.measure):
        with pytest.raises(DataError, match=rf"x:1: .*{problem}"):
            way(sample)


def test_micro_batches_are_padded_or_packed_as_the_recipe_says() -> None:
    maker = ConversationMaker(VLM.speaker.prepare)
    rows = [maker.make(said(("a ring", 1.0))), maker.make(said(("no", 1.0), ("yes", 0.5)))]
    lengths = [len(row.weights) for row in rows]
    side_by_side = maker.collate(rows, PadSpec(rows=2))
    assert side_by_side.batch.token_ids_BT.shape == (2, max(lengths))
    assert (side_by_side.tokens, side_by_side.capacity) == (sum(lengths), 2 * max(lengths))
    end_to_end = maker.collate(rows, PackSpec(tokens=400))
    assert end_to_end.batch.token_ids_BT.shape == (1, sum(lengths))
    assert (end_to_end.tokens, end_to_end.capacity) == (sum(lengths), 400)
    for micro in (side_by_side, end_to_end):
        assert micro.weight == sum(sum(row.weights) for row in rows)
        assert micro.target_tokens == sum(w > 0 for row in rows for w in row.weights)
        assert micro.ids == ("x:1", "x:1") and micro.rows == 2
        shown = sum(row.prepared.visual_tokens for row in rows)
        assert micro.visual_tokens == shown > 0
    assert maker.measure(said(("a ring", 1.0))).tokens == lengths[0]
    assert collate([rows[0].prepared], PAD, "right").token_ids_BT.shape[1] == lengths[0]


def test_packs_of_a_model_that_cannot_be_packed_are_refused() -> None:
    dynamic = {"scaling": {"kind": "dynamic", "factor": 2.0, "original_context": 40}}
    spec = chat_spec(language={"positions": dynamic})
    maker = ConversationMaker(Preparer(spec, tokenizer()))
    maker.check(PadSpec())
    with pytest.raises(SpecError, match="dynamic scaling"):
        maker.check(PackSpec(tokens=99))
