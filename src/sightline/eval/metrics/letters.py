"""Which option an answer names.

Read in this order; the first reading that finds an option decides. One that finds several decides
that the answer names none.
    the whole text is a letter              B   (b)   B.   **B**
    the whole text is an option's words     a red cube   B a red cube
    it begins with a list of letters        A or B
    it says so, the last time               The answer is B.   Answer: b   B is correct.
                                            The answer: a red cube
    brackets hold a letter                  (B) a red cube   ... so it must be (B).
    a line begins with a marked letter      B. a red cube   B: ...   B, because ...
    an option is mentioned by its letter    Option B shows it.
    the words of an option are in it        It is a red cube on the left.
    it ends with a letter                   I think that it is B
A and I are words too: before other words they are letters only if marked or in brackets, so that
`A cat` and `The answer is a cat` name the option `cat` and not A. What is denied, or left open, is
not named (`Option B is wrong`, `It is not a cat`, `I cannot tell whether it is a dog`); but of true
and false, or correct and incorrect, `It is not true` names the other.

Differs from lmms-eval (tasks/_task_utils/mcq_extract.py, mmbench/mmbench_evals.py): there denied
options count as named, and `a`, the letter, is found inside sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sightline.eval.item import Choice
from sightline.eval.metrics.assent import yes_or_no
from sightline.eval.metrics.negation import clause_before, denied, negations, sentence_end

_DECORATION = re.compile(r"\\(?:boxed|textbf|text|mathrm)\b|[*`${}]|^#+ ", re.MULTILINE)
_AROUND = " \t\r\n\"'“”’,:;!?()[]"
_IS = r"(?:\s+(?:is|would\s+be|should\s+be|must\s+be|was))?\s*[:=>]?\s*"
_SAYS = rf"\b(?:answer|(?:correct|right|best)\s+(?:one|option|choice)){_IS}(?:option\s+)?"
_PICKS = r"\b(?:choose|pick|select)\s+(?:option\s+)?"
_STATES = re.compile(rf"(?:{_SAYS}|{_PICKS})[\"'“\u2018]?", re.IGNORECASE)
_SAYS_IT = re.compile(r"(?:\b(?:is|be|was)|[:=>])\s*[\"'“\u2018]?\Z", re.IGNORECASE)
_CORRECT = r"(?i:\s+is\s+(?:the\s+)?(?:correct|right|best))\b"
_AND = r"(?:\s*[,/&]\s*|\s+(?:and|or)\s+)"
_ENDS = r"(?i:(?:\b(?:is|be|say|it's|it’s)|[:=-])\s+)"
_NOTHING = "·"  # stands for a letter that is denied
_OPPOSITES = ({"true", "false"}, {"correct", "incorrect"})
# Beside an option that begins or ends in a digit: the rest of another number.
_NUMBER_BEFORE = re.compile(r"(?:[-−+.^/%]|\d[,:]|[\d)]\s*[-−+*/×÷^]\s*|\bminus\s+)\Z", re.I)
_NUMBER_AFTER = re.compile(
    r"[-−/^°]|\s?%|[.,:]\d|\s*[+*/×÷=−-]\s*\d"
    r"|\s+(?:dozen|hundred|thousand|million|billion|and\s+a\s+half|\d+/\d)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Mention:
    """The words of an option in a text, in characters."""

    letter: str
    start: int
    end: int
    denied: bool


@dataclass(frozen=True, slots=True)
class _Letters:
    """Patterns of the letters of a question's options."""

    any: str

    @property
    def one(self) -> str:
        inside = rf"[(\[]?[{re.escape(self.any)}][)\]]?"
        return rf"(?<![\w'’/^-])(?<!\d[.,:])(?<!\.){inside}(?![\w'’-]|[.,:/^]\d|\s?%)"

    @property
    def several(self) -> str:
        return rf"{self.one}(?:{_AND}{self.one})*"

    @property
    def sure(self) -> str:
        """Before other words A and I are words."""
        word = r"(?!(?<=[AI])\s+(?!(?:because|since|as|for|is|which)\b)\w)"
        return rf"(?:{self.several}){word}(?!\s*\?)"

    @property
    def small(self) -> str:
        """In lower case too, where no words follow."""
        letter = rf"[(\[]?(?i:[{re.escape(self.any)}])\b[)\]]?"
        ends = r"(?=\s*\Z|\s*\n|[.,;:!)\"'”’]+(?:\s|\Z)|\s+(?:because|since|as)\b)"
        return rf"{letter}(?:{_AND}{letter})*{ends}"

    def inside(self, found: Iterable[str]) -> set[str]:
        named = {mark for part in found for mark in re.findall(r"(?<!\w)\w(?!\w)", part)}
        return {letter for letter in self.any if letter in named or letter.lower() in named}


def letter_of(text: str, choice: Choice) -> str | None:
    """The letter of the option that an answer names, or None; see the module's text."""
    plain = _DECORATION.sub("", text).strip()
    letters = choice.letters[: len(choice.options)]
    for found in _readings(plain, letters, choice.options):
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _readings(text: str, letters: str, options: tuple[str, ...]) -> Iterable[set[str]]:
    if not letters:
        return
    yield _alone(text, letters)
    yield {letters[at] for at, words in enumerate(options) if words and text == words}
    yield _worded(text, letters, options)
    marks = _Letters(letters)
    mentions = list(_mentions(text, letters, options))
    left = _undenied(text, marks)
    one = marks.one
    yield marks.inside(re.findall(rf"\A{one}(?:{_AND}{one})+", left))
    yield _stated(left, marks, mentions)
    yield _bracketed(left, letters)
    yield _marked(left, marks)
    yield marks.inside(re.findall(rf"(?i:\b(?:option|choice)\s+)({marks.sure})", left))
    yield _contained(text, letters, options, mentions)
    yield marks.inside(re.findall(rf"{_ENDS}({marks.several})[.!\"”\s]*\Z", left))


