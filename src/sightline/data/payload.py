"""Objects with tensors through a pipe: the numbers are read straight into their place. They are not
put into shared memory, of which containers have little, and which costs a file for each tensor."""

from __future__ import annotations

import io
import os
import pickle
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor


class _Pickler(pickle.Pickler):
    """Tensors as their dtype, shape and buffer."""

    def reducer_override(self, obj: object) -> Any:
        if not isinstance(obj, Tensor):
            return NotImplemented
        flat = obj.detach().contiguous().reshape(-1)
        if not flat.numel():
            return _empty, (obj.dtype, obj.shape)
        return _tensor, (
            pickle.PickleBuffer(flat.view(torch.uint8).numpy().data),
            obj.dtype,
            obj.shape,
        )


def _empty(dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.empty(shape, dtype=dtype)


def _tensor(buffer: Any, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.frombuffer(buffer, dtype=dtype).reshape(shape)


def send(pipe: Connection, thing: object) -> None:
    """Write `thing`: its outline, then its buffers. Raises OSError where nobody listens."""
    buffers: list[pickle.PickleBuffer] = []
    outline = io.BytesIO()
    _Pickler(outline, protocol=5, buffer_callback=buffers.append).dump(thing)
    views = [buffer.raw() for buffer in buffers]
    pipe.send([len(view) for view in views])
    pipe.send_bytes(outline.getbuffer())
    for view in views:
        _write(pipe, view)


def receive(pipe: Connection) -> Any:
    """Read what `send` wrote. Raises EOFError or OSError where the other side is gone."""
    sizes: list[int] = pipe.recv()
    outline = pipe.recv_bytes()
    buffers = [np.empty(size, np.uint8) for size in sizes]
    for buffer in buffers:
        _read(pipe, buffer.data)
    return pickle.loads(outline, buffers=buffers)


def _write(pipe: Connection, view: memoryview) -> None:
    """All of it; without the copies that a message costs, where pipes are files."""
    if not hasattr(os, "readv"):
        pipe.send_bytes(view)
        return
    while view:
        view = view[os.write(pipe.fileno(), view) :]


def _read(pipe: Connection, view: memoryview) -> None:
    """Fill it. Raises EOFError where the other side is gone."""
    if not hasattr(os, "readv"):
        pipe.recv_bytes_into(view)
        return
    while view:
        if not (count := os.readv(pipe.fileno(), [view])):
            raise EOFError
        view = view[count:]
