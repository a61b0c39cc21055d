"""Draw the eye charts of recipes/eye-chart.yaml: python recipes/eye_chart.py FOLDER [COUNT]

FOLDER gets pictures with one letter or one object each and, as LLaVA writes rows, a question about
each:
- `large.jsonl`: COUNT / 4 pictures of 64 × 64 with something of 30 to 60 pixels, on even grounds;
- `tile.jsonl`: COUNT (24,000) pictures of 64 × 64 with something of 4 to 60 pixels;
- `train.jsonl`: COUNT pictures of 128 × 128 with something of 4 to 112 pixels;
and a tokenizer of whole words. What the probes ask comes from another random stream.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sightline.data.worlds import eye_chart, scenes
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
COUNT = 24_000
WORD = r"[A-Za-z]+|[^A-Za-z\s]"


@dataclass(frozen=True)
class Part:
    """Rows of one file: `share` of the count, of charts of one series."""

    name: str
    share: float
    seed: int
    dial: eye_chart.ChartDial


PARTS = (
    Part("large", 0.25, 1, eye_chart.ChartDial(side=64, smallest=30, largest=60, plain=True)),
    Part("tile", 1.0, 2, eye_chart.ChartDial(side=64, smallest=4, largest=60)),
    Part("train", 1.0, 0, eye_chart.ChartDial(smallest=4, largest=112)),
)


def charts(part: Part, count: int) -> Iterator[eye_chart.Chart]:
    """Letters and objects in turn."""
    for number in range(round(count * part.share)):
        sort = eye_chart.SORTS[number % len(eye_chart.SORTS)]
        yield eye_chart.chart(part.seed, number, sort, part.dial)


def row(picture: Path, shown: eye_chart.Chart) -> dict[str, object]:
    """A picture and the question about it."""
    turns = [
        {"from": "human", "value": f"<image>\n{shown.question}"},
        {"from": "gpt", "value": shown.name},
    ]
    return {"image": str(picture), "conversations": turns, "kind": shown.sort}


def words() -> list[str]:
    """All that questions and answers are made of."""
    texts = [f"What letter is shown? {' '.join(eye_chart.names('letter'))}"]
    texts.append(f"What shape is the object? {' '.join(eye_chart.names('object'))}")
    found = {word for text in texts for word in re.findall(WORD, text)}
    return sorted(found | set(scenes.COLOURS))


def tokenizer() -> Tokenizer:
    """A token a word."""
    source = {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": text, "special": True} for i, text in enumerate(CONTROL)
        ],
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": WORD},
            "behavior": "Removed",
            "invert": True,
        },
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate((*CONTROL, *words()))},
            "unk_token": CONTROL[-1],
        },
    }
    named = {"pad_token": "<|pad|>", "eos_token": "<|end|>", "unk_token": CONTROL[-1]}
    return Tokenizer(json.dumps(source), TokenizerConfig(named=named))


def main(folder: Path, count: int = COUNT) -> None:
    save_tokenizer(tokenizer(), folder / "tokenizer")
    for part in PARTS:
        pictures = folder.resolve() / part.name
        pictures.mkdir(parents=True, exist_ok=True)
        with (folder / f"{part.name}.jsonl").open("w", encoding="utf-8") as file:
            for number, shown in enumerate(charts(part, count)):
                picture = pictures / f"{number}.png"
                Image.fromarray(eye_chart.draw(shown)).save(picture, compress_level=1)
                file.write(json.dumps(row(picture, shown)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
