"""Words that turn a sentence around, and those that leave it open.

Where one of them stands before a mention in the same clause, or a refusal right after it, the
mention is no answer: `It is not a cat`, `The wrong answer is A`, `Option B is incorrect`. What is
left then is unclear rather than read the wrong way round.
"""

from __future__ import annotations

import re

# `no` with an object; `No, ...` and `No it is ...` answer a question, and deny nothing after them.
_NO = r"no(?!\s*[,.:;!–—]|\s+-\s|\s+(?:the|it|this|that|i)\b)"
_ANSWER = r"(?:answer|option|choice|one)s?"
_BEFORE = re.compile(
    rf"\b(?:{_NO}|not(?!\s+(?:only|just)\b)|never|cannot|neither|nor|none|nothing|without|hardly"
    r"|(?:do|does|did|is|are|was|were|ca|wo|could|would|should)nt"
    r"|unlikely|unclear|unsure|uncertain|impossible|doubt|whether|if|except|(?<!at )least"
    r"|second(?=\s+best)|(?:rather|other)\s+than|instead\s+of|(?:anything|everything|all)\s+but"
    r"|rul(?:e|es|ed|ing)\s+out|exclud\w+|eliminat\w+"
    rf"|(?:wrong|incorrect|false)\s+{_ANSWER}|(?:wrong|incorrect|false|untrue)\s+(?:that|to))\b"
    r"|n['’]t\b|\b(?:wrong|incorrect)\s*(?:[:=]|\s(?:is|are)\b)\s*\Z|\bnon-\Z",
    re.IGNORECASE,
)
_REFUSED = (
    rf"(?:(?:the|a)\s+(?:(?:correct|right|best|true)\s+)?{_ANSWER}|correct|right|true|possible|it"
    r"|there|present|visible|shown|in)\b|[.,;!]|\s*\Z"
)
_AFTER = re.compile(
    r"[)\]\"'”’]*\s*(?:"
    rf"(?:is|are|was|were)(?:\s+\w+ly)?(?:\s+not|n['’]?t)\s*(?:{_REFUSED})"
    r"|(?:is|are|was|were|seems|looks)\s+(?:\w+ly\s+)?"
    r"(?:wrong|incorrect|false|untrue|impossible|unlikely|excluded|ruled\s+out|eliminated)\b"
    r"|(?:can|could)(?:not|n['’]?t|\s+not)\s+be\b"
    r"|:?\s*(?:wrong|incorrect|not\s+(?:correct|right|true|the\s+answer))\b)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[.!?;](?=\s|\Z)|(?<!:)\n(?=\s*(?-i:[A-Z(\[\d*#-]))"
    r"|,\s+(?:and\s+)?(?=(?:so|then|rather|the\s+(?:(?:correct|right|best)\s+)?"
    r"(?:answer|option|choice)|i\s+(?:choose|pick|select)|it\s+(?:is|must)|it['’]s"
    r"|(?:option\s+)?\(?\w\)?\s+is\s+(?:the\s+)?(?:correct|right|best))\b)"
    r"|\b(?:therefore|hence|thus)\b"
    r"|(?<!anything )(?<!everything )(?<!nothing )(?<!all )\bbut\b",
    re.IGNORECASE,
)
_REACH = 400  # characters: longer than clauses are, and answers that repeat themselves stay quick
_SENTENCE = re.compile(r"[.!?](?=\s|\Z)|\n")

# `There is no ...`: nothing that a question asks for.
DULL = (
    r"(?:such\s+)?(?:doubt|question|way|ideas?|clues?|information|context|reasons?|need|problem"
    r"|wonder|surprise|denying|telling|mistaking|guarantee|evidence|indication|answer|comment"
    r"|worries|thanks?|more|less|fewer|longer|matter|point|sense|enough|sufficient|clear|full"
    r"|complete|whole|single|definite|exact|specific|numbers?|count)\b"
)


def denied(text: str, start: int, end: int) -> bool:
    """Whether what stands at `text[start:end]` is denied, or left open, by the words around it."""
    return bool(_BEFORE.search(clause_before(text, start)) or _AFTER.match(text, end))


def clause_before(text: str, start: int) -> str:
    """What stands before a place in its own clause, of the last _REACH characters."""
    return _CLAUSE.split(text[max(0, start - _REACH) : start])[-1]


def negations(text: str) -> int:
    """How often a text denies something, or leaves it open."""
    return len(_BEFORE.findall(text))


def sentences(text: str) -> list[str]:
    """Sentences and lines that hold something; a full stop inside a number ends none."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def sentence_end(text: str, start: int) -> int:
    """Where the sentence ends that a place is in."""
    found = _SENTENCE.search(text, start)
    return found.start() if found else len(text)
