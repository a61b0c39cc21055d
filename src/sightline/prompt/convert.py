"""Old tokenizer files, converted once: each function returns the text of a tokenizer.json."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sightline.core.errors import PromptError
from sightline.prompt.added import AddedToken
from sightline.prompt.spm import Algorithm, Kind, Piece, SentencePieceModel

Json = dict[str, Any]
Merge = tuple[str, str]

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's mark of a space
CLIP_MERGES = 49_152 - 256 - 2

# How a text is cut into words before byte pairs are merged.
CL100K_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)  # also Llama 3
QWEN_PATTERN = CL100K_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
CLIP_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def from_sentencepiece(data: bytes, *, legacy: bool = True) -> str:
    """A SentencePiece `tokenizer.model`, of BPE or unigram type.

    `legacy` puts the dummy prefix before every run of text between special tokens (Llama 2,
    Vicuna), otherwise only before the first.
    Raises PromptError for other model types and for unused pieces in a BPE model.
    """
    model = SentencePieceModel.parse(data)
    if not model.escape_whitespaces or model.suffix_whitespace:
        raise _unsupported("keeps spaces in an unusual way")
    new_style = not legacy and model.add_dummy_prefix and not model.remove_extra_whitespaces
    return _tokenizer_json(
        model=_spm_model(model),
        added=_spm_added(model.pieces),
        normalizer=_spm_normalizer(model, prefix=model.add_dummy_prefix and not new_style),
        pre_tokenizer=_metaspace() if new_style else None,
        decoder=_spm_decoder(model),
    )


def spm_names(data: bytes) -> dict[str, str]:
    """The named tokens (bos_token, eos_token, ...) that a SentencePiece model declares."""
    model = SentencePieceModel.parse(data)
    ids = {"bos": model.bos_id, "eos": model.eos_id, "unk": model.unk_id, "pad": model.pad_id}
    return {
        f"{name}_token": model.pieces[id_].text
        for name, id_ in ids.items()
        if id_ is not None and id_ < len(model.pieces)
    }


def from_gpt2(vocab: str, merges: str) -> str:
    """GPT-2's `vocab.json` (or `encoder.json`) and `merges.txt` (or `vocab.bpe`)."""
    model = _bpe(_read_vocab(vocab), _read_merges(merges))
    return _tokenizer_json(model=model, pre_tokenizer=_byte_level(regex=True))


def from_qwen(vocab: str, merges: str) -> str:
    """Qwen2's `vocab.json` and `merges.txt`: GPT-2's format, another pattern, NFC."""
    model = _bpe(_read_vocab(vocab), _read_merges(merges))
    words = _sequence("pretokenizers", _split(QWEN_PATTERN), _byte_level(regex=False))
    return _tokenizer_json(model=model, pre_tokenizer=words, normalizer={"type": "NFC"})


def from_clip(data: bytes) -> str:
    """CLIP's `bpe_simple_vocab_16e6.txt.gz`: 49,408 tokens, lower case."""
    try:
        lines = gzip.decompress(data).decode().split("\n")[1 : CLIP_MERGES + 1]
    except (OSError, EOFError, UnicodeDecodeError):
        raise PromptError("bpe gz", "is not a gzip of merges", "check the file") from None
    merges = _read_merges("\n".join(lines))
    letters = list(byte_letters().values())
    ends = [letter + "</w>" for letter in letters]
    special = ["<|startoftext|>", "<|endoftext|>"]
    pieces = [*letters, *ends, *(left + right for left, right in merges), *special]
    vocab = {piece: id_ for id_, piece in enumerate(pieces)}
    spaces = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    words = _split(CLIP_PATTERN) | {"behavior": "Removed", "invert": True}
    return _tokenizer_json(
        model=_bpe(vocab, merges) | {"end_of_word_suffix": "</w>", "unk_token": special[1]},
        added=[AddedToken(vocab[text], text) for text in special],
        normalizer=_sequence("normalizers", {"type": "NFC"}, spaces, {"type": "Lowercase"}),
        pre_tokenizer=_sequence("pretokenizers", words, _byte_level(regex=False)),
        decoder=_sequence(
            "decoders",
            _byte_level(regex=False),
            {"type": "Replace", "pattern": {"String": "</w>"}, "content": " "},
            {"type": "Strip", "content": " ", "start": 0, "stop": 1},
        ),
    )


def from_tiktoken(
    ranks: bytes, pattern: str, special: Mapping[str, int] | None = None, *, nfc: bool = False
) -> str:
    """A `.tiktoken` file of ranks (Qwen1, Llama 3), with the pattern and the control tokens that
    its code would add (`special`: text to id)."""
    rank_of = read_ranks(ranks)
    letters = byte_letters()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    splits = [
        (rank, spelled(token[:i]), spelled(token[i:]))
        for token, rank in rank_of.items()
        for i in range(1, len(token))
        if token[:i] in rank_of and token[i:] in rank_of
    ]
    vocab = {spelled(token): rank for token, rank in rank_of.items()}
    merges = [(left, right) for _, left, right in sorted(splits)]
    return _tokenizer_json(
        model=_bpe(vocab, merges) | {"ignore_merges": True},
        added=[AddedToken(id_, text) for text, id_ in (special or {}).items()],
        normalizer={"type": "NFC"} if nfc else None,
        pre_tokenizer=_sequence("pretokenizers", _split(pattern), _byte_level(regex=False)),
    )


