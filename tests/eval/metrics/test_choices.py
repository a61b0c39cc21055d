"""Options: which one an answer names, and questions that are judged together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.metrics.made import figures, item, options, says, score, words

from sightline.core.errors import DataError
from sightline.eval.item import Choice
from sightline.eval.metrics.choices import ByLetter, Circular, PairsRight
from sightline.eval.metrics.letters import letter_of

PETS = Choice(("cat", "dog", "dark red", "red"), 0)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        # a letter alone
        ("A", "A"),
        ("a", "A"),
        ("(B)", "B"),
        ("(b)", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        (r"\boxed{C}", "C"),
        (r"$\boxed{\text{C}}$", "C"),
        (" D \n", "D"),
        # an option's words
        ("cat", "A"),
        ("Cat.", "A"),
        ('"DOG"', "B"),
        ("dark  red", "C"),
        ("B dog", "B"),
        # the last thing that is said to be the answer
        ("Answer: B", "B"),
        ("answer: option B.", "B"),
        ("Answer:\nB", "B"),
        ("The answer is C", "C"),
        ("The answer is (C), dark red.", "C"),
        ("The answer is: **B. dog**", "B"),
        ("<answer>B</answer>", "B"),
        ("The correct answer is (D) red", "D"),
        ("The best option is: C.", "C"),
        ("I choose B", "B"),
        ("A is the correct answer", "A"),
        ("Option B is correct", "B"),
        ("The answer is A because it purrs", "A"),
        ("First, the answer is A. No: the answer is B.", "B"),
        ("The answer is B. Option A is wrong.", "B"),
        ("Option A is wrong, B is the correct one", "B"),
        ("A. cat\nB. dog\nThe answer is B", "B"),
        # a marked letter
        ("A. It purrs", "A"),
        ("B) a dog", "B"),
        ("B: it barks", "B"),
        ("B, because it barks", "B"),
        ("A; it is no dog", "A"),
        ("C. A dog", "C"),  # the letter is what was asked for
        ("C\nBecause of the dog", "C"),
        ("It must be (D).", "D"),
        ("Because it barks ...\n\nB", "B"),
        # words among others
        ("It is a dog on the left.", "B"),
        ("a dark red one", "C"),
        ("it is red", "D"),
        ("I think it is B.", "B"),
        ("I'd say it's B", "B"),
        # false friends
        ("A cat", "A"),  # by its words
        ("A dog", "B"),
        ("The answer is a dog.", "B"),
        ("The answer is A dog.", "B"),
        ("A man is here", None),
        ("A-frame", None),
        ("B-52 bombers", None),
        ("vitamin C", None),
        ("D'Artagnan", None),
        ("Because", None),
        ("category", None),
        ("I see nothing", None),
        ("That's a B", None),
        # not one option
        ("A or B", None),
        ("A, B", None),
        ("A and B are right", None),
        ("The answer is A or B", None),
        ("red or dark red", None),
        ("a cat and a dog", None),
        ("A. cat\nB. dog", None),
        ("(A) cat (B) dog", None),
        ("A. cat B. dog C. dark red D. red", None),
        ("A) cat B) dog", None),
        ("A. cat B. dog. The answer is B.", "B"),
        ("The answer is a cat or a dog", None),
        ("The answer is a, b", None),
        ("E", None),
        ("none of these", None),
        ("", None),
        # a small letter, where no words follow
        ("the answer is b", "B"),
        ("Answer: a", "A"),
        ("The correct option is d.", "D"),
        ("the answer is (c)", "C"),
        ("the answer is e.g. a dog", "B"),
        # what is said to be the answer goes before brackets
        ("(a) was my first guess. The answer: dog", "B"),
        ("(a) or (b)? The answer is dark red.", "C"),
        ("The answer is a dog (A)", None),
        # denied, or left open
        ("It is not a cat.", None),
        ("I don't think it is a dog", None),
        ("I cannot tell whether it is a cat", None),
        ("It is neither a cat nor a dog", None),
        ("It is anything but a cat", None),
        ("It's not only a cat but also a dog", None),
        ("The dog is not the answer", None),
        ("non-red", None),
        ("Dog is wrong", None),
        ("Option B is wrong", None),
        ("The wrong answer is A", None),
        ("Incorrect answer: A", None),
        ("The second best option is B", None),
        ("The answer isn't (B)", None),
        ("(A) is not the answer", None),
        ("(B) is incorrect", None),
        ("A is not correct", None),
        ("It can't be B.", None),
        ("I would not choose B", None),
        ("Don't pick A", None),
        ("I don't think it is B", None),
        ("Neither A nor B", None),
        ("Not B", None),
        ("Is the answer A? No.", None),
        # one is denied, another is not
        ("It is not a cat but a dog", "B"),
        ("It is not a cat. It is a dog.", "B"),
        ("A dog, not a cat", "B"),
        ("The answer is B, not A", "B"),
        ("Since it does not bark, the answer is A.", "A"),
        ("No, it is a dog.", "B"),
        ("A: It is not a dog", "A"),
    ],
)
def test_letter_of(text: str, letter: str | None) -> None:
    assert letter_of(text, PETS) == letter


@pytest.mark.parametrize(
    ("options", "text", "letter"),
    [
        (("True", "False"), "The statement is not true.", "B"),
        (("True", "False"), "It isn't true", "B"),
        (("True", "False"), "It is not false", "A"),
        (("True", "False"), "It is true", "A"),
        (("True", "False"), "It is not entirely true", None),
        (("True", "False"), "I am not sure that it is not true", None),
        (("True", "False"), "It isn't true that it is false", None),
        (("True", "False", "Unknown"), "It is not true", None),
        (("Yes", "No"), "There is no dog.", "B"),
        (("Yes", "No"), "The answer is yes", "A"),
        (("Yes", "No"), "No doubt there is", None),
        (("Yes", "No"), "There is a dog with no collar", None),
        (("a cat", "not a cat"), "It is not a cat", "B"),
    ],
)
def test_opposites(options: tuple[str, ...], text: str, letter: str | None) -> None:
    assert letter_of(text, Choice(options, 0)) == letter


@pytest.mark.parametrize(
    ("options", "text", "letter"),
    [
        *((("5", "7"), text, "A") for text in ("5", "5.", "It is 5.", "$5$", "Answer:5", "(5)")),
        *((("5", "7"), text, "A") for text in ("5, since ...", "2 + 3 = 5", "7 - 2 = 5")),
        *((("5", "7"), text, None) for text in ("x = -5", ".5", "5%", "5 %", "$5^{2}$", "2.5")),
        *((("5", "7"), text, None) for text in ("5.2", "5/7", "5-year-old", "5 + 2", "minus 5")),
        *((("5", "7"), text, None) for text in ("5 million", "5°", "The answer is -5", "2:5")),
        (("2", "3"), "1/2", None),
        (("2", "3"), "It is 2/3.", None),
        (("10", "12"), "10:30", None),
        (("10", "12"), "It was 10.", "A"),
        ((".5", "5"), ".5", "A"),
        ((".5", "5"), "It is .5", "A"),
    ],
)
def test_numbers_inside_others(options: tuple[str, ...], text: str, letter: str | None) -> None:
    assert letter_of(text, Choice(options, 0)) == letter


def test_i_is_a_word_too() -> None:
    many = Choice(tuple(f"thing {word}" for word in "one two three four five six seven".split()), 0)
    nine = Choice((*many.options, "thing eight", "thing nine"), 0)
    assert letter_of("I think it is thing two", nine) == "B"
    assert letter_of("The answer is I", nine) == "I"
    assert letter_of("The answer is I think two", nine) is None
    assert letter_of("The answer is I", many) is None


def test_letters_of_the_prompt_count() -> None:
    digits = Choice(("cat", "dog"), 1, letters="12")
    assert letter_of("2", digits) == "2"
    assert letter_of("(2) dog", digits) == "2"
    assert letter_of("B", digits) is None
    said = ("The answer is 1.5", "1/2", "1%", ".1", "-1", "It is 2:1")
    assert [letter_of(text, digits) for text in said] == [None] * len(said)
    low = Choice(("cat", "dog"), 1, letters="ab")
    assert letter_of("The answer is b.", low) == "b"
    assert letter_of("B", low) == "b"


def test_options_that_are_letters_or_numbers() -> None:
    assert letter_of("B", Choice(("B", "A"), 0)) == "B"  # the letter before the words
    counts = Choice(("2", "12", "2.5", "3"), 0)
    assert [letter_of(text, counts) for text in ("2", "12", "2.5", "I see 3.")] == list("ABCD")
    assert letter_of("there are 2, I think", counts) == "A"
    assert letter_of("13", counts) is None


def test_equal_options_have_no_words_of_their_own() -> None:
    twins = Choice(("a cat", "A cat!", "dog"), 0)
    assert letter_of("A cat!", twins) == "B"  # exactly
    assert letter_of("a cat?", twins) is None
    assert letter_of("It is a cat.", twins) is None
    assert letter_of("", Choice(("", "dog"), 0)) is None


WORDS = st.text("abcXYZ 12.-()é", min_size=1, max_size=12)
CHOICES = st.lists(WORDS, min_size=2, max_size=6, unique_by=str.lower).map(
    lambda texts: Choice(tuple(texts), 0)
)
FORMS = ["{}", "({})", "{}.", "**{}**", "Answer: {}", "The answer is ({}).", "{}) {words}"]


@given(CHOICES, st.data())
def test_every_plain_form_is_read(choice: Choice, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(choice.options) - 1))
    letter, form = choice.letters[at], data.draw(st.sampled_from(FORMS))
    alone = all(letter.lower() not in text.lower() for text in choice.options)
    if "words" not in form or alone:
        said = form.format(letter, words="so")
        if said not in choice.options:
            assert letter_of(said, choice) == letter


@given(CHOICES, st.text(max_size=30))
def test_any_text_gives_a_letter_or_none(choice: Choice, text: str) -> None:
    assert letter_of(text, choice) in (None, *choice.letters[: len(choice.options)])


@given(st.permutations(["cat", "dog", "bird", "red cube"]), st.sampled_from(["a dog", "Bird."]))
def test_words_are_found_wherever_their_option_stands(order: list[str], said: str) -> None:
    letter = letter_of(said, Choice(tuple(order), 0))
    assert letter is not None
    assert order["ABCD".index(letter)] in said.lower()


def test_figures() -> None:
    items = [options("cat", "dog", index=1, key=str(n)) for n in range(4)]
    found = figures(ByLetter(), items, says("B", "It is a dog.", "A", "who knows"))
    assert found == {"accuracy": 0.5, "unparsed": 0.25}
    tallies = ByLetter().tallies(items[:1], says("B"), [1.0])
    assert [tally.higher_is_better for tally in tallies] == [True, None]


def test_circular_needs_every_order() -> None:
    items = [
        options("cat", "dog", index=0, key="1a", unit="1"),
        options("red", "blue", index=0, key="2a", unit="2"),
        options("dog", "cat", index=1, key="1b", unit="1"),
        options("blue", "red", index=1, key="2b", unit="2"),
        options("up", "down", index=0, key="3"),
    ]
    found = figures(Circular(), items, says("A", "A", "B", "A", "A"))
    assert found == {"circular accuracy": pytest.approx(2 / 3), "accuracy": 0.8, "unparsed": 0}
    tallies = Circular().tallies(items, says("A", "A", "B", "A", "A"), [1, 1, 1, 0, 1])
    assert [len(tally.rows_NK) for tally in tallies] == [3, 5, 5]
    always_a = figures(Circular(), items[:4], says("A", "A", "A", "A"))
    assert always_a["circular accuracy"] == 0  # always the same letter gets nothing


def test_pairs_of_yes_and_no() -> None:
    items = [
        words("yes", key="1a", unit="1"),
        words("No", key="1b", unit="1"),
        words("yes", key="2a", unit="2"),
        words("no", key="2b", unit="2"),
    ]
    found = figures(PairsRight(), items, says("Yes.", "no", "Yes, it is", "Yes"))
    assert found == {"accuracy": 0.75, "accuracy+": 0.5}


def test_pairs_of_other_truths() -> None:
    assert score(PairsRight(), words("True"), "true.") == 1
    assert score(PairsRight(), words("True"), "It is true") == 0
    assert score(PairsRight(), options("cat", "dog", index=1), "(B)") == 1


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        (Choice(("a", "b"), 2), "option 2 of 2"),
        (Choice(("a", "b"), -1), "option -1 of 2"),
        (Choice(("a", "b", "c"), 0, letters="AB"), "of 3, 2 letters"),
        (Choice((), 0), "option 0 of 0"),
    ],
)
def test_options_that_cannot_be(choice: Choice, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        score(ByLetter(), item(choice), "A")
