"""Tensors of safetensors files as views of the mapped file: nothing is read before it is used."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sightline.core.errors import WeightError
from sightline.families.headers import TensorInfo

FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
INTEGERS = {
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class MappedTensors:
    """The tensors of an index by name; views share the pages of their file (private copy).

    Files are mapped when first used and released with the last view.
    """

    def __init__(self, index: Mapping[str, TensorInfo]) -> None:
        self.index = index
        self._maps: dict[Path, mmap.mmap] = {}

    def __getitem__(self, name: str) -> Tensor:
        info = self.index[name]
        dtype = (FLOATS | INTEGERS)[info.dtype]
        count = (info.end - info.start) // dtype.itemsize
        if count == 0:
            return torch.empty(info.shape, dtype=dtype)
        pages = self._pages(info.file)
        return torch.frombuffer(pages, dtype=dtype, count=count, offset=info.start).view(info.shape)

    def release(self, name: str) -> None:
        """Let go of the pages of a tensor that has been copied; a later read maps them again."""
        info = self.index[name]
        start = info.start - info.start % mmap.PAGESIZE
        if (pages := self._maps.get(info.file)) and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED, start, info.end - start)

    def _pages(self, file: Path) -> mmap.mmap:
        if file not in self._maps:
            with file.open("rb") as stream:
                self._maps[file] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        return self._maps[file]


def check_dtype(name: str, info: TensorInfo, target: torch.dtype) -> None:
    """Raises WeightError unless floats are stored as plain floats, counters as what they are."""
    stored = (FLOATS | INTEGERS).get(info.dtype)
    if target.is_floating_point and info.dtype not in FLOATS:
        raise WeightError(
            name,
            f"is stored as {info.dtype} in {info.file.name}",
            f"give the original folder: weights are one of {', '.join(FLOATS)}",
        )
    if not target.is_floating_point and stored != target:
        problem = f"is stored as {info.dtype} where the module has {target}"
        raise WeightError(name, problem, "give the weights of this module")
