"""Which rows of a source are taken."""

from __future__ import annotations

import random
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import DataError

Picks = range | NDArray[np.int64]


def taken(take: str, num_rows: int, name: str, seed: int) -> Picks:
    """Row numbers of `all`, `first:N`, `end:N` or `random:N`, ascending; N may be a percentage.

    A percentage is rounded up, as in LLaVA-NeXT. Which rows `random` takes follows from seed, name
    and counts. Raises DataError if there are fewer rows than asked for.
    """
    how, _, amount = take.partition(":")
    if how == "all":
        return range(num_rows)
    wanted = count(amount, num_rows)
    if not 0 < wanted <= num_rows:
        problem = f"{take} asks for {wanted:,} of the {num_rows:,} rows of {name}"
        raise DataError("take", problem, "ask for at least one and at most all of them")
    match how:
        case "first":
            return range(wanted)
        case "end":
            return range(num_rows - wanted, num_rows)
        case _:
            assert how == "random", "the spec checks the words"
            rng = random.Random(f"take/{seed}/{name}/{num_rows}")
            return np.array(sorted(rng.sample(range(num_rows), wanted)), dtype=np.int64)


def count(amount: str, num_rows: int) -> int:
    """`40` or `12.5%` of `num_rows`."""
    if not amount.endswith("%"):
        return int(amount)
    return ceil(Fraction(amount[:-1]) * num_rows / 100)
