"""Is it looking? Models that are built to look or not to look, and what controls say of them."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
import torch
from tests.eval.rule_models import Same, split
from tests.helpers.speaking import chat_spec, tokenizer
from tests.helpers.toy_task import Fed, stage, train

from sightline.api import VisionLanguageModel
from sightline.data.rows import ConversationMaker
from sightline.data.sample import Media, Sample, Text, Turn
from sightline.eval.controls import ALL, Blind, Blurred, Control, Full, Shuffled, Swapped
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.local import LocalModel
from sightline.eval.metrics.metric import Metric
from sightline.eval.result import Result
from sightline.eval.run import Asking, run
from sightline.eval.said import Said
from sightline.eval.statistics import Difference, Figure, figure, mean_interval, paired
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.spec.train import PadSpec

Rgb = Any
ODDS = math.log(9)  # of an answer that a model is sure of: 9 to 1


@dataclass(frozen=True)
class Colours:
    """Which colour is on the left? Two questions about each picture, red or blue on the left.

    Half of the questions are about the sky, of which the words tell that it is blue: `told` is the
    share of the pictures in which it is.
    """

    pictures: int = 60
    told: float = 0.8
    name: str = "colours"
    max_tokens: int = 4
    metric: Metric = field(default_factory=Same)

    def items(self, count: int | None = None) -> Sequence[Item]:
        rng = np.random.default_rng(0)
        every = [
            self._item(index, about, rng)
            for index in range(self.pictures)
            for about in ("sky", "box")
        ]
        return every[:count]

    def _item(self, index: int, about: str, rng: np.random.Generator) -> Item:
        blue = rng.random() < (self.told if about == "sky" else 0.5)
        answer, question = "blue" if blue else "red", f"Which colour is the {about} on the left?"
        return Item(
            f"{index}/{about}",
            asked_about(two_coloured(blue, rng), question),
            Answers((answer,)),
            about,
            about,
            str(index),
        )


def two_coloured(blue_left: bool, rng: np.random.Generator) -> Rgb:
    """Red and blue halves of 32 × 32 pixels, with noise."""
    rgb = rng.integers(0, 40, (32, 32, 3), dtype=np.uint8)
    left, right = (2, 0) if blue_left else (0, 2)
    rgb[:, :16, left] += 200
    rgb[:, 16:, right] += 200
    return rgb


# Rule models: the log odds of "blue" against "red", from the words and the pixels that they get


@dataclass
class Odds:
    """Says the likelier of two colours."""

    log_odds: Callable[[str, Rgb | None], float]
    name: str = "odds"
    alone: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)

    def answers(self, conversations: Sequence[Any], **how: Any) -> list[Said]:
        return [
            Said("blue" if self.log_odds(*split(one)) > 0 else "red", answer_tokens=1)
            for one in conversations
        ]

    def option_log_p(self, conversation: Any, options: Sequence[str]) -> list[float]:
        odds = self.log_odds(*split(conversation))
        signs = [1 if option == "blue" else -1 for option in options]
        return [-math.log1p(math.exp(-sign * odds)) for sign in signs]

    def evidence(self, conversation: Any, said: Said) -> float:
        words, _ = split(conversation)
        blind = [{"role": "user", "content": words}]
        [seen], [told] = (self.option_log_p(c, [said.text]) for c in (conversation, blind))
        return seen - told


def hears(words: str, picture: Rgb | None) -> float:
    """The sky is blue, other things are rather red."""
    return ODDS if "sky" in words else -1.0


def guesses(words: str, picture: Rgb | None) -> float:
    """Something else for every picture, and nothing that is in it."""
    data = b"" if picture is None else np.ascontiguousarray(picture).tobytes()
    return ODDS if hashlib.sha256(words.encode() + data).digest()[0] % 2 else -ODDS


def sees(words: str, picture: Rgb | None) -> float:
    """How much bluer the left half is than the right; nothing without a picture."""
    if picture is None:
        return 0.0
    blue_minus_red = picture[..., 2].astype(float) - picture[..., 0]
    middle = picture.shape[1] // 2
    return ODDS * float(np.sign(round(blue_minus_red[:, :middle].mean() / 20)))


def both(words: str, picture: Rgb | None) -> float:
    """By the words of the sky, by the picture of the box."""
    return hears(words, picture) if "sky" in words else sees(words, picture)


@dataclass(frozen=True)
class Verdict:
    """What a report needs: the figure under each control, and what each takes away."""

    figures: Mapping[str, Figure]
    lost: Mapping[str, Difference]
    evidence: tuple[float, float, float]


def verdict(result: Result) -> Verdict:
    metric, items = result.metric, result.items
    tallies = {
        name: metric.tallies(items, said, metric.scores(items, said))[0]
        for name, said in result.said.items()
    }
    nats = [said.evidence for said in result.said["full"] if said.evidence is not None]
    assert len(nats) == len(items)
    return Verdict(
        {name: figure(tally) for name, tally in tallies.items()},
        {name: paired(tallies["full"], t) for name, t in tallies.items() if name != "full"},
        mean_interval(nats, [item.cluster for item in items]),
    )


CONTROLS: tuple[Control, ...] = (*ALL, Blurred(1.0))


def judged(rule: Callable[[str, Rgb | None], float], **task: Any) -> Verdict:
    asked = Colours(**task)
    return verdict(run(Odds(rule), asked, asked.items(), Asking(CONTROLS, evidence=True)))


def test_a_model_that_hears_the_question_alone_is_called_blind() -> None:
    found = judged(hears)
    assert 0.6 < found.figures["full"].value < 0.75
    assert found.evidence == (0, 0, 0)
    for name, lost in found.lost.items():
        assert (lost.value, lost.low, lost.high, lost.p) == (0, 0, 0, 1), name
        assert found.figures[name] == found.figures["full"]


def test_answers_that_change_with_the_picture_are_no_sight() -> None:
    """What it says is another thing under each control, and as good as before: evidence says that
    a picture moved the answers, controls that it did not help."""
    found = judged(guesses)
    for name, lost in found.lost.items():
        assert lost.p > 0.05 and lost.low < 0 < lost.high, name
    assert any(lost.value != 0 for lost in found.lost.values())
    assert 0.4 < found.figures["full"].value < 0.6
    assert found.evidence[1] > 0.5


def test_a_model_that_uses_only_the_picture_collapses_without_it() -> None:
    found = judged(sees, told=0.5)
    assert found.figures["full"].value == 1
    assert found.evidence[0] == pytest.approx(math.log(2 * 0.9))  # from one in two to 9 to 1
    for name in ("blind", "swapped", "shuffled"):
        assert 0.35 < found.figures[name].value < 0.65, name
        assert found.lost[name].p == 1e-4 and found.lost[name].low > 0.3, name


def test_the_dial_of_the_blur_finds_what_is_needed() -> None:
    """Halves of 16 pixels are seen through a blur of 1.6 pixels, and not through one of 32."""
    found = judged(sees, told=0.5)
    assert found.lost["blurred 5%"].value == 0 and found.lost["blurred 5%"].p == 1
    assert found.figures["blurred 100%"].value < 0.65 and found.lost["blurred 100%"].p < 0.001


def test_what_the_picture_gives_is_told_to_the_question() -> None:
    """One of two questions needs it: the points are those that blindness costs there."""
    found = judged(both)
    task = Colours()
    box = [item.answer == "red" for item in task.items() if item.kind == "box"]
    sky = [item.answer == "blue" for item in task.items() if item.kind == "sky"]
    full, blind = (60 + sum(sky)) / 120, (sum(box) + sum(sky)) / 120
    assert found.figures["full"].value == pytest.approx(full)
    assert found.figures["blind"].value == pytest.approx(blind)
    lost = found.lost["blind"]
    assert lost.value == pytest.approx(full - blind) and lost.p < 0.001
    assert (lost.count, lost.clusters) == (120, 60)
    assert found.evidence[0] == pytest.approx(math.log(2 * 0.9) / 2)


# Models of this library: one recipe, taught where the words tell, or where the picture does

Told = Literal["words", "picture"]
COLOURS = ("red", "blue")
QUESTIONS = ("How many?", "Where is it?")
PLAIN = np.array([[200, 30, 30], [30, 30, 200]], np.uint8)


def coloured(colour: int, rng: np.random.Generator) -> Rgb:
    noise = rng.integers(0, 30, (8, 8, 3), dtype=np.uint8)
    return PLAIN[colour] + noise


@dataclass(frozen=True)
class Plain:
    """A red or a blue picture under one of two questions; the answer is in one of the two."""

    told: Told
    pictures: int = 40
    name: str = "plain"
    max_tokens: int = 4
    metric: Metric = field(default_factory=Same)

    def items(self, count: int | None = None) -> Sequence[Item]:
        rng = np.random.default_rng(1)
        return [self._item(index, rng) for index in range(self.pictures)][:count]

    def _item(self, index: int, rng: np.random.Generator) -> Item:
        colour, question = rng.integers(0, 2, 2)
        answer = COLOURS[question if self.told == "words" else colour]
        parts = asked_about(coloured(colour, rng), QUESTIONS[question])
        return Item(str(index), parts, Answers((answer,)), cluster=str(index))


def lesson(told: Told, rng: np.random.Generator, number: int) -> Sample:
    """A question with its answer; one of four without its picture."""
    colour, question = rng.integers(0, 2, 2)
    shown = (Media("image", coloured(colour, rng)),) if number % 4 else ()
    answer = COLOURS[question if told == "words" else colour]
    asked = Turn("user", (*shown, Text(QUESTIONS[question])))
    return Sample(str(number), (asked, Turn("assistant", (Text(answer),))))


def lessons(told: Told, maker: ConversationMaker) -> Iterator[Fed]:
    rng = np.random.default_rng(2)
    while True:
        rows = [maker.make(lesson(told, rng, number)) for number in range(8)]
        yield Fed((maker.collate(rows, PadSpec(rows=8)),))


@cache
def taught(told: Told) -> LocalModel:
    """Some 20,000 parameters, 120 steps of 8 rows."""
    model = build_model(chat_spec())
    initialise(model, 0)
    vlm = VisionLanguageModel(model, tokenizer())
    train(model, stage(steps=120), lessons(told, ConversationMaker(vlm.speaker.prepare)))
    model.eval()
    return LocalModel(vlm, told, told)


def looked(told: Told) -> Result:
    task = Plain(told)
    asking = Asking((Full(), Blind(), Swapped(), Shuffled(2), Blurred()), evidence=True)
    return run(taught(told), task, task.items(), asking)


def test_a_model_that_was_taught_by_the_words_is_called_blind() -> None:
    found = verdict(looked("words"))
    assert found.figures["full"].value == 1
    assert all(abs(bound) < 0.02 for bound in found.evidence)
    assert all(lost.value == 0 and lost.p == 1 for lost in found.lost.values())


def test_a_model_that_was_taught_by_pictures_collapses_without_them() -> None:
    """Evidence is that of one bit, over all tokens of an answer, of which the first decides."""
    result = looked("picture")
    found = verdict(result)
    assert found.figures["full"].value == 1
    bit = np.mean([math.log(2) / said.answer_tokens for said in result.said["full"]])
    assert found.evidence[0] == pytest.approx(bit, abs=0.03) and found.evidence[1] > 0.15
    for name in ("blind", "swapped"):
        assert found.figures[name].value < 0.7 and found.lost[name].p < 0.001, name
    for name in ("shuffled 2 × 2", "blurred 5%"):  # a colour survives both
        assert found.lost[name].p > 0.05, name


def test_a_model_that_is_cut_off_from_its_pictures_shows_it_when_they_are_swapped() -> None:
    """With a connector of zeros, that there is a picture may count; which one does not."""
    vlm = taught("picture").vlm
    model = copy.deepcopy(vlm.model)
    with torch.no_grad():
        for p in model.connector.parameters():
            p.zero_()
    task = Plain("picture")
    cut = LocalModel(VisionLanguageModel(model, vlm.tokenizer), "cut", "cut")
    found = verdict(run(cut, task, task.items(), Asking((Full(), Swapped()), evidence=True)))
    assert found.figures["full"].value < 0.7
    assert found.lost["swapped"].value == 0 and found.lost["swapped"].p == 1
