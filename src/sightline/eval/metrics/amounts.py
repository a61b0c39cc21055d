"""Which number an answer names.

Numbers are digits (1,000 is one number) or words (twelve, two dozen, one hundred and five, one and
a half). No numbers are digits inside words, fractions and shares (3D, 2nd, 10:30, 5%, two thirds),
the labels of pictures and places (Image 1), denied ones (not 3), and `one` in place of a noun.

Read in this order; the first reading that finds a number decides:
    it says so, the last time               The answer is 3.   5 in total
    the first sentence that counts          There are 3 dogs.   I see 3.
    the first sentence with a number        3. It is a photo of 2019.
    `none`, or `no` with its noun, is 0     There are no dogs.   No one
Where such a sentence names several numbers none is read (`3 or 4`, `1, 2, 3`), unless the others
are parts that add up to the first (`3 dogs: 2 brown and 1 black`), and none where it only says a
bound (`more than 3`).
"""

from __future__ import annotations

import math
import re

from sightline.eval.metrics.negation import DULL, sentences

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: number for number, word in enumerate(_SMALL)} | {
    word: 20 + 10 * number for number, word in enumerate(_TENS)
}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000}

_UNIT = "|".join(_SMALL[1:10])
_TENS_AND_UNIT = rf"(?:{'|'.join(_TENS)})(?:[- ](?:{_UNIT})\b)?"
_BELOW_100 = rf"(?:{_TENS_AND_UNIT}|{'|'.join(reversed(_SMALL))})\b"
_BELOW_1000 = rf"(?:(?:{_UNIT}|a)[- ]hundred\b(?:\s+(?:and\s+)?{_BELOW_100})?|{_BELOW_100})"
_DIGITS = r"(?<![\w.,/:^])(?:(?<!\d)-)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w|[.,/:^]\d|\s?%|°)"
_SCALED = rf"(?:{_DIGITS}|(?:half\s+)?\ba|\b{_BELOW_1000})[- ](?:{'|'.join(_SCALES)})s?\b"
_PART = r"hal(?:f|ves)|thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|tenths?"
_NUMBER = re.compile(
    rf"(?:{_SCALED}(?:,?\s+(?:and\s+)?{_BELOW_1000})?|\b{_BELOW_1000}|{_DIGITS})"
    rf"(?:\s+and\s+a\s+half\b)?(?![- ](?:{_PART}|{'|'.join(_SCALES)})\b|\s+and\s+a\s+quarter\b)"
)

_PLACE = r"(?:image|picture|photo|figure|fig\.|frame|page|panel|row|column|question|step|option)"
_NO_COUNT = re.compile(
    rf"\b{_PLACE}s?\s+(?:no\.\s*|number\s+|#)?(?:\d+|one|two|three|four)\b"
    r"|(?<=\w )no \d+\b"
    rf"|\b(?:not|n['’]t)\s+(?:just\s+|only\s+)?(?:{_NUMBER.pattern})"
    r"|\b(?:not|no|this|that|which|each|every|any|some)[- ]one\b"
    r"|\b(?:an?|the|this|that|each|every)\s+(?!only\b)(?:\w+\s+)?one\b"
    rf"|(?<!and )\b(?:{_BELOW_100}|an?)[- ](?:{_PART})\b"
)
_BOUND = re.compile(
    r"\b(?:(?:more|less|fewer|greater|other)\s+than|at\s+(?:least|most)|up\s+to|over|under|above"
    rf"|below|minus|exceed\w*|(?:no|not)\s+(?:more|less|fewer)\s+than)\s+(?={_NUMBER.pattern})"
    rf"|(?:{_NUMBER.pattern})(?:\+|\s+or\s+(?:more|fewer|less)\b)|\banother\b"
)
_STATED = re.compile(
    r"\b(?:answer|total|count|sum)(?:\s+number)?(?:\s+of(?:\s+[a-z]+){0,4}?)?\s*"
    rf"(?:\bis\b|\bare\b|\bof\b|[:=])\s*(?:about\s+)?({_NUMBER.pattern})"
    rf"|({_NUMBER.pattern})(?:\s+[a-z]+){{0,3}}?\s+(?:in\s+(?:total|all)|altogether)\b"
)
_GOES_ON = re.compile(rf"(?:\s+[a-z]+)?\s*(?:[,/–-]|\b(?:or|to|and)\b)\s*(?:{_NUMBER.pattern})")
_COUNTS = re.compile(
    r"\bthere\s+(?:is|are|was|were)\b|\bthere['’]s\b|\bi\s+(?:can\s+)?(?:see|count)\b"
)
_LIST = re.compile(r"(?:^|\s)(\d+)[.)]\s+(?=\D)")
_NONE = re.compile(
    r"\A\W*(?:none|no(?:body|[- ]one)(?!\s+(?:knows|can)))\b"
    rf"|\A\W*no\s+(?!{DULL}|one\b)[a-z]"
    r"|\b(?:there|i|we|image|picture|photo|scene)(?:\s+can)?\s*"
    r"(?:\b(?:is|are|was|were|see|count|shows?|contains?|has)|['’]s)\s+"
    rf"(?:none\b|nobody\b|no\s+(?!{DULL})[a-z]|no-one\b|not\s+any\s+(?!{DULL}))"
    rf"|\bthere\s+(?:is|are|was|were)n['’]t\s+any\s+(?!{DULL})"
    r"|\banswer\s*(?:is|:|=)\s*none\b"
)


