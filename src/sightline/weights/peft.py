"""The form that adapters have in PEFT's folders: one low-rank pair for each module of the class.

A family that keeps several matrices of ours in one tensor (Fuse) has one module for them. Our
adapters of q, k and v become one of the sum of their ranks: A's below each other, B's on the
diagonal, their rows dealt as the family deals them. Nothing is lost, nothing is rounded.
"""

# I in  O out  R rank

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sightline.core.errors import WeightError
from sightline.nn.linear import Linear
from sightline.nn.lora import LowRank, row_lengths
from sightline.spec.rules import Fuse, Rename, Step
from sightline.weights.moves import to_disk, to_ours


@dataclass(frozen=True, slots=True)
class Part:
    """What one of our layers brings to a module: its rank, whether it is DoRA, its dropout."""

    rank: int
    dora: bool
    dropout: float


@dataclass(frozen=True, slots=True)
class Pair:
    """One adapter as PEFT has it: A [R, I], B [O, R], DoRA's magnitude [O], and the scale.

    `parts` are those of our layers, None for one without an adapter; empty where a file does not
    say (PEFT's own do not).
    """

    a: Tensor
    b: Tensor
    magnitude: Tensor | None
    scale: float
    parts: tuple[Part | None, ...] = ()


def to_pair(step: Step, linears: Sequence[Linear], dora: bool) -> Pair | None:
    """The adapters of the layers behind a step as one pair; None if none has one.

    `dora`: PEFT has one switch for a folder, so a plain adapter then gets magnitudes, which change
    nothing. Raises WeightError for a rule that PEFT's modules cannot follow.
    """
    adapters = [linear.adapter for linear in linears]
    present = [adapter for adapter in adapters if isinstance(adapter, LowRank)]
    if not present:
        return None
    _refuse_others(step)
    scale, rank = present[0].scale, sum(adapter.rank for adapter in present)
    blocks, start = [], 0
    for linear, adapter in zip(linears, adapters, strict=True):
        block_OR = present[0].b.new_zeros(linear.outputs, rank)
        if isinstance(adapter, LowRank):
            stop = start + adapter.rank
            block_OR[:, start:stop] = adapter.b.detach() * (adapter.scale / scale)
            start = stop
        blocks.append(block_OR)
    magnitude = to_disk(step, [_magnitude(m) for m in linears])[0] if dora else None
    parts = tuple(_part(adapter) for adapter in adapters)
    a_RI = torch.cat([adapter.a.detach() for adapter in present])
    return Pair(a_RI, to_disk(step, blocks)[0], magnitude, scale, parts)


def from_pair(step: Step, pair: Pair, linears: Sequence[Linear]) -> list[Pair | None]:
    """What each layer behind a step gets of a pair: the inverse, where the file tells the parts.

    Without them each gets the whole A: equal products, at the full rank. Raises WeightError for
    shapes that are not those of the layers.
    """
    _refuse_others(step)
    _check_shapes(step.disk[0], pair, linears)
    blocks = to_ours(step, [pair.b])
    magnitudes: Sequence[Tensor | None] = [None] * len(linears)
    if pair.magnitude is not None:
        magnitudes = to_ours(step, [pair.magnitude])
    if not _is_diagonal(blocks, pair.parts):
        each = zip(blocks, magnitudes, strict=True)
        return [Pair(pair.a, b_OR, m_O, pair.scale) for b_OR, m_O in each]
    found: list[Pair | None] = []
    start = 0
    for part, block_OR, magnitude_O in zip(pair.parts, blocks, magnitudes, strict=True):
        if part is None:
            found.append(None)
            continue
        own = slice(start, start := start + part.rank)
        kept = magnitude_O if part.dora else None
        found.append(Pair(pair.a[own], block_OR[:, own], kept, pair.scale, (part,)))
    return found


def _refuse_others(step: Step) -> None:
    if not isinstance(step.rule, Rename | Fuse) or not step.disk[0].endswith(".weight"):
        raise WeightError(
            step.ours[0].removesuffix(".weight"),
            f"has an adapter, but {', '.join(step.disk)} is no linear module of this family",
            "merge and save the whole model, or use names='own'",
        )


