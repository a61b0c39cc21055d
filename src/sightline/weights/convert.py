"""Old pickled weights (`pytorch_model*.bin`) to safetensors, once, in a process of their own.

The child unpickles with `weights_only=True`: tensors and plain containers, nothing that runs.
    python -m sightline.weights.convert IN.bin OUT.safetensors [IN.bin OUT.safetensors ...]
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from sightline.core.errors import WeightError
from sightline.families.files import listing, read_json
from sightline.families.headers import INDEX, read_header
from sightline.weights.write import write_file

BIN_INDEX = "pytorch_model.bin.index.json"
SMALL = (".json", ".model", ".txt", ".jinja", ".yaml", ".tiktoken")


def with_safetensors(folder: Path, cache: Path | None = None) -> Path:
    """`folder` itself if it has safetensors or no `.bin`; else converted, once.

    The result lies in the folder, or, if that cannot be written, with copies of the small files in
    `cache` (by default ~/.cache/sightline/converted). Raises WeightError for what is not weights.
    """
    bins = _bins(folder)
    if not bins or any(folder.glob("*.safetensors")):
        return folder
    target = folder if os.access(folder, os.W_OK) else _cache_folder(folder, bins, cache)
    if any(target.glob("*.safetensors")):
        return target
    if target != folder:
        _copy_small(folder, target)
    _convert_all(bins, target)
    return target


def _bins(folder: Path) -> list[Path]:
    index = folder / BIN_INDEX
    if not index.is_file():
        single = folder / "pytorch_model.bin"
        return [single] if single.is_file() else []
    files = sorted({Path(name).name for name in read_json(index).get("weight_map", {}).values()})
    if absent := [name for name in files if not (folder / name).is_file()]:
        raise WeightError(
            str(folder),
            f"lacks {', '.join(absent)}, which {BIN_INDEX} names (found: {listing(folder)})",
            "download the missing shards",
        )
    return [folder / name for name in files]


def _cache_folder(folder: Path, bins: list[Path], cache: Path | None) -> Path:
    """One per folder and state of its files."""
    facts = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in bins]
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    base = cache or Path.home() / ".cache" / "sightline" / "converted"
    target = base / f"{folder.name}-{key}"
    target.mkdir(parents=True, exist_ok=True)
    return target


def _copy_small(folder: Path, target: Path) -> None:
    for file in folder.iterdir():
        if file.is_file() and file.suffix in SMALL and file.name != BIN_INDEX:
            shutil.copyfile(file, target / file.name)


def _convert_all(bins: list[Path], target: Path) -> None:
    """Shards keep their count; the index is written last, so a broken run leaves none."""
    names = ["model.safetensors"]
    if len(bins) > 1:
        total = len(bins)
        names = [f"model-{i:05}-of-{total:05}.safetensors" for i in range(1, total + 1)]
    parts = [target / f".{name}.part" for name in names]
    try:
        _convert_in_child(bins, parts)
        places = {
            t: name for part, name in zip(parts, names, strict=True) for t in read_header(part)
        }
        for part, name in zip(parts, names, strict=True):
            part.replace(target / name)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    if len(bins) > 1:
        text = json.dumps({"metadata": {}, "weight_map": places}, indent=2)
        (target / INDEX).write_text(text, encoding="utf-8")


def _convert_in_child(sources: list[Path], targets: list[Path]) -> None:
    pairs = [str(path) for pair in zip(sources, targets, strict=True) for path in pair]
    command = [sys.executable, "-m", "sightline.weights.convert", *pairs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        folder = str(sources[0].parent)
        raise WeightError(folder, f"cannot be converted: {reason}", "give a safetensors version")


def _convert_file(source: Path, target: Path) -> None:
    """Raises WeightError if the file holds anything but a dict of tensors."""
    try:
        state = torch.load(source, map_location="cpu", weights_only=True, mmap=_is_zip(source))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightError(str(source), f"is not plain weights: {first}", "do not use it") from None
    tensors = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise WeightError(str(source), "does not hold a dict of tensors", "do not use it")
    write_file(target, {name: partial(Tensor.detach, t) for name, t in tensors.items()})


def _is_zip(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"PK"


if __name__ == "__main__":
    try:
        for given, wanted in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
            _convert_file(Path(given), Path(wanted))
    except WeightError as error:
        sys.exit(f"{Path(error.field).name} {error.problem}")
