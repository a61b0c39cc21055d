"""The open Flamingo from parts: its equations written out around a tower and a text model.

OpenFlamingo is no model of the library. Its resampler and its gated blocks are composed here from
the open implementation's equations, around CLIP and Llama of transformers; with closed gates all
that is left is the text model.
"""

# B batch  T tokens  M memory rows  D width  C vision width

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import memories, test_idefics, test_mllama
from tests.parity import reference as ref
from tests.parity.reference import TEXT, TOLERANCE, TOWER, VOCAB, WIDTH
from torch import Tensor
from torch.nn import functional as F

from sightline.core.errors import FamilyError
from sightline.families import compose_spec, read_spec
from sightline.model.reference import reference_greedy, reference_logits
from sightline.model.vlm import Vlm
from sightline.spec import CrossAttentionSpec, ResamplerSpec
from sightline.weights import load

EVERY, HEADS, HEAD_DIM, LATENTS = 2, 3, 8, 4
DEPTH = 4
FUSION: dict[str, Any] = {
    "layers": tuple(range(EVERY - 1, DEPTH, EVERY)),
    "heads": HEADS,
    "head_dim": HEAD_DIM,
    "norm": {"kind": "layer"},
    "mlp": {"kind": "plain", "width": 4 * WIDTH, "activation": "gelu"},
    "memory_width": TOWER["hidden_size"],
}


class Parts:
    """Tower and text model of the library, and the model of ours that joins them."""

    def __init__(self, folder: Path, gates: float | None) -> None:
        tower = hf.CLIPVisionModel(hf.CLIPVisionConfig(**TOWER))
        text = hf.LlamaForCausalLM(hf.LlamaConfig(**TEXT | {"num_hidden_layers": DEPTH}))
        self.tower, self.text = ref.randomise(tower, 1), ref.randomise(text, 2)
        declared = compose_spec(
            read_spec(ref.saved(self.tower, folder / "tower")),
            read_spec(ref.saved(self.text, folder / "text")),
            connector=ResamplerSpec(latents=LATENTS, depth=2, heads=2, head_dim=8),
            fusion=CrossAttentionSpec.parse(FUSION),
            layer=-1,
            class_token="drop",
        )
        self.ours: Vlm = load(declared).model
        if gates is not None:
            self.fill(gates)

    @torch.no_grad()
    def fill(self, gates: float) -> None:
        """Loud random values in all that is new."""
        new = [self.ours.connector, *(self.block(layer) for layer in FUSION["layers"])]
        for seed, module in enumerate(new):
            ref.randomise(module, seed)
        for layer in FUSION["layers"]:
            self.block(layer).attn_gate.fill_(gates)
            self.block(layer).mlp_gate.fill_(0.7 * gates)

    def block(self, layer: int) -> Any:
        return self.ours.language.blocks[layer].cross

    @torch.no_grad()
    def logits(self, item: Item, *, immediate: bool = True) -> Tensor:
        """float32[T, V] by the equations."""
        ids = torch.tensor([item.token_ids])
        x_BTD = self.ours.language.embed_tokens(ids)  # Llama's rows and one for the placeholder
        media = self.media(item)
        places = torch.arange(ids.shape[1])[None]
        rotary = self.text.model.rotary_emb(x_BTD, position_ids=places)
        for i, layer in enumerate(self.text.model.layers):
            if i in FUSION["layers"]:
                x_BTD = self.gated(self.block(i), x_BTD, media, ids == VOCAB, immediate)
            mask = torch.full((ids.shape[1],) * 2, -torch.inf).triu(1)[None, None]
            x_BTD = layer(x_BTD, attention_mask=mask, position_embeddings=rotary)
        return self.text.lm_head(self.text.model.norm(x_BTD))[0]

    @torch.no_grad()
    def base_logits(self, item: Item) -> Tensor:
        """float32[T, V] of the text model alone."""
        embedded = self.ours.language.embed_tokens(torch.tensor([item.token_ids]))
        return self.text(inputs_embeds=embedded).logits[0]

    def our_logits(self, item: Item) -> Tensor:
        """Those of the words that the text model knows."""
        return reference_logits(self.ours, item)[:, :VOCAB]

    def media(self, item: Item) -> Tensor:
        """Latents of every picture, [1, M, C]; the resampler itself is proved on its own."""
        if not item.visual.pixels:
            return torch.zeros(1, 0, TOWER["hidden_size"])
        states = self.tower(torch.stack(item.visual.pixels)).last_hidden_state[:, 1:]
        return self.ours.connector(states, None).flatten(0, 1)[None]

    def gated(
        self, block: Any, x_BTD: Tensor, media: Tensor, images: Tensor, immediate: bool
    ) -> Tensor:
        """x + tanh(a) · attention, then x + tanh(b) · feed-forward."""
        read = self.attention(block, x_BTD, media, images, immediate)
        x_BTD = x_BTD + block.attn_gate.tanh() * read
        norm = block.norm2
        normed = F.layer_norm(x_BTD, (WIDTH,), norm.weight, norm.bias)
        inner = F.gelu(normed @ block.mlp.up.weight.T)
        return x_BTD + block.mlp_gate.tanh() * (inner @ block.mlp.down.weight.T)

    def attention(
        self, block: Any, x_BTD: Tensor, media: Tensor, images: Tensor, immediate: bool
    ) -> Tensor:
        """Each text token reads the latents of the picture that its time is; of none, nothing."""
        if media.shape[1] == 0:
            return torch.zeros_like(x_BTD)
        normed = F.layer_norm(x_BTD, (WIDTH,), block.norm1.weight, block.norm1.bias)
        text_time = images.cumsum(-1)[:, None, :, None]
        media_time = 1 + torch.arange(media.shape[1]) // LATENTS
        seen = text_time == media_time if immediate else text_time >= media_time
        q, k, v = (
            (x @ matrix.weight.T).unflatten(-1, (HEADS, HEAD_DIM)).transpose(1, 2)
            for x, matrix in (
                (normed, block.attn.q), (media, block.attn.k), (media, block.attn.v),
            )
        )  # fmt: skip
        scores = (q * HEAD_DIM**-0.5) @ k.transpose(2, 3)
        scores = scores.masked_fill(~seen, -torch.finfo(scores.dtype).max)
        weights = scores.softmax(-1).masked_fill(text_time == 0, 0.0)
        return (weights @ v).transpose(1, 2).flatten(2) @ block.attn.out.weight.T


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(tmp_path_factory.mktemp("opened"), gates=0.8)


