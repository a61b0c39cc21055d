"""Our own folders: `sightline.yaml`, `model.safetensors`, tokenizer files and an optional card."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from sightline.families.own import FILE, own_yaml
from sightline.model.pair import Pair
from sightline.model.vlm import Vlm
from sightline.nn.lora import refuse_adapted
from sightline.prompt.files import load_tokenizer, save_tokenizer
from sightline.prompt.tokenizer import Tokenizer
from sightline.weights.fingerprint import fingerprint
from sightline.weights.state import state_of
from sightline.weights.write import MAX_SHARD_BYTES, Lazy, write_folder


def save(
    model: Vlm | Pair,
    folder: Path | str,
    *,
    tokenizer: Tokenizer | None = None,
    card: str | None = None,
    about: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a folder that `load_folder` (of a pair: `load_pair`) reads back bit by bit.

    `card` becomes card.md; `about` is kept in sightline.yaml (how it was trained, say), beside the
    fingerprint where there is a tokenizer; `dtype` None keeps the model's. Files of an earlier
    save in `folder` are replaced.
    """
    refuse_adapted(model)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors, sizes = lazily(state_of(model), dtype)
    write_folder(folder, tensors, sizes, max_shard_bytes)
    facts = dict(about or {})
    if tokenizer is not None:
        save_tokenizer(tokenizer, folder)
        facts["fingerprint"] = fingerprint(model.spec, load_tokenizer(folder))
    if card is not None:
        (folder / "card.md").write_text(card, encoding="utf-8")
    text = yaml.safe_dump(own_yaml(model.spec, facts), sort_keys=False)
    (folder / FILE).write_text(text, encoding="utf-8")


def lazily(
    tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None
) -> tuple[dict[str, Lazy], dict[str, int]]:
    """Makers of the tensors, floats in `dtype`, and their bytes."""
    dtypes = {
        name: dtype if dtype and tensor.is_floating_point() else tensor.dtype
        for name, tensor in tensors.items()
    }
    made: dict[str, Lazy] = {name: partial(t.to, dtypes[name]) for name, t in tensors.items()}
    sizes = {name: t.numel() * dtypes[name].itemsize for name, t in tensors.items()}
    return made, sizes
