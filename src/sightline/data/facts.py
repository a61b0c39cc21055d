"""What a state of a run must find again: the same rows in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.core.errors import DataError
from sightline.data.mix import Mixture
from sightline.spec.train import BatchSpec


def facts_of(mixture: Mixture, batch: BatchSpec) -> dict[str, Any]:
    """What the rows of a run and their order follow from, as plain data."""
    entries = mixture.entries
    return {
        "sources": [[e.source.name, e.num_rows] for e in entries],
        "order": [
            mixture.seed,
            mixture.shuffle,
            [[e.weight, e.repeat, e.block_rows] for e in entries],
        ],
        "batch": batch.model_dump(mode="json"),
    }


def check_facts(state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raises DataError for a state that other data left, or another order of them.

    States of earlier versions do not know their order.
    """
    if not state:
        return
    if state["sources"] != facts["sources"]:
        problem = f"were {state['sources']} when the run stopped and are {facts['sources']} now"
        raise DataError("data", problem, "resume with the same rows, or begin another run")
    if (before := state.get("order", facts["order"])) != facts["order"]:
        problem = f"were {_said(before)} when the run stopped and are {_said(facts['order'])} now"
        fix = "resume with the order that the run began with, or begin another run"
        raise DataError("data", problem, fix)
    if state.get("micro") and state["batch"] != facts["batch"]:
        problem = "is another than when the run stopped, within a window of rows"
        raise DataError("batch", problem, "resume with the batch that the run began with")


def _said(order: Any) -> str:
    seed, shuffle, entries = order
    return f"ordered by seed {seed}, shuffle {shuffle}, [weight, repeat, shuffle_rows] {entries}"
