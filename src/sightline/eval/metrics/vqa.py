"""VQA accuracy: agreement with ten people who answered the same question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from sightline.core.errors import DataError
from sightline.eval.item import Item
from sightline.eval.metrics.truths import answers_of, clusters_of
from sightline.eval.said import Said
from sightline.eval.statistics import Tally, mean_tally

Words = Literal["vqa", "evalai"]

AGREE = 3  # of the other people who must have said the same for a full point

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_ARTICLES = frozenset(("a", "an", "the"))
_DIGITS = {"none": "0"} | {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
# Each of these without its apostrophe is meant all the same; of those with two, one may be missing.
_CONTRACTIONS = (
    "ain't aren't can't couldn't couldn't've could've didn't doesn't don't hadn't hadn't've hasn't "
    "haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't "
    "mightn't've might've mustn't must've needn't not've o'clock oughtn't shan't should've "
    "shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll "
    "someone's something'd something'd've something'll that's there'd there'd've there're there's "
    "they'd they'd've they'll they're they've 'twas wasn't we've weren't what'll what're what's "
    "what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're "
    "why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll "
    "you're you've 'ow's'at she'd've we'd've"
).split()
_RESTORED = {
    word[:at] + word[at + 1 :]: word
    for word in _CONTRACTIONS
    for at, mark in enumerate(word)
    if mark == "'"
} | {"somebody'd": "somebodyd"}  # the one that the published table has the wrong way round


@dataclass(frozen=True, slots=True)
class VqaAccuracy:
    """min(people who said it / 3, 1), averaged over all ways of leaving one person out (Antol et
    al. 2015). Both sides are normalised.

    Answers.texts are what each person said, repeated as often as said; four or more.

    words: how texts are normalised: `vqa` as the evaluation of VQAv2 does, `evalai` as that of
        TextVQA and OK-VQA, which begins with vqa_tokenised.
    """

    words: Words = "vqa"

    @property
    def name(self) -> str:
        return "VQA accuracy"

    def scores(self, items: Sequence[Item], said: Sequence[Said]) -> list[float]:
        found = []
        for item, one in zip(items, said, strict=True):
            answers = answers_of(item)
            if len(answers) <= AGREE:
                problem = f"has {len(answers)} answers, not enough for {AGREE} others to agree"
                raise DataError(item.key, problem, "give each person's, or use Exact")
            found.append(vqa_accuracy(one.text, answers, self.words))
        return found

    def tallies(
        self, items: Sequence[Item], said: Sequence[Said], scores: Sequence[float]
    ) -> list[Tally]:
        return [mean_tally("VQA accuracy", scores, clusters_of(items))]


def vqa_accuracy(text: str, answers: Sequence[str], words: Words = "vqa") -> float:
    """0..1: the agreement with people's answers."""
    said = vqa_normalised(text, words)
    same = [vqa_normalised(answer, words) == said for answer in answers]
    agreed = sum(same)
    return sum(min((agreed - own) / AGREE, 1.0) for own in same) / len(same)


def vqa_normalised(text: str, words: Words = "vqa") -> str:
    """The text as the VQA evaluation compares it: without punctuation and articles, numbers up to
    ten as digits, apostrophes of contractions restored, lower case.

    Differs from the published script: truths are treated like answers (there digits and articles
    of a truth stay; published truths have been treated before), and more than 32 full stops go.
    """
    match words:
        case "vqa":
            pass
        case "evalai":
            text = vqa_tokenised(text)
        case _:
            assert_never(words)
    return " ".join(_words(_unpunctuated(text.replace("\n", " ").replace("\t", " ").strip())))


def vqa_tokenised(text: str) -> str:
    """Lower case, without commas and question marks, `'s` a word of its own: the first step of
    EvalAIAnswerProcessor (Pythia; lmms_eval/tasks/_task_utils/vqa_eval_metric.py 0.7.3). So
    `red,blue` is `redblue`, and `that's` is `that 's`, which `thats` is not."""
    return text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()


def _unpunctuated(text: str) -> str:
    """A mark with a space beside it is dropped, another one becomes a space; in a text with a
    number like 1,000 all are dropped. Full stops stay before digits."""
    number = _COMMA_IN_NUMBER.search(text) is not None
    found = text
    for mark in _MARKS:
        loose = number or f"{mark} " in text or f" {mark}" in text
        found = found.replace(mark, "" if loose else " ")
    return _PERIOD.sub("", found)


def _words(text: str) -> Iterator[str]:
    for word in text.lower().split():
        word = _DIGITS.get(word, word)
        if word not in _ARTICLES:
            yield _RESTORED.get(word, word)
