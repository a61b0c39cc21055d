"""`sightline ask`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.api import VisionLanguageModel, load
from sightline.cli.draw import drawn, save_picture
from sightline.cli.pictures import Reading, check, opened
from sightline.core.errors import PromptError
from sightline.core.log import messages, output
from sightline.model.answer import Answer
from sightline.spec.sampling import Sampling


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What the command line was given."""

    model: str
    dtype: str
    sampling: Sampling
    draw: Path | None
    evidence: bool
    as_json: bool
    reading: Reading


def ask_command(words: Sequence[str], options: AskOptions) -> None:
    """Answer, and draw where asked."""
    files, question = split_words(words)
    check(files, options.reading)
    parts = [options.reading.part(file) for file in files]
    if options.draw is not None and (not parts or parts[-1]["type"] != "image"):
        raise PromptError("--draw", "has no picture to draw on", "give a picture last")
    vlm = load(options.model, dtype=options.dtype)
    content = [*parts, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": content}]
    answer = vlm.ask(messages, evidence=options.evidence, **asdict(options.sampling))
    if options.as_json:
        output().print_json(json.dumps(as_json(answer)))
    else:
        _tell(vlm, answer)
    if options.draw is not None:
        _draw(options.draw, opened(files[-1], vlm).rgb, answer, quiet=options.as_json)


def split_words(words: Sequence[str]) -> tuple[list[str], str]:
    """All but the last word are files. Raises PromptError for an empty question or a question
    that is a file."""
    *files, question = words
    if not question.strip():
        raise PromptError("question", "is empty", "write what you want to know")
    if not files and Path(question).is_file():
        raise PromptError("question", f"is missing after {question}", "write it last, in quotes")
    return files, question


def as_json(answer: Answer) -> dict[str, Any]:
    """Plain data, empty fields kept."""
    return asdict(answer)


def _tell(vlm: VisionLanguageModel, answer: Answer) -> None:
    output().print(answer.text, markup=False, soft_wrap=True)
    told = messages()
    for box in answer.boxes:
        corners = ", ".join(f"{v:.0f}" for v in (box.x0, box.y0, box.x1, box.y1))
        told.print(f"box in pixels: {corners}", style="dim")
    for note in (*vlm.notes, *answer.notes, *answer.problems):
        told.print(f"note: {note}", style="dim", markup=False)
    if answer.evidence is not None:
        told.print(
            f"visual evidence: {answer.evidence.without:+.2f} nats a token against no "
            f"picture, {answer.evidence.grey:+.2f} against a grey one"
        )
    if answer.timings is not None:
        used, took = answer.usage, answer.timings
        told.print(
            f"{used.text_tokens} text + {used.visual_tokens} visual tokens; first token "
            f"after {took.ttft_ms:.0f} ms, {used.answer_tokens} tokens, "
            f"{took.itl_ms:.1f} ms each",
            style="dim",
        )
    if answer.finish == "length":
        told.print("note: cut off by --max-tokens", style="dim")


def _draw(path: Path, rgb: NDArray[np.uint8], answer: Answer, *, quiet: bool) -> None:
    save_picture(drawn(rgb, answer.boxes, answer.points), path)
    if not quiet:
        count = len(answer.boxes) + len(answer.points)
        messages().print(f"drew {count} on {path}", style="dim", markup=False)
