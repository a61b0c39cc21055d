"""SentencePiece model files (Kudo & Richardson 2018), read from their protobuf wire format."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from sightline.core.errors import PromptError

Value = int | bytes


class Kind(IntEnum):
    """What a piece is."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Algorithm(IntEnum):
    """How text is split into pieces."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; its id is its place."""

    text: str
    score: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """What a `tokenizer.model` declares; ids are None where it has no such token."""

    pieces: tuple[Piece, ...]
    algorithm: Algorithm
    unk_id: int
    bos_id: int | None
    eos_id: int | None
    pad_id: int | None
    byte_fallback: bool
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    escape_whitespaces: bool
    suffix_whitespace: bool
    charsmap: bytes

    @classmethod
    def parse(cls, data: bytes) -> SentencePieceModel:
        """Read a model file. Raises PromptError if it is not one."""
        try:
            return _model(data)
        except (ValueError, IndexError, struct.error, UnicodeDecodeError):
            raise PromptError(
                "tokenizer.model", "is not a SentencePiece model", "check the file"
            ) from None


def _model(data: bytes) -> SentencePieceModel:
    fields = list(_fields(data))
    pieces = tuple(_piece(_bytes(value)) for number, value in fields if number == 1)
    if not pieces:
        raise ValueError("no pieces")
    trainer = {n: v for number, value in fields if number == 2 for n, v in _fields(_bytes(value))}
    normal = {n: v for number, value in fields if number == 3 for n, v in _fields(_bytes(value))}
    return SentencePieceModel(
        pieces=pieces,
        algorithm=Algorithm(_int(trainer.get(3, 1))),
        unk_id=_int(trainer.get(40, 0)),
        bos_id=_id(trainer.get(41, 1)),
        eos_id=_id(trainer.get(42, 2)),
        pad_id=_id(trainer.get(43, -1)),
        byte_fallback=bool(trainer.get(35, 0)),
        add_dummy_prefix=bool(normal.get(3, 1)),
        remove_extra_whitespaces=bool(normal.get(4, 1)),
        escape_whitespaces=bool(normal.get(5, 1)),
        suffix_whitespace=bool(trainer.get(24, 0)),
        charsmap=_bytes(normal.get(2, b"")),
    )


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    score = struct.unpack("<f", _bytes(fields.get(2, bytes(4))))[0]
    return Piece(_bytes(fields[1]).decode(), score, Kind(_int(fields.get(3, 1))))


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """(number, value) of a protobuf message: varints as int, everything else as bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        match key & 7:
            case 0:
                value, position = _varint(data, position)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, position = _varint(data, position)
            case 5:
                size = 4
            case wire:
                raise ValueError(f"wire type {wire}")
        if position + size > len(data):
            raise ValueError("cut short")
        yield key >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
        if shift > 63:
            raise ValueError("varint too long")


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("not a number")
    return value - (1 << 64) if value >> 63 else value


def _id(value: Value) -> int | None:
    return None if (number := _int(value)) < 0 else number


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("not bytes")
    return value
