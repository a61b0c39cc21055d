"""The decoder against its formulas, written out in float64 with complex rotations."""

# T tokens  D width  H heads  K head dim  V vocabulary

from __future__ import annotations

import pytest
import torch
from tests.helpers.tiny import BASE, DECODERS, Json, merged, randomise, words

from sightline.language.decoder import Decoder
from sightline.model.build import build_decoder
from sightline.nn.masks import Mask
from sightline.nn.mlp import activate
from sightline.nn.rope import frequencies
from sightline.spec import DecoderSpec
from sightline.spec.language import LearnedPositionsSpec, RopeSpec

IDS = words(17, seed=3)


def decoder(case: str | Json, seed: int = 0) -> Decoder:
    change = DECODERS[case] if isinstance(case, str) else case
    model = build_decoder(DecoderSpec.parse(merged(BASE["language"], change)))
    randomise(model, seed)
    return model


def run(model: Decoder, ids, positions=None, mask=None, **options):
    """Logits [T, V] of one sequence by the decoder itself."""
    ids_1T = torch.tensor(ids)[None]
    positions = torch.arange(len(ids)) if positions is None else positions
    mask = Mask() if mask is None else mask
    with torch.inference_mode():
        hidden = model(model.embed_tokens(ids_1T), positions[None, None], mask, **options)
        return model.logits(hidden)[0]


def capped(x, cap):
    return x if cap is None else cap * torch.tanh(x / cap)


