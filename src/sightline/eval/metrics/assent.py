"""Whether an answer says yes or no.

Read in this order; the first reading that finds one decides.
    the whole text                          yes   No.   **Y**
    it says so, the last time               The answer is no.   Answer: Y
    its first word                          Yes, a red one.   No, there is none.
    the first sentence comes to it          I would say no.   I think so, yes.
    the first sentence denies that a thing
    is there, and says no other             There is no dog.   The image does not show a dog.
A denied word (`I would not say yes`), both words (`yes or no`, `No. Wait: yes.`), and a `no` that
belongs to something else (`No doubt`, `a dog with no collar`) are neither.
"""

from __future__ import annotations

import re

from sightline.eval.metrics.negation import DULL, denied, negations, sentences

_SHORT = {"y": "yes", "n": "no", "yes": "yes", "no": "no"}
_ENDS = (
    r"(?=\W*\Z|\s*[.,;:!)\"'”’\n]|\s+[-–—]\s"
    r"|\s+(?:because|since|as|there|it|i|he|she|they|this|that|these|those|the|we|you|not)\b)"
)
_WORD = rf"[\"'“\u2018(]*\b(yes(?!\s*(?:/|or\b|and\s+no\b|if\b|unless\b))|no)\b{_ENDS}"
_STATED = re.compile(
    r"\banswer\b[^.!?\n]{0,60}?(?:\b(?:is|be|was)\b|[:=])\s*(?:an?\s+)?(?:\w+ly\s+)?"
    rf"(?:{_WORD}|\b([yn])\b(?=\W*\Z|[.,;!)\n]))"
)
_FIRST = re.compile(rf"\W*{_WORD}")
_QUOTED = re.compile(r"[\"'”’]*\s*(?:is|are|was|were)\b|\s*\?\s*\S|\.\s*\d")
_COMES_TO = re.compile(
    r"\W*(?:(?:so|thus|hence|therefore|well|oh)\b\W*)?"
    r"(?:i(?:\s+(?:would|will|must)|['’](?:d|ll))?\s+(?:have\s+to\s+)?"
    r"(?:say|think|answer|guess|believe)(?:\s+that)?(?:\s+(?:it\s+is|it['’]s|the\s+answer\s+is))?"
    rf"|it\s+is|it['’]s|that\s+is|that['’]s|\w+ly)\s*[:,]?\s*(?:an?\s+)?{_WORD}"
)
_LAST = re.compile(r",\s*(yes|no)\W*\Z")
_UNKNOWN = re.compile(r"\b(?:tell|know|sure|determine|certain|say)\b")
_THERE = r"\bthere(?:\s+(?:is|are|was|were)|['’]s|\s+(?:does|do)\s+not\s+(?:seem|appear)\s+to\s+be)"
_SCENE = r"(?:image|picture|photo|photograph|scene|figure|drawing|video)"
_SEEN = rf"(?:there|here|visible|present|shown|seen|found|depicted|(?:in|on)\s+the\s+{_SCENE})\b"
_ABSENT = re.compile(
    rf"{_THERE}\s+(?:\w+ly\s+)?(?:no|not\s+(?:an?|any))\s+(?!{DULL})\w"
    rf"|\bthere\s+(?:is|are|was|were)n['’]?t\s+(?:an?|any)\s+(?!{DULL})\w"
    rf"|{_THERE}(?:\s+(?:not|none)|n['’]t)(?:\s+(?:one|any))?\s*\Z"
    rf"|\b{_SCENE}\s+do(?:es)?(?:\s+not|n['’]?t)\s+(?:\w+ly\s+)?"
    rf"(?:show|contain|have|include|depict|feature|display)\s+(?:an?|any)\s+(?!{DULL})\w"
    rf"|\b(?:i|we|you)\s+(?:do|can)(?:\s*not|n['’]?t|['’]t)\s+(?:see|spot|find)\s+(?:an?|any)\s+"
    rf"(?!{DULL})\w"
    rf"|\Ano\s+(?!{DULL})[\w ]{{1,30}}?\s+(?:(?:is|are|was|were|can\s+be)\s+)?{_SEEN}"
    rf"|\A(?:an?|the|any)\s+[\w ]{{1,30}}?\s+(?:is|are)(?:\s+not|n['’]?t)\s+{_SEEN}"
    rf"|\Ano\s+(?!{DULL})[a-z]+(?:\s+[a-z]+)?\Z"
)
_OTHERWISE = re.compile(
    r"\b(?:but|except|only|just|however|although|though|while|instead|besides|other\s+than)\b"
    r"|,\s*(?:it|i|we|there|this|that)\b"
)


def yes_or_no(text: str) -> str | None:
    """What an answer says: `yes`, `no`, or None; see the module's text."""
    lower = re.sub(r"[*`]", "", text).strip().lower()
    alone = lower.strip(" \t\n\"'“”\u2018’.,:;!?()[]")
    if alone in _SHORT:
        return _SHORT[alone]
    stated = [_SHORT[m[1] or m[2]] for m in _STATED.finditer(lower) if not _denied(lower, m)]
    first = _first(lower)
    if stated:
        return stated[-1] if first in (None, stated[-1]) else None
    if _FIRST.match(lower) or re.match(r"\W*yes\b", lower):
        return first
    sentence = (*sentences(lower), "")[0]
    return _comes_to(sentence) or ("no" if _absent(sentence) else None)


def _denied(text: str, found: re.Match[str]) -> bool:
    group = 1 if found[1] else 2
    return denied(text, found.start(group), found.end(group))


def _first(text: str) -> str | None:
    """The first word, unless the other stands by itself further on."""
    found = _FIRST.match(text)
    if found is None or _QUOTED.match(text, found.end()):
        return None
    other = "no" if found[1] == "yes" else "yes"
    taken_back = re.search(rf"[.,;:!?\n]\s*{other}\s*(?=[.,;:!\n]|\Z)", text[found.end() :])
    return None if taken_back else found[1]


def _comes_to(sentence: str) -> str | None:
    if found := _COMES_TO.match(sentence):
        return found[1]
    found = _LAST.search(sentence)
    if found is None or _UNKNOWN.search(sentence):
        return None
    return found[1] if found[1] == "no" or not negations(sentence) else None


def _absent(sentence: str) -> bool:
    """Whether a sentence denies one thing, that something is there, and names nothing instead."""
    once = negations(sentence) == 1 and len(re.findall(_THERE, sentence)) <= 1
    return once and bool(_ABSENT.search(sentence)) and not _OTHERWISE.search(sentence)
