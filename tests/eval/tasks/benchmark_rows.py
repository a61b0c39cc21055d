"""A few rows of benchmarks, in the fields of their published files."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from tests.eval.tasks.published_files import png

from sightline.eval.item import Item
from sightline.eval.metrics.metric import Metric
from sightline.eval.said import Said
from sightline.eval.statistics import figure

Row = dict[str, Any]


def coded(shade: int) -> str:
    """A picture as TSV files hold it."""
    return base64.b64encode(png(shade)["bytes"]).decode()


def figures(metric: Metric, items: Sequence[Item], texts: Sequence[str]) -> dict[str, float]:
    """What a metric says of these answers, by name."""
    said = [Said(text) for text in texts]
    tallies = metric.tallies(items, said, metric.scores(items, said))
    return {tally.name: figure(tally, resamples=20).value for tally in tallies}


def ai2d() -> list[Row]:
    return [
        {
            "question": " Which letter is the root?",
            "options": ["K", "L", "M"],
            "answer": "1",
            "image": png(10),
        },
        {
            "question": "What eats grass?",
            "options": ["fox", "hare"],
            "answer": "1",
            "image": png(10),
        },
        {"question": "What is X?", "options": ["a leaf", "a bud"], "answer": "0", "image": png(20)},
    ]


def scienceqa() -> list[Row]:
    kept = {"grade": "grade2", "topic": "physics", "lecture": "", "solution": ""}
    return [
        {
            "image": png(10),
            "question": "Which is heavier?",
            "choices": ["a feather", "a brick"],
            "answer": 1,
            "hint": "Look at the scale.",
            "subject": "natural science",
            **kept,
        },
        {
            "image": None,
            "question": "Is `it rains` a sentence?",
            "choices": ["yes", "no"],
            "answer": 0,
            "hint": "",
            "subject": "language science",
            **kept,
        },
    ]


def seedbench() -> list[Row]:
    """Two questions about one picture, and one about a clip between them."""
    asked = [
        ("What is left?", "C", "7", 6, "5_9", "image", [png(10)]),
        ("What happens?", "A", "v8", 10, "clip.webm", "video", [png(1), png(2)]),
        ("What is it?", "B", "9", 1, "5_9", "image", [png(10)]),
    ]
    names = ("question", "answer", "question_id", "question_type_id", "data_id", "data_type")
    options = {f"choice_{letter}": f"{letter} thing" for letter in "abcd"}
    return [{**options, **dict(zip((*names, "image"), row, strict=True))} for row in asked]


def mmstar() -> list[Row]:
    kinds = [
        ("math", "geometry", "A"),
        ("math", "geometry", "B"),
        ("math", "geometry", "C"),
        ("coarse perception", "image emotion", "D"),
    ]
    return [
        {
            "index": number,
            "question": f"Question {number}?\nOptions: A: one, B: two, C: three, D: four ",
            "image": png(10 + number),
            "answer": answer,
            "category": category,
            "l2_category": skill,
            "meta_info": {"source": "none"},
        }
        for number, (category, skill, answer) in enumerate(kinds)
    ]


def mmmu() -> list[Row]:
    empty = {f"image_{number}": None for number in range(1, 8)}
    return [
        {
            **empty,
            "id": "validation_Art_Theory_3",
            "question": "Compare <image 1> with <image 2>: which is older?",
            "options": "['the first', \"it's the second\", 'neither']",
            "question_type": "multiple-choice",
            "answer": "B",
            "image_1": png(10),
            "image_2": png(20),
        },
        {
            **empty,
            "id": "validation_Music_4",
            "question": "<image 1> Which of these is a rest?",
            "options": "['<image 2>', '<image 3>']",
            "question_type": "multiple-choice",
            "answer": "A",
            "image_1": png(30),
            "image_2": png(40),
            "image_3": png(50),
        },
        {
            **empty,
            "id": "validation_Math_1",
            "question": "What is the slope? <image 1>",
            "options": "[]",
            "question_type": "open",
            "answer": "1.5",
            "image_1": png(60),
        },
    ]


def mmbench() -> list[Row]:
    """A question in its three rotations, and one with two options in its two."""
    common = {"category": "ocr", "source": "here", "split": "dev", "comment": "nan"}
    first = {"question": "What is it?", "hint": "nan", "L2-category": "logic", **common}
    second = {
        "question": "Cat or dog?",
        "hint": "It barks.",
        "L2-category": "finegrained",
        **common,
    }
    options = ["a cup", "a pot", "a jar"]
    return [
        *(
            {
                "index": 5 + turn * 1_000_000,
                **first,
                **dict(zip("ABC", options[turn:] + options[:turn], strict=True)),
                "D": "nan",
                "answer": "BAC"[turn],
                "image": png(10),
            }
            for turn in range(3)
        ),
        {"index": 6, **second, **_two("cat", "dog"), "answer": "B", "image": png(20)},
        {"index": 1_000_006, **second, **_two("dog", "cat"), "answer": "A", "image": png(20)},
    ]


def _two(first: str, second: str) -> Row:
    return {"A": first, "B": second, "C": "nan", "D": "nan"}


def vsr() -> list[Row]:
    common = {"annotator_id": 1, "vote_true_validator_id": "[2]", "vote_false_validator_id": "[]"}
    return [
        {
            "image": "7.jpg",
            "image_link": "http://nowhere/7.jpg",
            "caption": caption,
            "label": label,
            "relation": relation,
            **common,
        }
        for caption, label, relation in (
            ("The cat is under the bed.", 1, "under"),
            ("The cat is facing the bed.", 0, "facing"),
            ("The cat is among the books.", 1, "among"),
        )
    ]


def pope() -> list[Row]:
    rows = [("dog", "yes", "random"), ("car", "no", "random"), ("cup", "no", "adversarial")]
    return [
        {
            "id": str(number),
            "question_id": str(number + 1),
            "question": f" Is there a {thing} in the image?",
            "answer": answer,
            "image_source": "COCO_val2014_1",
            "image": png(10),
            "category": kind,
        }
        for number, (thing, answer, kind) in enumerate(rows)
    ]


def mme() -> list[Row]:
    pairs = [
        ("existence", "existence/1.jpg", 10),
        ("existence", "existence/2.jpg", 20),
        ("OCR", "OCR/1.jpg", 30),
        ("code_reasoning", "code_reasoning/1.jpg", 40),
    ]
    return [
        {
            "question_id": picture,
            "image": png(shade),
            "question": f"Is it {word}? Please answer yes or no.",
            "answer": answer,
            "category": kind,
        }
        for kind, picture, shade in pairs
        for word, answer in (("so", "Yes"), ("not so", "No"))
    ]


def hallusionbench() -> list[Row]:
    """One set: two questions of figure 0, and both again of figure 1, where one turns over."""
    return [
        {
            "category": "VD",
            "subcategory": "illusion",
            "visual_input": "1",
            "set_id": "0",
            "figure_id": figure_id,
            "sample_note": "circle",
            "question_id": question,
            "question": f"Is circle {question} larger?",
            "gt_answer_details": "...",
            "gt_answer": truth,
            "filename": f"./hallusion_bench/VD/illusion/0_{figure_id}.png",
            "image": png(10 + int(figure_id)),
        }
        for figure_id, question, truth in (
            ("0", "0", "0"),
            ("0", "1", "1"),
            ("1", "0", "1"),
            ("1", "1", "1"),
        )
    ]


def countbench() -> list[Row]:
    return [
        {
            "image": png(number),
            "text": f"{number} cups",
            "question": "How many cups are there in the image?",
            "number": number,
        }
        for number in (2, 10)
    ]


def tallyqa() -> list[Row]:
    return [
        {
            "answer": answer,
            "data_source": "amt",
            "image": "VG_100K_2/2410408.png",
            "image_id": 92410408,
            "issimple": simple,
            "question": question,
            "question_id": 30095774 + number,
        }
        for number, (question, answer, simple) in enumerate(
            (("How many headlights?", 4, True), ("How many men in hats are there?", 0, False))
        )
    ]
