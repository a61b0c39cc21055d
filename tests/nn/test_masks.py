"""Masks against the definition, written out token by token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.nn.masks import PADDING, BoundMask, Mask


@st.composite
def masks(draw):
    """A mask over up to 9 columns, a span of queries in it, and a window."""
    columns = draw(st.integers(1, 9))
    rows = draw(st.integers(1, 3))

    def table(low, high):
        cells = st.lists(st.integers(low, high), min_size=columns, max_size=columns)
        return torch.tensor(draw(st.lists(cells, min_size=rows, max_size=rows)))

    mask = Mask(
        causal=draw(st.booleans()),
        document_BS=table(PADDING, 2) if draw(st.booleans()) else None,
        group_BS=table(-1, 2) if draw(st.booleans()) else None,
        groups_in_window=draw(st.booleans()),
    )
    start = draw(st.integers(0, columns - 1))
    stop = draw(st.integers(start + 1, columns))
    return mask, start, stop, draw(st.none() | st.integers(1, 10))


def sees(mask, row, query, key, window):
    """The definition."""
    if query == key:
        return True
    if mask.document_BS is not None:
        mine, theirs = mask.document_BS[row, query], mask.document_BS[row, key]
        if mine != theirs or mine == PADDING:
            return False
    near = window is None or query - key < window
    if mask.group_BS is not None:
        mine, theirs = mask.group_BS[row, query], mask.group_BS[row, key]
        if mine == theirs and mine >= 0:
            return near or not mask.groups_in_window
    if mask.causal and key > query:
        return False
    return near


def written_out(bound: BoundMask, rows, start, stop):
    """bool[rows, queries, keys] of whatever form the mask was bound to."""
    if bound.allowed_B1TS is not None:
        assert bound.allowed_B1TS.shape[1:] == (1, stop - start, stop)
        return bound.allowed_B1TS[:, 0].expand(rows, -1, -1)
    full = torch.ones(rows, stop - start, stop, dtype=torch.bool)
    if bound.causal:
        assert start == 0, "kernels align plain causality to the first key"
        return full.tril()
    return full


@given(masks())
def test_bound_masks_equal_the_definition(case):
    mask, start, stop, window = case
    rows = next((len(t) for t in (mask.document_BS, mask.group_BS) if t is not None), 1)
    found = written_out(mask.bind(start, stop, window, torch.device("cpu")), rows, start, stop)
    for row in range(rows):
        for query in range(start, stop):
            for key in range(stop):
                truth = sees(mask, row, query, key, window)
                assert found[row, query - start, key] == truth, (row, query, key)


@given(masks())
def test_every_token_sees_itself(case):
    """A row without any key would be a softmax over nothing."""
    mask, start, stop, window = case
    rows = next((len(t) for t in (mask.document_BS, mask.group_BS) if t is not None), 1)
    found = written_out(mask.bind(start, stop, window, torch.device("cpu")), rows, start, stop)
    assert found[:, torch.arange(stop - start), torch.arange(start, stop)].all()


@pytest.mark.parametrize(
    ("mask", "span", "window", "expected"),
    [
        (Mask(), (0, 5), None, BoundMask(causal=True)),
        (Mask(), (0, 5), 5, BoundMask(causal=True)),
        (Mask(), (4, 5), None, BoundMask()),
        (Mask(), (4, 5), 5, BoundMask()),
        (Mask(causal=False), (0, 5), None, BoundMask()),
    ],
)
def test_plain_masks_are_never_written_out(mask, span, window, expected):
    assert mask.bind(*span, window, torch.device("cpu")) == expected


def test_a_sliding_window_holds_the_token_itself_and_those_before():
    allowed = Mask().bind(0, 4, 2, torch.device("cpu")).allowed_B1TS[0, 0]
    assert allowed.tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [False, True, True, False],
        [False, False, True, True],
    ]


def test_room_belongs_to_the_document_and_to_no_group():
    mask = Mask(True, torch.tensor([[PADDING, 0, 0]]), torch.tensor([[-1, 5, 5]]))
    wide = mask.with_room(2)
    assert wide.document_BS.tolist() == [[PADDING, 0, 0, 0, 0]]
    assert wide.group_BS.tolist() == [[-1, 5, 5, -1, -1]]
    assert Mask().with_room(3) == Mask()


def test_tables_are_changed_together():
    mask = Mask(False, torch.tensor([[0], [1]]), torch.tensor([[2], [3]]))
    picked = mask.with_tables(lambda table: table[[1, 1]])
    assert not picked.causal
    assert picked.document_BS.tolist() == [[1], [1]] and picked.group_BS.tolist() == [[3], [3]]
