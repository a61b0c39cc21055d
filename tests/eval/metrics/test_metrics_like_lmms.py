"""Metrics against those of lmms-eval, on hundreds of generated answers.

All cases are asked of one child process, which takes half a minute to start.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.eval.lmms_oracle import Call, ask_lmms_all, needs_lmms
from tests.eval.metrics.made import figures, score, words

from sightline.core.geometry import Box
from sightline.eval.item import Choice
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.choices import PairsRight
from sightline.eval.metrics.letters import letter_of
from sightline.eval.metrics.places import inside
from sightline.eval.metrics.vqa import vqa_accuracy, vqa_normalised
from sightline.eval.metrics.words import Contains, anls, relaxed, token_f1
from sightline.eval.metrics.yes_no import YesNo
from sightline.eval.said import Said

pytestmark = needs_lmms

Check = Callable[[list[Any]], None]
PIECES = [
    *("a", "An", "the", "The", "two", "Three", "none", "ten", "eleven", "red", "Cars", "dont"),
    *("Im", "couldntve", "couldn'tve", "shouldve", "oclock", "its", "let's", "somebody'd", "twas"),
    *("1,000", "3.5", ".5", "U.S.", "t-shirt", "red/white", "(left)", "what?", "no!", "a,b", "y"),
    *("-", "--", ";", "[x]", '"so"', "@home", "`x`", "<b>", "10:30", "50%", "$5", "_", "\\", "..."),
    *("man's", "5'", "\n", "\t", "é", "1,2", "12,345.6", "x=1+2", "{y}", "A.M.", "mr.smith"),
]
OPTIONS = ("red cube", "green ball", "blue cone", "ten dogs")
FORMS = [
    *("{}", "({})", "{}.", "{})", "{}: {words}", "{}. {words}", "({}) {words}", "Answer: {}"),
    *("The answer is {}", "The answer is {}.", "The correct answer is ({}).", "{}\n"),
    *("I choose {}.", "The best option is {}.", "Because it is so, the answer is {}."),
]


@dataclass(frozen=True)
class Case:
    """What lmms-eval is asked, and what its answers must be."""

    calls: list[Call]
    check: Check


def phrases(rng: random.Random, count: int) -> list[str]:
    def phrase() -> str:
        pieces = rng.choices(PIECES, k=rng.randint(0, 5))
        return "".join(piece + rng.choice([" ", " ", "", "  "]) for piece in pieces)

    return [phrase() for _ in range(count)]


def vqa() -> Case:
    rng = random.Random(0)
    pairs = []
    for text in phrases(rng, 600):
        agree = rng.randint(0, 5)
        alike = rng.choices([text, text.upper(), f"the {text}"], k=agree)
        pairs.append((text, alike + phrases(rng, 10 - agree)))
    calls: list[Call] = []
    for text, people in pairs:
        answers = [{"answer": each, "answer_id": n} for n, each in enumerate(people)]
        doc = {"question_id": 0, "answers": answers}
        calls.append(("vqav2.utils", "vqav2_process_results", (doc, [text]), {}))

    def check(theirs: list[Any]) -> None:
        for (text, people), known in zip(pairs, theirs, strict=True):
            assert vqa_normalised(text) == known["submission"]["answer"]
            assert vqa_accuracy(text, people) == pytest.approx(known["exact_match"], abs=1e-12)
        assert len({round(known["exact_match"], 3) for known in theirs}) >= 5

    return Case(calls, check)


def vqa_of_text() -> Case:
    """With the normalisation of TextVQA and OK-VQA."""
    rng = random.Random(9)
    told = ["ford,mustang", "ford mustang", "thats", "that's", "what?now", "what now", "red,blue"]
    pairs = []
    for text in [*told, *phrases(rng, 500)]:
        near = [text, text.upper(), f"the {text}", text.replace(",", " "), text.replace("'", "")]
        agree = rng.randint(0, 6)
        pairs.append((text, rng.choices(near, k=agree) + phrases(rng, 10 - agree)))
    calls: list[Call] = []
    for number, (text, people) in enumerate(pairs):
        name = ("textvqa", "ok_vqa")[number % 2]
        doc = {"question_id": 0, "answers": list(people)}
        calls.append((f"{name}.utils", f"{name}_process_results", (doc, [text]), {}))

    def check(theirs: list[Any]) -> None:
        for (text, people), known in zip(pairs, theirs, strict=True):
            assert vqa_normalised(text, "evalai") == known["submission"]["answer"]
            ours = vqa_accuracy(text, people, "evalai")
            assert ours == pytest.approx(known["exact_match"], abs=1e-12)
        assert len({round(known["exact_match"], 3) for known in theirs}) >= 5

    return Case(calls, check)


def similarity() -> Case:
    """Of texts in single spaces: of others the lengths differ, as `anls` says."""
    rng = random.Random(1)
    pairs = []
    for text in (" ".join(text.split()) for text in phrases(rng, 400)):
        near = "".join(mark for mark in text if rng.random() < 0.8)
        others = [" ".join(each.split()) for each in (near, *phrases(rng, 1), text.upper())]
        pairs.append((text, rng.sample(others, rng.randint(1, 3))))
    calls: list[Call] = [
        ("lmms_eval.api.metrics", "anls", (answers, [text]), {}) for text, answers in pairs
    ]

    def check(theirs: list[Any]) -> None:
        for pair, known in zip(pairs, theirs, strict=True):
            assert anls(*pair) == pytest.approx(known["anls"], abs=1e-12)
        assert sum(0.5 <= known["anls"] < 1 for known in theirs) > 50

    return Case(calls, check)


def relaxed_accuracy() -> Case:
    rng = random.Random(2)
    numbers = [
        "0",
        "0.0",
        "1",
        "-2",
        "100",
        "104.9",
        "105",
        "105.1",
        "12%",
        "0.12",
        "12.5 %",
        "1e3",
    ]
    texts = [*numbers, "Blue", "blue", "blue.", "1,000", "", "%", "950", "5%%", "abc%"]
    pairs = [(rng.choice(texts), rng.choice(texts)) for _ in range(400)]
    for _ in range(400):
        number = round(rng.uniform(-50, 50), 2)
        pairs.append((str(round(number * rng.uniform(0.9, 1.1), 3)), str(number)))
    calls: list[Call] = [("chartqa.utils", "relaxed_correctness", pair, {}) for pair in pairs]

    def check(theirs: list[Any]) -> None:
        assert [relaxed(*pair) for pair in pairs] == theirs
        assert 100 < sum(theirs) < 700

    return Case(calls, check)


def token_f1_of_squad() -> Case:
    rng = random.Random(8)
    pairs = [
        (text, rng.choice([*phrases(rng, 1), f"{text} the", ""])) for text in phrases(rng, 400)
    ]
    calls: list[Call] = [("mmsearch.score.f1_score", "get_f1_score", pair, {}) for pair in pairs]

    def check(theirs: list[Any]) -> None:
        assert [token_f1(*pair) for pair in pairs] == pytest.approx(theirs, abs=1e-12)
        assert sum(0 < known < 1 for known in theirs) > 10

    return Case(calls, check)


def contains() -> Case:
    rng = random.Random(3)
    calls: list[Call] = []
    ours = []
    for number in range(400):
        text = phrases(rng, 1)[0] + rng.choice(["", "ＡＢ", "\\frac { a } b"])  # noqa: RUF001
        near = [text[1:4], text.upper(), text.replace(" ", ""), "AB\n"]
        answers = rng.sample(filled := [a for a in near if a.strip()], rng.randint(1, len(filled)))
        dataset, kind = ("HME100k", "formula") if number % 4 == 0 else ("SROIE", "other")
        doc = {"dataset": dataset, "answer": answers, "question_type": kind}
        calls.append(("ocrbench.utils", "ocrbench_process_results", (doc, [text]), {}))
        ours.append(score(Contains(("formula",)), words(*answers, kind=kind), text))

    def check(theirs: list[Any]) -> None:
        assert ours == [known["ocrbench_accuracy"]["score"] for known in theirs]
        assert 100 < sum(ours) < 390

    return Case(calls, check)


def pope() -> Case:
    """All but the yes-share, which there is that of the truths."""
    rng = random.Random(4)
    heard = ["yes", "Yes", "no ", "No"]
    rounds = [(rng.choice(["yes", "no"]), rng.choice(heard)) for _ in range(300)]
    rows = []
    for truth, said in rounds:
        word = said.lower().strip()
        rows.append({"score": float(word == truth), "prediction": word, "ground_truth": truth})
    names = ("accuracy", "precision", "recall", "f1_score")
    calls: list[Call] = [("pope.utils", f"pope_aggregate_{name}", (rows,), {}) for name in names]

    def check(theirs: list[Any]) -> None:
        items = [words(truth, key=str(n)) for n, (truth, _) in enumerate(rounds)]
        found = figures(YesNo(), items, [Said(said) for _, said in rounds])
        ours = [found[name] for name in ("accuracy", "precision", "recall", "F1")]
        assert ours == pytest.approx(theirs, abs=1e-12)
        assert found["yes-share"] == sum(row["prediction"] == "yes" for row in rows) / len(rows)

    return Case(calls, check)


def mme() -> Case:
    """Both accuracies of a kind add up to its score."""
    rng = random.Random(5)
    spoken = ["Yes", "No.", "yes, it is", "No, it is not", "y", "n", "maybe", "", "Yes."]
    rounds = [(n // 2, "yes" if n % 2 else "no", rng.choice(spoken)) for n in range(200)]
    items = [words(truth, key=str(k), unit=str(n)) for k, (n, truth, _) in enumerate(rounds)]
    said = [Said(text) for *_, text in rounds]
    ours = PairsRight().scores(items, said)
    docs = [{"question_id": n, "category": "color", "answer": truth} for n, truth, _ in rounds]
    rows = [doc | {"score": each} for doc, each in zip(docs, ours, strict=True)]
    calls: list[Call] = [("mme.utils", "mme_aggregate_results", (rows,), {})]
    calls += [("mme.utils", "parse_pred_ans", (text,), {}) for text in spoken]
    for doc, (*_, text) in zip(docs, rounds, strict=True):
        calls.append(("mme.utils", "mme_process_results", (doc, [text]), {}))

    def check(theirs: list[Any]) -> None:
        total, parsed, rows = theirs[0], theirs[1 : 1 + len(spoken)], theirs[1 + len(spoken) :]
        assert ours == [row["mme_perception_score"]["score"] for row in rows]
        found = figures(PairsRight(), items, said)
        assert 100 * (found["accuracy"] + found["accuracy+"]) == pytest.approx(total, abs=1e-9)
        assert [yes_or_no(text) or "other" for text in spoken] == parsed

    return Case(calls, check)


def letters() -> Case:
    """Where the form leaves no doubt."""
    rounds = [
        (form.format("ABCD"[at], words=OPTIONS[at]), "ABCD"[at])
        for form in FORMS
        for at in range(len(OPTIONS))
    ]
    module = "lmms_eval.tasks._task_utils.mcq_extract"
    calls: list[Call] = [
        (module, "extract_mcq_answer", (text,), {"choices": list("ABCD")}) for text, _ in rounds
    ]

    def check(theirs: list[Any]) -> None:
        assert [letter for _, letter in rounds] == theirs
        assert [letter_of(text, Choice(OPTIONS, 0)) for text, _ in rounds] == theirs

    return Case(calls, check)


def words_of_options() -> Case:
    """MMBench's rule: the one option whose words are in the answer."""
    said = [
        f"{start}{option}{end}"
        for option in OPTIONS
        for start in ("", "It is a ", "one ")
        for end in ("", ".", " on top")
    ]
    said += ["a red cube and a green ball", "nothing", "a purple cube"]
    named = dict(zip("ABCD", OPTIONS, strict=True))
    calls: list[Call] = [
        ("mmbench.mmbench_evals", "MMBench_Evaluator.can_infer_text", (None, text, named), {})
        for text in said
    ]

    def check(theirs: list[Any]) -> None:
        known = [letter or None for letter in theirs]
        assert [letter_of(text, Choice(OPTIONS, 0)) for text in said] == known
        assert Counter(known) == {"A": 9, "B": 9, "C": 9, "D": 9, None: 3}

    return Case(calls, check)


