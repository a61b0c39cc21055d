"""Text to ids and back, with control tokens only where the caller says that a template wrote.

The splitting is that of the `tokenizers` library (normaliser, pre-tokeniser and model of
tokenizer.json); only its search for added tokens is replaced, by one that knows the origin of
every character. Where content spells no special token, ids equal the library's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tokenizers import NormalizedString, PreTokenizedString

from sightline.core.errors import PromptError
from sightline.prompt.added import AddedToken, Allowed, Match, Matcher, gaps
from sightline.prompt.sealed import piece_ids, sealed_backend
from sightline.prompt.stream import StreamDecoder, joins_plainly


class Token(NamedTuple):
    """A token that covers text[start:stop]; `added` if it was cut out as an added token."""

    id: int
    start: int
    stop: int
    added: bool


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """What a folder says beside tokenizer.json.

    `named`: bos_token, eos_token, pad_token, ... as templates see them; `special`: further control
    tokens; `added`: tokens that tokenizer.json lacks or whose flags are other here; `other`: the
    rest of tokenizer_config.json, kept for saving; `instruction`: the tokenizer of a connector that
    reads the user's words.
    """

    named: dict[str, str] = field(default_factory=dict)
    special: tuple[str, ...] = ()
    added: tuple[AddedToken, ...] = ()
    chat_template: str | None = None
    other: dict[str, Any] = field(default_factory=dict)
    instruction: Tokenizer | None = None


class Tokenizer:
    """A tokenizer.json and its config. Never changes: `add_token` returns a new one.

    `added` are its added tokens by id, `vocab_size` is the highest id plus one.
    """

    def __init__(self, source: str, config: TokenizerConfig | None = None) -> None:
        """`source` is the text of a tokenizer.json. Raises PromptError if it is not one."""
        data = read_source(source)
        pieces = piece_ids(data["model"])
        self.source, self.config = source, config or TokenizerConfig()
        self.added = _all_added(data, pieces, self.config)
        self.special_ids = frozenset(token.id for token in self.added if token.special)
        self.vocab_size = 1 + max([*pieces.values(), *(token.id for token in self.added)])
        self._texts = {token.id: token.text for token in self.added}
        self._ids = {token.text: token.id for token in self.added}
        self._plain_joins = joins_plainly(data.get("decoder"))
        self._backend = sealed_backend(data, [t.text for t in self.added if t.special])
        self._model, self._normaliser = self._backend.model, self._backend.normalizer
        self._raw = Matcher((t.text, t) for t in self.added if not t.normalized)
        self._normalised = Matcher((self._spelling(t), t) for t in self.added if t.normalized)

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[str, TokenizerConfig]]:
        return Tokenizer, (self.source, self.config)

    def __contains__(self, token: str) -> bool:
        return self._find(token) is not None

    def id_of(self, token: str) -> int:
        """The id of a token or piece. Raises PromptError if there is none."""
        if (id_ := self._find(token)) is None:
            raise PromptError("token", f"{token!r} is not in the vocabulary", "add it: add_token")
        return id_

    def named_id(self, name: str) -> int | None:
        """The id of a named token such as `eos_token`, or None where the config names none."""
        text = self.config.named.get(name)
        return None if text is None else self.id_of(text)

    def token_of(self, id_: int) -> str:
        """The token of an id; U+FFFD for a free row of a padded vocabulary."""
        if id_ < 0:
            raise PromptError("token_ids", f"{id_} is negative", "give ids of the vocabulary")
        if (text := self._texts.get(id_)) is None and id_ < self.vocab_size:
            text = self._backend.id_to_token(id_)
        return "\N{REPLACEMENT CHARACTER}" if text is None else text

    def encode_text(self, text: str) -> list[int]:
        """The ids of content: no special token is recognised in it."""
        return [token.id for token in self.encode(text)]

    def encode(
        self, text: str, control: bytes | None = None, content_tokens: Collection[str] = ()
    ) -> list[Token]:
        """The tokens of `text`.

        `control` holds one byte per character, 1 where a template wrote it (None: nowhere). An
        added token counts if all its characters are such, if it is one of `content_tokens`, or if
        it is white space and not special. No bos or eos is added.
        """
        allowed = _allowance(control or bytes(len(text)), frozenset(content_tokens))
        matches = list(self._raw.find(text, allowed))
        tokens: list[Token] = []
        if pieces := gaps(matches, len(text)):
            split = PreTokenizedString(text)
            split.split(lambda _, whole: [whole[start:stop] for start, stop in pieces])
            matches += self._normalise(split, pieces, allowed)
            tokens = self._split(split)
        tokens += [Token(match.token.id, match.start, match.stop, True) for match in matches]
        return sorted(tokens, key=lambda token: (token.start, not token.added))

    def decode(
        self, ids: Iterable[int], *, skip_special: bool = True, keep: Collection[str] = ()
    ) -> str:
        """The text of ids, without special tokens other than those in `keep`.

        An id without a token (a free row of a padded vocabulary) is shown as U+FFFD.
        Raises PromptError for a negative id.
        """
        hidden = self._hidden(skip_special, keep)
        return self._join([self.token_of(id_) for id_ in ids if id_ not in hidden])

    def stream(self, *, skip_special: bool = True, keep: Collection[str] = ()) -> StreamDecoder:
        """A decoder for ids that come one by one; its pieces join to what `decode` gives."""
        hidden = self._hidden(skip_special, keep)
        return StreamDecoder(
            lambda id_: None if id_ in hidden else self.token_of(id_),
            self._join,
            plain=self._plain_joins,
        )

    def add_token(self, text: str, *, special: bool = True) -> Tokenizer:
        """A tokenizer that also has this token, under the next free id; or this one, if it has it.

        Raises PromptError for an empty text.
        """
        if not text:
            raise PromptError("token", "is empty", "give the token's text")
        if text in self._ids:
            return self
        id_ = self._find(text)
        token = AddedToken(self.vocab_size if id_ is None else id_, text, special=special)
        return Tokenizer(self.source, replace(self.config, added=(*self.config.added, token)))

    def _normalise(
        self, split: PreTokenizedString, pieces: Sequence[tuple[int, int]], allowed: Allowed
    ) -> list[Match]:
        """Normalise every piece and cut out the tokens that are looked for in normalised text."""
        if (normaliser := self._normaliser) is not None:
            split.normalize(normaliser.normalize)
        found: list[Match] = []

        def cut(index: int, piece: NormalizedString) -> list[NormalizedString]:
            base, text = pieces[index][0], piece.normalized

            def origin(position: int) -> int:
                return base + len(_slice(piece, 0, position).original)

            def allowed_there(token: AddedToken, start: int, stop: int) -> bool:
                return allowed(token, origin(start), origin(stop))

            matches = list(self._normalised.find(text, allowed_there))
            found.extend(Match(m.token, origin(m.start), origin(m.stop)) for m in matches)
            return [_slice(piece, start, stop) for start, stop in gaps(matches, len(text))]

        if self._normalised:
            split.split(cut)
        return found

    def _split(self, split: PreTokenizedString) -> list[Token]:
        if (pre_tokenizer := self._backend.pre_tokenizer) is not None:
            pre_tokenizer.pre_tokenize(split)
        split.tokenize(self._model.tokenize)
        encoding = split.to_encoding()
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        return [Token(id_, start, stop, False) for id_, (start, stop) in pairs]

    def _spelling(self, token: AddedToken) -> str:
        return self._normaliser.normalize_str(token.text) if self._normaliser else token.text

    def _find(self, token: str) -> int | None:
        found = self._ids.get(token)
        return self._backend.token_to_id(token) if found is None else found

    def _hidden(self, skip_special: bool, keep: Collection[str]) -> frozenset[int]:
        kept = {self._ids[text] for text in keep if text in self._ids}
        return self.special_ids - kept if skip_special else frozenset()

    def _join(self, pieces: list[str]) -> str:
        decoder = self._backend.decoder
        return " ".join(pieces) if decoder is None else decoder.decode(pieces)


def read_source(source: str) -> dict[str, Any]:
    """A parsed tokenizer.json. Raises PromptError for text that is not one."""
    try:
        data = json.loads(source)
        found = isinstance(data["model"]["vocab"], dict | list) and bool(data["model"]["vocab"])
    except (ValueError, TypeError, KeyError):
        found = False
    if not found:
        raise PromptError("tokenizer.json", "has no model with a vocabulary", "check the file")
    return dict(data)


def _all_added(
    data: dict[str, Any], pieces: dict[str, int], config: TokenizerConfig
) -> tuple[AddedToken, ...]:
    """Added tokens by id. What the config says of one counts more than tokenizer.json."""
    tokens = {t.text: t for t in map(AddedToken.from_json, data.get("added_tokens") or ())}
    for token in config.added:
        known_id = tokens[token.text].id if token.text in tokens else pieces.get(token.text)
        tokens[token.text] = token if known_id is None else replace(token, id=known_id)
    for text in (*config.named.values(), *config.special):
        free = 1 + max([*pieces.values(), *(token.id for token in tokens.values())])
        known = tokens.get(text) or AddedToken(pieces.get(text, free), text)
        tokens[text] = replace(known, special=True)
    return tuple(sorted(tokens.values(), key=lambda token: token.id))


def _slice(text: NormalizedString, start: int, stop: int) -> NormalizedString:
    part = text[start:stop]
    assert part is not None, "the library gives None only outside the text"
    return part


def _allowance(control: bytes, content_tokens: frozenset[str]) -> Allowed:
    def allowed(token: AddedToken, start: int, stop: int) -> bool:
        everywhere = token.is_space or token.text in content_tokens
        return everywhere or 0 not in control[start:stop]

    return allowed
