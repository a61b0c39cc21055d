"""Ids of special tokens and the size of a vocabulary, read from tokenizer files as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.families.files import Checkpoint
from sightline.prompt.spm import SentencePieceModel

ADDS_BOS = ("CodeLlamaTokenizer", "GemmaTokenizer", "InternLM2Tokenizer", "LlamaTokenizer")


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What the tokenizer files say.

    Attributes:
        added: ids of added tokens by text.
        first_free: the first id above every token, or None without a tokenizer.
        bos, eos, pad: texts of special tokens.
        adds_bos: whether encoding puts bos in front; None where nothing says so.
        kind: the class that tokenizer_config.json names.
    """

    added: Mapping[str, int]
    vocab: Mapping[str, int]
    first_free: int | None = None
    bos: str | None = None
    eos: str | None = None
    pad: str | None = None
    adds_bos: bool | None = None
    kind: str | None = None

    def id_of(self, text: str | None) -> int | None:
        """The id of a token, or None if there is no such token."""
        if text is None:
            return None
        return self.added.get(text, self.vocab.get(text))

    def text_of(self, token_id: int) -> str | None:
        """The text of an added token."""
        return next((text for text, i in self.added.items() if i == token_id), None)


def read_tokens(checkpoint: Checkpoint) -> TokenFacts:
    """From tokenizer.json (or older files), tokenizer_config.json and added_tokens.json."""
    main, config = checkpoint.json("tokenizer.json"), checkpoint.json("tokenizer_config.json")
    added = {text: i for text, i in checkpoint.json("added_tokens.json").items() if _is_id(i)}
    decoder = config.get("added_tokens_decoder") or {}
    added |= {entry["content"]: int(i) for i, entry in decoder.items()}
    added |= {entry["content"]: entry["id"] for entry in main.get("added_tokens", [])}
    vocab = _vocab(checkpoint, main)
    ids = [*vocab.values(), *added.values()] if vocab else []
    special = {key: _text(config.get(f"{key}_token")) for key in ("bos", "eos", "pad")}
    return TokenFacts(
        added=added,
        vocab=vocab,
        first_free=max(ids) + 1 if ids else None,
        **special,
        adds_bos=_adds_bos(main, config, special["bos"]),
        kind=_text(config.get("tokenizer_class")),
    )


def _vocab(checkpoint: Checkpoint, main: Mapping[str, Any]) -> dict[str, int]:
    """Pieces by text: of tokenizer.json, else of vocab.json or a SentencePiece model."""
    vocab = (main.get("model") or {}).get("vocab") or checkpoint.json("vocab.json")
    if isinstance(vocab, list):  # Unigram: [piece, score] in order of ids
        return {piece: i for i, (piece, _) in enumerate(vocab)}
    file = checkpoint.folder / "tokenizer.model" if checkpoint.folder else None
    if not vocab and file is not None and file.is_file():
        pieces = SentencePieceModel.parse(file.read_bytes()).pieces
        return {piece.text: i for i, piece in enumerate(pieces)}
    return dict(vocab)


def _adds_bos(main: Mapping[str, Any], config: Mapping[str, Any], bos: str | None) -> bool | None:
    """`add_bos_token` if stated, else tokenizer.json's post-processor, else the class's habit."""
    if isinstance(stated := config.get("add_bos_token"), bool):
        return stated
    if main:
        return bos is not None and bos in _prepended(main.get("post_processor") or {})
    kind = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    return kind in ADDS_BOS if kind else None


def _prepended(processor: Mapping[str, Any]) -> list[str]:
    """Special tokens that a template post-processor puts before a single sequence."""
    if processor.get("type") == "Sequence":
        return [t for inner in processor.get("processors", []) for t in _prepended(inner)]
    found = []
    for piece in processor.get("single") or []:
        if "Sequence" in piece:
            break
        found.append(piece["SpecialToken"]["id"])
    return found


def _text(token: Any) -> str | None:
    """Special tokens are written as text or as an object with content."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _is_id(value: object) -> bool:
    return type(value) is int
