"""Pairs of towers from folders, and to folders that others load; `save` writes our own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from sightline.core.errors import FamilyError
from sightline.families.declared import Declared
from sightline.families.export import Published
from sightline.families.pairs import publish_pair, read_pair
from sightline.hub.find import find
from sightline.model.matcher import Matcher
from sightline.model.pair import Pair, build_pair
from sightline.nn.named import named_device, named_dtype
from sightline.prompt.files import load_tokenizer, save_tokenizer
from sightline.prompt.tokenizer import Tokenizer
from sightline.weights.audit import Audit
from sightline.weights.convert import with_safetensors
from sightline.weights.export import write_published
from sightline.weights.fingerprint import differences, fingerprint
from sightline.weights.load import fill


@dataclass(frozen=True, slots=True)
class LoadedPair:
    """A pair in memory, the declaration it was made from, and what became of every tensor."""

    model: Pair
    declared: Declared
    audit: Audit


def load_pair(
    model: Path | str, *, device: str = "cpu", dtype: str = "auto", revision: str | None = None
) -> Matcher:
    """A pair with its tokenizer, from a folder or a hub id: CLIP's, SigLIP's or our own.

    `dtype` auto keeps the checkpoint's own. Raises FolderError, FamilyError, SpecError, WeightError
    or PromptError.
    """
    folder = with_safetensors(find(model, revision=revision))
    loaded = fill_pair(read_pair(folder), dtype=named_dtype(dtype), device=named_device(device))
    tokenizer = load_tokenizer(folder)
    declared = loaded.declared
    now = fingerprint(loaded.model.spec, tokenizer)
    notes = (*declared.notes, *differences(declared.fingerprint, now))
    return Matcher(loaded.model, tokenizer, notes)


def fill_pair(
    declared: Declared,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> LoadedPair:
    """Build the declared pair and fill it.

    Raises FamilyError for a declaration of something else, WeightError for tensors that do not
    match.
    """
    if declared.pair is None:
        raise FamilyError(declared.family, "was not read as a pair", "use read_pair")
    model = build_pair(declared.pair, device="meta")
    audit = fill(model, declared, dtype=dtype, device=device)
    return LoadedPair(model.eval(), declared, audit)


def export_pair(
    model: Pair,
    folder: Path | str,
    *,
    tokenizer: Tokenizer | None = None,
    dtype: torch.dtype | None = None,
) -> Published:
    """Write the folder of a CLIPModel or SiglipModel that transformers loads.

    Raises FamilyError where neither expresses the pair.
    """
    published = publish_pair(model.spec)
    write_published(model, published, Path(folder), dtype)
    if tokenizer is not None:
        save_tokenizer(tokenizer, Path(folder))
    return published
