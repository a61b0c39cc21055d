"""Where a remote model is and how it is asked."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from sightline.core.errors import RemoteError
from sightline.spec.prompt import GroundingStyle

PictureFormat = Literal["png", "jpeg"]
LimitField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """An endpoint that speaks OpenAI's chat completions.

    Attributes:
        url: base address, without `/chat/completions`: `https://api.openai.com/v1`.
        model: as the server calls it.
        key_env: the environment variable that holds the key. It is read when requests are sent,
            and nothing keeps, prints or stores it. None, or a variable that is not set, sends no
            key. A key never goes unencrypted to another machine.
        timeout_s: for one whole request; connect_timeout_s: until it is connected.
        concurrency: requests under way at once.
        retries: further attempts after a failure that may pass.
        longest_wait_s: a server that asks for a longer pause gets no further attempt.
        requests_per_minute, tokens_per_minute: limits of the user's account; None is none.
        picture_format: `png` keeps every pixel; `jpeg` has `jpeg_quality`.
        max_side: pixels of the longer side, to which larger pictures are resized; None sends them
            as they are.
        num_frames: of a clip, evenly spaced, sent as pictures.
        limit_field: what the server calls the longest answer; OpenAI's reasoning models want
            `max_completion_tokens`.
        temperature, seed: sent as they are; None leaves them out, for servers that refuse them.
        grounding: how the model writes boxes and points; see `sightline.prompt.grounding`.
    """

    url: str
    model: str
    key_env: str | None = "OPENAI_API_KEY"
    timeout_s: float = 120.0
    connect_timeout_s: float = 10.0
    concurrency: int = 4
    retries: int = 5
    longest_wait_s: float = 300.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    picture_format: PictureFormat = "png"
    jpeg_quality: int = 95
    max_side: int | None = None
    num_frames: int = 8
    limit_field: LimitField = "max_tokens"
    temperature: float | None = 0.0
    seed: int | None = 0
    grounding: GroundingStyle = "none"

    def __post_init__(self) -> None:
        """Raises RemoteError for the first setting that cannot be."""
        address(self.url)
        for field, problem, fix in self._problems():
            raise RemoteError(f"remote.{field}", problem, fix)

    def _problems(self) -> Iterator[tuple[str, str, str]]:
        if not self.model.strip():
            yield "model", "is empty", "name the model as the server does"
        for name in ("timeout_s", "connect_timeout_s", "requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                yield name, f"is {value!r}", "give a number over 0"
        if not 0 <= self.longest_wait_s < float("inf"):
            yield "longest_wait_s", f"is {self.longest_wait_s!r}", "give seconds, 0 or more"
        least = {"concurrency": 1, "retries": 0, "num_frames": 1, "max_side": 1}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                yield name, f"is {value!r}", f"give {minimum} or more"
        if not 1 <= self.jpeg_quality <= 100:
            yield "jpeg_quality", f"is {self.jpeg_quality!r}", "give 1 to 100"
        for name, words in _WORDS.items():
            if (word := getattr(self, name)) not in words:
                yield name, f"{word!r} is unknown", f"use one of {', '.join(words)}"

    @property
    def endpoint(self) -> str:
        return f"{self.url.rstrip('/')}/chat/completions"

    @property
    def host(self) -> str:
        return address(self.url).hostname or ""

    @property
    def identity(self) -> Mapping[str, str]:
        """All that answers depend on, as far as it is known here; never the key."""
        jpeg = self.picture_format == "jpeg"
        return {
            "server": self.url.rstrip("/"),
            "model": self.model,
            "pictures": f"jpeg {self.jpeg_quality}" if jpeg else "png",
            "max side": "as it is" if self.max_side is None else f"{self.max_side} px",
            "clips": f"{self.num_frames} frames as pictures, uniform",
            "limit": self.limit_field,
            "temperature": str(self.temperature),
            "seed": str(self.seed),
            "grounding": self.grounding,
        }

    def headers(self) -> dict[str, str]:
        """The key, where there is one. Raises RemoteError for one that cannot or must not go."""
        key = self.key()
        if not key:
            return {}
        if address(self.url).scheme != "https" and not _is_this_machine(self.host):
            problem = f"would send the key in {self.key_env} unencrypted to {self.host}"
            raise RemoteError("remote.url", problem, "use https, or key_env=None to send no key")
        return {"Authorization": f"Bearer {key}"}

    def key(self) -> str:
        """What the variable holds now, or nothing. Raises RemoteError, without telling it."""
        key = os.environ.get(self.key_env, "").strip() if self.key_env else ""
        if not all(33 <= ord(character) <= 126 for character in key):
            problem = "holds characters that no key has"
            raise RemoteError(f"${self.key_env}", problem, "set it to the key alone")
        return key


_WORDS: dict[str, tuple[Any, ...]] = {
    "picture_format": get_args(PictureFormat),
    "limit_field": get_args(LimitField),
    "grounding": get_args(GroundingStyle),
}


def address(url: str) -> SplitResult:
    """A base address in parts. Raises RemoteError, without repeating what may be a secret in it."""
    fix = "give the base address, such as https://api.openai.com/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise RemoteError("remote.url", "is no address", fix) from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        problem = "has a user, a query or a fragment, which may hold a secret"
        raise RemoteError("remote.url", problem, f"{fix}; the key comes from key_env")
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        raise RemoteError("remote.url", f"is {url!r:.100}", fix)
    return parts


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
