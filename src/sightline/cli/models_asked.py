"""Models by the names that the command line gives them: here, or behind an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml

from sightline.core.errors import DataError, RemoteError
from sightline.eval.answerer import Answerer
from sightline.eval.item import Boxes, Item
from sightline.eval.local import LocalModel
from sightline.eval.remote.model import RemoteModel
from sightline.eval.remote.settings import LimitField, RemoteSettings
from sightline.eval.result import Prices
from sightline.hub.find import find
from sightline.spec.prompt import GroundingStyle

YAML = (".yaml", ".yml")
OPENAI = "https://api.openai.com/"


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Of models that are named NAME@URL; see RemoteSettings. A model of its own YAML file has its
    own."""

    allow_remote: bool = False
    key_env: str | None = None
    concurrency: int = 4
    timeout_s: float = 120.0
    retries: int = 5
    requests_per_minute: float | None = None
    max_side: int | None = None
    grounding: str = "none"
    limit_field: str = "max_tokens"
    prices: Prices | None = None

    def settings(self, model: str, url: str) -> RemoteSettings:
        """OpenAI's key goes to OpenAI alone, unless the user says where it goes."""
        usual = "OPENAI_API_KEY" if url.startswith(OPENAI) else None
        return RemoteSettings(
            url=url,
            model=model,
            key_env=self.key_env or usual,
            timeout_s=self.timeout_s,
            concurrency=self.concurrency,
            retries=self.retries,
            requests_per_minute=self.requests_per_minute,
            max_side=self.max_side,
            grounding=cast(GroundingStyle, self.grounding),
            limit_field=cast(LimitField, self.limit_field),
        )


class Model:
    """A model by the name that the command line gives it, opened when it is first needed.

    `tiny`, a folder or a hub id is loaded here. NAME@URL, or a YAML file of RemoteSettings (with
    `prices: {input:, output:}`), is asked over the network. LABEL= before it is its name in
    reports.
    """

    def __init__(self, word: str, remote: RemoteOptions, device: str, dtype: str) -> None:
        self.name, self.label = _labelled(word)
        self.allowed, self.device, self.dtype = remote.allow_remote, device, dtype
        self.remote, self.prices = _remote(self.name, remote)
        self._opened: Answerer | None = None

    def find(self) -> None:
        """Raises FolderError for one that is not there, before any model is asked."""
        if self.remote is None and self.name != "tiny":
            if self.name in ("scenes", "probes"):
                problem, fix = "is a task, not a model", f"write --task {self.name}"
                raise DataError(self.name, problem, fix)
            find(self.name)

    @property
    def opening(self) -> Callable[[], Answerer]:
        """Opens it in any process."""
        if self.remote is None:
            return partial(LocalModel.open, self.name, device=self.device, dtype=self.dtype)
        return partial(RemoteModel, self.remote, allowed=self.allowed)

    @property
    def opened(self) -> Answerer:
        if self._opened is None:
            self._opened = self.opening()
        return self._opened

    def close(self) -> None:
        """Let go of its memory."""
        self._opened = None

    @property
    def called(self) -> str:
        """How reports call it, as far as it is known before it is opened."""
        return self.label or self.name

    def check(self, items: Sequence[Item]) -> None:
        """Raises DataError for questions about places, if nobody said how the model writes them."""
        if self.remote is None or self.remote.grounding != "none":
            return
        if places := [item.key for item in items if isinstance(item.truth, Boxes)]:
            problem = f"is not known of {self.called}, and {places[0]} asks for places"
            raise DataError("grounding", problem, "name the style in which it writes boxes")


def _labelled(word: str) -> tuple[str, str | None]:
    """LABEL=MODEL in two; a path or an address may hold an equals sign too."""
    label, equals, rest = word.partition("=")
    if not (equals and label and rest) or "/" in label or Path(word).exists():
        return word, None
    return rest, label


def _remote(name: str, options: RemoteOptions) -> tuple[RemoteSettings | None, Prices | None]:
    """Settings and prices of a model behind an address; nothing for one that is loaded here."""
    if Path(name).suffix in YAML:
        return _described(Path(name))
    model, at, url = name.rpartition("@")
    if not (at and url.startswith(("http://", "https://"))):
        return None, None
    return options.settings(model, url), options.prices


def _described(path: Path) -> tuple[RemoteSettings, Prices | None]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = f"cannot be read ({str(error).splitlines()[0]:.80})"
        raise RemoteError(str(path), problem, "give the settings of a model") from None
    if not isinstance(data, Mapping):
        raise RemoteError(str(path), "is no mapping", "give url, model and what else is needed")
    known = {field.name for field in fields(RemoteSettings)}
    given: dict[str, Any] = dict(data)
    prices = given.pop("prices", None)
    if strange := [name for name in given if name not in known]:
        fix = f"use {', '.join(sorted(known))} or prices"
        raise RemoteError(str(path), f"has an unknown field {strange[0]!r}", fix)
    if lacking := [name for name in ("url", "model") if not isinstance(given.get(name), str)]:
        raise RemoteError(str(path), f"has no {lacking[0]}", "give url and model")
    try:
        return RemoteSettings(**given), None if prices is None else Prices(**prices)
    except TypeError as error:
        raise RemoteError(str(path), f"does not fit ({error})", "mend the value") from None


def check_used(models: Sequence[Model], remote: RemoteOptions) -> None:
    """Raises DataError for options of models that are named NAME@URL where none is."""
    if any(m.remote is not None and Path(m.name).suffix not in YAML for m in models):
        return
    usual = RemoteOptions(allow_remote=remote.allow_remote)
    for field in fields(remote):
        if getattr(remote, field.name) != getattr(usual, field.name):
            problem = "says nothing here: it is of models that are named NAME@URL"
            raise DataError(field.name, problem, "leave it out, or write it into the YAML file")


def prices(given: float | None, said: float | None) -> Prices | None:
    """Both prices or neither. Raises DataError for one alone, and for what is no price."""
    if given is None and said is None:
        return None
    if given is None or said is None:
        raise DataError("price_in, price_out", "come together", "give both")
    return Prices(given, said)
