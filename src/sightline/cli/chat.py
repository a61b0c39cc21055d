"""`sightline chat`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.prompt import Prompt

from sightline.api import load
from sightline.cli.pictures import Reading, check, opened
from sightline.core.errors import SightlineError
from sightline.core.log import messages, output
from sightline.spec.sampling import Sampling

HELP = "Type a question; /image FILE shows a picture, /new starts over, /quit ends."


def chat_command(files: Sequence[str], model: str, dtype: str, sampling: Sampling) -> None:
    """Turn after turn until /quit or the end of the input."""
    check(files, Reading())
    vlm = load(model, dtype=dtype)
    shown: list[Any] = [opened(file, vlm).rgb for file in files]
    messages().print(HELP, style="dim")
    said: list[dict[str, Any]] = []
    while (line := _read()) is not None:
        command, _, rest = line.partition(" ")
        try:
            if command == "/quit":
                return
            if command == "/new":
                said, shown = [], []
            elif command == "/image":
                shown.append(opened(rest.strip(), vlm).rgb)
            else:
                turn = [*said, _user(line, shown)]
                answering = vlm.stream(turn, **asdict(sampling))
                for piece in answering:
                    output().print(piece, end="", markup=False, soft_wrap=True)
                output().print()
                if answering.answer.text:  # a turn without an answer is no turn
                    said, shown = [*turn, _assistant(answering.answer.text)], []
        except SightlineError as error:
            messages().print(f"error: {error}", style="red", markup=False)


def _read() -> str | None:
    """The next line that says something; None at the end of the input."""
    while True:
        try:
            line = Prompt.ask("[bold]you[/bold]", console=messages())
        except EOFError:
            return None
        if line.strip():
            return line.strip()


def _user(text: str, pictures: Sequence[Any]) -> dict[str, Any]:
    images = [{"type": "image", "image": picture} for picture in pictures]
    return {"role": "user", "content": [*images, {"type": "text", "text": text}]}


def _assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}
