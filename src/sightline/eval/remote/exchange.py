"""One request, one reply, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType, TracebackType
from typing import Any

import sightline
from sightline.core.errors import RemoteError
from sightline.eval.remote.limiter import Clock
from sightline.eval.remote.settings import RemoteSettings
from sightline.eval.remote.verdict import NO_TEXT, Again, Failed, Reply

MAX_REPLY_BYTES = 1 << 24


class Line:
    """Open connections to one server, for several threads. No proxy and no other setting of the
    environment is used, no redirection followed.

    Attributes:
        met: whether any server has answered on it.
    """

    def __init__(self, settings: RemoteSettings, headers: Mapping[str, str], clock: Clock) -> None:
        self._httpx: Any = library()
        self._settings, self._clock = settings, clock
        self._key = headers.get("Authorization", "").removeprefix("Bearer ").encode()
        self._client = self._httpx.Client(
            headers={
                "User-Agent": f"sightline/{sightline.__version__}",
                "Content-Type": "application/json",
                **headers,
            },
            timeout=self._httpx.Timeout(settings.timeout_s, connect=settings.connect_timeout_s),
            limits=self._httpx.Limits(max_connections=settings.concurrency),
            trust_env=False,
        )
        self.met = False

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def post(self, body: bytes) -> Reply | Again | Failed:
        """The reply, or why there is none."""
        httpx, settings = self._httpx, self._settings
        try:
            return self._post(body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Again("connection", _short(error), met=False)
        except httpx.TimeoutException:
            return Again("time-out", f"no whole reply in {settings.timeout_s:g} s")
        except httpx.TransportError as error:
            return Again("connection", _short(error))
        except httpx.DecodingError as error:
            return Failed(NO_TEXT, f"the reply cannot be decoded: {_short(error)}")

    def _post(self, body: bytes) -> Reply | Failed:
        deadline = self._clock.now() + self._settings.timeout_s
        with self._client.stream("POST", self._settings.endpoint, content=body) as response:
            self.met = True
            data = bytearray()
            for piece in response.iter_bytes():
                data += piece
                if len(data) > MAX_REPLY_BYTES:
                    return Failed(NO_TEXT, f"the reply is over {MAX_REPLY_BYTES >> 20} MiB")
                if self._clock.now() > deadline:
                    raise self._httpx.ReadTimeout("a reply that comes too slowly")
            return Reply(response.status_code, dict(response.headers), self._without_key(data))

    def _without_key(self, data: bytes | bytearray) -> bytes:
        """What a server says, which may repeat the key."""
        return bytes(data).replace(self._key, b"[key]") if self._key else bytes(data)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def library() -> ModuleType:
    """httpx. Raises RemoteError without it."""
    try:
        import httpx
    except ImportError:
        problem = "needs httpx, which is not installed"
        raise RemoteError("a remote model", problem, "pip install sightline[eval]") from None
    module: ModuleType = httpx
    return module