def first_number(text: str) -> float | None:
    """The number that a text names, or None; see the module's text."""
    lower = re.sub(r"[*`$]", "", text).lower()
    if _enumerates(lower):
        return None
    parts = [_NO_COUNT.sub("…", part) for part in sentences(_joined(lower))]
    for stated in reversed([found for part in parts for found in _STATED.finditer(part)]):
        if not _BOUND.search(stated.string):
            several = _GOES_ON.match(stated.string, stated.end())
            return None if several else _value(stated[1] or stated[2])
    numbered = [part for part in parts if _NUMBER.search(part)]
    if not numbered:
        return 0.0 if any(map(_NONE.search, sentences(lower)[:1])) else None
    return _only([part for part in numbered if _COUNTS.search(part)] or numbered)


def _joined(text: str) -> str:
    """With the full stop of abbreviations away, which ends no sentence."""
    return re.sub(r"\b(no|fig|approx|ca)\.(?=\s*\d)", r"\1", text)


def _enumerates(text: str) -> bool:
    """Whether it is a numbered list."""
    marks = [int(mark) for mark in _LIST.findall(text)]
    return len(marks) > 1 and marks == list(range(1, len(marks) + 1))


def _only(parts: list[str]) -> float | None:
    """The number of the first of these sentences, if it is one."""
    part = parts[0]
    found = list(_NUMBER.finditer(part))
    values = [_value(one[0]) for one in found]
    if _BOUND.search(part) or None in values:
        return None
    first, *others = [value for value in values if value is not None]
    if set(others) <= {first} and not _NONE.search(part):
        return first
    between = part[found[0].end() : found[1].start()] if others else ""
    parts_of_it = re.sub(r"\b(?:and|or|to)\b", "", between)
    return first if re.search("[a-z:(]", parts_of_it) and sum(others) == first else None


def _value(words: str) -> float | None:
    """What the words of one number come to."""
    text, half = re.subn(r"\s+and\s+a\s+half\Z", "", words)
    total, part = 0.0, 0.0
    pieces = re.findall(r"-?\d[\d,]*(?:\.\d+)?|[a-z]+", text.replace("half a", "half"))
    for piece in pieces:
        scale = _SCALES.get(piece.removesuffix("s"))
        if scale == 100 or scale == 12:
            part *= scale
        elif scale is not None:
            total, part = total + part * scale, 0.0
        else:
            part += _piece(piece)
    number = total + part + (0.5 if half else 0)
    return number if math.isfinite(number) else None


def _piece(piece: str) -> float:
    match piece:
        case "a":
            return 1.0
        case "half":
            return 0.5
        case "and":
            return 0.0
        case _:
            return float(_WORDS[piece]) if piece in _WORDS else float(piece.replace(",", ""))
