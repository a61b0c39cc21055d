"""Writing safetensors: shard by shard, each under its final name only when complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from sightline.families.headers import INDEX

Lazy = Callable[[], Tensor]
MAX_SHARD_BYTES = 4 << 30


def write_file(
    path: Path, tensors: Mapping[str, Lazy], header: Mapping[str, str] | None = None
) -> None:
    """One file, with the permissions of any; views and shared tensors as tensors of their own.

    `header` are words kept beside the tensors.
    """
    held = {name: make().detach().cpu().contiguous() for name, make in tensors.items()}
    owners: dict[int, str] = {}
    for name, tensor in held.items():
        if owners.setdefault(tensor.untyped_storage().data_ptr(), name) != name:
            held[name] = tensor.clone()
    part = path.with_name(f".{path.name}.part")
    part.touch()
    mode = part.stat().st_mode  # who may read it is for the user to say: safetensors lets one only
    save_file(held, part, metadata={"format": "pt", **(header or {})})
    part.chmod(mode)
    part.replace(path)


def write_folder(
    folder: Path,
    tensors: Mapping[str, Lazy],
    sizes: Mapping[str, int],
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """`model.safetensors`, or shards and their index; `sizes` are the bytes of every tensor.

    Only the tensors of one shard are made at a time. Weights of an earlier save are replaced.
    """
    shards = _shards(sizes, max_shard_bytes)
    names = ["model.safetensors"]
    if len(shards) > 1:
        count = len(shards)
        names = [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)]
    for name, shard in zip(names, shards, strict=True):
        write_file(folder / name, {tensor: tensors[tensor] for tensor in shard})
    for old in {*folder.glob("*.safetensors")} - {folder / name for name in names}:
        old.unlink()
    _write_index(folder, names, shards, sum(sizes.values()))


def _write_index(folder: Path, names: list[str], shards: list[list[str]], total: int) -> None:
    if len(names) == 1:
        (folder / INDEX).unlink(missing_ok=True)
        return
    places = {t: name for name, shard in zip(names, shards, strict=True) for t in shard}
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2)
    (folder / INDEX).write_text(text, encoding="utf-8")


def _shards(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Names in order, cut where the next tensor would pass the limit."""
    shards: list[list[str]] = [[]]
    held = 0
    for name, size in sizes.items():
        if shards[-1] and held + size > limit:
            shards.append([])
            held = 0
        shards[-1].append(name)
        held += size
    return shards
