"""What collate promises of any set of conversations."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.tiny import IMAGE, Item, item, words

from sightline.model.batch import collate, pack
from sightline.nn.masks import PADDING
from sightline.prompt.encode import Span
from sightline.resolution.groups import Groups

TEXT = st.lists(st.integers(4, 40), min_size=1, max_size=6)
ITEMS = st.lists(
    st.builds(lambda a, pictures, b, seed: item(a, pictures, b, seed=seed),
              TEXT, st.integers(0, 2), TEXT, st.integers(0, 9)),
    min_size=1,
    max_size=4,
)  # fmt: skip
SIDE = st.sampled_from(["left", "right"])


@given(ITEMS, SIDE, st.integers(41, 47))
def test_every_sequence_lies_whole_on_its_side_and_the_rest_is_padding(items, side, pad):
    batch = collate(items, pad, side)
    longest = max(len(one.token_ids) for one in items)
    assert batch.token_ids_BT.shape == batch.visual_BT.shape == (len(items), longest)
    assert batch.positions_ABT.shape == (1, len(items), longest)
    for row, one in enumerate(items):
        own = torch.arange(longest) < len(one.token_ids)
        own = own.flip(0) if side == "left" else own
        assert tuple(batch.token_ids_BT[row, own].tolist()) == one.token_ids
        assert torch.equal(batch.visual_BT[row, own], one.visual_T)
        assert torch.equal(batch.positions_ABT[:, row, own], one.positions_AT)
        assert (batch.token_ids_BT[row, ~own] == pad).all()
        assert not batch.visual_BT[row, ~own].any()
        if batch.mask.document_BS is not None:
            assert torch.equal(batch.mask.document_BS[row] != PADDING, own)


@given(ITEMS, SIDE)
def test_documents_are_named_exactly_where_lengths_differ(items, side):
    lengths = {len(one.token_ids) for one in items}
    assert (collate(items, 0, side).mask.document_BS is not None) == (len(lengths) > 1)


@given(ITEMS, SIDE)
def test_views_are_in_the_order_of_their_places(items, side):
    batch = collate(items, 0, side)
    views = [view for one in items for view in one.visual.pixels]
    assert len(batch.visuals) == len(items) and len(batch.pixels) == len(views)
    assert all(a is b for a, b in zip(batch.pixels, views, strict=True))


def test_three_position_axes_are_kept():
    positions = torch.stack([torch.arange(3), torch.arange(3) * 2, torch.zeros(3, dtype=int)])
    three = Item((4, 5, 6), torch.zeros(3, dtype=torch.bool), positions)
    batch = collate([three, three], 0, "left")
    assert torch.equal(batch.positions_ABT, positions[:, None].expand(3, 2, 3))


def test_moving_a_batch_changes_pixels_only_in_dtype():
    batch = collate([item([4], 1), item(words(9))], 0, "right")
    moved = batch.to(torch.device("cpu"), torch.bfloat16)
    assert [view.dtype for view in moved.pixels] == [torch.bfloat16]
    assert torch.equal(moved.pixels[0], batch.pixels[0].bfloat16())
    assert moved.token_ids_BT.dtype == moved.positions_ABT.dtype == torch.int64
    assert torch.equal(moved.mask.document_BS, batch.mask.document_BS)


@given(ITEMS)
def test_a_pack_holds_every_sequence_end_to_end(items):
    batch, start = pack(items), 0
    assert batch.mask.lengths == tuple(len(one.token_ids) for one in items)
    assert batch.token_ids_BT.shape == (1, sum(batch.mask.lengths))
    assert batch.first_BT.sum() == len(items)
    for number, one in enumerate(items):
        own = slice(start, start + len(one.token_ids))
        assert tuple(batch.token_ids_BT[0, own].tolist()) == one.token_ids
        assert torch.equal(batch.visual_BT[0, own], one.visual_T)
        assert torch.equal(batch.positions_ABT[:, 0, own], one.positions_AT)
        assert (batch.mask.document_BS[0, own] == number).all()
        assert batch.first_BT[0, start]
        start = own.stop
    assert [visual.pixels for visual in batch.visuals] == [one.visual.pixels for one in items]


def test_documents_of_a_pack_share_no_group():
    one = replace(item(1, [5, 6]), groups=Groups((0, 0, 0, 0, -1, -1)))
    two = replace(item([5], 1), groups=Groups((-1, 1, 1, 1, 1), in_window=True))
    mask = pack([one, item([7, 8]), two, one]).mask
    assert mask.groups_in_window
    assert mask.group_BS[0].tolist() == [
        *(0, 0, 0, 0, -1, -1),
        *(-1, -1),
        *(-1, 2, 2, 2, 2),
        *(3, 3, 3, 3, -1, -1),
    ]


def test_media_of_a_pack_are_counted_by_document():
    span = Span(1, 2, 0)
    seeing = Item((5, IMAGE, 6), torch.zeros(3, dtype=torch.bool), torch.arange(3)[None],
                  spans=(span,))  # fmt: skip
    assert pack([seeing, seeing]).latest_BT is None  # nothing lies in a memory


@given(ITEMS, SIDE)
def test_the_first_token_of_a_row_is_where_it_begins(items, side):
    first_BT = collate(items, 0, side).first_BT
    longest = first_BT.shape[1]
    for row, one in enumerate(items):
        assert first_BT[row, longest - len(one.token_ids) if side == "left" else 0]
