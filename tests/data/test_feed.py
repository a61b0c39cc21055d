"""Batches of training rows: the same from any worker and any start, padded on the right."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.helpers.speaking import PAD, assistant, chat_spec, picture, tokenizer, user
from tests.helpers.tiny import Json, tiny_model
from torch import Tensor

from sightline.data.feed import Steps, feed, training_batch
from sightline.model.batch import Batch, collate
from sightline.model.prepare import Prepared, Preparer
from sightline.nn.masks import Mask
from sightline.spec.train import StageSpec
from sightline.train.run import row_maker

PREPARE = Preparer(chat_spec(), tokenizer())
STAGE = StageSpec.parse(
    {"kind": "instruct", "steps": 5, "batch": 3, "schedule": {"warmup_steps": 0},
     "data": {"words": 40, "questions": 3, "sides": (24, 33)}}
)  # fmt: skip


def steps() -> Steps:
    return Steps(row_maker(STAGE, PREPARE), STAGE.batch, PAD)


def same(a: list[tuple[Batch, Tensor]], b: list[tuple[Batch, Tensor]]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x.token_ids_BT, y.token_ids_BT)
        and torch.equal(x.visual_BT, y.visual_BT)
        and torch.equal(x.positions_ABT, y.positions_ABT)
        and len(x.pixels) == len(y.pixels) > 0
        and all(map(torch.equal, x.pixels, y.pixels))
        and torch.equal(targets_x, targets_y)
        for (x, targets_x), (y, targets_y) in zip(a, b, strict=True)
    )


def test_any_number_of_workers_and_any_start() -> None:
    whole = list(feed(steps(), 0, 5, workers=0))
    assert same(list(feed(steps(), 0, 5, workers=1)), whole)
    assert same(list(feed(steps(), 2, 5, workers=0)), whole[2:])
    assert same(list(feed(steps(), 3, 5, workers=2)), whole[3:])
    assert not same(whole[:1], whole[1:2])
    assert list(feed(steps(), 5, 5, workers=0)) == []


def test_a_batch_is_its_rows_padded_on_the_right() -> None:
    row = row_maker(STAGE, PREPARE)
    items = [row(3), row(4), row(5)]
    batch, targets_BT = steps()[1]
    lengths = [len(item.token_ids) for item in items]
    assert len(set(lengths)) > 1 and batch.token_ids_BT.shape == (3, max(lengths))
    assert batch.mask == Mask()
    for i, (item, length) in enumerate(zip(items, lengths, strict=True)):
        assert batch.token_ids_BT[i, :length].tolist() == item.token_ids
        assert targets_BT[i, :length].tolist() == item.targets and any(item.targets)
        assert torch.equal(batch.visual_BT[i, :length], item.visual_T)
        assert bool((batch.token_ids_BT[i, length:] == PAD).all())
        assert not targets_BT[i, length:].any() and not batch.visual_BT[i, length:].any()
    given = [view for item in items for view in item.pixels]
    assert len(given) == 3 and all(map(torch.equal, batch.pixels, given))


def test_rows_with_and_without_pictures_share_a_batch() -> None:
    made = [
        PREPARE(messages, add_generation_prompt=False)
        for messages in (
            [user("Is it?"), assistant("yes")],
            [user(picture(), picture(3, 3), "Is it red?"), assistant("no")],
        )
    ]
    batch, targets_BT = training_batch(made, PAD)
    assert [len(visual.pixels) for visual in batch.visuals] == [0, 2]
    assert batch.visual_BT.sum(1).tolist() == [0, made[1].visual_tokens]
    assert targets_BT.sum(1).tolist() == [sum(item.targets) for item in made]


FUSIONS: dict[str, Json] = {
    "causal": {"kind": "interleave"},
    "prefix": {"kind": "interleave", "mask": "prefix"},
    "media": {"kind": "interleave", "mask": "media"},
    "expert": {"kind": "visual_expert", "positions": "shared"},
    "memory": {"kind": "cross_attention", "layers": [0, 2]},
}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_is_trained_sees_what_is_asked(fusion: str) -> None:
    """Rows of unequal length in a training batch against each alone as it is answered."""
    spec = chat_spec(fusion=FUSIONS[fusion])
    model, prepare = tiny_model(spec), Preparer(spec, tokenizer())
    rows = [
        prepare([user(picture(seed=i), "Is it " + "red " * i), assistant("yes " * (4 - i))],
                add_generation_prompt=False)
        for i in range(3)
    ]  # fmt: skip
    batch, _ = training_batch(rows, PAD)
    with torch.no_grad():
        together_BTD = model(batch)
        for i, row in enumerate(rows):
            alone_1TD = model(collate([row], PAD, "left"))
            found_TD = together_BTD[i, : len(row.token_ids)]
            assert float((found_TD - alone_1TD[0]).abs().max()) <= 1e-4


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
    row = prepare([user(picture(), "Is it red?"), assistant("yes")], add_generation_prompt=False)
    batch, _ = training_batch([row], PAD)
    with torch.no_grad():
        blind = model(replace(batch, mask=Mask(), latest_BT=None))
        assert float((model(batch) - blind).abs().max()) > 5e-4


def failing(index: int) -> Prepared:
    raise ZeroDivisionError(f"row {index}")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_row_that_fails_ends_the_feed(workers: int) -> None:
    with pytest.raises(ZeroDivisionError, match="row 2"):
        next(feed(Steps(failing, 1, PAD), 2, 3, workers))