class WrittenOut:
    """The published formulas, one head at a time, with nothing shared but the parameters."""

    def __init__(self, model: Decoder) -> None:
        self.spec = model.spec
        self.p = {name: p.detach().double() for name, p in model.named_parameters()}

    def logits(self, ids) -> torch.Tensor:
        spec = self.spec
        x = self.p["embed.weight"][ids] * (spec.embedding_scale or 1.0)
        if isinstance(spec.positions, LearnedPositionsSpec):
            x = x + self.p["positions.weight"][spec.positions.offset :][: len(ids)]
        for layer in range(spec.depth):
            at = f"blocks.{layer}."
            first = self.norm(at + "norm1", x)
            if spec.block == "sequential":
                x = x + self.attention(layer, first)
                x = x + self.mlp(at, self.norm(at + "norm2", x))
            elif spec.block == "sandwich":
                x = x + self.norm(at + "post_norm1", self.attention(layer, first))
                x = x + self.norm(at + "post_norm2", self.mlp(at, self.norm(at + "norm2", x)))
            else:
                second = first if spec.block == "parallel" else self.norm(at + "norm2", x)
                x = x + self.attention(layer, first) + self.mlp(at, second)
        head = self.p["embed.weight" if spec.tied_head else "head.weight"]
        logits = self.norm("norm", x) @ head.T + self.p.get("head.bias", 0.0)
        return capped(logits, spec.logit_soft_cap)

    def linear(self, name, x):
        return x @ self.p[name + ".weight"].T + self.p.get(name + ".bias", 0.0)

    def norm(self, name, x):
        if self.spec.norm.kind == "layer":
            x = x - x.mean(-1, keepdim=True)
        return self.rms(name, x) + self.p.get(name + ".bias", 0.0)

    def rms(self, name, x):
        """Queries and keys are normed with an offset where everything is."""
        spec, weight = self.spec.norm, self.p[name + ".weight"]
        if spec.kind == "rms" and spec.unit_offset:
            weight = 1 + weight
        return x / (x.square().mean(-1, keepdim=True) + spec.eps).sqrt() * weight

    def mlp(self, at, x):
        spec, up = self.spec.mlp, self.linear(at + "mlp.up", x)
        if spec.kind == "gated":
            inner = activate(self.linear(at + "mlp.gate", x), spec.activation) * up
        else:
            inner = activate(up, spec.activation)
        return self.linear(at + "mlp.down", inner)

    def attention(self, layer, x):
        a, at, tokens = self.spec.attention, f"blocks.{layer}.attn.", len(x)
        q, k, v = (self.linear(at + n, x).unflatten(-1, (-1, a.head_dim)) for n in "qkv")
        if a.qk_norm == "rms":
            q, k = self.rms(at + "q_norm", q), self.rms(at + "k_norm", k)
        rope = self.spec.positions
        if a.window_of(layer) and self.spec.windowed_positions:
            rope = self.spec.windowed_positions
        if isinstance(rope, RopeSpec):
            q, k = self.turned(q, rope), self.turned(k, rope)
        distance = torch.arange(tokens)[:, None] - torch.arange(tokens)
        seen = (distance >= 0) & (distance < (a.window_of(layer) or tokens))
        out = []
        for head in range(a.heads):
            group = head // (a.heads // a.kv_heads)
            scores = q[:, head] @ k[:, group].T * (a.scale or a.head_dim**-0.5)
            scores = capped(scores, a.soft_cap)
            out.append(scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v[:, group])
        return self.linear(at + "out", torch.cat(out, -1))

    def turned(self, x, rope):
        rotated, tokens = self.spec.rotated_dim, len(x)
        steps, factor = frequencies(rope, rotated, tokens)
        turn = torch.polar(
            torch.full((tokens, rotated // 2), factor, dtype=torch.float64),
            torch.arange(tokens)[:, None] * steps.double(),
        )
        first, second = x[..., : rotated // 2], x[..., rotated // 2 : rotated]
        pairs = torch.complex(first, second) * turn[:, None]
        return torch.cat((pairs.real, pairs.imag, x[..., rotated:]), -1)


LONG_DYNAMIC = {"positions": {"scaling": {"kind": "dynamic", "factor": 2.0, "original_context": 9}}}
CASES = {**DECODERS, "dynamic_beyond": LONG_DYNAMIC}


@pytest.mark.parametrize("case", CASES)
def test_logits_equal_the_written_formulas(case):
    model = decoder(CASES[case])
    assert (run(model, IDS).double() - WrittenOut(model).logits(IDS)).abs().max() < 1e-5


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("base", "dynamic")])
def test_every_switch_changes_the_logits(case):
    """With the parameters it shares with the base: a switch that did nothing would be no switch."""
    base, changed = decoder("base"), decoder(CASES[case])
    mine = base.state_dict()
    shared = {
        k: v for k, v in changed.state_dict().items() if k in mine and v.shape == mine[k].shape
    }
    base.load_state_dict(shared, strict=False)
    assert (run(base, IDS) - run(changed, IDS)).abs().max() > 1e-2


@pytest.mark.parametrize("case", DECODERS)
def test_a_token_changes_itself_and_what_follows(case):
    model = decoder(case)
    other = [*IDS[:8], (IDS[8] + 1) % 40 + 4, *IDS[9:]]
    change = (run(model, IDS) - run(model, other)).abs().amax(-1)
    assert not change[:8].any() and change[8] > 1e-3


@pytest.mark.parametrize(("window", "depth"), [(1, 2), (3, 1), (3, 3)])
def test_a_window_reaches_exactly_as_far_as_its_layers_allow(window, depth):
    model = decoder({"depth": depth, "attention": {"window": window}})
    other = [(IDS[0] + 1) % 40 + 4, *IDS[1:]]
    change = (run(model, IDS) - run(model, other)).abs().amax(-1)
    reach = 1 + depth * (window - 1)
    assert (change[:reach] > 1e-4).all() and not change[reach:].any()


@pytest.mark.parametrize("case", DECODERS)
def test_packed_documents_equal_documents_alone(case):
    model = decoder(case)
    documents = [IDS[:5], IDS[5:6], IDS[6:]]
    ids = [token for document in documents for token in document]
    numbers = torch.tensor([[i for i, d in enumerate(documents) for _ in d]])
    positions = torch.cat([torch.arange(len(document)) for document in documents])
    packed = run(model, ids, positions, Mask(document_BS=numbers))
    alone = torch.cat([run(model, document) for document in documents])
    assert (packed - alone).abs().max() < 1e-5


@pytest.mark.parametrize("case", DECODERS)
@pytest.mark.parametrize("cuts", [(17,), (9, 8), (4, 1, 12), (1,) * 17], ids=str)
def test_pieces_through_a_cache_equal_the_whole(case, cuts):
    model = decoder(case)
    cache, logits, start = model.new_cache(1, 17), [], 0
    with torch.inference_mode():
        for count in cuts:
            ids = torch.tensor(IDS[start : start + count])[None]
            positions = torch.arange(start, start + count)[None, None]
            hidden = model(model.embed_tokens(ids), positions, Mask(), cache=cache)
            logits.append(model.logits(hidden)[0])
            start += count
    assert (torch.cat(logits) - run(model, IDS)).abs().max() < 1e-5
    assert cache.length == 17


@pytest.mark.parametrize("case", DECODERS)
@pytest.mark.parametrize("padded", [False, True])
def test_the_last_row_alone_is_the_last_row_of_all(case, padded):
    model = decoder(case)
    mask = Mask(document_BS=torch.tensor([[-1] * 4 + [0] * 13])) if padded else None
    caches = [model.new_cache(1, 18) for _ in range(2)]
    whole = run(model, IDS, mask=mask, cache=caches[0])
    last = run(model, IDS, mask=mask, cache=caches[1], last_only=True)
    assert last.shape == (1, BASE["language"]["vocab"])
    assert (whole[-1] - last[0]).abs().max() < 1e-5
    stores = [cache.store_L2BGSK[..., :17, :] for cache in caches]
    torch.testing.assert_close(*stores, rtol=0, atol=1e-6)


def test_visual_rows_are_not_scaled_like_words():
    """`embedding_scale` belongs to the embedding, not to the sequence."""
    model = decoder("embedding_scale")
    plain = torch.nn.functional.embedding(torch.tensor([IDS]), model.embed.weight)
    torch.testing.assert_close(model.embed_tokens(torch.tensor([IDS])), plain * 20**0.5)


def test_a_tied_head_has_no_matrix_of_its_own():
    names = {
        case: {n for n, _ in decoder(case).named_parameters()} for case in ("base", "tied_head")
    }
    assert names["base"] - names["tied_head"] == {"head.weight"}
    model = decoder("tied_head")
    run_once = run(model, IDS).sum()
    with torch.no_grad():
        model.embed.weight.mul_(2)
    assert run(model, IDS).sum() != run_once


def test_the_head_answers_in_float32_whatever_the_dtype():
    model = decoder("base").to(torch.bfloat16)
    assert run(model, IDS).dtype == torch.float32
