"""What goes through a pipe arrives as it was."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import numpy as np
import pytest
import torch

from sightline.data.payload import receive, send

THINGS: dict[str, Any] = {
    "floats": torch.randn(3, 5, 7),
    "bfloat16": torch.randn(4, 4).to(torch.bfloat16),
    "flags": torch.tensor([[True, False], [False, True]]),
    "a number": torch.tensor(7),
    "nothing": torch.zeros(0, 4, dtype=torch.int64),
    "a view": torch.arange(24).reshape(4, 6)[1:, ::2].T,
    "array": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "plain": {"a": (1, None, "ü"), "b": b"bytes"},
}


def through(thing: object) -> Any:
    """A pipe holds 64 KiB: somebody must read while it is written."""
    near, far = multiprocessing.Pipe()
    sender = threading.Thread(target=send, args=(near, thing))
    sender.start()
    found = receive(far)
    sender.join()
    return found


@pytest.mark.parametrize("name", THINGS)
def test_alone(name: str) -> None:
    thing, found = THINGS[name], through(THINGS[name])
    if isinstance(thing, torch.Tensor):
        assert found.dtype == thing.dtype and torch.equal(found, thing)
        found.add_(True) if found.dtype == torch.bool else found.mul_(2)
    elif isinstance(thing, np.ndarray):
        assert np.array_equal(found, thing) and found.dtype == thing.dtype
    else:
        assert found == thing


def test_together_and_large() -> None:
    large = [torch.randn(300, 1000), *THINGS.values(), torch.randn(999)]
    found = through(large)
    assert torch.equal(found[0], large[0]) and torch.equal(found[-1], large[-1])
    assert found[-2] == THINGS["plain"]
