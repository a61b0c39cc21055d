"""Captions, against published values, pycocoevalcap, sacrebleu and Java's tokenizer."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from tests.eval.metrics.made import figures, says, words

from sightline.core.errors import DataError, SightlineError
from sightline.eval.metrics.caption_words import caption_words
from sightline.eval.metrics.captions import Caption, bleu, bleu_counts, cider, rouge_l
from sightline.eval.statistics import figure

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="needs java")


def test_published_values(shared_data: Path) -> None:
    """The example of github.com/Maluuba/nlg-eval, which cuts words at spaces."""
    folder = shared_data / "scorer-fixtures" / "nlg-eval"

    def lines(name: str) -> list[str]:
        return [line.lower().strip() for line in (folder / name).read_text().splitlines()]

    texts = lines("hyp.txt")
    truths = [list(pair) for pair in zip(lines("ref1.txt"), lines("ref2.txt"), strict=True)]
    expected = json.loads((folder / "expected.json").read_text())
    sums = np.sum([bleu_counts(*pair) for pair in zip(texts, truths, strict=True)], axis=0)
    assert np.mean(cider(texts, truths)) == pytest.approx(expected["CIDEr"], abs=1e-6)
    for order in (1, 2, 3, 4):
        assert bleu(sums, order) == pytest.approx(expected[f"Bleu_{order}"], abs=1e-6)
    each = [rouge_l(*pair) for pair in zip(texts, truths, strict=True)]
    assert np.mean(each) == pytest.approx(expected["ROUGE_L"], abs=1e-6)
    # These captions have no punctuation, so that the metric as a whole says the same.
    found = figures(Caption(), [words(*pair) for pair in truths], says(*texts))
    assert found["CIDEr"] == pytest.approx(1.242192, abs=1e-6)
    assert found["BLEU-4"] == pytest.approx(0.201143, abs=1e-6)
    assert found["ROUGE-L"] == pytest.approx(0.522104, abs=1e-6)


# Captions as people write them: each part may bring some of what has to be cut.

WHO = [
    *("A man", "Two women", "The boy's dog", "a black-and-white cat", "Mr. Smith", "An old man"),
    *("Kids' toys", "SOME PEOPLE", "a 3-year-old", "The U.S. flag", "A 1950's car", "50 sheep"),
    *("a man/woman", 'A sign that says "STOP"', "It's a bus", "There's a dog", "he", "a T-shirt"),
]
DOES = [
    *("is riding a bike", "don't sit", "isn't smiling", "can't see", "cannot fly", "'s eating"),
    *("says 'hello'", "(standing)", "costs $5.50", "weighs 1,000 lbs.", "gonna jump", "won't go"),
    *("waits at 10:30 a.m.", "drives down 5th Ave.", "runs -- fast --", "sleeps...", "reads No. 5"),
    *("looks up; then down", "eats fish & chips", "holds it's tail", "they're playing", "I'm here"),
    *("is half-asleep", "drinks 1/2 a cup", "plays rock 'n' roll", "wears size 6.5", "is 6' tall"),
]
WHERE = [
    *("on the street", "in front of St. Mark's", "at 5 o'clock", "near O'Hare", "by Main St."),
    *("in Washington D.C.", "under a #1 sign", "at 50% off", "with Dr. No", "in the '80s", "there"),
    *("next to a ``box''", "left/right", "on Jan. 5th", "in a mid-air jump", "behind him/her"),
    *("on a café's terrace", "vs. Chelsea F.C.", "beside letter B.", "over-the-top", "up, up"),
]
ENDS = [".", "", "!", " .", "...", "?", ".'", '."', "!!", " -", ";", ":", "..", " ?!"]

HARD = [
    *("", ".", "a", "A.", "the end of plan B.", "J. K. Rowling reads.", "He is in the U.S. now"),
    *("'Tis a dog", "'twas here", "y'all come", "l'eau froide", "could've, would've", "he'd've"),
    *(
        "“curly” \u2018quotes’ and it’s",
        "dash—dash – dash",
        "wait… what",
        "a  b\tc",
        "one.Two three",
    ),
    *("1,000.50 and .5 and -3", "3-inch 3.5-inch", "10:30am", "2x4", "R&B AT&T", "a*b = c + d"),
    *("[a cat] {a dog} <3", "a&amp;b", "me@x.com", "@user #tag", "T-shirts", "a_b", "a----b"),
    *("PARTY'S OVER", "d's and i's", "n't", "gimme lemme wanna gotta", "Ph.D. student", "no 5"),
    *("his/her/their/its", "1/2/2014", "pp. 5-7", "Mt. Everest", "car wash.", "Wash. state"),
    *("Inc. Co. Ltd. Bros.", "etc. etc", "a dog.A cat", "what?a dog!a", "£5 €5 5¢ ½", "naïve 日本"),
]


def written(count: int) -> list[str]:
    rng = random.Random(5)
    return [
        " ".join(rng.choice(part) for part in (WHO, DOES, WHERE)) + rng.choice(ENDS)
        for _ in range(count)
    ]


@needs_java
def test_words_are_javas() -> None:
    """Another sentence between any two: of a last letter with a full stop (`plan B.`) the next
    caption decides there whether it is an initial."""
    captions = [*HARD, *written(4000)]
    asked = {
        number: [{"caption": text}]
        for number, text in enumerate(each for text in captions for each in (text, "The end"))
    }
    theirs = PTBTokenizer().tokenize(asked)
    differ = [
        (text, theirs[2 * number][0], caption_words(text))
        for number, text in enumerate(captions)
        if theirs[2 * number][0].split() != caption_words(text).split()
    ]
    assert differ == []


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("A man's dog doesn't bark.", "a man 's dog does n't bark"),
        ('The sign says "STOP!"', "the sign says stop"),
        ("a black-and-white T-shirt, folded", "a black-and-white t-shirt folded"),
        ("a dog (wet) - on grass", "a dog -lrb- wet -rrb- on grass"),
        ("Mr. Smith at 10:30 a.m.", "mr. smith at 10:30 a.m."),
        ("wow!! what?", "wow !! what"),
        ("plan B.", "plan b"),
        ("", ""),
    ],
)
def test_words(text: str, cut: str) -> None:
    """As Java cuts them, for machines without it."""
    assert caption_words(text) == cut


def some_captions(count: int, people: int = 3) -> tuple[list[str], list[list[str]]]:
    """Captions, and truths that share some of their words."""
    rng = random.Random(1)
    found = written(count * people)
    truths = [found[number::count] for number in range(count)]
    texts = []
    for own in truths:
        said = rng.choice(own).split()
        at = rng.randrange(len(said))
        del said[at : at + 2]
        texts.append(" ".join(rng.sample(said, len(said)) if rng.random() < 0.3 else said))
    texts[3] = ""
    texts[4] = "one two"
    return texts, truths


def cut(captions: tuple[list[str], list[list[str]]]) -> tuple[list[str], list[list[str]]]:
    texts, truths = captions
    return [caption_words(t) for t in texts], [[caption_words(t) for t in own] for own in truths]


def keyed(texts: Sequence[object]) -> dict[int, object]:
    return dict(enumerate(texts))


def test_figures_are_pycocoevalcaps() -> None:
    texts, truths = some_captions(60)
    cut_texts, cut_truths = cut((texts, truths))
    theirs = (keyed(cut_truths), keyed([[text] for text in cut_texts]))
    known_cider, each_cider = Cider().compute_score(*theirs)
    known_bleu, _ = Bleu(4).compute_score(*theirs, verbose=0)
    known_rouge, _ = Rouge().compute_score(*theirs)
    items, said = [words(*each, key=str(n)) for n, each in enumerate(truths)], says(*texts)
    assert Caption().scores(items, said) == pytest.approx(each_cider.tolist(), abs=1e-12)
    found = figures(Caption(), items, said)
    assert found["CIDEr"] == pytest.approx(known_cider, abs=1e-9)
    assert found["ROUGE-L"] == pytest.approx(known_rouge, abs=1e-9)
    for order, known in enumerate(known_bleu, 1):
        assert found[f"BLEU-{order}"] == pytest.approx(known, abs=1e-9)
    assert 0.02 < found["BLEU-4"] < 0.98


def test_bleu_is_sacrebleus() -> None:
    texts, truths = cut(some_captions(60))
    sums = np.sum([bleu_counts(*pair) for pair in zip(texts, truths, strict=True)], axis=0)
    for order in (1, 2, 3, 4):
        known = sacrebleu.BLEU(tokenize="none", smooth_method="none", max_ngram_order=order)
        score = known.corpus_score(texts, list(zip(*truths, strict=True))).score / 100
        assert bleu(sums, order) == pytest.approx(score, abs=1e-8)


def test_bleu_takes_many_sums_at_once() -> None:
    texts, truths = cut(some_captions(8))
    rows = np.array([bleu_counts(*pair) for pair in zip(texts, truths, strict=True)])
    sums = np.stack([rows.sum(0), rows[:5].sum(0), rows[5:].sum(0)]).reshape(3, 1, 10)
    many = bleu(sums, 2)
    assert many.shape == (3, 1)
    assert [float(bleu(each, 2)) for each in sums[:, 0]] == pytest.approx(many[:, 0].tolist())
    assert bleu(np.zeros(10), 4) == pytest.approx(0, abs=1e-6)


def test_every_figure_has_an_interval() -> None:
    texts, truths = some_captions(30)
    items, said = [words(*each, key=str(n)) for n, each in enumerate(truths)], says(*texts)
    tallies = Caption().tallies(items, said, Caption().scores(items, said))
    names = ["CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"]
    assert [tally.name for tally in tallies] == names
    for found in map(figure, tallies):
        assert found.low < found.value < found.high
    assert [tally.percent for tally in tallies] == [False, *[True] * 5]


def test_a_caption_that_is_its_truth() -> None:
    own = ["a red bus turns the corner", "two dogs sleep under one chair"]
    items = [words(text, key=text) for text in own]
    found = figures(Caption(), items, says("A red bus turns the corner.", own[1]))
    expected = {"CIDEr": 10, "ROUGE-L": 1} | {f"BLEU-{n}": 1 for n in (1, 2, 3, 4)}
    assert found == pytest.approx(expected, abs=1e-8)
    swapped = figures(Caption(), items, says(own[1], own[0]))
    assert swapped["CIDEr"] == 0
    one = figures(Caption(), items[:1], says(own[0]))
    assert one["CIDEr"] == 0  # of one picture no word is rare


def test_order_of_truths_and_pictures_is_left_aside() -> None:
    texts, truths = some_captions(12)
    items, said = [words(*each, key=str(n)) for n, each in enumerate(truths)], says(*texts)
    turned = [words(*each[::-1], key=str(n)) for n, each in enumerate(truths)]
    expected = figures(Caption(), items, said)
    assert figures(Caption(), turned, said) == pytest.approx(expected, abs=1e-9)
    assert figures(Caption(), items[::-1], said[::-1]) == pytest.approx(expected, abs=1e-9)


def test_captions_without_words() -> None:
    with pytest.raises(DataError, match="q: has captions without a word"):
        Caption().scores([words("...", " ")], says("a dog"))
    assert cider(["a dog", ""], [[""], ["", " "]]) == [0, 0]
    assert Caption().scores([words("a dog", "!")], says("?")) == [0]


def test_no_items() -> None:
    assert Caption().scores([], []) == []
    assert len(Caption().tallies([], [], [])) == 6


def test_without_pycocoevalcap(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pycocoevalcap")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    with pytest.raises(SightlineError, match=r"pip install 'sightline\[eval\]'"):
        Caption().scores([words("a dog")], says("a dog"))
