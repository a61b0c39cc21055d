"""Micro-batches: padded on the right or end to end, and what a model sees in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.helpers.speaking import PAD, assistant, chat_spec, picture, tokenizer, user
from tests.helpers.tiny import Json, tiny_model

from sightline.data.collate import TrainBatch, packed, padded
from sightline.data.rows import TrainRow
from sightline.model.batch import collate
from sightline.model.prepare import Preparer
from sightline.nn.masks import Mask

PREPARE = Preparer(chat_spec(), tokenizer())
ASKED: list[list[Any]] = [
    [user("Is it?"), assistant("yes")],
    [user(picture(), picture(3, 3), "Is it red?"), assistant("no")],
    [user(picture(seed=2), "Where is the small star?"), assistant("left above"),
     user("And?"), assistant("a ring")],
]  # fmt: skip


def trained(messages: list[Any], prepare: Preparer = PREPARE, weight: float = 1.0) -> TrainRow:
    prepared = prepare(messages, add_generation_prompt=False)
    return TrainRow(
        f"x:{len(prepared.token_ids)}", prepared, tuple(weight * t for t in prepared.targets)
    )


ROWS = [trained(messages, weight=w) for messages, w in zip(ASKED, (1.0, 0.5, 2.0), strict=True)]
LENGTHS = [len(row.weights) for row in ROWS]


def test_a_padded_batch_is_its_rows_from_the_left() -> None:
    micro = padded(ROWS, PAD)
    batch, weights_BT = micro.batch, micro.weights_BT
    assert len(set(LENGTHS)) == 3 and batch.token_ids_BT.shape == (3, max(LENGTHS))
    assert batch.mask == Mask() and weights_BT.dtype == torch.float32
    for i, (row, length) in enumerate(zip(ROWS, LENGTHS, strict=True)):
        assert batch.token_ids_BT[i, :length].tolist() == row.prepared.token_ids
        assert weights_BT[i, :length].tolist() == list(row.weights) and any(row.weights)
        assert torch.equal(batch.visual_BT[i, :length], row.prepared.visual_T)
        assert bool((batch.token_ids_BT[i, length:] == PAD).all())
        assert not weights_BT[i, length:].any() and not batch.visual_BT[i, length:].any()
    given = [view for row in ROWS for view in row.prepared.pixels]
    assert len(given) == 3 and all(map(torch.equal, batch.pixels, given))
    assert [len(visual.pixels) for visual in batch.visuals] == [0, 2, 1]


def counts(micro: TrainBatch) -> tuple[float, int, int, int, int]:
    return (micro.weight, micro.target_tokens, micro.visual_tokens, micro.tokens, micro.rows)


def test_padded_and_packed_count_alike() -> None:
    weight = sum(sum(row.weights) for row in ROWS)
    targets = sum(sum(row.prepared.targets) for row in ROWS)
    shown = sum(row.prepared.visual_tokens for row in ROWS)
    for micro, capacity in ((padded(ROWS, PAD), 3 * max(LENGTHS)), (packed(ROWS, 400), 400)):
        assert counts(micro) == (weight, targets, shown, sum(LENGTHS), 3)
        assert micro.capacity == capacity and micro.ids == tuple(row.id for row in ROWS)
    assert 0 < targets < sum(LENGTHS) and weight != targets


def test_a_pack_is_its_rows_end_to_end() -> None:
    micro = packed(ROWS, 400)
    ids = [id_ for row in ROWS for id_ in row.prepared.token_ids]
    assert micro.batch.token_ids_BT.tolist() == [ids]
    assert micro.weights_BT.tolist() == [[w for row in ROWS for w in row.weights]]
    assert micro.batch.mask.lengths == tuple(LENGTHS)


def test_moved_to_another_dtype() -> None:
    moved = padded(ROWS, PAD).to(torch.device("cpu"), torch.bfloat16)
    assert all(view.dtype == torch.bfloat16 for view in moved.batch.pixels)
    assert moved.weights_BT.dtype == torch.float32 and counts(moved) == counts(padded(ROWS, PAD))


def test_a_silent_batch_is_seen_and_counts_for_nothing() -> None:
    micro = padded(ROWS, PAD)
    silent = micro.silent()
    assert counts(silent) == (0, 0, micro.visual_tokens, 0, 0) and silent.capacity == 0
    assert torch.equal(silent.batch.token_ids_BT, micro.batch.token_ids_BT)


FUSIONS: dict[str, Json] = {
    "causal": {"kind": "interleave"},
    "prefix": {"kind": "interleave", "mask": "prefix"},
    "media": {"kind": "interleave", "mask": "media"},
    "expert": {"kind": "visual_expert", "positions": "shared"},
    "memory": {"kind": "cross_attention", "layers": [0, 2]},
}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_is_trained_sees_what_is_asked(fusion: str) -> None:
    """Rows of unequal length, padded and packed, against each alone as it is answered."""
    spec = chat_spec(fusion=FUSIONS[fusion])
    model, prepare = tiny_model(spec), Preparer(spec, tokenizer())
    rows = [
        trained([user(picture(seed=i), "Is it " + "red " * i), assistant("yes " * (4 - i))],
                prepare)
        for i in range(3)
    ]  # fmt: skip
    lengths = [len(row.weights) for row in rows]
    with torch.no_grad():
        side_BTD = model(padded(rows, PAD).batch)
        end_TD = model(packed(rows, 400).batch)[0].split(lengths)
        for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            alone_TD = model(collate([row.prepared], PAD, "left"))[0]
            assert float((side_BTD[i, :length] - alone_TD).abs().max()) <= 1e-4
            assert float((end_TD[i] - alone_TD).abs().max()) <= 1e-4


@pytest.mark.parametrize("fusion", ["causal", "memory"])
def test_visual_tokens_count_in_the_sequence_and_in_a_memory(fusion: str) -> None:
    prepare = Preparer(chat_spec(fusion=FUSIONS[fusion]), tokenizer())
    asked = [[user(picture(), "Is it red?")], [user("Is it?")], [user(picture(), picture(), "?")]]
    one, *others = (prepare(messages) for messages in asked)
    shown = one.layout.visual_tokens + one.layout.memory_tokens
    assert shown > 1 and collate([one, *others], PAD, "left").visual_tokens == 3 * shown


@pytest.mark.parametrize("fusion", ["prefix", "media", "memory"])
def test_a_causal_view_of_such_a_batch_is_another(fusion: str) -> None:
    """The comparison above can fail."""
    spec = chat_spec(fusion=FUSIONS[fusion])
    model, prepare = tiny_model(spec), Preparer(spec, tokenizer())
    row = trained([user(picture(), "Is it red?"), assistant("yes")], prepare)
    batch = padded([row], PAD).batch
    with torch.no_grad():
        blind = model(replace(batch, mask=Mask(), latest_BT=None))
        assert float((model(batch) - blind).abs().max()) > 5e-4
