"""Every tensor accounted for, both ways, before a byte of weights is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from sightline.core.errors import WeightError
from sightline.families.declared import Source
from sightline.families.headers import TensorInfo, read_index
from sightline.spec.rules import Drop, Grow, Resolved, Step, matches, resolve
from sightline.weights.mapped import check_dtype


@dataclass(frozen=True, slots=True)
class Planned:
    """What one source fills: its tensors, and the steps that move them."""

    index: Mapping[str, TensorInfo]
    resolved: Resolved


@dataclass(frozen=True, slots=True)
class Audit:
    """What happened to every tensor.

    Attributes:
        loaded: number of our tensors that were filled from disk.
        dropped: tensors on disk that are no weights, and why.
        fresh: our parameters that were initialised.
        grown: our parameters with new rows, and how many.
    """

    loaded: int
    dropped: tuple[tuple[str, str], ...]
    fresh: tuple[str, ...]
    grown: tuple[tuple[str, int], ...]


def plan_sources(
    targets: Mapping[str, Tensor], sources: Iterable[Source], fresh: Iterable[str] = ()
) -> tuple[Planned, ...]:
    """Match our tensors (on device meta, or in memory and then optional) with those of all sources.

    Raises WeightError naming both sides for a parameter that nothing fills, a tensor that nothing
    wants, a wrong shape or a dtype that is no float.
    """
    patterns = tuple(fresh)
    wanted = [n for n in targets if not any(matches(p, n) for p in patterns)]
    planned = []
    for source in sources:
        mine = [name for name in wanted if _claims(source, name)]
        wanted = [name for name in wanted if name not in set(mine)]
        planned.append(_plan(source, mine, targets))
    if empty := [name for name in wanted if targets[name].is_meta]:
        raise WeightError(
            empty[0],
            f"and {len(empty) - 1} more parameters are filled by no folder",
            "give a folder for every part of the model",
        )
    return tuple(planned)


def audited(
    planned: Iterable[Planned], fresh: Iterable[str], targets: Mapping[str, Tensor]
) -> Audit:
    """The summary of a plan that was carried out."""
    each = tuple(planned)
    steps = [step for plan in each for step in plan.resolved.steps]
    return Audit(
        loaded=sum(len(step.ours) for step in steps),
        dropped=tuple(pair for plan in each for pair in plan.resolved.dropped),
        fresh=tuple(fresh),
        grown=tuple(
            (step.ours[0], targets[step.ours[0]].shape[0] - step.rule.rows)
            for step in steps
            if isinstance(step.rule, Grow)
        ),
    )


def _claims(source: Source, name: str) -> bool:
    for rule in source.rules:
        if not isinstance(rule, Drop):
            ours = (rule.ours,) if isinstance(rule.ours, str) else rule.ours
            if any(matches(pattern, name) for pattern in ours):
                return True
    return False


def _plan(source: Source, mine: list[str], targets: Mapping[str, Tensor]) -> Planned:
    index = read_index(source.folder)
    if not index:
        raise WeightError(
            str(source.folder), "holds no safetensors file", "give the folder with the weights"
        )
    resolved = resolve(source.rules, mine, index)
    for step in resolved.steps:
        _check(step, index, targets)
    return Planned(index, resolved)


def _check(step: Step, index: Mapping[str, TensorInfo], targets: Mapping[str, Tensor]) -> None:
    wanted = step.disk_shapes(tuple(tuple(targets[name].shape) for name in step.ours))
    for name, shape in zip(step.disk, wanted, strict=True):
        info = index[name]
        if info.shape != shape:
            raise WeightError(
                name,
                f"has shape {list(info.shape)}; {step.ours[0]} needs {list(shape)}",
                "config.json does not describe these weights",
            )
        check_dtype(name, info, targets[step.ours[0]].dtype)