def _alone(text: str, letters: str) -> set[str]:
    core = _bare(text).lower()
    return {letter for letter in letters if letter.lower() == core}


def _worded(text: str, letters: str, options: tuple[str, ...]) -> set[str]:
    said = _folded(text)
    return {
        letter
        for letter, words in zip(letters, map(_folded, options), strict=True)
        if words and said in (words, f"{letter.lower()} {words}")
    }


def _folded(text: str) -> str:
    return _bare(" ".join(_DECORATION.sub("", text).lower().split()))


def _bare(text: str) -> str:
    """Without the marks around it; a full stop stays before a digit (.5)."""
    return re.sub(rf"\A(?:[{re.escape(_AROUND)}]|\.(?!\d))+", "", text).rstrip(_AROUND + ".")


def _undenied(text: str, marks: _Letters) -> str:
    """Denied letters are blotted out."""

    def left(found: re.Match[str]) -> str:
        gone = denied(text, found.start(), found.end())
        return _NOTHING * len(found[0]) if gone else found[0]

    return re.sub(rf"{marks.one}|[(\[](?i:[{re.escape(marks.any)}])[)\]]", left, text)


def _stated(text: str, marks: _Letters, mentions: Sequence[_Mention]) -> set[str]:
    """What the last statement says to be the answer: a letter, or an option's words."""
    correct = rf"({marks.one}){_CORRECT}"
    frames = [*_STATES.finditer(text), *re.finditer(correct, text)]
    for frame in sorted(frames, key=lambda one: -one.start()):
        found = marks.inside(frame.groups()) or _after(text, frame, marks, mentions)
        if found:
            return found
    return set()


def _after(
    text: str, frame: re.Match[str], marks: _Letters, mentions: Sequence[_Mention]
) -> set[str]:
    """What stands after `The answer is`."""
    start = frame.end()
    letters = re.compile(marks.sure).match(text, start)
    letters = letters or re.compile(marks.small).match(text, start)
    if letters and not denied(text, start, letters.end()):
        return marks.inside([letters[0]])
    if not _SAYS_IT.search(frame[0]):
        return set()
    end = sentence_end(text, start)
    worded = {one.letter for one in mentions if start <= one.start < end and not one.denied}
    return worded | _bracketed(text[start:end], marks.any) if worded else set()


def _bracketed(text: str, letters: str) -> set[str]:
    found = {letter.lower() for letter in re.findall(r"[(\[](\w)[)\]]", text)}
    return {letter for letter in letters if letter.lower() in found}


def _marked(text: str, marks: _Letters) -> set[str]:
    """Marked letters at the start of lines; where one is, those inside lines too (`A. cat B. dog`
    repeats the question)."""
    starts = re.findall(rf"^\s*({marks.one}(?:[.):;,](?=\s|$)|\s*$))", text, flags=re.MULTILINE)
    inner = re.findall(rf"(?<=\s)({marks.one}[.):]|{marks.one}(?<=\)))(?=\s)", text)
    return marks.inside([*starts, *inner]) if starts else set()


def _mentions(text: str, letters: str, options: tuple[str, ...]) -> Iterable[_Mention]:
    """Options whose words are in the text as whole words, and not only inside those of a longer
    one that is there too. Those of equal words are mentioned together."""
    taken: list[tuple[int, int]] = []
    for letter, words in sorted(
        zip(letters, map(_folded, options), strict=True), key=lambda one: -len(one[1])
    ):
        for start, end in _places(text, words) if words else ():
            inside = any(a < end and start < b and (a, b) != (start, end) for a, b in taken)
            if not inside and (words not in ("yes", "no") or yes_or_no(text) == words):
                taken.append((start, end))
                yield _Mention(letter, start, end, denied(text, start, end))


def _places(text: str, words: str) -> Iterable[tuple[int, int]]:
    spaced = r"\s+".join(map(re.escape, words.split()))
    for found in re.finditer(rf"(?<!\w)(?<!\d[.,]){spaced}(?!\w|[.,]\d)", text, re.IGNORECASE):
        cut = words[0] in "0123456789." and _NUMBER_BEFORE.search(
            text[max(0, found.start() - 20) : found.start()]
        )
        if not cut and not (words[-1].isdigit() and _NUMBER_AFTER.match(text, found.end())):
            yield found.span()


def _contained(
    text: str, letters: str, options: tuple[str, ...], mentions: Sequence[_Mention]
) -> set[str]:
    gone = {one.letter for one in mentions if one.denied}
    named = {one.letter for one in mentions} - gone
    words = [_folded(option) for option in options]
    if named or len(mentions) != 1 or set(words) not in _OPPOSITES:
        return named
    before = clause_before(text, mentions[0].start)
    turned = re.search(r"(?:\bnot|n['’]t)\s+\Z", before) and negations(before) == 1
    return set(letters) - gone if turned else set()
