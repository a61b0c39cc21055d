"""Who reads which rows of a memory, against rules written out token by token."""

# B batch  T tokens  M memory rows

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sightline.core.errors import PlaceholderMismatch, SpecError
from sightline.core.geometry import Grid
from sightline.fusion.memory import remembered
from sightline.nn.memory import Memory
from sightline.resolution.layout import Features, Learned, MediaLayout, Text, VisualLayout
from sightline.spec import CrossAttentionSpec

Sees = Literal["latest", "run", "all"]
WORD, PICTURE = False, True
Sequence_ = list[bool]


def laid(pictures: Sequence[tuple[int, int]]) -> VisualLayout:
    """Pictures of so many rows, of which the last ones are padding."""
    media = tuple(
        MediaLayout((Text((3,)),), (Features(i, rows, Grid(1, rows), padding=padding),))
        for i, (rows, padding) in enumerate(pictures)
    )
    return VisualLayout((), media)


def latest(tokens: Sequence_, length: int) -> list[int]:
    """Padded on the left."""
    counted = [sum(tokens[: i + 1]) for i in range(len(tokens))]
    return [0] * (length - len(tokens)) + counted


def memory_of(
    spec: CrossAttentionSpec, rows: list[tuple[Sequence_, list[tuple[int, int]]]]
) -> Memory | None:
    longest = max(len(tokens) for tokens, _ in rows)
    total = sum(count for _, pictures in rows for count, _ in pictures)
    return remembered(
        spec,
        torch.tensor([latest(tokens, longest) for tokens, _ in rows]),
        [laid(pictures) for _, pictures in rows],
        torch.arange(total, dtype=torch.float32)[:, None],
    )


def read(memory: Memory, row: int, column: int) -> list[float]:
    """The rows that a token reads, if what it reads counts."""
    assert memory.rows_BMD is not None
    if not memory.reads_BT1[row, column]:
        return []
    return memory.rows_BMD[row, memory.allowed_B1TM[row, 0, column], 0].tolist()


def expected(sees: Sees, tokens: Sequence_, at: int) -> list[int]:
    """Numbers of the pictures that a token sees, from 0."""
    begun = [i for i in range(at + 1) if tokens[i]]
    if not begun:
        return []
    first = begun[-1]
    while sees == "run" and first > 0 and tokens[first - 1]:
        first -= 1
    chosen = {"latest": begun[-1:], "all": begun, "run": [i for i in begun if i >= first]}[sees]
    return [begun.index(i) for i in chosen]


conversations = st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=1, max_size=3)


@given(rows=conversations, sees=st.sampled_from(["latest", "run", "all"]))
def test_each_token_reads_what_the_rule_says(rows: list[Sequence_], sees: Sees) -> None:
    spec = CrossAttentionSpec(layers=(0,), sees=sees)
    pictures = [[(2 + i % 2, 0) for i in range(sum(tokens))] for tokens in rows]
    memory = memory_of(spec, list(zip(rows, pictures, strict=True)))
    assert memory is not None and memory.thinks_BT1 is None
    longest, start = max(map(len, rows)), 0
    for row, tokens in enumerate(rows):
        edges = [start + sum(n for n, _ in pictures[row][:i]) for i in range(sum(tokens) + 1)]
        for at in range(len(tokens)):
            seen = expected(sees, tokens, at)
            wanted = [float(n) for i in seen for n in range(edges[i], edges[i + 1])]
            assert read(memory, row, longest - len(tokens) + at) == wanted
        start = edges[-1]


def test_a_token_before_pictures_reads_everything_and_does_not_think() -> None:
    spec = CrossAttentionSpec(layers=(0,), sees="run", blind="everything")
    rows = [([WORD, PICTURE, PICTURE, WORD], [(3, 1), (2, 0)]), ([WORD], [])]
    memory = memory_of(spec, rows)
    assert memory is not None and memory.thinks_BT1 is not None
    assert read(memory, 0, 0) == [0, 1, 2, 3, 4]
    assert read(memory, 0, 1) == [0, 1]  # the third row is padding
    assert read(memory, 0, 3) == [0, 1, 3, 4]
    assert memory.thinks_BT1[0, :, 0].tolist() == [False, True, True, True]
    assert not memory.reads_BT1[1].any() and not memory.thinks_BT1[1].any()
    assert memory.allowed_B1TM.any(-1).all()  # a softmax over nothing is not a number


@pytest.mark.parametrize("blind", ["nothing", "everything"])
def test_without_pictures(blind: Literal["nothing", "everything"]) -> None:
    """Nobody reads; where only reading stops, the MLPs still run."""
    memory = memory_of(CrossAttentionSpec(layers=(0,), blind=blind), [([WORD] * 3, [])])
    if blind == "everything":
        assert memory is None
    else:
        assert memory is not None and memory.tokens == 0 and memory.thinks_BT1 is None


def test_later_tokens_read_what_the_last_one_reads() -> None:
    spec = CrossAttentionSpec(layers=(0,), blind="everything")
    memory = memory_of(spec, [([PICTURE, WORD], [(2, 0)]), ([WORD, WORD], [])])
    assert memory is not None
    after = memory.afterwards()
    assert after.rows_BMD is None
    assert torch.equal(after.allowed_B1TM, memory.allowed_B1TM[:, :, -1:])
    assert after.reads_BT1[:, 0, 0].tolist() == [True, False]
    swapped = memory.select(torch.tensor([1, 0, 0]))
    assert swapped.reads_BT1[:, -1, 0].tolist() == [False, True, True]
    assert swapped.tokens == 2


def test_learned_vectors_belong_to_their_picture() -> None:
    media = MediaLayout((Text((3,)),), (Features(0, 2, Grid(1, 2)), Learned("newline")))
    rows: Tensor = torch.zeros(3, 1)
    spec = CrossAttentionSpec(layers=(0,))
    memory = remembered(spec, torch.tensor([[1]]), [VisualLayout((), (media,))], rows)
    assert memory is not None and len(read(memory, 0, 0)) == 3


def test_counts_must_agree() -> None:
    with pytest.raises(PlaceholderMismatch, match="2 rows, the connector emits 3"):
        remembered(
            CrossAttentionSpec(layers=(0,)),
            torch.tensor([[1]]),
            [laid([(2, 0)])],
            torch.zeros(3, 1),
        )


@pytest.mark.parametrize("layers", [(1, 1), (2, 0)])
def test_layers_are_listed_once_and_upwards(layers: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match="layers"):
        CrossAttentionSpec.parse({"layers": layers})
