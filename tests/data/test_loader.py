"""The feed: one order whatever makes it, resumed anywhere, and nothing left out in silence."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.feeding import (
    BATCHES,
    BUCKET,
    MAKER,
    PACK,
    PAD,
    Shelf,
    Steps,
    equal,
    feed,
    mixed,
    same,
    taken,
)
from tests.helpers.speaking import chat_spec

from sightline.core.errors import DataError, SpecError
from sightline.data.loader import Feed
from sightline.data.mix import Entry, Mixture
from sightline.data.rows import ConversationMaker
from sightline.model.prepare import Preparer
from sightline.spec.train import PackSpec, PadSpec, ScenesSpec


def seen(steps: Steps) -> list[str]:
    return [id_ for step in steps for id_ in step.ids]


@pytest.mark.parametrize(("mode", "accumulate"), [("pad", 1), ("bucket", 2), ("pack", 2)])
def test_any_number_of_workers_and_any_start(mode: str, accumulate: int) -> None:
    """Mixture, packs, a stream, workers: the states go through JSON, as in a checkpoint."""
    batch = BATCHES[mode]
    whole = taken(feed(mixed(), batch, 0, accumulate=accumulate), 24)
    assert any(id_[0] == "s" for id_ in seen(whole)) and any(s.micro[0].batch.pixels for s in whole)
    assert not equal(whole[:1], whole[1:2])
    for workers in (1, 2) if mode == "pack" else (2,):
        assert equal(taken(feed(mixed(), batch, workers, accumulate=accumulate), 24), whole)
    for start, workers in ((1, 0), (2, 0), (7, 1), (14, 0), (19, 0)):
        state = json.loads(json.dumps(whole[start - 1].state))
        with feed(mixed(), batch, workers, accumulate=accumulate) as made:
            for _ in range(2):  # a feed can begin again; what it had ahead is given up
                steps = made.steps(state)
                assert equal([next(steps) for _ in range(4)], whole[start : start + 4])


@given(st.sampled_from(sorted(BATCHES)), st.integers(1, 3), st.integers(1, 25))
@settings(max_examples=10)
def test_resumed_at_any_step(mode: str, accumulate: int, start: int) -> None:
    made = feed(mixed(), BATCHES[mode], accumulate=accumulate)
    whole = taken(made, start + 2)
    assert equal(taken(made, 2, whole[start - 1].state), whole[start:])


@pytest.mark.parametrize("mode", BATCHES)
@pytest.mark.parametrize("world", [2, 4])
def test_processes_together_see_what_one_sees(mode: str, world: int) -> None:
    alone = taken(feed(mixed(), BATCHES[mode], accumulate=4), 6)
    ranks = [
        taken(feed(mixed(), BATCHES[mode], rank=rank, world=world, accumulate=4), 6)
        for rank in range(world)
    ]
    for number, step in enumerate(alone):
        assert len(step.micro) == 4
        for m, micro in enumerate(step.micro):
            assert same(micro, ranks[m % world][number].micro[m // world])
        assert all(one[number].state == step.state for one in ranks)
    resumed = feed(mixed(), BATCHES[mode], rank=1, world=2, accumulate=4)
    assert taken(resumed, 1, alone[2].state)[0].micro[0].ids == alone[3].micro[1].ids


@pytest.mark.parametrize("mode", BATCHES)
def test_no_row_twice_and_none_missing_within_a_pass(mode: str) -> None:
    """A window may hold the end of one pass and the start of the next: counted by windows."""
    sizes = {"pad": 3, "bucket": 15, "pack": 16}
    rows = 10 * sizes[mode]
    mixture = Mixture((Entry(Shelf("a", rows - 5)), Entry(Shelf("b", 5))), seed=2)
    made = feed(mixture, BATCHES[mode])
    found: list[str] = []
    with made:
        for step in made.steps():
            found += step.ids
            if len(found) >= 2 * rows:
                break
    for turn in range(2):
        assert len(set(found[turn * rows : (turn + 1) * rows])) == rows
    assert Counter(found) == Counter({id_: 2 for id_ in found})
    assert made.num_rows == rows


def test_packs_keep_their_budgets_and_are_full() -> None:
    steps = taken(feed(mixed(), PACK), 40)
    for step in steps:
        [micro] = step.micro
        assert micro.tokens == micro.batch.token_ids_BT.shape[1] <= micro.capacity == 120
        assert micro.visual_tokens <= 12
    assert sum(s.micro[0].tokens for s in steps) / (120 * len(steps)) > 0.7


def test_buckets_pad_less() -> None:
    def share(batch: PadSpec) -> float:
        steps = taken(feed(mixed(), batch), 30)
        return sum(s.micro[0].tokens for s in steps) / sum(s.micro[0].capacity for s in steps)

    assert share(BUCKET) > share(PAD) + 0.05


def test_one_world_is_fed_in_order() -> None:
    scenes = ScenesSpec(words=40, questions=3, sides=(24, 33))
    with Feed(scenes, MAKER, PadSpec(rows=4), accumulate=2) as made:
        steps = made.steps()
        assert [next(steps).ids for _ in range(2)] == [
            tuple(f"scenes-0:{i}" for i in range(8 * s, 8 * s + 8)) for s in range(2)
        ]
        assert made.num_rows is None and "scenes" in made.notes[0]


def test_numbers_that_do_not_divide_are_refused() -> None:
    with pytest.raises(DataError, match="3 micro-batches cannot be dealt evenly to 2"):
        feed(mixed(), PAD, 0, 0, 2, accumulate=3)


def test_batches_that_the_model_cannot_take_are_refused() -> None:
    scaling = {"kind": "dynamic", "factor": 2.0, "original_context": 40}
    spec = chat_spec(language={"positions": {"scaling": scaling}})
    maker = ConversationMaker(Preparer(spec, MAKER.prepare.tokenizer))
    with pytest.raises(SpecError, match="cannot be packs"):
        Feed(mixed(), maker, PACK)


def test_a_state_of_other_data_is_refused() -> None:
    state = taken(feed(mixed(), PACK), 1)[0].state
    assert state["micro"] == 1
    grown = Mixture((Entry(Shelf("a", 32)),))
    with pytest.raises(DataError, match=r"data: were .*'a', 31.* and are .*'a', 32"):
        taken(feed(grown, PACK), 1, state)
    with pytest.raises(DataError, match="batch: is another than when the run stopped"):
        taken(feed(mixed(), PackSpec(tokens=121, window=16)), 1, state)


def test_a_state_of_another_order_is_refused() -> None:
    state = json.loads(json.dumps(taken(feed(mixed(), PACK), 1)[0].state))
    assert equal(taken(feed(mixed(), PACK), 1, state), taken(feed(mixed(), PACK), 2)[1:])
    first, *others = mixed().entries
    for name, value in (("weight", 3), ("repeat", 2.0), ("block_rows", 9)):
        entries = (replace(first, **{name: value}), *others)
        with pytest.raises(DataError, match=r"data: were ordered by seed 7, .* and are ordered by"):
            taken(feed(replace(mixed(), entries=entries), PACK), 1, state)
    for changes in ({"seed": 8}, {"shuffle": False}):
        with pytest.raises(DataError, match=r"data: were ordered by seed 7, shuffle True"):
            taken(feed(replace(mixed(), **changes), PACK), 1, state)
    older = {key: value for key, value in state.items() if key != "order"}
    assert equal(taken(feed(mixed(), PACK), 1, older), taken(feed(mixed(), PACK), 2)[1:])
