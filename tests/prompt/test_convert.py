"""Old tokenizer files give the ids of the libraries that they were made for."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from pathlib import Path
from random import Random

import pytest
import sentencepiece
import tiktoken
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.prompt.tokenizers import trained_spm
from transformers import CLIPTokenizer, GPT2Tokenizer, Qwen2Tokenizer

from sightline.core.errors import PromptError
from sightline.prompt import convert
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig

PIECES = (
    "a", "e", "the ", " ", "  ", "    ", "\n", "\t", "é", "ü", "中", "日本", "😀", "\u200d",
    "e\u0301", "1", "12", "2024", "==", "--", "____", "....", "Hello", "dog's", "</s>", "<s>",
    "<unk>", "▁", "\x00", "A", "aaaa", "Ω", "(", ")", "[", "]", "!", "?", "don't", "\u00a0",
    "\u3000", "ﬁ", "①",
)  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)

SPM = {
    "bpe": {"kind": "bpe"},
    "bpe-unknown": {"kind": "bpe", "byte_fallback": False},
    "bpe-tidy": {"kind": "bpe", "remove_extra_whitespaces": True},
    "bpe-bare": {"kind": "bpe", "add_dummy_prefix": False},
    "bpe-nfkc": {"kind": "bpe", "normalization_rule_name": "nfkc"},
    "unigram": {"kind": "unigram"},
    "unigram-unknown": {"kind": "unigram", "byte_fallback": False},
    "unigram-t5": {
        "kind": "unigram",
        "normalization_rule_name": "nmt_nfkc",
        "remove_extra_whitespaces": True,
        "byte_fallback": False,
    },
}


@cache
def converted(data: bytes) -> Tokenizer:
    config = TokenizerConfig(named=convert.spm_names(data))
    return Tokenizer(convert.from_sentencepiece(data), config)


@pytest.mark.parametrize("name", SPM)
@given(text=texts)
def test_sentencepiece(name: str, text: str) -> None:
    # The library's charsmaps end at a NUL character.
    assume("\0" not in text or "nfkc" not in json.dumps(SPM[name]))
    data = trained_spm(**SPM[name])  # type: ignore[arg-type]
    theirs = sentencepiece.SentencePieceProcessor(model_proto=data)
    assert converted(data).encode_text(text) == theirs.encode(text)


def test_sentencepiece_user_symbols_are_tokens_of_templates() -> None:
    data = trained_spm(user_defined_symbols="<sep>,[[,\n\n")
    theirs = sentencepiece.SentencePieceProcessor(model_proto=data)
    ours = converted(data)
    text = "dog<sep>dogs [[ and\n\nred<sep>"
    found = [token.id for token in ours.encode(text, b"\1" * len(text))]
    symbols = [ours.id_of(symbol) for symbol in ("<sep>", "[[", "\n\n")]
    # The library gives every run between tokens its own dummy prefix, SentencePiece only the first.
    assert [i for i in found if i in symbols] == [i for i in theirs.encode(text) if i in symbols]
    assert not {*symbols[:2]} & {*ours.encode_text(text)}
    assert symbols[2] in ours.encode_text(text)


def test_mistral(shared_data: Path) -> None:
    path = shared_data / "tokenizers" / "mistral-spm" / "tokenizer.model.v1"
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ours = converted(path.read_bytes())
    assert ours.config.named == {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    random = Random(0)
    for _ in range(2000):
        text = "".join(random.choice(PIECES) for _ in range(random.randrange(14)))
        assert ours.encode_text(text) == theirs.encode(text)
    for char in " =-_.#*a0\n":
        for count in range(1, 70):
            assert ours.encode_text(char * count) == theirs.encode(char * count)


def test_sentencepiece_decodes_like_the_library(shared_data: Path) -> None:
    path = shared_data / "tokenizers" / "mistral-spm" / "tokenizer.model.v1"
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ours = converted(path.read_bytes())
    random = Random(0)
    for _ in range(300):
        row = [random.randrange(3, 32_000) for _ in range(random.randrange(12))]
        row = [id_ for id_ in row if not 3 <= id_ < 259]  # byte pieces: see the streaming tests
        assert ours.decode(row) == theirs.decode(row)


@pytest.mark.parametrize("cut", [1, 10, 100, 1000])
def test_damaged_sentencepiece_files_are_refused(cut: int) -> None:
    with pytest.raises(PromptError, match=r"tokenizer\.model"):
        convert.from_sentencepiece(trained_spm()[:-cut])
    with pytest.raises(PromptError, match=r"tokenizer\.model"):
        convert.from_sentencepiece(b"\xff" * cut)


def test_other_sentencepiece_types_are_refused() -> None:
    data = trained_spm("word", byte_fallback=False)
    with pytest.raises(PromptError, match="type word"):
        convert.from_sentencepiece(data)


@pytest.fixture(scope="module")
def gpt2_files(shared_data: Path) -> tuple[Path, Path]:
    folder = shared_data / "tokenizers" / "gpt2-bpe"
    return folder / "encoder.json", folder / "vocab.bpe"


def random_texts(count: int) -> list[str]:
    random = Random(1)
    return ["".join(random.choices(PIECES, k=random.randrange(14))) for _ in range(count)]


def test_gpt2(gpt2_files: tuple[Path, Path]) -> None:
    vocab, merges = (path.read_text(encoding="utf-8") for path in gpt2_files)
    theirs = GPT2Tokenizer(*map(str, gpt2_files))
    ours = Tokenizer(convert.from_gpt2(vocab, merges))
    for text in random_texts(300):
        assert ours.encode_text(text) == theirs(text)["input_ids"]
        assert ours.decode(ours.encode_text(text)) == text


def test_qwen2(gpt2_files: tuple[Path, Path]) -> None:
    vocab, merges = (path.read_text(encoding="utf-8") for path in gpt2_files)
    pairs = [(*line.split(" "),) for line in merges.split("\n")[1:-1]]
    theirs = Qwen2Tokenizer(json.loads(vocab), pairs)
    ours = Tokenizer(convert.from_qwen(vocab, merges))
    for text in random_texts(300):
        assert ours.encode_text(text) == theirs(text)["input_ids"]


def test_clip(shared_data: Path) -> None:
    data = (shared_data / "tokenizers" / "clip-bpe" / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    source = convert.from_clip(data)
    model = json.loads(source)["model"]
    assert len(model["vocab"]) == 49_408
    theirs = CLIPTokenizer(model["vocab"], [tuple(merge) for merge in model["merges"]])
    ours = Tokenizer(source)
    for text in random_texts(300):
        if "<" not in text:
            expected = theirs(text, add_special_tokens=False)["input_ids"]
            assert ours.encode_text(text) == expected
    # The first ids of CLIP's own vocabulary, and its best known sentence.
    assert [ours.token_of(id_) for id_ in (0, 255, 256, 49_406, 49_407)] == [
        "!", "Ń", "!</w>", "<|startoftext|>", "<|endoftext|>",
    ]  # fmt: skip
    assert ours.encode_text("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert ours.decode([320, 1125, 539, 320, 2368]) == "a photo of a cat"


def ranks_of(gpt2_files: tuple[Path, Path], size: int) -> dict[bytes, int]:
    """GPT-2's first pieces as tiktoken ranks."""
    byte_of = {letter: byte for byte, letter in convert.byte_letters().items()}
    vocab = json.loads(gpt2_files[0].read_text(encoding="utf-8"))
    kept = sorted((id_, piece) for piece, id_ in vocab.items() if id_ < size)
    return {bytes(byte_of[letter] for letter in piece): id_ for id_, piece in kept}