def byte_letters() -> dict[int, str]:
    """GPT-2's printable letter for each byte, in GPT-2's order."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def _tokenizer_json(
    *,
    model: Json,
    added: Sequence[AddedToken] = (),
    normalizer: Json | None = None,
    pre_tokenizer: Json | None = None,
    decoder: Json | None = None,
) -> str:
    parts = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [token.to_json() for token in sorted(added, key=lambda t: t.id)],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder or _byte_level(regex=True),
        "model": model,
    }
    return json.dumps(parts, ensure_ascii=False)


def _bpe(vocab: Mapping[str, int], merges: Iterable[Merge]) -> Json:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": dict(vocab),
        "merges": [list(merge) for merge in merges],
    }


def _sequence(field: str, *parts: Json) -> Json:
    return {"type": "Sequence", field: list(parts)}


def _split(pattern: str) -> Json:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }


def _byte_level(*, regex: bool) -> Json:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": regex,
    }


def _metaspace() -> Json:
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}


def _spm_model(model: SentencePieceModel) -> Json:
    match model.algorithm:
        case Algorithm.BPE:
            return _spm_bpe(model)
        case Algorithm.UNIGRAM:
            vocab = [[piece.text, piece.score] for piece in model.pieces]
            fallback = {"byte_fallback": model.byte_fallback}
            return {"type": "Unigram", "unk_id": model.unk_id, "vocab": vocab} | fallback
    raise _unsupported(f"is of type {model.algorithm.name.lower()}")


def _spm_bpe(model: SentencePieceModel) -> Json:
    if any(piece.kind is Kind.UNUSED for piece in model.pieces):
        raise _unsupported("has unused pieces")
    vocab = {piece.text: id_ for id_, piece in enumerate(model.pieces)}
    return _bpe(vocab, _spm_merges(model.pieces)) | {
        "unk_token": model.pieces[model.unk_id].text,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
    }


def _spm_merges(pieces: Sequence[Piece]) -> list[Merge]:
    """All pairs of pieces that form a piece, best first. Only normal pieces take part."""
    ids = {piece.text: id_ for id_, piece in enumerate(pieces) if piece.kind is Kind.NORMAL}
    pairs = [
        (-pieces[id_].score, id_, text[:i], text[i:])
        for text, id_ in ids.items()
        for i in range(1, len(text))
        if text[:i] in ids and text[i:] in ids
    ]
    return [(left, right) for _, _, left, right in sorted(pairs)]


def _spm_added(pieces: Sequence[Piece]) -> list[AddedToken]:
    control = (Kind.CONTROL, Kind.UNKNOWN)
    return [
        AddedToken(id_, piece.text, special=piece.kind in control)
        for id_, piece in enumerate(pieces)
        if piece.kind in (*control, Kind.USER_DEFINED)
    ]


def _spm_normalizer(model: SentencePieceModel, *, prefix: bool) -> Json | None:
    steps: list[Json] = []
    if model.charsmap:
        charsmap = base64.b64encode(model.charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if model.remove_extra_whitespaces:
        for pattern, content in ((r"\A +", ""), (rf"[ {SPACE}]+\z", ""), (" {2,}", " ")):
            steps.append({"type": "Replace", "pattern": {"Regex": pattern}, "content": content})
    if prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    return _sequence("normalizers", *steps)


def _spm_decoder(model: SentencePieceModel) -> Json:
    spaces = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    steps: list[Json] = [spaces, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if model.add_dummy_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return _sequence("decoders", *steps)


def _read_vocab(text: str) -> dict[str, int]:
    try:
        vocab = json.loads(text)
    except ValueError:
        vocab = None
    if not isinstance(vocab, dict) or not all(isinstance(id_, int) for id_ in vocab.values()):
        raise PromptError("vocab.json", "is not a mapping of pieces to ids", "check the file")
    return vocab


def _read_merges(text: str) -> list[Merge]:
    lines = [line for line in text.split("\n") if line and not line.startswith("#version")]
    merges = [tuple(line.rstrip("\r").split(" ")) for line in lines]
    if wrong := next((merge for merge in merges if len(merge) != 2), None):
        raise PromptError("merges.txt", f"has the line {' '.join(wrong)!r}", "check the file")
    return [(merge[0], merge[1]) for merge in merges]


def read_ranks(data: bytes) -> dict[bytes, int]:
    try:
        lines = [line.split() for line in data.splitlines() if line]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (binascii.Error, ValueError):
        ranks = {}
    if not ranks:
        raise PromptError("tiktoken file", "is not lines of base64 and rank", "check the file")
    return ranks


def _unsupported(problem: str) -> PromptError:
    fix = "convert the tokenizer to a tokenizer.json with its own library"
    return PromptError("tokenizer.model", problem, fix)
