"""Training rows from generated scenes: a picture and several questions about it."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.geometry import Box, MediaSize
from sightline.data.worlds import scenes
from sightline.prompt.grounding import write_box
from sightline.spec.prompt import GroundingStyle
from sightline.spec.train import ScenesSpec

WORD = re.compile(r"\w+|[^\w\s]")
TURN_WORDS = 3  # what a template adds around a question and its answer


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer, boxes written out."""

    question: str
    answer: str


def scene_row(spec: ScenesSpec, index: int, style: GroundingStyle) -> list[dict[str, Any]]:
    """Row `index` as messages, the picture an array in the first user message.

    Several questions share one picture, so its visual tokens are paid once. A scene that allows
    no question of the kinds asked for is captioned.
    """
    rng = random.Random(f"row/{spec.seed}/{index}")
    dial = scenes.SceneDial(
        min_objects=spec.min_objects,
        max_objects=spec.max_objects,
        smallest=spec.smallest,
        textures=not spec.plain,
        backdrops=not spec.plain,
    )
    scene = scenes.scene(spec.seed, index, dial)
    side = rng.choice(spec.sides)
    asked = _asked(spec, scene, rng)
    turns = _within(spec.words, [_turn(question, side, style) for question in asked])
    return conversation(scenes.draw(scene, side), turns)


def conversation(rgb: NDArray[np.uint8], turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Messages about one picture uint8[H, W, 3]."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        parts: list[dict[str, Any]] = [{"type": "text", "text": turn.question}]
        if not messages:
            parts.insert(0, {"type": "image", "image": rgb})
        messages.append({"role": "user", "content": parts})
        messages.append({"role": "assistant", "content": turn.answer})
    return messages


def _asked(spec: ScenesSpec, scene: scenes.Scene, rng: random.Random) -> list[scenes.Question]:
    asked = scenes.questions(scene, rng, spec.questions, spec.kinds)
    if not asked:
        return scenes.questions(scene, rng, 1, ("caption",))
    draw = rng.random()
    if draw < spec.dense_share:
        return scenes.questions(scene, rng, 1, ("dense",)) + asked
    if draw < spec.dense_share + spec.caption_share:
        asked.insert(rng.randrange(3), scenes.questions(scene, rng, 1, ("caption",))[0])
    return asked


def _turn(question: scenes.Question, side: int, style: GroundingStyle) -> Turn:
    size = MediaSize(side, side).size

    def write(box: Box) -> str:
        return write_box(box.scaled(side, side), size, style)

    return Turn(question.text, scenes.answer_text(question, write))


def _within(words: int, turns: list[Turn]) -> list[Turn]:
    """The first turns whose words fit together; always at least one."""
    total = 0
    kept: list[Turn] = []
    for turn in turns:
        total += len(WORD.findall(turn.question)) + len(WORD.findall(turn.answer)) + TURN_WORDS
        if kept and total > words:
            break
        kept.append(turn)
    return kept