def largest_gap(parts: Parts, items: dict[str, Item], **options: bool) -> float:
    gaps = [
        (parts.our_logits(item) - parts.logits(item, **options)).abs().max()
        for item in items.values()
    ]
    return float(torch.stack(gaps).max())


def test_equals_its_equations(opened: Parts) -> None:
    items = memories.conversations(opened.ours.spec)
    assert largest_gap(opened, items) <= TOLERANCE
    assert largest_gap(opened, items, immediate=False) >= 5 * TOLERANCE


def test_all_pictures_so_far_are_the_other_choice(opened: Parts) -> None:
    """`only_attend_immediate_media` turned off."""
    spec = opened.ours.spec
    every = spec.model_copy(update={"fusion": spec.fusion.model_copy(update={"sees": "all"})})
    items = memories.conversations(spec)
    opened.ours.spec = every
    try:
        assert largest_gap(opened, items, immediate=False) <= TOLERANCE
    finally:
        opened.ours.spec = spec


def test_cached_answers_are_the_slow_path_s(opened: Parts) -> None:
    items = memories.conversations(opened.ours.spec)
    slow = [reference_greedy(opened.ours, item, 6) for item in items.values()]
    assert ref.our_greedy(opened.ours, list(items.values()), 6) == slow


def test_closed_gates_leave_the_text_model(tmp_path: Path) -> None:
    """Whatever is shown, logits are those of the base model on the same ids."""
    parts = Parts(tmp_path, gates=0.0)
    for item in memories.conversations(parts.ours.spec).values():
        assert (parts.our_logits(item) - parts.base_logits(item)).abs().max() <= TOLERANCE


def test_a_composed_model_starts_as_its_text_model(tmp_path: Path) -> None:
    """New gates are closed, and nothing that had weights was drawn anew."""
    parts = Parts(tmp_path, gates=None)
    item = memories.conversations(parts.ours.spec)["several"]
    assert (parts.our_logits(item) - parts.base_logits(item)).abs().max() <= TOLERANCE
    block = parts.block(FUSION["layers"][0])
    assert block.attn_gate == block.mlp_gate == 0
    assert 0 < block.attn.q.weight.std() < 1


PAIRS = {
    "tiles for a plain text model": (test_mllama.tiny, None, "interleave", "grid"),
    "blocks of Llama 3.2 Vision read another tower": (
        None,
        test_mllama.tiny,
        "cross_attention",
        "",
    ),
    "tiles for IDEFICS": (test_mllama.tiny, test_idefics.tiny, "cross_attention", "all"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_parts_of_the_published_families_join(name: str, tmp_path: Path) -> None:
    """Blocks that read belong to the text model and keep their weights."""
    tower, text, fusion, rows = PAIRS[name]
    towers = tower() if tower else ref.randomise(hf.CLIPVisionModel(hf.CLIPVisionConfig(**TOWER)))
    texts = text() if text else ref.randomise(hf.LlamaForCausalLM(hf.LlamaConfig(**TEXT)))
    folders = ref.saved(towers, tmp_path / "tower"), ref.saved(texts, tmp_path / "text")
    loaded = load(compose_spec(*map(read_spec, folders)))
    spec = loaded.model.spec
    assert (spec.fusion.kind, getattr(spec.vision, "rows", "")) == (fusion, rows)
    assert all(name.startswith("connector.") or "embed" in name or "head" in name
               for name in loaded.audit.fresh)  # fmt: skip


def test_blocks_that_read_are_not_exchanged(tmp_path: Path) -> None:
    text = read_spec(ref.saved(test_mllama.tiny(), tmp_path))
    with pytest.raises(FamilyError, match="weights of its own"):
        compose_spec(text, text, fusion=CrossAttentionSpec(layers=(0,)))
