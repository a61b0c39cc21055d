"""A row as the model will read it, with what it is taught marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from sightline.data.rows import TrainRow
from sightline.prompt.tokenizer import Tokenizer

Kind = Literal["given", "taught", "visual"]


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring tokens of one kind: given to the model, taught (a target of the loss), or
    visual; their words, and how many they are."""

    kind: Kind
    text: str
    tokens: int


def runs_of(row: TrainRow, tokenizer: Tokenizer) -> Iterator[Run]:
    """The whole sequence in order."""
    visual = row.prepared.visual_T.tolist()
    marks = zip(row.prepared.token_ids, row.weights, visual, strict=True)
    for kind, group in groupby(marks, key=lambda mark: _kind(mark[1], mark[2])):
        ids = [mark[0] for mark in group]
        text = "" if kind == "visual" else tokenizer.decode(ids, skip_special=False)
        yield Run(kind, text, len(ids))


def _kind(weight: float, visual: bool) -> Kind:
    return "visual" if visual else "taught" if weight > 0 else "given"
