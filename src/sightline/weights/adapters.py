"""Adapters in PEFT's folders, both ways, under the names that transformers has for the family."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sightline.core.errors import WeightError
from sightline.families.declared import Declared
from sightline.families.files import listing, read_json
from sightline.nn.linear import Linear
from sightline.nn.lora import LowRank, attach, refuse_taken
from sightline.spec.rules import Step
from sightline.weights.moves import to_disk, to_ours
from sightline.weights.peft import (
    Pair,
    Part,
    from_pair,
    read_parts,
    to_pair,
    write_config,
    write_parts,
)
from sightline.weights.peft_config import check_config, check_rank, scale_of
from sightline.weights.places import OWN, Book, Model, Names, book_of, refuse_loose, refuse_tied
from sightline.weights.state import put
from sightline.weights.write import write_file

CONFIG, TENSORS, HEADER = "adapter_config.json", "adapter_model.safetensors", "sightline"
PREFIX = "base_model.model."
SUFFIXES = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
}
Given = dict[str, tuple[Linear, Pair]]


def save_adapters(
    model: Model,
    folder: Path | str,
    declared: Declared | None = None,
    *,
    names: Names = "family",
    full: tuple[str, ...] = (),
    base: str | None = None,
) -> Path:
    """Write all adapters of `model` to a folder that PEFT loads on transformers' model.

    `declared` is what the model was loaded from: its rules name the tensors. Models of ours take
    the names of the family that `export_hf` writes. `full` are beginnings of our names
    (`connector`) that were trained as a whole; they are written beside the adapters (PEFT's
    modules_to_save). `base` is kept as the base model's name, by default the folder that was
    loaded. `names="own"` writes our names, which `load_adapters` reads and other tools do not.

    Raises WeightError for a model without adapters, an adapter or tensor that no module of the
    family holds, and a model that no family can express.
    """
    book = book_of(model, declared, names)
    pairs = _pairs(book)
    kept = _full_tensors(book, full)
    if names == "family":
        refuse_loose(book, kept)
        refuse_tied(book, kept)
    if base is None and declared is not None and declared.sources:
        base = str(declared.sources[0].folder)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {PREFIX + name: tensor for name, tensor in (*_tensors(pairs), *kept.items())}
    made = {name: partial(Tensor.detach, tensor) for name, tensor in tensors.items()}
    write_file(folder / TENSORS, made, {HEADER: write_parts(pairs)})
    modules = {name.rpartition(".")[0] for name in kept}
    text = json.dumps(write_config(pairs, modules, base), indent=2)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    return folder


def load_adapters(
    model: Model,
    folder: Path | str,
    declared: Declared | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> tuple[str, ...]:
    """Give `model` the adapters of a PEFT folder, and the tensors that were trained as a whole.

    All spellings of the family's names are read, and our own. Adapters take `dtype`, by default
    that of their matrix. Returns the names of the adapted layers.

    Raises WeightError for what is no LoRA folder, a key of its config that is not understood, a
    tensor that the model has no place for, wrong shapes, and layers that have adapters already;
    the model is then as it was.
    """
    config, tensors, header = _read(Path(folder))
    pairs, rest = _sorted_out(tensors, config, read_parts(header.get(HEADER)))
    own = all(name.partition(".")[0] in OWN for name in (*pairs, *rest))
    book = book_of(model, declared, "own" if own else "family")
    given = _given(book, pairs)
    refuse_taken({name: linear for name, (linear, _) in given.items()})
    moved = _moved(book, rest)
    dropout = float(config.get("lora_dropout") or 0.0)
    for linear, pair in given.values():
        attach(linear, _adapter(linear, pair, dropout, dtype))
    for name, value in moved.items():
        current = book.state[name]
        put(book.holder, name, value.to(current.device, current.dtype, copy=True))
    return tuple(given)


# Writing.


def _pairs(book: Book) -> dict[str, Pair]:
    """Every adapter by the name of its module."""
    adapted = {n: m.adapter for n, m in book.linears.items() if isinstance(m.adapter, LowRank)}
    if not adapted:
        raise WeightError("model", "has no adapters", "add them first, or save the whole model")
    if new := set(adapted) - {n.removesuffix(".weight") for s in book.steps for n in s.ours}:
        problem = "has an adapter, but the folder names no tensor for it: it is new"
        raise WeightError(min(new), problem, "use names='own'")
    dora = any(adapter.magnitude is not None for adapter in adapted.values())
    pairs: dict[str, Pair] = {}
    for step in book.steps:
        if (pair := to_pair(step, book.layers(step), dora)) is not None:
            pairs[book.name(step).removesuffix(".weight")] = pair
    return pairs


def _full_tensors(book: Book, full: tuple[str, ...]) -> dict[str, Tensor]:
    """Tensors trained as a whole, by their names in the class."""
    chosen = {f: [s for s in book.steps if any(_within(n, f) for n in s.ours)] for f in full}
    if empty := [f for f, steps in chosen.items() if not steps]:
        raise WeightError("full", f"{empty[0]!r} begins no tensor's name", "give names of ours")
    kept: dict[str, Tensor] = {}
    for step in (step for steps in chosen.values() for step in steps):
        made = to_disk(step, [_value(book, name) for name in step.ours])
        for name, tensor in zip(step.disk, made, strict=True):
            kept[book.tree.module_name(name)] = tensor
    return kept


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _value(book: Book, name: str) -> Tensor:
    linear = book.linears.get(name.rpartition(".")[0])
    if linear is not None and (linear.adapter is not None or linear.store is not None):
        what = "has an adapter" if linear.adapter is not None else "lies in NF4"
        raise WeightError(name, f"{what} and was not trained as a whole", "leave it out of full")
    return book.state[name].detach()


def _tensors(pairs: Mapping[str, Pair]) -> Iterator[tuple[str, Tensor]]:
    for name, pair in pairs.items():
        yield f"{name}.lora_A.weight", pair.a
        yield f"{name}.lora_B.weight", pair.b
        if pair.magnitude is not None:
            yield f"{name}.lora_magnitude_vector", pair.magnitude


# Reading.


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, str]]:
    """The config, the tensors and the words in their header."""
    path = folder / TENSORS
    if not path.is_file() or not (folder / CONFIG).is_file():
        held = listing(folder) if folder.is_dir() else "no folder"
        fix = "save it with safe_serialization=True" if "adapter_model.bin" in held else "see PEFT"
        problem = f"has no {CONFIG} beside {TENSORS} (found: {held})"
        raise WeightError(str(folder), problem, fix)
    config = read_json(folder / CONFIG)
    check_config(config, str(folder / CONFIG))
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            return config, tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightError(str(path), f"cannot be read ({error})", "save it again") from None


def _sorted_out(
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    parts: Mapping[str, tuple[Part | None, ...]],
) -> tuple[dict[str, Pair], dict[str, Tensor]]:
    """Pairs by module, and the tensors that are no adapter's."""
    found: dict[str, dict[str, Tensor]] = {}
    rest: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = key.removeprefix(PREFIX)
        for suffix, what in SUFFIXES.items():
            if name.endswith(suffix):
                found.setdefault(name.removesuffix(suffix), {})[what] = tensor
                break
        else:
            rest[name] = tensor
    if strange := [name for name in rest if ".lora_" in name]:
        raise WeightError(strange[0], "is an adapter of another kind", "merge it with PEFT")
    pairs = {m: _pair(m, own, config, parts.get(m, ())) for m, own in sorted(found.items())}
    return pairs, rest