def _magnitude(linear: Linear) -> Tensor:
    """DoRA's, or the one that changes nothing."""
    adapter = linear.adapter
    if not isinstance(adapter, LowRank):
        return row_lengths(linear.values)
    if adapter.magnitude is not None:
        return adapter.magnitude.detach()
    with torch.no_grad():
        return row_lengths(linear.values, adapter.delta()).to(adapter.a.dtype)


def _part(adapter: object) -> Part | None:
    if not isinstance(adapter, LowRank):
        return None
    return Part(adapter.rank, adapter.magnitude is not None, adapter.dropout)


def _is_diagonal(blocks: Sequence[Tensor], parts: tuple[Part | None, ...]) -> bool:
    """Whether the blocks are as the parts say: training elsewhere may have filled the rest."""
    ranks = [0 if part is None else part.rank for part in parts]
    if len(parts) != len(blocks) or sum(ranks) != blocks[0].shape[1]:
        return False
    start = 0
    for block_OR, rank in zip(blocks, ranks, strict=True):
        if block_OR[:, :start].any() or block_OR[:, start + rank :].any():
            return False
        start += rank
    return True


def _check_shapes(name: str, pair: Pair, linears: Sequence[Linear]) -> None:
    rank, inputs, outputs = (
        pair.a.shape[0],
        linears[0].inputs,
        sum(linear.outputs for linear in linears),
    )
    found = {"lora_A": tuple(pair.a.shape), "lora_B": tuple(pair.b.shape)}
    wanted: dict[str, tuple[int, ...]] = {"lora_A": (rank, inputs), "lora_B": (outputs, rank)}
    if pair.magnitude is not None:
        found["lora_magnitude_vector"] = tuple(pair.magnitude.shape)
        wanted["lora_magnitude_vector"] = (outputs,)
    for key, shape in wanted.items():
        if found[key] != shape:
            raise WeightError(
                f"{name.removesuffix('.weight')}.{key}",
                f"has shape {list(found[key])}; the model needs {list(shape)}",
                "load it into the model that it was trained on",
            )


# adapter_config.json and the header of the tensors.


def write_config(
    pairs: Mapping[str, Pair], full: Iterable[str], base: str | None
) -> dict[str, Any]:
    """What PEFT reads; ranks and alphas that differ from most are named module by module."""
    ranks = [pair.a.shape[0] for pair in pairs.values()]
    rank = max(sorted(set(ranks)), key=ranks.count)
    alphas = {name: pair.scale * pair.a.shape[0] for name, pair in pairs.items()}
    alpha = max(sorted(set(alphas.values())), key=list(alphas.values()).count)
    dropouts = [part.dropout for pair in pairs.values() for part in pair.parts if part]
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": _number(alpha),
        "lora_dropout": max(sorted(set(dropouts)), key=dropouts.count),
        "use_dora": any(pair.magnitude is not None for pair in pairs.values()),
        "use_rslora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "target_modules": list(pairs),
        "modules_to_save": sorted(full) or None,
        "rank_pattern": {n: p.a.shape[0] for n, p in pairs.items() if p.a.shape[0] != rank},
        "alpha_pattern": {n: _number(a) for n, a in alphas.items() if a != alpha},
    }


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


def write_parts(pairs: Mapping[str, Pair]) -> str:
    """The parts of every module, for the file's header."""
    return json.dumps(
        {
            name: [None if p is None else [p.rank, p.dora, p.dropout] for p in pair.parts]
            for name, pair in pairs.items()
        }
    )


def read_parts(text: str | None) -> dict[str, tuple[Part | None, ...]]:
    """What `write_parts` wrote; nothing for files of other tools."""
    if text is None:
        return {}
    return {
        name: tuple(None if p is None else Part(int(p[0]), bool(p[1]), float(p[2])) for p in parts)
        for name, parts in json.loads(text).items()
    }
