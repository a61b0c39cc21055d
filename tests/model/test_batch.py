"""What collate promises of any set of conversations."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.tiny import Item, item, words

from sightline.model.batch import collate
from sightline.nn.masks import PADDING

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
