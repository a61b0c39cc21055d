"""Rows of every dialect, written by hand as their kits document them, and what they must say."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from sightline.core.geometry import Box, Point
from sightline.data.dialects import Context
from sightline.data.sample import Media, Places, Sample, Text, Turn
from sightline.spec.train import Dialect

PNG = b"\x89PNG a picture"
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
HERE = Context("rows.jsonl:3", Path("/data"))
A, B = (Media("image", Path(f"/data/{name}.png")) for name in "ab")
CLIP = Media("video", Path("/data/c.mp4"))


def user(*parts: Any) -> Turn:
    return Turn("user", tuple(Text(p) if isinstance(p, str) else p for p in parts))


def answer(*parts: Any, weight: float = 1.0) -> Turn:
    return Turn("assistant", tuple(Text(p) if isinstance(p, str) else p for p in parts), weight)


def system(text: str) -> Turn:
    return Turn("system", (Text(text),))


def gpt(*values: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(values)]


def chat(*contents: Any) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def value(words: str) -> dict[str, str]:
    return {"type": "text", "value": words}


SLOT = {"type": "image"}
Case = tuple[Dialect, dict[str, Any], Sample]


def case(dialect: Dialect, row: dict[str, Any], *turns: Turn, **more: Any) -> Case:
    return dialect, row, Sample(HERE.where, turns, **more)


CONVERSATIONS = {
    "llava": case(
        "llava",
        {"id": "7", "image": "a.png", "conversations": gpt("<image>\nWhat is it?", "A cat.")},
        user(A, "What is it?"),
        answer("A cat."),
        columns={"id": "7"},
    ),
    "llava, the picture behind the words": case(
        "llava",
        {"image": "a.png", "conversations": gpt("What is it?\n<image>", "A cat.")},
        user("What is it?", A),
        answer("A cat."),
    ),
    "llava, pictures among the words keep their newlines": case(
        "llava",
        {"image": ["a.png", "b.png"], "conversations": gpt("1:\n<image>\n2:\n<image>\n?", "No.")},
        user("1:\n", A, "\n2:\n", B, "\n?"),
        answer("No."),
    ),
    "llava, text alone, with a system prompt and no value for the picture": case(
        "llava",
        {"image": None, "conversations": [{"from": "system", "value": "S"}, *gpt("Q", "A")]},
        system("S"),
        user("Q"),
        answer("A"),
    ),
    "llava, a clip marked <image>": case(
        "llava",
        {"video": "c.mp4", "conversations": gpt("<image>\nWhat?", "A walk.")},
        user(CLIP, "What?"),
        answer("A walk."),
    ),
    "internvl, a clip marked <video>": case(
        "llava",
        {"video": "c.mp4", "conversations": gpt("<video>\nWhat?", "A walk.")},
        user(CLIP, "What?"),
        answer("A walk."),
    ),
    "finevision": case(
        "finevision",
        {
            "images": [{"bytes": PNG, "path": "x.png"}, {"bytes": None, "path": "b.png"}],
            "texts": [
                {"user": "Is <image> a word?", "assistant": "Yes.", "source": "vqa"},
                {"user": "More?", "assistant": "No."},
            ],
            "relevance_ratings": [5, 3],
        },
        user(Media("image", PNG), B, "Is <image> a word?"),
        answer("Yes."),
        user("More?"),
        answer("No."),
        columns={"relevance_ratings": [5, 3], "texts.source": ["vqa", None]},
    ),
    "sharegpt": case(
        "sharegpt",
        {
            "conversations": gpt("Compare <image> and\n<image>\n", "Same."),
            "images": ["a.png", "b.png"],
            "videos": [],
            "audios": None,
            "system": "S",
        },
        system("S"),
        user("Compare ", A, " and\n", B, "\n"),
        answer("Same."),
    ),
    "sharegpt, tools": case(
        "sharegpt",
        {
            "conversations": [
                {"from": "human", "value": "Weather?"},
                {"from": "function_call", "value": '{"name": "w"}'},
                {"from": "observation", "value": "Sun."},
                {"from": "gpt", "value": "It is sunny."},
            ],
            "tools": '[{"name": "w"}]',
            "system": "",
        },
        user("Weather?"),
        answer('{"name": "w"}'),
        user("Sun."),
        answer("It is sunny."),
        tools='[{"name": "w"}]',
    ),
    "alpaca": case(
        "alpaca",
        {
            "instruction": "What is it?",
            "input": "<image>",
            "output": "B.",
            "system": "S",
            "history": [["<image>Which?", "A."]],
            "images": ["a.png", "b.png"],
        },
        system("S"),
        user(A, "Which?"),
        answer("A."),
        user("What is it?\n", B),
        answer("B."),
    ),
    "llamafactory": case(
        "llamafactory",
        {
            "messages": [
                {"role": "system", "content": [value("S")], "loss_weight": 0.0},
                {
                    "role": "user",
                    "content": [{"type": "image_url", "value": "a.png"}, value("<image>?")],
                    "loss_weight": 0.0,
                },
                {"role": "assistant", "content": [value("Yes.")], "loss_weight": 0.5},
            ],
            "_dataset_name": "demo",
        },
        system("S"),
        user(A, "<image>?"),
        answer("Yes.", weight=0.5),
        columns={"_dataset_name": "demo"},
    ),
    "openai": case(
        "openai",
        {
            "messages": [
                {"role": "developer", "content": "S"},
                *chat(
                    [
                        {"type": "image_url", "image_url": {"url": URI, "detail": "auto"}},
                        {"type": "image_url", "image_url": "file:///else/a%20b.png"},
                        text("Is <image> a word?"),
                    ],
                    "Yes.",
                ),
            ]
        },
        system("S"),
        user(Media("image", URI), Media("image", Path("/else/a b.png")), "Is <image> a word?"),
        answer("Yes."),
    ),
    "hugging face": case(
        "openai",
        {
            "messages": chat(
                [
                    {"type": "image", "image": "a.png", "text": None},
                    {"type": "image", "path": "b.png"},
                    {"type": "image", "base64": base64.b64encode(PNG).decode()},
                    {"type": "video", "url": "c.mp4"},
                    {"type": "text", "text": "What?", "image": None},
                ],
                [text("A "), text("cat.")],
            )
        },
        user(A, B, Media("image", PNG), CLIP, "What?"),
        answer("A cat."),
    ),
    "anthropic": case(
        "openai",
        {
            "system": [text("S")],
            "messages": chat(
                [
                    {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": "image/png",
                            "data": base64.b64encode(PNG).decode(),
                        },
                    },
                    {"type": "text", "text": "What?", "cache_control": {"type": "ephemeral"}},
                ],
                "A cat.",
            ),
        },
        system("S"),
        user(Media("image", PNG), "What?"),
        answer("A cat."),
    ),
    "openai's weight and axolotl's train": case(
        "openai",
        {
            "messages": [
                {"role": "user", "content": "1"},
                {"role": "assistant", "content": "2", "weight": 0},
                {"role": "user", "content": "3", "train": False},
                {"role": "assistant", "content": "4", "train": True},
            ]
        },
        user("1"),
        answer("2", weight=0.0),
        user("3"),
        answer("4"),
    ),
    "trl, plain strings": case(
        "trl",
        {
            "messages": [{"role": "system", "content": "S"}, *chat("Q", "A")],
            "images": ["a.png", "b.png"],
        },
        system("S"),
        user(A, B, "Q"),
        answer("A"),
    ),
    "trl, parts": case(
        "trl",
        {
            "messages": chat(
                [text("<image>: "), SLOT, text("?")], [text("A")], [SLOT], [text("B")]
            ),
            "images": ["a.png", "b.png"],
        },
        user("<image>: ", A, "?"),
        answer("A"),
        user(B),
        answer("B"),
    ),
    "trl, parts with an index, as datasets stores them": case(
        "trl",
        {
            "messages": chat(
                [
                    {"type": "text", "text": "Q\n", "index": None},
                    {"type": "image", "text": None, "index": 0},
                ],
                [{"type": "text", "text": "A", "index": None}],
            ),
            "images": ["a.png"],
        },
        user("Q\n", A),
        answer("A"),
    ),
    "trl, prompt and completion": case(
        "trl",
        {
            "prompt": chat("Q"),
            "completion": [{"role": "assistant", "content": "A"}],
            "image": "a.png",
        },
        user(A, "Q"),
        answer("A"),
    ),
    "trl, strings": case(
        "trl",
        {"prompt": "The sky is", "completion": " blue."},
        user("The sky is"),
        answer(" blue."),
    ),
    "swift": case(
        "swift",
        {
            "messages": [
                {"role": "system", "content": "S"},
                {"role": "user", "content": "<image><image>Find <ref-object>."},
                {"role": "assistant", "content": "<bbox> or <bbox>", "loss_scale": 2},
                {"role": "user", "content": "<video>?"},
                {"role": "assistant", "content": "No.", "loss": False},
            ],
            "images": ["a.png", "b.png"],
            "videos": [["a.png", "b.png"]],
            "objects": {
                "ref": ["the cup"],
                "bbox": [[1, 2, 30, 40], [5, 6]],
                "bbox_type": "real",
                "image_id": [1],
            },
            "channel": "vqa",
        },
        system("S"),
        user(A, B, "Find the cup."),
        answer(
            Places((Box(1, 2, 30, 40),), media=1), " or ", Places(points=(Point(5, 6),)), weight=2.0
        ),
        user(Media("video", [A.source, B.source]), "?"),
        answer("No.", weight=0.0),
        columns={"channel": "vqa"},
    ),
    "swift, shares": case(
        "swift",
        {
            "messages": chat("<video>and<image>", "<bbox>"),
            "images": ["a.png"],
            "videos": ["c.mp4"],
            "objects": {"ref": [], "bbox": [[0.1, 0.2, 0.3, 1]], "bbox_type": "norm1"},
        },
        user(CLIP, "and", A),
        answer(Places((Box(0.1, 0.2, 0.3, 1.0),), media=1, unit="share")),
    ),
    "swift, turns of one role are joined": case(
        "swift",
        {
            "messages": [
                {"role": "user", "content": "<image>a"},
                {"role": "user", "content": "b"},
                {"role": "assistant", "content": "c"},
                {"role": "assistant", "content": "d"},
            ],
            "images": ["a.png"],
        },
        user(A, "ab"),
        answer("cd"),
    ),
    "swift, human and assistant": case(
        "swift",
        {
            "system": "S",
            "conversation": [{"human": "<image>Q", "assistant": "A"}],
            "images": ["a.png"],
        },
        system("S"),
        user(A, "Q"),
        answer("A"),
    ),
    "caption": case("caption", {"image": "a.png", "text": "A cat."}, user(A), answer("A cat.")),
    "caption of a clip": case(
        "caption", {"video": "c.mp4", "caption": "A walk."}, user(CLIP), answer("A walk.")
    ),
}

Q_A = (user(A, "Q"), answer("good"))
Q_B = (user(A, "Q"), answer("bad"))
PAIRS = {
    "trl": case(
        "preference",
        {
            "prompt": chat([SLOT, text("Q")]),
            "chosen": [{"role": "assistant", "content": [text("good")]}],
            "rejected": [{"role": "assistant", "content": [text("bad")]}],
            "images": ["a.png"],
        },
        *Q_A,
        rejected=Q_B,
    ),
    "trl, implicit prompt": case(
        "preference",
        {
            "chosen": chat("Q", "good"),
            "rejected": chat("Q", "bad"),
            "images": ["a.png"],
            "score": 3,
        },
        *Q_A,
        rejected=Q_B,
        columns={"score": 3},
    ),
    "trl, strings": case(
        "preference",
        {"prompt": "Q", "chosen": "good", "rejected": "bad", "image": "a.png"},
        *Q_A,
        rejected=Q_B,
    ),
    "llama-factory": case(
        "preference",
        {
            "conversations": gpt("<image>Q"),
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
            "images": ["a.png"],
            "system": "S",
        },
        system("S"),
        *Q_A,
        rejected=(system("S"), *Q_B),
    ),
    "llama-factory, alpaca": case(
        "preference",
        {
            "instruction": "I",
            "input": "<image>",
            "chosen": "good",
            "rejected": "bad",
            "images": ["a.png"],
        },
        user("I\n", A),
        answer("good"),
        rejected=(user("I\n", A), answer("bad")),
    ),
    "swift, an answer": case(
        "preference",
        {"messages": chat("<image>Q", "good"), "rejected_response": "bad", "images": ["a.png"]},
        *Q_A,
        rejected=Q_B,
    ),
    "swift, messages": case(
        "preference",
        {
            "messages": chat("<image>Q", "good"),
            "rejected_messages": chat("<image>Q", "bad"),
            "images": ["a.png"],
        },
        *Q_A,
        rejected=Q_B,
    ),
    "swift, another picture": case(
        "preference",
        {
            "messages": chat("<image>Q", "good"),
            "images": ["a.png"],
            "rejected_images": ["b.png"],
        },
        *Q_A,
        rejected=(user(B, "Q"), answer("good")),
    ),
    "internvl": case(
        "preference",
        {"image": "a.png", "question": "Q", "chosen": "good", "rejected": "bad"},
        *Q_A,
        rejected=Q_B,
    ),
    "next": case(
        "preference",
        {
            "video": "c.mp4",
            "prompt": "<video>\nQ",
            "answer": "G",
            "chosen": "good",
            "rejected": "bad",
        },
        user(CLIP, "Q"),
        answer("good"),
        rejected=(user(CLIP, "Q"), answer("bad")),
        columns={"answer": "G"},
    ),
    "llama-factory v1": case(
        "llamafactory",
        {
            "chosen_messages": chat(
                [{"type": "image_url", "value": "a.png"}, value("Q")], [value("good")]
            ),
            "rejected_messages": chat(
                [{"type": "image_url", "value": "a.png"}, value("Q")], [value("bad")]
            ),
        },
        *Q_A,
        rejected=Q_B,
    ),
}
JUDGED = {
    "trl": case(
        "kto",
        {
            "prompt": chat("Q"),
            "completion": [{"role": "assistant", "content": "good"}],
            "label": True,
            "images": ["a.png"],
        },
        *Q_A,
        desirable=True,
    ),
    "llama-factory": case(
        "kto",
        {"conversations": gpt("<image>Q", "bad"), "kto_tag": False, "images": ["a.png"]},
        *Q_B,
        desirable=False,
    ),
    "llama-factory, alpaca": case(
        "kto",
        {"instruction": "<image>Q", "output": "good", "kto_tag": True, "images": ["a.png"]},
        *Q_A,
        desirable=True,
    ),
    "swift": case(
        "kto",
        {"messages": chat("<image>Q", "bad"), "label": False, "images": ["a.png"]},
        *Q_B,
        desirable=False,
    ),
}
PROMPTS = {
    "trl": case(
        "prompt",
        {"prompt": chat("Q"), "image": "a.png", "solution": "4"},
        user(A, "Q"),
        columns={"solution": "4"},
    ),
    "trl, text": case("prompt", {"prompt": "Q", "answer": 4}, user("Q"), columns={"answer": 4}),
    "swift": case(
        "prompt",
        {"messages": chat("<image>Q", "A", "R"), "images": ["a.png"], "solution": "4"},
        user(A, "Q"),
        answer("A"),
        user("R"),
        columns={"solution": "4"},
    ),
    "openai": case(
        "prompt", {"messages": chat([{"type": "image", "path": "a.png"}, text("Q")])}, user(A, "Q")
    ),
    "llama-factory": case(
        "prompt", {"conversations": gpt("<image>Q"), "images": ["a.png"]}, user(A, "Q")
    ),
}
