"""Lay easy-VQA out for recipes/easy-vqa.yaml: python recipes/easy_vqa.py DATA FOLDER

DATA is easy-VQA's own folder (train and test, each with questions.json and images). FOLDER gets, as
LLaVA writes rows,
- `names.jsonl`: a training picture and two of its questions, the one for the shape and the one for
  the colour, where it has them;
- `train.jsonl`: a training picture and up to three of its questions a row (the answer to a fourth
  would too often follow from those before it);
- `test.jsonl`: one test question a row, and what it asks for;
and a tokenizer of whole words. Pictures stay where they are.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from sightline.prompt.files import save_tokenizer
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig

CONTROL = (
    "<|pad|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<image>",
    "<|system|>",
    "<|unknown|>",
)
QUESTIONS = 3
SHAPES = ("circle", "rectangle", "triangle")
WORD = r"[a-z]+|[^a-z\s]"
Asked = tuple[str, str, int]  # question, answer, number of the picture


def questions(data: Path, split: str) -> list[Asked]:
    """All questions of `train` or `test`."""
    listed = json.loads((data / split / "questions.json").read_text(encoding="utf-8"))
    return [(question, answer, number) for question, answer, number in listed]


def row(picture: Path, turns: Iterable[tuple[str, str]], **fields: str) -> dict[str, object]:
    """A picture and a conversation about it."""
    conversation = []
    for question, answer in turns:
        mark = "" if conversation else "<image>\n"
        conversation.append({"from": "human", "value": mark + question})
        conversation.append({"from": "gpt", "value": answer})
    return {"image": str(picture), "conversations": conversation, **fields}


def by_picture(data: Path, rng: random.Random) -> dict[int, list[tuple[str, str]]]:
    """The training questions of each picture, shuffled."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for question, answer, number in questions(data, "train"):
        found[number].append((question, answer))
    for asked in found.values():
        rng.shuffle(asked)
    return found


def naming_rows(data: Path) -> Iterator[dict[str, object]]:
    """The first question of each picture for its shape, and the first for its colour."""
    for number, asked in by_picture(data, random.Random(1)).items():
        firsts = {kind(answer): (question, answer) for question, answer in reversed(asked)}
        firsts.pop("yes or no", None)
        if firsts:
            yield row(picture(data, "train", number), firsts.values())


def training_rows(data: Path) -> Iterator[dict[str, object]]:
    """All questions, dealt to as few rows as hold them."""
    for number, asked in by_picture(data, random.Random(0)).items():
        rows = -(-len(asked) // QUESTIONS)
        for start in range(rows):
            yield row(picture(data, "train", number), asked[start::rows])


def test_rows(data: Path) -> Iterator[dict[str, object]]:
    """Each question alone."""
    for question, answer, number in questions(data, "test"):
        yield row(picture(data, "test", number), [(question, answer)], kind=kind(answer))


def picture(data: Path, split: str, number: int) -> Path:
    return data.resolve() / split / "images" / f"{number}.png"


def kind(answer: str) -> str:
    """What a question asks for."""
    if answer in ("yes", "no"):
        return "yes or no"
    return "shape" if answer in SHAPES else "colour"


def tokenizer(data: Path) -> Tokenizer:
    """A token a word of the training questions and answers."""
    texts = [
        text for question, answer, _ in questions(data, "train") for text in (question, answer)
    ]
    words = sorted({word for text in texts for word in re.findall(WORD, text.lower())})
    source = {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": text, "special": True} for i, text in enumerate(CONTROL)
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": WORD},
            "behavior": "Removed",
            "invert": True,
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate((*CONTROL, *words))},
            "unk_token": CONTROL[-1],
        },
    }
    named = {"pad_token": "<|pad|>", "eos_token": "<|end|>", "unk_token": CONTROL[-1]}
    return Tokenizer(json.dumps(source), TokenizerConfig(named=named))


def main(data: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer(data), folder / "tokenizer")
    files = {"names": naming_rows, "train": training_rows, "test": test_rows}
    for name, rows in files.items():
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(one) + "\n" for one in rows(data))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
