"""Weight names as data: reversible rules between the tensors of a published folder and ours.

A rule is written in patterns: tensor names in which `{i}` and `{j}` stand for a number, `{p}` for
one segment (`weight`, `bias`) and `{any}` for the rest of the name. Read one way it loads, the
other way it saves; every tensor on both sides must be claimed.

| rule      | on disk                              | ours                              |
|-----------|--------------------------------------|-----------------------------------|
| Rename    | one tensor                           | the same tensor                   |
| Fuse      | one tensor                           | several, its rows dealt by groups |
| Split     | several tensors                      | one, their rows stacked           |
| Reshape   | leading axes of size one             | without them (or the reverse)     |
| FrameKernel | [out, 3, frames, …]               | [out, 3 · frames, …], frame by frame |
| Transpose | [in, out]                            | [out, in]                         |
| Grow      | fewer rows                           | more rows, the new ones initialised |
| Drop      | no weight of the model               | nothing                           |
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from sightline.core.errors import WeightError
from sightline.spec.patterns import compiled, names_of

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rename:
    disk: str
    ours: str


@dataclass(frozen=True, slots=True)
class Fuse:
    """One tensor on disk holds the rows of several of ours.

    Its rows are `groups` runs; each run holds `rows[k]` rows of tensor k. Plain thirds have one
    group (Qwen1's c_attn); [q, k, v] per head has `heads` (BLOOM); [q … q, k, v] per key-value head
    has `kv_heads` (Falcon-40B).
    """

    disk: str
    ours: tuple[str, ...]
    rows: tuple[int, ...]
    groups: int = 1

    def __post_init__(self) -> None:
        assert len(self.ours) == len(self.rows) and self.groups > 0


@dataclass(frozen=True, slots=True)
class Split:
    """Tensors on disk whose rows, in order, are one tensor of ours; part k has `rows[k]` rows."""

    disk: tuple[str, ...]
    ours: str
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.disk) == len(self.rows)


@dataclass(frozen=True, slots=True)
class Reshape:
    """On disk the tensor has `lead` more axes of size one in front, or fewer if negative."""

    disk: str
    ours: str
    lead: int


@dataclass(frozen=True, slots=True)
class Transpose:
    """A matrix stored the other way round."""

    disk: str
    ours: str


@dataclass(frozen=True, slots=True)
class FrameKernel:
    """A kernel over `frames` frames: [out, colours, frames, …] on disk, [out, frames · colours, …]
    here."""

    disk: str
    ours: str
    frames: int


@dataclass(frozen=True, slots=True)
class Grow:
    """Ours has more rows than the `rows` on disk; saving by this rule cuts them off again."""

    disk: str
    ours: str
    rows: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Not a weight of the model; `why` is shown to the user."""

    disk: str
    why: str


Kept = Rename | Fuse | Split | Reshape | FrameKernel | Transpose | Grow
Rule = Kept | Drop


@dataclass(frozen=True, slots=True)
class Step:
    """A rule applied to names: these tensors on disk are those tensors of ours."""

    rule: Kept
    disk: tuple[str, ...]
    ours: tuple[str, ...]

    def disk_shapes(self, ours: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """The shapes on disk that go with our shapes. Raises WeightError if no shapes can."""
        first, *_ = ours
        match self.rule:
            case Rename():
                return ours
            case Reshape(lead=lead):
                return ((1,) * lead + first[max(0, -lead) :],)
            case Transpose():
                return (first[::-1],)
            case FrameKernel(frames=frames):
                return ((first[0], first[1] // frames, frames, *first[2:]),)
            case Grow(rows=rows):
                return ((rows, *first[1:]),)
            case Split(rows=rows):
                self._check_rows(first[0], sum(rows), self.ours[0])
                return tuple((n, *first[1:]) for n in rows)
            case Fuse(rows=rows, groups=groups):
                for name, shape, n in zip(self.ours, ours, rows, strict=True):
                    self._check_rows(shape[0], groups * n, name)
                return ((groups * sum(rows), *first[1:]),)
            case _:
                assert_never(self.rule)

    def _check_rows(self, found: int, wanted: int, name: str) -> None:
        if found != wanted:
            raise WeightError(
                name,
                f"has {found} rows where its rule deals {wanted}",
                f"mend the rule of {', '.join(self.disk)}",
            )


@dataclass(frozen=True, slots=True)
class Resolved:
    """Every tensor accounted for: `steps` move weights, `dropped` are (name on disk, why)."""

    steps: tuple[Step, ...]
    dropped: tuple[tuple[str, str], ...] = ()


def resolve(
    rules: Iterable[Rule], ours: Collection[str], disk: Collection[str] | None = None
) -> Resolved:
    """Match `rules` with the names on both sides; `disk` None means that it is about to be written.

    Raises WeightError that names both sides: one of ours that no rule or no tensor fills, a tensor
    on disk that no rule claims, a rule of which only some tensors are present.
    """
    rules = tuple(rules)
    steps = _steps([rule for rule in rules if not isinstance(rule, Drop)], ours)
    if disk is None:
        return Resolved(steps)
    claimed = {name for step in steps for name in step.disk}
    drops = [(compiled(rule.disk), rule.why) for rule in rules if isinstance(rule, Drop)]
    rest = [name for name in sorted(disk) if name not in claimed]
    dropped = {name: why for name in rest for pattern, why in drops if pattern.fullmatch(name)}
    left_over = [name for name in rest if name not in dropped]
    _refuse_gaps(steps, set(disk), left_over)
    return Resolved(steps, tuple(dropped.items()))


def under(rules: Iterable[Rule], *, disk: str = "", ours: str = "") -> tuple[Rule, ...]:
    """The same rules with every name on disk behind `disk` and every name of ours behind `ours`."""
    return tuple(_under(rule, disk, ours) for rule in rules)


def grow(rules: Iterable[Rule], rows: int, *names: str) -> tuple[Rule, ...]:
    """The same rules, with our tensors `names` having more than the `rows` rows on disk."""
    grown = tuple(
        Grow(rule.disk, rule.ours, rows)
        if isinstance(rule, Rename) and any(compiled(rule.ours).fullmatch(n) for n in names)
        else rule
        for rule in rules
    )
    return grown


def matches(pattern: str, name: str) -> bool:
    """Whether `name` is an instance of `pattern`."""
    return compiled(pattern).fullmatch(name) is not None


def _under(rule: Rule, disk: str, ours: str) -> Rule:
    match rule:
        case Drop():
            return replace(rule, disk=disk + rule.disk)
        case Fuse():
            return replace(rule, disk=disk + rule.disk, ours=tuple(ours + n for n in rule.ours))
        case Split():
            return replace(rule, disk=tuple(disk + n for n in rule.disk), ours=ours + rule.ours)
        case Rename() | Reshape() | FrameKernel() | Transpose() | Grow():
            return replace(rule, disk=disk + rule.disk, ours=ours + rule.ours)
        case _:
            assert_never(rule)


def _steps(rules: list[Kept], ours: Collection[str]) -> tuple[Step, ...]:
    heads = [
        (compiled(rule.ours if isinstance(rule.ours, str) else rule.ours[0]), rule)
        for rule in rules
    ]
    steps: dict[Step, None] = {}
    filled: dict[str, Step] = {}
    for name in sorted(ours):
        for pattern, rule in heads:
            if found := pattern.fullmatch(name):
                fields = found.groupdict()
                step = Step(rule, names_of(rule.disk, fields), names_of(rule.ours, fields))
                _claim(step, filled)
                steps[step] = None
    _refuse_unruled(ours, filled)
    return tuple(steps)


def _claim(step: Step, filled: dict[str, Step]) -> None:
    for name in step.ours:
        if other := filled.get(name):
            raise WeightError(
                name,
                f"is filled by two rules, from {', '.join(other.disk)} and "
                f"from {', '.join(step.disk)}",
                "make the patterns exclusive",
            )
        filled[name] = step


def _refuse_unruled(ours: Collection[str], filled: dict[str, Step]) -> None:
    if unruled := sorted(set(ours) - set(filled)):
        raise WeightError(
            unruled[0],
            f"is filled by no rule ({_few(unruled)})",
            "the rules of this family do not cover this spec",
        )
    if extra := sorted(set(filled) - set(ours)):
        step = filled[extra[0]]
        raise WeightError(
            extra[0],
            f"comes with {', '.join(step.disk)} but the model has no such parameter",
            "check biases and norms of the spec",
        )


def _refuse_gaps(steps: tuple[Step, ...], disk: set[str], left_over: list[str]) -> None:
    gaps = [(step, [n for n in step.disk if n not in disk]) for step in steps]
    missing = [(step.ours[0], name) for step, names in gaps for name in names]
    if missing:
        target, source = missing[0]
        near = difflib.get_close_matches(source, left_over or disk, n=1, cutoff=0.5)
        also = f"; left over: {_few(left_over)}" if left_over else ""
        raise WeightError(
            target,
            f"needs tensor {source}, which is not there ({_few([n for _, n in missing])} "
            f"missing){also}",
            f"is it {near[0]}?" if near else "check that the folder is complete",
        )
    if left_over:
        raise WeightError(
            left_over[0],
            f"matches no rule and no parameter ({_few(left_over)} left over)",
            "check that folder and config belong together",
        )


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
