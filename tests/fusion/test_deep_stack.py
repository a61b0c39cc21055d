"""Deeper features added to visual rows, layer by layer."""

# B batch  T tokens  N visual tokens  E values of all levels

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from tests.helpers.tiny import BASE, Json, item, merged, tiny_model, words
from torch import Tensor, nn

from sightline.core.errors import SpecError
from sightline.fusion.deep_stack import DeepStackBlock, split_levels
from sightline.model.generate import Decoding, generate
from sightline.model.init import initialise
from sightline.model.reference import reference_greedy, reference_logits
from sightline.spec import ModelSpec
from sightline.spec.sampling import Sampling

DEEP: Json = {
    "vision": {"deep_layers": (1, 2)},
    "fusion": {"kind": "deep_stack", "levels": 2},
}
MERGER = {"kind": "merger", "levels": 2, "side": 1}


def deep_spec(**sections: Json) -> ModelSpec:
    """The tiny model with two levels; `sections` change it."""
    return ModelSpec.parse(merged(merged(BASE, DEEP), sections) | {"connector": MERGER})


@dataclass
class Pass:
    visual_BT: Tensor | None
    deep_NE: Tensor | None
    last_only: bool = False


class Doubles(nn.Module):
    def forward(self, x: Tensor, ctx: Pass) -> Tensor:
        return 2 * (x[:, -1:] if ctx.last_only else x)


def test_features_of_a_level_are_added_after_the_block() -> None:
    x, visual = torch.randn(2, 3, 4), torch.tensor([[0, 1, 1], [1, 0, 0]]).bool()
    deep = torch.arange(24.0).reshape(3, 8)
    out = DeepStackBlock(Doubles(), 1)(x, Pass(visual, deep))
    wanted = 2 * x
    wanted[visual] += deep[:, 4:]
    assert torch.equal(out, wanted)


def test_where_only_the_last_row_is_wanted() -> None:
    """Of three conversations two end with a visual token."""
    x = torch.randn(3, 3, 4)
    visual = torch.tensor([[0, 1, 1], [1, 1, 0], [1, 0, 1]]).bool()
    deep = torch.arange(24.0).reshape(6, 4)
    block = DeepStackBlock(Doubles(), 0)
    whole = block(x, Pass(visual, deep))
    assert torch.equal(block(x, Pass(visual, deep, last_only=True)), whole[:, -1:])


def test_nothing_is_added_where_nothing_is_seen() -> None:
    x = torch.randn(1, 2, 4)
    assert torch.equal(DeepStackBlock(Doubles(), 0)(x, Pass(None, None)), 2 * x)


def test_visual_tokens_are_split() -> None:
    rows = torch.randn(3, 12)
    now, deep = split_levels(rows, 4)
    assert torch.equal(now, rows[:, :4]) and torch.equal(deep, rows[:, 4:])
    assert split_levels(rows, 12) == (rows, None)


def test_names_are_those_of_the_text_model() -> None:
    names = dict(tiny_model(deep_spec()).language.named_parameters()).keys()
    assert names == dict(tiny_model().language.named_parameters()).keys()


@pytest.mark.parametrize("last_is_visual", [False, True])
@pytest.mark.parametrize("depth", [2, 3])
def test_cached_and_batched_equal_the_slow_path(depth: int, last_is_visual: bool) -> None:
    """With two layers, the last one has a level: only its last row leaves the prefill."""
    model = tiny_model(deep_spec(language={"depth": depth}))
    end: list[int | list[int]] = [] if last_is_visual else [words(3, 5)]
    chats = [item(words(4, 1), 1, *end, seed=1), item(words(2, 2), seed=2), item(2, *end, seed=3)]
    wanted = [reference_greedy(model, chat, 6) for chat in chats]
    steps = zip(*generate(model, chats, Sampling(max_tokens=6)), strict=True)
    answers = [[token for token in row if token is not None] for row in steps]
    assert answers == wanted
    with torch.inference_mode():
        logits_BV = Decoding(model, chats, 1).logits_BV
    for row, chat in zip(logits_BV, chats, strict=True):
        torch.testing.assert_close(row, reference_logits(model, chat)[-1], rtol=0, atol=1e-5)


def test_encodings_made_before_keep_their_levels() -> None:
    model = tiny_model(deep_spec())
    chat = item(words(4, 1), 1, words(3, 5), seed=1)
    with torch.inference_mode():
        stored = model.encode([chat.visual])
        fresh, again = Decoding(model, [chat], 1), Decoding(model, [chat], 1, stored)
    assert stored.shape[-1] == 60
    assert torch.equal(fresh.logits_BV, again.logits_BV)


def test_levels_matter() -> None:
    model = tiny_model(deep_spec())
    chat = item(words(4, 1), 1, words(3, 5), seed=1)
    before = reference_logits(model, chat)
    torch.nn.init.zeros_(model.connector.deep[1].down.weight)
    assert float((reference_logits(model, chat) - before).abs().max()) > 1e-2


def test_new_models_are_filled() -> None:
    model = tiny_model(deep_spec())
    for p in model.parameters():
        nn.init.constant_(p, torch.nan)
    initialise(model, 0)
    assert all(p.isfinite().all() for p in model.parameters())
    spread = [b.attn.out.weight.detach().std() for b in model.language.blocks]
    assert bool(max(spread) / min(spread) < 1.3)


REFUSED: dict[str, tuple[Json, str]] = {
    "more levels than are added": ({"fusion": {"levels": 1}}, "the connector makes 2"),
    "levels that the encoder lacks": (
        {"vision": {"deep_layers": (1,), "width": 10}}, "do not divide 20 channels"),
    "fewer layers than levels": ({"language": {"depth": 1}}, "exceeds 1 layers"),
}  # fmt: skip


@pytest.mark.parametrize("change", REFUSED)
def test_levels_that_do_not_meet_are_refused(change: str) -> None:
    values, said = REFUSED[change]
    with pytest.raises(SpecError, match=said):
        deep_spec(**values)


def test_levels_that_nothing_adds_are_refused() -> None:
    given = deep_spec().model_dump() | {"fusion": {"kind": "interleave"}}
    with pytest.raises(SpecError, match="adds 0 levels, the connector makes 2"):
        ModelSpec.parse(given)
