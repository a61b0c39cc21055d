"""A server that speaks chat completions on this machine and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Act:
    """How one request is met. `hang` never replies, `close` hangs up, `cut` stops midway."""

    status: int = 200
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    way: Literal["reply", "hang", "close", "cut"] = "reply"


OK = Act()


def refusal(status: int, message: str = "no", code: str = "", **headers: str) -> Act:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Act(status, json.dumps({"error": {"message": message, "code": code}}), named)


def completion(content: Any, finish: str = "stop", usage: Any = None, **message: Any) -> Act:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish,
    }
    used = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    used = used if usage is None else usage
    return Act(body=json.dumps({**whole, "choices": [choice], "usage": used}))


class Stub(ThreadingHTTPServer):
    """`script` says what meets the attempts of each question; later attempts are answered with
    `re: question`. Every request is kept in `bodies` and `headers`."""

    daemon_threads = True

    def __init__(self, script: Mapping[str, Sequence[Act]] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script or {}
        self.attempts: Counter[str] = Counter()
        self.raw: list[bytes] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lock, self.released = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(raw) for raw in self.raw]

    def __enter__(self) -> Stub:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up here on purpose."""

    def next_act(self, question: str) -> Act:
        with self.lock:
            attempt = self.attempts[question]
            self.attempts[question] += 1
        acts = self.script.get(question, self.script.get("*", ()))
        return acts[attempt] if attempt < len(acts) else completion(f"re: {question}")


class _Handler(BaseHTTPRequestHandler):
    server: Stub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.raw.append(raw)
            self.server.paths.append(self.path)
            self.server.headers.append(dict(self.headers))
        question = said(json.loads(raw))
        act = self.server.next_act(question)
        if act is OK:
            act = completion(f"re: {question}")
        self._play(act)

    def _play(self, act: Act) -> None:
        body = (act.body or "").encode()
        if act.way == "hang":
            self.server.released.wait()
        if act.way in ("hang", "close"):
            self.close_connection = True
            return
        self.send_response(act.status)
        for name, value in act.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + (10 if act.way == "cut" else 0)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = act.way == "cut"


def said(body: Any) -> str:
    """The words of the last message of a request."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


class FakeClock:
    """Time that passes when somebody sleeps, and `step_s` whenever it is looked at."""

    def __init__(self, wall_s: float = 1_700_000_000.0, step_s: float = 0.0) -> None:
        self.time, self.start, self.step_s = 0.0, wall_s, step_s
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            self.time += self.step_s
            return self.time

    def wall(self) -> float:
        return self.start + self.time

    def sleep(self, seconds: float, stop: threading.Event) -> None:
        with self._lock:
            if not stop.is_set():
                self.slept.append(seconds)
                self.time += seconds
