"""Pairs of towers of a few thousand parameters, and rows for them."""

# B rows  T tokens

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

from sightline.model.init import initialise
from sightline.model.pair import Pair, build_pair
from sightline.model.pair_prepare import PairBatch
from sightline.prompt.convert import byte_letters
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig
from sightline.spec.pair import PairSpec

Json = dict[str, Any]

SIDE, PATCH, VOCAB, CONTEXT = 8, 4, 260, 24
BEGIN, END, PAD = 256, 257, 258

BASE: Json = {
    "resolution": {"kind": "fixed", "size": SIDE},
    "vision": {
        "kind": "vit",
        "width": 12,
        "depth": 2,
        "heads": 2,
        "mlp_width": 20,
        "patch": PATCH,
        "image_size": SIDE,
    },
    "image_pool": {"kind": "mean"},
    "text": {
        "stack": {
            "vocab": VOCAB,
            "width": 16,
            "depth": 2,
            "context": CONTEXT,
            "attention": {"heads": 2, "kv_heads": 2, "head_dim": 8},
            "mlp": {"width": 24},
            "tied_head": True,
        },
        "bos_id": BEGIN,
        "eos_id": END,
        "pad_id": PAD,
    },
    "width": 10,
}
LIKE_CLIP: Json = {
    "vision": {"class_token": "keep", "pre_norm": True, "patch_bias": False},
    "image_pool": {"kind": "class_token"},
    "text": {"stack": {"positions": {"kind": "learned"}, "norm": {"kind": "layer"}}},
}
LIKE_SIGLIP: Json = {
    "image_pool": {"kind": "attention", "heads": 2, "mlp_width": 20},
    "image_projection": "none",
    "text": {"mask": "bidirectional", "pool": "last", "padding": "context", "bos_id": None},
    "text_projection": "affine",
    "width": 12,
    "loss": {"kind": "sigmoid"},
}


def merged(base: Json, change: Json) -> Json:
    """`base` with the leaves of `change`; another kind replaces a section whole."""
    out = dict(base)
    for key, value in change.items():
        nested = isinstance(value, dict) and isinstance(out.get(key), dict)
        same = nested and value.get("kind") in (None, out[key].get("kind"))
        out[key] = merged(out[key], value) if same else value
    return out


def pair_spec(*changes: Json) -> PairSpec:
    data = BASE
    for change in changes:
        data = merged(data, change)
    return PairSpec.parse(data)


def random_pair(*changes: Json, seed: int = 0) -> Pair:
    """A pair whose every parameter says something: no zero bias, no norm of one."""
    pair = build_pair(pair_spec(*changes))
    initialise(pair, seed)
    shake(pair, seed)
    return pair


@torch.no_grad()
def shake(module: nn.Module, seed: int, by: float = 0.1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.add_(by * torch.randn(parameter.shape, generator=generator))


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pixels [B, 3, H, W] and token ids [B, T] of unequal lengths."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(count, 3, SIDE, SIDE, generator=generator)
    ids = torch.randint(0, 255, (count, CONTEXT), generator=generator)
    ids[:, 0] = BEGIN
    for row in range(count):
        stop = 3 + row % 7
        ids[row, stop] = END
        ids[row, stop + 1 :] = PAD
    return pixels, ids


def batch(pixels: Tensor, ids: Tensor) -> PairBatch:
    names = tuple(f"row {i}" for i in range(len(pixels)))
    return PairBatch(pixels, ids, names, int((ids != PAD).sum()), 4 * len(pixels))


def byte_words() -> Tokenizer:
    """A token a byte."""
    vocab = {letter: byte for byte, letter in byte_letters().items()}
    plain = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    model = {"type": "BPE", "vocab": vocab, "merges": []}
    added = ("<begin>", "<end>", "<pad>")
    source = {
        "version": "1.0",
        "added_tokens": [
            {"id": 256 + i, "content": text, "special": True} for i, text in enumerate(added)
        ],
        "normalizer": None,
        "pre_tokenizer": plain | {"use_regex": False},
        "post_processor": None,
        "decoder": plain | {"use_regex": False},
        "model": model,
    }
    return Tokenizer(json.dumps(source), TokenizerConfig(named={"eos_token": "<end>"}))
