"""Rows that would be read wrong are refused, with file, row and place, the problem and the fix."""

from __future__ import annotations

from typing import Any

import pytest
from tests.data.dialect_rows import HERE, SLOT, chat, gpt, text, value

from sightline.core.errors import DataError
from sightline.data.dialects import Context, read_row
from sightline.spec.train import Dialect

Case = tuple[Dialect, dict[str, Any], str, str]


def boxes(words: str = "<bbox>", **changes: Any) -> dict[str, Any]:
    objects = {"bbox": [[1, 2, 3, 4]], "bbox_type": "real", "image_id": [0]}
    return {
        "messages": chat("<image>", words),
        "images": ["a.png"],
        "objects": {**objects, **changes},
    }


def typed(*parts: Any) -> dict[str, Any]:
    return {"messages": chat(list(parts), "A")}


REFUSED: dict[str, Case] = {
    # Counts.
    "llava: more marks": (
        "llava",
        {"image": "a.png", "conversations": gpt("<image><image>Q", "A")},
        "images",
        "2 <image> in the text for 1 images",
    ),
    "llava: more pictures": (
        "llava",
        {"image": ["a.png", "b.png"], "conversations": gpt("<image>Q", "A")},
        "images",
        "1 <image> in the text for 2 images",
    ),
    "llava: a mark and no picture": (
        "llava",
        {"conversations": gpt("<image>Q", "A")},
        "images",
        "1 <image> in the text for 0 images",
    ),
    "llava: a picture and no mark": (
        "llava",
        {"image": "a.png", "conversations": gpt("Q", "A")},
        "images",
        "0 <image> in the text for 1 images",
    ),
    "sharegpt": (
        "sharegpt",
        {"images": [], "conversations": gpt("<image>Q", "A")},
        "images",
        "1 <image>",
    ),
    "sharegpt: clips": (
        "sharegpt",
        {"videos": ["c.mp4"], "conversations": gpt("Q", "A")},
        "videos",
        "0 <video> in the text for 1 videos",
    ),
    "alpaca": (
        "alpaca",
        {"instruction": "<image>", "output": "<image>", "images": ["a.png"]},
        "images",
        "2 <image>",
    ),
    "swift": (
        "swift",
        {"messages": chat("<image><image>", "A"), "images": ["a.png"]},
        "images",
        "2 <image>",
    ),
    "trl: parts": (
        "trl",
        {"messages": chat([SLOT, SLOT], "A"), "images": ["a.png"]},
        "images",
        "2 image parts in the messages for 1 images",
    ),
    "trl: no place": (
        "trl",
        {"messages": chat([text("Q")], "A"), "images": ["a.png"]},
        "images",
        "0 image parts",
    ),
    "trl: index": (
        "trl",
        {
            "messages": chat([{**SLOT, "index": 1}, {**SLOT, "index": 0}], "A"),
            "images": ["a.png", "b.png"],
        },
        "messages.0.content.0.index",
        "is 1 at image part 0",
    ),
    "preference": (
        "preference",
        {"question": "<image><image>", "image": "a.png", "chosen": "A", "rejected": "B"},
        "images",
        "2 <image>",
    ),
    # Turns.
    "unknown role": (
        "llava",
        {"conversations": [{"from": "bot", "value": "x"}]},
        "conversations.0.from",
        "'bot' is unknown; use one of human, gpt, system",
    ),
    "tool role": (
        "openai",
        {"messages": [*chat("Q", "A"), {"role": "tool", "content": "x"}]},
        "messages.2.role",
        "'tool' is unknown",
    ),
    "empty answer": (
        "llava",
        {"conversations": gpt("Q", " \n")},
        "conversations.1",
        "is an empty answer",
    ),
    "picture as an answer": (
        "openai",
        {"messages": chat("Q", [{"type": "image", "path": "a.png"}])},
        "messages.1",
        "is an empty answer",
    ),
    "empty question": (
        "trl",
        {"messages": chat("", "A")},
        "messages.0",
        "is an empty user message",
    ),
    "two questions": (
        "llava",
        {"conversations": [*gpt("Q"), *gpt("R", "A")]},
        "conversations.1",
        "is the second user turn in a row; join the two",
    ),
    "two answers": (
        "openai",
        {"messages": [*chat("Q", "A"), {"role": "assistant", "content": "B"}]},
        "messages.2",
        "is the second assistant turn in a row",
    ),
    "late system": (
        "trl",
        {"messages": [*chat("Q", "A"), {"role": "system", "content": "S"}]},
        "messages.2",
        "is a system message after the first turn",
    ),
    "answer first": (
        "sharegpt",
        {"conversations": [{"from": "gpt", "value": "A"}]},
        "conversations.0",
        "does not start with a question",
    ),
    "no answer": (
        "llava",
        {"conversations": gpt("Q", "A", "R")},
        "conversations.2",
        "without an answer; give the answer, or name the dialect `prompt`",
    ),
    "no messages": ("openai", {"messages": []}, "messages", "is empty"),
    "system alone": (
        "trl",
        {"messages": [{"role": "system", "content": "S"}]},
        "messages",
        "does not start with a question",
    ),
    "system twice": (
        "sharegpt",
        {"system": "S", "conversations": [{"from": "system", "value": "T"}, *gpt("Q", "A")]},
        "system",
        "beside a system message",
    ),
    "swift: other losses are not joined": (
        "swift",
        {"messages": [*chat("Q", "A"), {"role": "assistant", "content": "B", "loss": False}]},
        "messages.2",
        "second assistant turn",
    ),
    # Shapes.
    "missing": (
        "llava",
        {"image": "a.png"},
        "conversations",
        "is missing; give it, or name its column",
    ),
    "no answer field": ("alpaca", {"instruction": "Q"}, "output", "is missing"),
    "no text": ("caption", {"image": "a.png"}, "text", "is missing"),
    "two texts": (
        "caption",
        {"image": "a.png", "text": "A", "caption": "B"},
        "caption",
        "is given beside text",
    ),
    "five captions": ("caption", {"image": "a.png", "text": ["A", "B"]}, "text", "is a list"),
    "no list": ("llava", {"conversations": "Q"}, "conversations", "is a str; give a list"),
    "no message": (
        "openai",
        {"messages": ["Q", "A"]},
        "messages.0",
        "is a str; give role, content",
    ),
    "no value": (
        "llava",
        {"conversations": [{"from": "human"}]},
        "conversations.0",
        "lacks 'value'",
    ),
    "number as text": (
        "llava",
        {"conversations": [{"from": "human", "value": 3}]},
        "conversations.0.value",
        "is a int; give a string",
    ),
    "no pair": ("finevision", {"texts": [{"user": "Q"}]}, "texts.0", "is no pair"),
    "history": (
        "alpaca",
        {"instruction": "Q", "output": "A", "history": [["x"]]},
        "history.0",
        "is no pair",
    ),
    "content": ("openai", {"messages": chat(3, "A")}, "messages.0.content", "is a int"),
    "both names": (
        "trl",
        {"messages": chat("Q", "A"), "image": "a.png", "images": ["a.png"]},
        "image",
        "beside images",
    ),
    # Parts.
    "unknown part": (
        "openai",
        typed({"type": "poem"}),
        "messages.0.content.0.type",
        "'poem' is unknown; use text, image, video",
    ),
    "no part": ("openai", typed("Q"), "messages.0.content.0", "is no typed part"),
    "no source": (
        "openai",
        typed(SLOT),
        "messages.0.content.0",
        "has no source; give exactly one of image, path",
    ),
    "two sources": (
        "openai",
        typed({**SLOT, "path": "a", "url": "b"}),
        "messages.0.content.0",
        "has path and url",
    ),
    "base64": (
        "openai",
        typed({**SLOT, "base64": "?"}),
        "messages.0.content.0.base64",
        "is not base64",
    ),
    "detail": (
        "openai",
        typed({"type": "image_url", "image_url": {"url": "a", "detail": "low"}}),
        "messages.0.content.0.image_url.detail",
        "'low' is not supported",
    ),
    "pixel limits": (
        "openai",
        typed({**SLOT, "image": "a", "max_pixels": 9}),
        "messages.0.content.0.max_pixels",
        "the model's resolution",
    ),
    "rate of a picture": (
        "openai",
        typed({**SLOT, "image": "a", "fps": 2}),
        "messages.0.content.0.fps",
        "frames per second of a video",
    ),
    "v1 reasoning": (
        "llamafactory",
        {"messages": chat([{"type": "reasoning", "value": "hm"}], [value("A")])},
        "messages.0.content.0.type",
        "'reasoning' is not read",
    ),
    "trl: own source": (
        "trl",
        {"messages": chat([{**SLOT, "image": "a.png"}], "A")},
        "messages.0.content.0",
        "has 'image', which this dialect does not know",
    ),
    # Media.
    "http": (
        "llava",
        {"image": "http://x.y/a.png", "conversations": gpt("<image>Q", "A")},
        "image.0",
        "nothing is fetched; download the file first",
    ),
    "https": (
        "openai",
        typed({"type": "image_url", "image_url": {"url": "https://x.y/a.png"}}),
        "messages.0.content.0.image_url.url",
        "nothing is fetched; download",
    ),
    "s3": ("caption", {"image": "s3://x/a.png", "text": "A"}, "image", "nothing is fetched"),
    "null picture": (
        "trl",
        {"messages": chat("Q", "A"), "images": [None]},
        "images.0",
        "is None; give a path",
    ),
    "no path": ("trl", {"messages": chat("Q", "A"), "images": [""]}, "images.0", "is empty"),
    "no bytes": ("caption", {"image": b"", "text": "A"}, "image", "is empty"),
    "number": ("caption", {"image": 3, "text": "A"}, "image", "is 3; give a path"),
    "list": ("caption", {"image": ["a.png"], "text": "A"}, "image", "is a list"),
    "stored": (
        "caption",
        {"image": {"bytes": None, "path": None}, "text": "A"},
        "image",
        "is None",
    ),
    "stored otherwise": (
        "caption",
        {"image": {"array": 3}, "text": "A"},
        "image",
        "unknown key 'array'",
    ),
    "no frames": (
        "swift",
        {"messages": chat("<video>", "A"), "videos": [[]]},
        "videos.0",
        "has no frames",
    ),
    # What is out of scope or not known here.
    "sound": (
        "sharegpt",
        {"conversations": gpt("Q", "A"), "audios": ["a.wav"]},
        "audios",
        "are sounds, which Sightline does not read",
    ),
    "sound in the text": (
        "sharegpt",
        {"conversations": gpt("<audio>Q", "A")},
        "conversations.0.value",
        "<audio>",
    ),
    "sound in a part": (
        "openai",
        typed({"type": "input_audio", "input_audio": {}}),
        "messages.0.content.0.type",
        "'input_audio' is sound",
    ),
    "pictures beside": (
        "openai",
        {"messages": chat("Q", "A"), "images": ["a.png"]},
        "images",
        "stand beside the messages, where the dialects trl and swift",
    ),
    "clips of trl": (
        "trl",
        {"messages": chat("Q", "A"), "videos": ["c.mp4"]},
        "videos",
        "are clips",
    ),
    "tool calls": (
        "openai",
        {"messages": [*chat("Q"), {"role": "assistant", "content": "A", "tool_calls": [{}]}]},
        "messages.1",
        "has 'tool_calls'",
    ),
    "reasoning": (
        "openai",
        {
            "messages": [
                *chat("Q"),
                {"role": "assistant", "content": "A", "reasoning_content": "hm"},
            ]
        },
        "messages.1",
        "has 'reasoning_content'",
    ),
    "axolotl's weight in sharegpt": (
        "sharegpt",
        {"conversations": [*gpt("Q"), {"from": "gpt", "value": "A", "weight": 0}]},
        "conversations.1",
        "has 'weight'",
    ),
    "template": (
        "swift",
        {"messages": chat("Q", "A"), "chat_template_kwargs": {"max_pixels": 9}},
        "chat_template_kwargs",
        "changes pixel limits",
    ),
    "pair in swift": (
        "swift",
        {"messages": chat("Q", "A"), "rejected_response": "B"},
        "rejected_response",
        "name the dialect preference",
    ),
    # Losses.
    "loss of a question": (
        "swift",
        {"messages": [{"role": "user", "content": "Q", "loss": True}, *chat("Q", "A")[1:]]},
        "messages.0.loss",
        "asks for a loss on a user message; only answers",
    ),
    "v1 loss of a question": (
        "llamafactory",
        {
            "messages": [
                {"role": "user", "content": [value("Q")], "loss_weight": 1.0},
                *chat([value("Q")], [value("A")])[1:],
            ]
        },
        "messages.0.loss_weight",
        "asks for a loss",
    ),
    "negative": (
        "openai",
        {"messages": [*chat("Q"), {"role": "assistant", "content": "A", "weight": -1}]},
        "messages.1.weight",
        "is -1",
    ),
    "not a number": (
        "openai",
        {"messages": [*chat("Q"), {"role": "assistant", "content": "A", "weight": float("nan")}]},
        "messages.1.weight",
        "is nan",
    ),
    "two weights": (
        "openai",
        {
            "messages": [
                *chat("Q"),
                {"role": "assistant", "content": "A", "weight": 1, "train": True},
            ]
        },
        "messages.1",
        "has weight and train",
    ),
    "loss is a number": (
        "swift",
        {"messages": [*chat("Q"), {"role": "assistant", "content": "A", "loss": 0.5}]},
        "messages.1.loss",
        "give true or false",
    ),
    # Boxes.
    "fewer boxes": (
        "swift",
        boxes("<bbox> <bbox>"),
        "objects.bbox",
        "2 <bbox> in the text for 1 entries",
    ),
    "more boxes": ("swift", boxes("none"), "objects.bbox", "0 <bbox> in the text for 1 entries"),
    "no boxes": (
        "swift",
        {"messages": chat("Q", "<bbox>")},
        "objects.bbox",
        "1 <bbox> in the text for 0 entries",
    ),
    "names": (
        "swift",
        boxes("<ref-object><bbox>"),
        "objects.ref",
        "1 <ref-object> in the text for 0",
    ),
    "three numbers": ("swift", boxes(bbox=[[1, 2, 3]]), "objects.bbox.0", "is no place"),
    "words as numbers": ("swift", boxes(bbox=[["1", 2]]), "objects.bbox.0", "give numbers"),
    "reversed": ("swift", boxes(bbox=[[3, 2, 1, 4]]), "objects.bbox.0", "corners reversed"),
    "shares": ("swift", boxes(bbox_type="norm1"), "objects.bbox.0", "in norm1; give shares"),
    "unit": (
        "swift",
        boxes(bbox_type="norm1000"),
        "objects.bbox_type",
        "'norm1000' is unknown; use real or norm1",
    ),
    "no such picture": (
        "swift",
        boxes(image_id=[1]),
        "objects.image_id.0",
        "is 1, and the row has 1 images",
    ),
    "more ids": ("swift", boxes(image_id=[0, 0]), "objects.image_id", "2 entries for 1 boxes"),
    # Pairs, judged answers, prompts.
    "same answers": (
        "preference",
        {"prompt": "Q", "chosen": "A", "rejected": "A"},
        "rejected",
        "is the same",
    ),
    "same pictures": (
        "preference",
        {"messages": chat("<image>", "A"), "images": ["a.png"], "rejected_images": ["a.png"]},
        "rejected",
        "is the same",
    ),
    "other questions": (
        "preference",
        {"chosen": chat("Q", "A"), "rejected": chat("R", "A")},
        "rejected",
        "answers another question",
    ),
    "no rejected": ("preference", {"prompt": "Q", "chosen": "A"}, "rejected", "is missing"),
    "no chosen": ("preference", {"prompt": "Q", "rejected": "A"}, "chosen", "is no answer"),
    "no question": (
        "preference",
        {"chosen": "A", "rejected": "B"},
        "prompt",
        "is missing; give the question",
    ),
    "empty rejected": (
        "preference",
        {"prompt": "Q", "chosen": "A", "rejected": ""},
        "rejected",
        "is an empty answer",
    ),
    "several rejected": (
        "preference",
        {"messages": chat("Q", "A"), "rejected_response": ["B", "C"]},
        "rejected_response",
        "is a list",
    ),
    "boxes in pairs": (
        "preference",
        {**boxes(), "rejected_response": "B"},
        "objects",
        "are not read in pairs",
    ),
    "label": (
        "kto",
        {"prompt": "Q", "completion": "A", "label": 1},
        "label",
        "is 1; give true or false",
    ),
    "broken address": (
        "llava",
        {"image": "file://[x/a.png", "conversations": gpt("<image>Q", "A")},
        "image.0",
        "is 'file://[x/a.png', which is no address",
    ),
    "number beyond floats": (
        "swift",
        boxes(bbox=[[1, 2, 3, 10**400]]),
        "objects.bbox.0",
        "give numbers from 0 up",
    ),
    "weight beyond floats": (
        "openai",
        {"messages": [*chat("Q"), {"role": "assistant", "content": "A", "weight": 10**400}]},
        "messages.1.weight",
        "give a number from 0 up",
    ),
    "no label": ("kto", {"prompt": "Q", "completion": "A"}, "label", "is missing"),
    "answered prompt": (
        "prompt",
        {"messages": chat("Q", "A")},
        "messages.1",
        "answers in a row that only asks",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_row_is_refused(name: str) -> None:
    dialect, row, place, said = REFUSED[name]
    with pytest.raises(DataError) as caught:
        read_row(dialect, row, HERE)
    assert caught.value.field == f"rows.jsonl:3 {place}"
    assert said in f"{caught.value.problem}; {caught.value.fix}"


def test_a_row_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(DataError, match=r"rows.jsonl:3: is a list; give a mapping") as caught:
        read_row("llava", [1], HERE)  # type: ignore[arg-type]
    assert caught.value.field == "rows.jsonl:3"


def test_names_that_a_dialect_does_not_have_are_refused() -> None:
    with pytest.raises(DataError, match=r"columns: name 'picture', which .* use conversations"):
        read_row("llava", {}, Context("r:1", columns={"picture": "jpg"}))
    with pytest.raises(DataError, match="tags: name 'role'"):
        read_row("sharegpt", {"conversations": gpt("Q", "A")}, Context("r:1", tags={"role": "x"}))


def test_tags_of_a_dialect_without_tags_are_refused() -> None:
    with pytest.raises(DataError, match="tags"):
        read_row("llava", {"conversations": gpt("Q", "A")}, Context("r:1", tags={"role_tag": "x"}))