@pytest.mark.parametrize("pattern", [convert.CL100K_PATTERN, convert.QWEN_PATTERN])
def test_tiktoken(gpt2_files: tuple[Path, Path], pattern: str) -> None:
    ranks = ranks_of(gpt2_files, 5000)
    special = {"<|endoftext|>": 5000, "<|im_start|>": 5001}
    lines = [base64.b64encode(piece) + b" %d" % rank for piece, rank in ranks.items()]
    ours = Tokenizer(convert.from_tiktoken(b"\n".join(lines), pattern, special))
    theirs = tiktoken.Encoding(
        "test", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special
    )
    for text in random_texts(500):
        assert ours.encode_text(text) == theirs.encode(text, disallowed_special=())
    text = "<|im_start|>user"
    assert [t.id for t in ours.encode(text, b"\1" * len(text))] == theirs.encode(
        text, allowed_special="all"
    )


def test_tiktoken_takes_whole_words_that_no_merge_reaches() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"dog": 256, b" do": 257}
    lines = [base64.b64encode(piece) + b" %d" % rank for piece, rank in ranks.items()]
    ours = Tokenizer(convert.from_tiktoken(b"\n".join(lines), convert.CL100K_PATTERN))
    theirs = tiktoken.Encoding(
        "test", pat_str=convert.CL100K_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    for text in ("dog", "dogs", " do dog", "a dog\ndog"):
        assert ours.encode_text(text) == theirs.encode(text)
    assert ours.encode_text("dog") == [256]


@pytest.mark.parametrize("data", [b"", b"no base64\n", b"YQ==\n", b"YQ== x\n", b"\xff\xfe 1"])
def test_wrong_tiktoken_files_are_refused(data: bytes) -> None:
    with pytest.raises(PromptError, match="tiktoken"):
        convert.from_tiktoken(data, convert.QWEN_PATTERN)


@pytest.mark.parametrize(
    ("vocab", "merges", "says"),
    [
        ("[]", "", r"vocab\.json"),
        ("{", "", r"vocab\.json"),
        ('{"a": "b"}', "", r"vocab\.json"),
        ('{"a": 0}', "#version: 0.2\na b c\n", r"merges\.txt.*a b c"),
    ],
)
def test_wrong_gpt2_files_are_refused(vocab: str, merges: str, says: str) -> None:
    with pytest.raises(PromptError, match=says):
        convert.from_gpt2(vocab, merges)


def test_wrong_clip_files_are_refused() -> None:
    with pytest.raises(PromptError, match="gzip"):
        convert.from_clip(b"plain text")
    with pytest.raises(PromptError, match="gzip"):
        convert.from_clip(gzip.compress(b"a b\n" * 9)[:-6])
