"""Peak memory of loading big folders: `python -m bench.loading [NAME ...] --layers 8`.

Folders have the published widths, transformers' own tensor names and several shards; their values
are holes in the files (zeros that take no disk), since loading does not look at them. The figure is
the most private memory of a process that does nothing else (mapped pages are the files'), less
what it has after the imports, over the bytes of the weights.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from bench.shapes import SHAPES, reduced

SHARD_BYTES = 2 << 30
Tensor = tuple[str, tuple[int, ...]]


def write_folder(folder: Path, config: dict[str, Any]) -> int:
    """A sharded bfloat16 folder of holes; returns the bytes of its tensors."""
    tensors = tensors_of(config)
    shards = list(_shards(tensors))
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_holes(folder / name, shard)
        places |= dict.fromkeys((tensor for tensor, _ in shard), name)
    total = sum(_bytes(shape) for _, shape in tensors)
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def tensors_of(config: dict[str, Any]) -> list[Tensor]:
    """Names and shapes that transformers gives a model of this config, tied ones once."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    made, auto = AutoConfig.for_model(**config), cast(Any, AutoModelForImageTextToText)
    with torch.device("meta"):
        model = auto.from_config(made)
    seen: dict[int, Tensor] = {}
    for name, parameter in model.named_parameters():  # a tied matrix comes under its first name
        seen.setdefault(id(parameter), (name, tuple(parameter.shape)))
    return list(seen.values())


def _shards(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    shard: list[Tensor] = []
    for tensor in tensors:
        if shard and sum(_bytes(s) for _, s in shard) + _bytes(tensor[1]) > SHARD_BYTES:
            yield shard
            shard = []
        shard.append(tensor)
    yield shard


def _bytes(shape: tuple[int, ...]) -> int:
    return 2 * math.prod(shape)


def _write_holes(path: Path, tensors: list[Tensor]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in tensors:
        stop = at + _bytes(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, stop]}
        at = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)


def _anonymous_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(x for x in status.splitlines() if x.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


class Watch(threading.Thread):
    """The most private memory seen, every 5 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.over = 0, False

    def run(self) -> None:
        while not self.over:
            self.peak = max(self.peak, _anonymous_bytes())
            time.sleep(0.005)


def load_once(folder: Path) -> None:
    """Load as `sightline.load` does and print what it took, as JSON."""
    from sightline.nn.packed import pack
    from sightline.weights.load import load_folder

    before, watch, began = _anonymous_bytes(), Watch(), time.perf_counter()
    watch.start()
    loaded = load_folder(folder)
    pack(loaded.model)
    seconds = time.perf_counter() - began
    watch.over = True
    watch.join()
    print(json.dumps({"peak_bytes": watch.peak - before, "seconds": seconds}))


def measure(name: str, layers: int, scratch: Path) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as made:
        folder = Path(made)
        weights = write_folder(folder, reduced(SHAPES[name], layers))
        command = [sys.executable, "-m", "bench.loading", "--folder", str(folder)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    ratio = found["peak_bytes"] / weights
    print(
        f"{name:24} {layers:3} layers  weights {weights / 1e9:6.2f} GB  "
        f"peak {found['peak_bytes'] / 1e9:6.2f} GB = {ratio:.3f} x  {found['seconds']:6.1f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(SHAPES))
    parser.add_argument("--layers", type=int, default=8, help="blocks of the text model")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder is not None:
        load_once(args.folder)
        return
    for name in args.names or SHAPES:
        measure(name, args.layers, args.scratch)


if __name__ == "__main__":
    main()
