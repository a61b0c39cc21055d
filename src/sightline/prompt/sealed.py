"""A splitting model that cannot be talked into control tokens.

Many vocabularies hold their control tokens as ordinary pieces (`</s>` is piece 2 of Llama's, and a
merge of `</` and `s>` may lead to it), so that plain text could turn into control. Here those
pieces are renamed to something nobody can write and merges that lead to them are removed; ids stay.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from typing import Any

import tokenizers

from sightline.core.errors import PromptError


def sealed_backend(data: dict[str, Any], control: Collection[str]) -> tokenizers.Tokenizer:
    """The tokenizer of a parsed tokenizer.json without added tokens, padding and post-processing.

    No text can produce the id of a piece in `control`, except as the unknown token.
    Raises PromptError for a tokenizer.json that the `tokenizers` library refuses.
    """
    seal = secrets.token_hex(16)
    hidden = {text: f"\0{seal}{text}" for text in control}
    kept = {key: data.get(key) for key in ("normalizer", "pre_tokenizer", "decoder")}
    try:
        model = _hide(data["model"], hidden)
        text = json.dumps(kept | {"version": "1.0", "added_tokens": [], "model": model})
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare exceptions
        problem = f"is not understood ({' '.join(str(error).split())[:200]})"
        raise PromptError("tokenizer.json", problem, "check the file") from None


def piece_ids(model: dict[str, Any]) -> dict[str, int]:
    """The pieces of a parsed `model` section with their ids."""
    vocab = model["vocab"]
    if isinstance(vocab, dict):
        return vocab
    return {piece: id_ for id_, (piece, _) in enumerate(vocab)}  # Unigram: a list with scores


def _hide(model: dict[str, Any], hidden: dict[str, str]) -> dict[str, Any]:
    vocab = model["vocab"]
    changed = dict(model)
    if isinstance(vocab, dict):
        changed["vocab"] = {hidden.get(piece, piece): id_ for piece, id_ in vocab.items()}
    else:
        changed["vocab"] = [[hidden.get(piece, piece), score] for piece, score in vocab]
    if "merges" in model:
        changed["merges"] = [m for m in model["merges"] if not _touches(m, hidden)]
    if (unknown := model.get("unk_token")) is not None:
        changed["unk_token"] = hidden.get(unknown, unknown)
    return changed


def _touches(merge: str | list[str], hidden: dict[str, str]) -> bool:
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left in hidden or right in hidden or left + right in hidden