def places() -> Case:
    rng = random.Random(7)
    boxes = []
    for _ in range(300):
        x, y, width, height = (rng.randint(low, 9) for low in (0, 0, 1, 1))
        boxes.append(Box(x, y, x + width, y + height))
    pairs = list(zip(boxes, boxes[1:] + boxes[:1], strict=True))
    calls: list[Call] = []
    for name in ("compute_iou", "compute_center_accuracy"):
        for pair in pairs:
            corners = tuple([box.x0, box.y0, box.x1, box.y1] for box in pair)
            calls.append(("refcoco.utils_rec", name, corners, {}))

    def check(theirs: list[Any]) -> None:
        ious, centres = theirs[: len(pairs)], theirs[len(pairs) :]
        assert [a.iou(b) for a, b in pairs] == pytest.approx(ious, abs=1e-12)
        assert [inside(b.centre, a) for a, b in pairs] == centres
        assert 20 < sum(centres) < 280

    return Case(calls, check)


CASES = (
    *(
        vqa,
        vqa_of_text,
        similarity,
        relaxed_accuracy,
        token_f1_of_squad,
        contains,
        pope,
        mme,
        letters,
    ),
    *(words_of_options, places),
)


@pytest.fixture(scope="module")
def asked() -> dict[str, tuple[Check, list[Any]]]:
    """Every case's check with lmms-eval's answers."""
    cases = {make.__name__: make() for make in CASES}
    answers = iter(ask_lmms_all([call for case in cases.values() for call in case.calls]))
    return {name: (c.check, [next(answers) for _ in c.calls]) for name, c in cases.items()}


@pytest.mark.parametrize("name", [make.__name__ for make in CASES])
def test_like_lmms(name: str, asked: dict[str, tuple[Check, list[Any]]]) -> None:
    check, theirs = asked[name]
    check(theirs)