def _pair(
    module: str,
    own: Mapping[str, Tensor],
    config: Mapping[str, Any],
    parts: tuple[Part | None, ...],
) -> Pair:
    wanted = {"a", "b", "magnitude"} if config.get("use_dora") else {"a", "b"}
    if wanted != set(own):
        problem = f"has {', '.join(sorted(own))} where {', '.join(sorted(wanted))} belong"
        raise WeightError(module, problem, "save the adapter again")
    rank = own["a"].shape[0]
    check_rank(config, module, rank)
    return Pair(own["a"], own["b"], own.get("magnitude"), scale_of(config, module, rank), parts)


def _given(book: Book, pairs: Mapping[str, Pair]) -> Given:
    """What every layer of ours gets."""
    steps = {book.name(step): step for step in book.steps if book.layers(step)}
    given: Given = {}
    for module, pair in pairs.items():
        step = _found(steps, book.tree.module_name(f"{module}.weight"), module)
        each = from_pair(step, pair, book.layers(step))
        for name, own in zip(step.ours, each, strict=True):
            layer = name.removesuffix(".weight")
            if own is not None:
                given[layer] = (book.linears[layer], own)
    return given


def _moved(book: Book, rest: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors trained as a whole by our names."""
    named = {book.tree.module_name(name): tensor for name, tensor in rest.items()}
    steps = {book.tree.module_name(name): s for s in book.steps for name in s.disk}
    wanted = {id(step): step for name in named for step in (_found(steps, name, name),)}
    moved: dict[str, Tensor] = {}
    for step in wanted.values():
        disk = [book.tree.module_name(name) for name in step.disk]
        if absent := [name for name in disk if name not in named]:
            raise WeightError(absent[0], "is missing beside its other pieces", "save it again")
        for name, tensor in zip(step.ours, to_ours(step, [named[n] for n in disk]), strict=True):
            if tensor.shape != (own := _value(book, name)).shape:
                shapes = f"has shape {list(tensor.shape)}, {name} {list(own.shape)}"
                raise WeightError(disk[0], shapes, "load it into the model it was trained on")
            moved[name] = tensor
    return moved


def _found(steps: Mapping[str, Step], name: str, given: str) -> Step:
    if name in steps:
        return steps[name]
    near = difflib.get_close_matches(name, steps, n=1, cutoff=0.5)
    fix = f"is it {near[0].removesuffix('.weight')}?" if near else "load the model it belongs to"
    raise WeightError(given, "is trained in the folder, and the model has no place for it", fix)


def _adapter(linear: Linear, pair: Pair, dropout: float, dtype: torch.dtype | None) -> LowRank:
    rank, dora = pair.a.shape[0], pair.magnitude is not None
    dropout = pair.parts[0].dropout if pair.parts and pair.parts[0] else dropout
    adapter = LowRank(linear, rank, pair.scale * rank, dropout=dropout, dora=dora, dtype=dtype)
    with torch.no_grad():
        adapter.a.copy_(pair.a)
        adapter.b.copy_(pair.b)
        if adapter.magnitude is not None and pair.magnitude is not None:
            adapter.magnitude.copy_(pair.magnitude)
    return adapter
