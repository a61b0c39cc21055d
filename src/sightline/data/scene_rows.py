"""Training rows from generated scenes: a picture and several questions about it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from sightline.core.geometry import Box, MediaSize
from sightline.data.sample import Media, Part, Places, Sample, Text, Turn
from sightline.data.worlds import scenes
from sightline.prompt.grounding import write_box
from sightline.spec.train import ScenesSpec

WORD = re.compile(r"\w+|[^\w\s]")
TURN_WORDS = 3  # what a template adds around a question and its answer


def scene_sample(spec: ScenesSpec, index: int, name: str) -> Sample:
    """Row `index`, called `name`: the picture an array in the first question, boxes as places.

    Several questions share one picture, so its visual tokens are paid once. A scene that allows
    no question of the kinds asked for is captioned. Words are counted with boxes in percent,
    whatever style they will be written in, so the row does not depend on the model.
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
    asked = _within(spec.words, _asked(spec, scene, rng), side)
    picture = Media("image", scenes.draw(scene, side))
    return Sample(name, tuple(_turns(asked, picture)))


def _turns(asked: Sequence[scenes.Question], picture: Media) -> Iterator[Turn]:
    for number, question in enumerate(asked):
        text = Text(question.text)
        yield Turn("user", (text,) if number else (picture, text))
        yield Turn("assistant", tuple(_answer(question)))


def _answer(question: scenes.Question) -> Iterator[Part]:
    """The answer, each mark replaced by its box as shares of the picture's sides."""
    pieces = question.answer.split(scenes.BOX_MARK)
    for number, piece in enumerate(pieces):
        if number:
            yield Places(boxes=(question.boxes[number - 1],), unit="share")
        if piece:
            yield Text(piece)


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


def _within(words: int, asked: list[scenes.Question], side: int) -> list[scenes.Question]:
    """The first questions whose words and answers fit together; always at least one."""
    total = 0
    kept: list[scenes.Question] = []
    for question in asked:
        total += len(WORD.findall(question.text)) + len(WORD.findall(_plain(question, side)))
        total += TURN_WORDS
        if kept and total > words:
            break
        kept.append(question)
    return kept


def _plain(question: scenes.Question, side: int) -> str:
    size = MediaSize(side, side).size

    def write(box: Box) -> str:
        return write_box(box.scaled(side, side), size, "percent")

    return scenes.answer_text(question, write)
