"""Weight rules: names and shapes, both ways, and tensors by them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import WeightError
from sightline.spec.rules import (
    Drop,
    FrameKernel,
    Fuse,
    Grow,
    Rename,
    Reshape,
    Rule,
    Split,
    Transpose,
    grow,
    resolve,
    under,
)
from sightline.weights.moves import to_disk, to_ours

RULES: tuple[Rule, ...] = (
    Rename("blk.{i}.w{j}.{p}", "blocks.{i}.mats.{j}.{p}"),
    Fuse("blk.{i}.qkv.{p}", ("blocks.{i}.q.{p}", "blocks.{i}.k.{p}"), (4, 2)),
    Drop("blk.{i}.inv_freq", "computed"),
    Drop("text.{any}", "another tower"),
)
OURS = ("blocks.0.mats.3.weight", "blocks.0.q.weight", "blocks.0.k.weight", "blocks.12.q.bias",
        "blocks.12.k.bias")  # fmt: skip
DISK = ("blk.0.w3.weight", "blk.0.qkv.weight", "blk.12.qkv.bias")


def moves(resolved):
    return {(step.disk, step.ours) for step in resolved.steps}


def test_every_name_is_matched_once():
    assert moves(resolve(RULES, OURS, DISK)) == {
        (("blk.0.w3.weight",), ("blocks.0.mats.3.weight",)),
        (("blk.0.qkv.weight",), ("blocks.0.q.weight", "blocks.0.k.weight")),
        (("blk.12.qkv.bias",), ("blocks.12.q.bias", "blocks.12.k.bias")),
    }


def test_writing_needs_no_names_on_disk():
    assert moves(resolve(RULES, OURS)) == moves(resolve(RULES, OURS, DISK))


def test_dropped_names_say_why():
    more = (*DISK, "blk.7.inv_freq", "text.deep.er.weight")
    assert resolve(RULES, OURS, more).dropped == (
        ("blk.7.inv_freq", "computed"),
        ("text.deep.er.weight", "another tower"),
    )


WRONG = {
    "missing on disk": (OURS, DISK[:-1], "blocks.12.q.bias", ("blk.12.qkv.bias", "missing")),
    "left over": (OURS, (*DISK, "blk.0.extra"), "blk.0.extra", ("no rule",)),
    "missing and left over": (
        OURS,
        (*DISK[:-1], "blk.12.qvk.bias"),
        "blocks.12.q.bias",
        ("blk.12.qkv.bias", "is it blk.12.qvk.bias?"),
    ),
    "no rule for ours": ((*OURS, "head"), DISK, "head", ("no rule",)),
    "half of a fused pair": (
        (*OURS[:2], *OURS[3:]),
        DISK,
        "blocks.0.k.weight",
        ("blk.0.qkv.weight", "no such parameter"),
    ),
    "the other half": ((OURS[0], *OURS[2:]), DISK, "blocks.0.k.weight", ("no rule",)),
    "digits only": (OURS, (*DISK, "blk.x.inv_freq"), "blk.x.inv_freq", ("no rule",)),
    "one segment only": (OURS, (*DISK, "blk.0.w3.a.b"), "blk.0.w3.a.b", ("no rule",)),
}


@pytest.mark.parametrize("case", WRONG)
def test_gaps_are_named(case):
    ours, disk, field, says = WRONG[case]
    with pytest.raises(WeightError) as caught:
        resolve(RULES, ours, disk)
    assert caught.value.field == field
    assert all(word in str(caught.value) for word in says), str(caught.value)


def test_two_rules_for_one_tensor_are_refused():
    with pytest.raises(WeightError, match="two rules"):
        resolve((*RULES, Rename("other.{i}", "blocks.{i}.q.weight")), OURS, DISK)


def test_dots_are_dots():
    with pytest.raises(WeightError):
        resolve((Rename("a.b", "x"),), ("x",), ("a_b",))


def test_under_puts_both_sides_behind_prefixes():
    moved = under((*RULES, Split(("a", "b"), "c", (1, 2))), disk="theirs.", ours="our.")
    assert moved[1].disk == "theirs.blk.{i}.qkv.{p}"
    assert moved[1].ours == ("our.blocks.{i}.q.{p}", "our.blocks.{i}.k.{p}")
    assert moved[2].disk == "theirs.blk.{i}.inv_freq"
    assert moved[4] == Split(("theirs.a", "theirs.b"), "our.c", (1, 2))


def test_grow_changes_only_the_named():
    grown = grow((Rename("wte", "embed"), Rename("h", "head")), 7, "embed")
    assert grown == (Grow("wte", "embed", 7), Rename("h", "head"))


# Every rule on numbers: there and back, and as shapes say.


def one(rule: Rule):
    ours = (rule.ours,) if isinstance(rule.ours, str) else rule.ours
    [step] = resolve((rule,), ours).steps
    return step


@st.composite
def fused(draw):
    groups = draw(st.integers(1, 4))
    rows = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    names = tuple(f"o{i}" for i in range(len(rows)))
    return Fuse("d", names, rows, groups), [groups * n for n in rows]


@st.composite
def cases(draw):
    """A rule and the row counts of our tensors."""
    rows = draw(st.integers(1, 6))
    kind = draw(st.sampled_from(["rename", "reshape", "transpose", "split", "fuse", "grow"]))
    if kind == "fuse":
        return draw(fused())
    if kind == "split":
        parts = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
        return Split(tuple(f"d{i}" for i in range(len(parts))), "o0", parts), [sum(parts)]
    if kind == "reshape":
        return Reshape("d", "o0", draw(st.integers(1, 3))), [rows]
    if kind == "grow":
        return Grow("d", "o0", rows), [rows]  # nothing to cut: the way back must be exact
    return (Rename if kind == "rename" else Transpose)("d", "o0"), [rows]


@given(cases(), st.integers(1, 4), st.booleans())
def test_there_and_back(case, columns, matrix):
    rule, rows = case
    tail = (columns,) if matrix or isinstance(rule, Transpose) else ()
    ours = [torch.randn(n, *tail) for n in rows]
    step = one(rule)
    disk = to_disk(step, ours)
    assert tuple(tuple(t.shape) for t in disk) == step.disk_shapes(tuple(t.shape for t in ours))
    back = to_ours(step, disk)
    assert all(torch.equal(a, b) for a, b in zip(ours, back, strict=True))


@given(fused(), st.integers(1, 3))
def test_fused_rows_are_dealt_by_groups(case, columns):
    """Against the definition, row by row."""
    rule, rows = case
    ours = [torch.randn(n, columns) for n in rows]
    wanted = [
        ours[k][group * n + row]
        for group in range(rule.groups)
        for k, n in enumerate(rule.rows)
        for row in range(n)
    ]
    assert torch.equal(to_disk(one(rule), ours)[0], torch.stack(wanted))


def test_grow_cuts_on_the_way_back():
    step = one(Grow("d", "o0", 3))
    assert step.disk_shapes(((5, 2),)) == ((3, 2),)
    assert torch.equal(to_disk(step, [torch.arange(10).view(5, 2)])[0], torch.arange(6).view(3, 2))


@pytest.mark.parametrize(
    ("rule", "shapes"),
    [(RULES[1], ((5, 2), (2, 2))), (Split(("a", "b"), "c", (1, 2)), ((4, 2),)),
     (replace(RULES[1], groups=2), ((4, 2), (2, 2)))],
)  # fmt: skip
def test_rows_that_do_not_fit_a_rule(rule, shapes):
    ours = (rule.ours,) if isinstance(rule.ours, str) else rule.ours
    names = tuple(name.format(i=0, p="weight") for name in ours)
    [step] = resolve((rule,), names).steps
    with pytest.raises(WeightError, match="rows"):
        step.disk_shapes(shapes)


def test_a_kernel_over_frames_is_read_frame_by_frame():
    """[out, colours, frames, y, x] on disk; both frames' colours end to end here."""
    rule = FrameKernel("conv.weight", "patch.weight", 2)
    [step] = resolve((rule,), ["patch.weight"], ["conv.weight"]).steps
    assert step.disk_shapes(((5, 6, 2, 3),)) == ((5, 3, 2, 2, 3),)
    stored = torch.randn(5, 3, 2, 2, 3)
    [ours] = to_ours(step, [stored])
    assert torch.equal(ours[:, :3], stored[:, :, 0]) and torch.equal(ours[:, 3:], stored[:, :, 1])
    [back] = to_disk(step, [ours])
    assert torch.equal(back, stored)
    moved = FrameKernel("a.conv.weight", "b.patch.weight", 2)
    assert under((rule,), disk="a.", ours="b.") == (moved,)
