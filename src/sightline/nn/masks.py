"""Who may see whom, as data; dense only where a kernel needs it."""

# B batch  T queries  S keys (columns of the sequence or of the cache)
# N neighbouring documents of one length  L that length

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

PADDING = -1


@dataclass(frozen=True, slots=True)
class BoundMask:
    """A mask resolved for one forward pass: nothing, plain causal, or bool[B or 1, 1, T, S].

    runs: of a packed row, what lies end to end in it; the other fields are then unused.
    """

    causal: bool = False
    allowed_B1TS: Tensor | None = None
    runs: tuple[Run, ...] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """`documents` neighbours of equal length, each `queries` tokens that see `keys` columns of
    their own as `mask` says, in which a document is a row."""

    documents: int
    queries: int
    keys: int
    mask: BoundMask


@dataclass(frozen=True, slots=True)
class Mask:
    """Visibility of a sequence.

    causal: a token sees columns up to its own.
    document_BS: int64, tokens see only their own document; PADDING is seen by no other token.
    group_BS: int64, tokens of one group >= 0 see each other in both directions: all of them, or
    with `groups_in_window` none further back than a layer's window.
    lengths: of the documents that fill the one row of a packed batch end to end. They say what
    `document_BS` says; a whole row is then attended to document by document.
    """

    causal: bool = True
    document_BS: Tensor | None = None
    group_BS: Tensor | None = None
    groups_in_window: bool = False
    lengths: tuple[int, ...] | None = None

    def with_tables(self, change: Callable[[Tensor], Tensor]) -> Mask:
        """The same mask with `change` applied to its tables (another device, other rows)."""
        document, group = self.document_BS, self.group_BS
        return replace(
            self,
            document_BS=None if document is None else change(document),
            group_BS=None if group is None else change(group),
        )

    def with_room(self, extra: int) -> Mask:
        """`extra` more columns, in the one document of their row and in no group."""
        assert self.lengths is None, "a packed row has no one document to go on with"
        document, group = self.document_BS, self.group_BS
        return replace(
            self,
            document_BS=None if document is None else F.pad(document, (0, extra), value=0),
            group_BS=None if group is None else F.pad(group, (0, extra), value=-1),
        )

    def bind(self, start: int, stop: int, window: int | None, device: torch.device) -> BoundMask:
        """For queries at columns start..stop over keys at columns 0..stop."""
        if self.lengths is not None and (start, stop) == (0, sum(self.lengths)):
            return BoundMask(runs=tuple(self._runs(self.lengths, window, device)))
        plain = self.document_BS is None and self.group_BS is None
        if plain and (window is None or stop <= window):
            single = stop - start == 1
            if not self.causal or single:
                return BoundMask()
            if start == 0:
                return BoundMask(causal=True)
        return BoundMask(allowed_B1TS=self._dense(start, stop, window, device))

    def _runs(
        self, lengths: tuple[int, ...], window: int | None, device: torch.device
    ) -> Iterator[Run]:
        start = 0
        for length, equal in groupby(lengths):
            count = len(list(equal))
            stop = start + count * length
            group_NL = (
                None if self.group_BS is None else self.group_BS[0, start:stop].view(count, -1)
            )
            if group_NL is not None and not (group_NL >= 0).any():
                group_NL = None
            alone = replace(self, document_BS=None, group_BS=group_NL, lengths=None)
            yield Run(count, length, length, alone.bind(0, length, window, device))
            start = stop

    def _dense(self, start: int, stop: int, window: int | None, device: torch.device) -> Tensor:
        query = torch.arange(start, stop, device=device)[:, None]
        key = torch.arange(stop, device=device)[None, :]
        allowed = ((key <= query) if self.causal else torch.ones_like(key <= query))[None]
        near = query - key < (stop if window is None else window)
        if not self.groups_in_window:
            allowed = allowed & near
        if self.group_BS is not None:
            mine, theirs = self.group_BS[:, start:stop, None], self.group_BS[:, None, :stop]
            allowed = allowed | ((mine == theirs) & (mine >= 0))
        if self.groups_in_window:
            allowed = allowed & near
        if self.document_BS is not None:
            mine, theirs = self.document_BS[:, start:stop, None], self.document_BS[:, None, :stop]
            allowed = (allowed & (mine == theirs) & (mine != PADDING)) | (query == key)
        return allowed[:, None]
