"""Rows that cannot be used: named, counted, and left out within what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.data.feeding import BATCHES, Shelf, Steps, equal, feed, taken

from sightline.core.errors import DataError
from sightline.data.mix import Entry, Mixture
from sightline.spec.train import PackSpec, PadSpec

CORRUPT, UNREADABLE = (17, 402), (881,)


def thousand(bad_rows: int) -> Mixture:
    entry = Entry(Shelf("train.jsonl", 1000, corrupt=CORRUPT, unreadable=UNREADABLE))
    return Mixture((entry,), seed=1, bad_rows=bad_rows)


@pytest.mark.parametrize("batch", [PadSpec(rows=8), PackSpec(tokens=300, window=200)])
def test_three_bad_rows_of_a_thousand_are_named_and_the_rest_is_trained(batch: Any) -> None:
    found: list[str] = []
    bad: list[DataError] = []
    with feed(thousand(3), batch, workers=1) as made:
        for step in made.steps():
            found += step.ids
            bad += step.bad
            if len(found) >= 997:
                break
    assert sorted(error.field for error in bad) == [
        "train.jsonl:17", "train.jsonl:402", "train.jsonl:881"
    ]  # fmt: skip
    assert any("is no JSON" in str(error) for error in bad)
    assert sum("is truncated" in str(error) for error in bad) == 2
    good = {f"train.jsonl:{i}" for i in range(1000)} - {error.field for error in bad}
    assert set(found[:997]) == good and step.state["bad"] == 3


@pytest.mark.parametrize("batch", [PadSpec(rows=8), PackSpec(tokens=300, window=200)])
@pytest.mark.parametrize("allowed", [0, 2])
def test_one_bad_row_too_many_ends_the_run(batch: Any, allowed: int) -> None:
    said = rf"train\.jsonl:\d+: .*\(bad row {allowed + 1}, {allowed} are allowed\).*data\.bad_rows"
    with feed(thousand(allowed), batch) as made, pytest.raises(DataError, match=said):
        for step in made.steps():
            assert step.state["bad"] <= allowed


@pytest.mark.parametrize("mode", BATCHES)
def test_bad_rows_are_counted_once_over_a_resume(mode: str) -> None:
    shelf = Shelf("x", 40, corrupt=(3, 18), unreadable=(11, 30))
    mixture = Mixture((Entry(shelf),), bad_rows=99)
    whole = taken(feed(mixture, BATCHES[mode]), 20)
    assert {e.field for s in whole for e in s.bad} == {"x:3", "x:18", "x:11", "x:30"}
    for start in range(1, 17):
        rest = taken(feed(mixture, BATCHES[mode]), 3, whole[start - 1].state)
        assert equal(rest, whole[start : start + 3])


def test_a_row_larger_than_a_pack_is_a_bad_row() -> None:
    mixture = Mixture((Entry(Shelf("x", 40)),), bad_rows=100)
    steps = taken(feed(mixture, PackSpec(tokens=20, window=16)), 12)
    assert all(micro.tokens <= 20 for step in steps for micro in step.micro)
    said = [str(error) for step in steps for error in step.bad]
    assert said and all("a micro-batch holds 20; raise the budget" in one for one in said)


def test_data_of_bad_rows_alone_come_to_an_end() -> None:
    shelf = Shelf("x", 9, unreadable=tuple(range(9)))
    for batch in BATCHES.values():
        with pytest.raises(DataError, match=r"bad row 6, 5 are allowed"):
            taken(feed(Mixture((Entry(shelf),), bad_rows=5), batch), 1)


ONE = PadSpec(rows=1)


def test_one_process_goes_on_without_a_micro_batch_that_has_no_good_row() -> None:
    shelf = Shelf("x", 6, unreadable=(0, 2, 3))
    mixture = Mixture((Entry(shelf),), shuffle=False, bad_rows=9)
    steps = taken(feed(mixture, ONE, accumulate=2), 3)
    assert [step.ids for step in steps] == [("x:1",), ("x:4", "x:5"), ("x:1",)]
    assert [len(step.micro) for step in steps] == [1, 2, 1]
    assert [[e.field for e in step.bad] for step in steps] == [["x:0"], ["x:2", "x:3"], ["x:0"]]


def test_several_processes_stay_in_step_over_bad_rows() -> None:
    """A process whose row is bad runs an earlier one again, for nothing."""
    mixture = Mixture((Entry(Shelf("x", 8, unreadable=(4,))),), shuffle=False, bad_rows=9)
    first, second = (taken(feed(mixture, ONE, 0, rank, 2, accumulate=2), 4) for rank in (0, 1))
    assert [len(step.micro) for step in (*first, *second)] == [1] * 8
    [silent] = first[2].micro
    assert silent.ids == () and silent.weight == 0 == silent.rows == silent.tokens
    assert torch.equal(silent.batch.token_ids_BT, first[1].micro[0].batch.token_ids_BT)
    assert [e.field for e in first[2].bad] == ["x:4"] and second[2].ids == ("x:5",)


@pytest.mark.parametrize("mode", ["pad", "pack"])
def test_a_process_resumed_before_bad_rows_goes_on_as_the_others_do(mode: str) -> None:
    """What it runs for nothing is the next good micro-batch, as it has had none."""
    batch = {"pad": ONE, "pack": PackSpec(tokens=30, window=4)}[mode]
    shelf = Shelf("x", 12, corrupt=(0, 4, 6))
    mixture = Mixture((Entry(shelf),), shuffle=False, bad_rows=40)

    def rank(number: int, state: object = None, count: int = 6) -> Steps:
        return taken(feed(mixture, batch, 0, number, 2, accumulate=2), count, state)

    whole = rank(0)
    silent = [number for number, step in enumerate(whole) if not step.ids]
    assert silent
    for start in range(1, 6):
        rest = rank(0, whole[start - 1].state, 6 - start)
        for one, other in zip(rest, whole[start:], strict=True):
            assert one.ids == other.ids and one.state == other.state
            assert [m.weight for m in one.micro] == [m.weight for m in other.micro]
            assert [str(e) for e in one.bad] == [str(e) for e in other.bad]
    for number in silent:
        [micro] = rank(0, whole[number - 1].state if number else None, 1)[0].micro
        assert micro.rows == 0 == micro.weight and micro.batch.token_ids_BT.shape[1] > 0


def test_a_process_whose_first_row_is_bad_takes_the_next_good_one() -> None:
    mixture = Mixture((Entry(Shelf("x", 8, unreadable=(0, 2, 3))),), shuffle=False, bad_rows=9)
    first, second = taken(feed(mixture, ONE, 0, 0, 2, accumulate=2), 2)
    [good] = taken(feed(mixture, ONE, 0, 0, 2, accumulate=2), 3)[2].micro
    for step, bad in ((first, "x:0"), (second, "x:2")):
        [silent] = step.micro
        assert silent.ids == () and silent.weight == 0
        assert [error.field for error in step.bad] == [bad] and step.state["bad"] <= 2
        if step is second:
            assert torch.equal(silent.batch.token_ids_BT, first.micro[0].batch.token_ids_BT)
    assert good.ids == ("x:4",)


def test_several_processes_without_any_good_row_say_so() -> None:
    shelf = Shelf("x", 6, unreadable=tuple(range(6)))
    mixture = Mixture((Entry(shelf),), shuffle=False, bad_rows=9)
    with pytest.raises(DataError, match=r"no good row .* what bad_rows allows: x:0: is no JSON"):
        taken(feed(mixture, ONE, 0, 0, 2, accumulate=2), 1)
