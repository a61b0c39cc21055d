"""What a server's reply means: an answer, another attempt, a failure, or the end of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sightline.core.errors import RemoteError
from sightline.eval.remote.pause import asked_pause
from sightline.eval.remote.settings import RemoteSettings

SHOWN_CHARACTERS = 200
NO_TEXT = "no text"
RATE_LIMIT = "rate limit"


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer. Tokens are None where the server did not count them. `failure` says why the text
    is none to be scored, although tokens were spent."""

    text: str
    finish: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """A failure that may pass. after_s: when the server wants to be asked again, if it says.
    met: whether a server was there at all."""

    reason: str
    detail: str
    after_s: float | None = None
    met: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure of this question."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ends:
    """All further questions would fail alike."""

    error: RemoteError


Verdict = Spoken | Again | Failed | Ends


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def judge(reply: Reply, settings: RemoteSettings, wall_s: float) -> Verdict:
    """Statuses are judged as the `openai` client does: 408, 409, 429 and 5xx may pass."""
    status = reply.status
    if 200 <= status < 300:
        return _answer(reply.body)
    said = Complaint.of(reply.body)
    if status in (401, 403, 404) or 300 <= status < 400 or said.code == "insufficient_quota":
        return Ends(_ending(status, said.text, settings))
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Again("time-out", f"the server says 408: {said.text}", asked_pause(reply, wall_s))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Again(RATE_LIMIT, said.text, asked_pause(reply, wall_s))
    if status == HTTPStatus.CONFLICT or status >= 500:
        kind = "server error" if status >= 500 else "conflict"
        return Again(f"{kind} {status}", said.text, asked_pause(reply, wall_s))
    if said.code == "content_filter":
        return Failed("content filter", said.text)
    return Failed(f"refused ({status})", said.text)


def _ending(status: int, text: str, settings: RemoteSettings) -> RemoteError:
    match status:
        case 401 | 403:
            field = f"${settings.key_env}" if settings.key_env else "remote.key_env"
            known = bool(settings.key())
            problem = "is refused" if known else "holds no key, and one is wanted"
            fix = f"set it to a key that may use {settings.model}"
        case 404:
            field, problem = "remote.model", f"{settings.model} is not at {settings.endpoint}"
            fix = "mend the model's name or the base address"
        case 429:
            field, problem = "remote.url", f"the quota at {settings.host} is used up"
            fix = "add credit, or use another key; answers so far are kept"
        case _:
            field, problem = "remote.url", f"{settings.endpoint} leads elsewhere"
            fix = "give the final address: a redirection is not followed"
    return RemoteError(field, f"{problem} ({status}: {text})", fix)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a server says is wrong, in one short line; `code` where it gives one."""

    text: str
    code: str = ""

    @classmethod
    def of(cls, body: bytes) -> Complaint:
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return cls(_line(body.decode("utf-8", "replace")))
        if isinstance(data, list) and data:
            data = data[0]
        found = data.get("error", data) if isinstance(data, dict) else data
        if not isinstance(found, dict):
            return cls(_line(found if isinstance(found, str) else json.dumps(found)))
        code = found.get("code") or found.get("type")
        text = found.get("message") or found.get("detail") or json.dumps(found)
        return cls(_line(str(text)), code if isinstance(code, str) else "")


def _line(text: str) -> str:
    """Without line breaks and control characters, cut to what a report has room for."""
    plain = "".join(c if c.isprintable() else " " for c in text[: 10 * SHOWN_CHARACTERS])
    words = " ".join(plain.split())
    return f"{words[:SHOWN_CHARACTERS]}..." if len(words) > SHOWN_CHARACTERS else words or "nothing"


def _answer(body: bytes) -> Spoken | Failed:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return Failed(NO_TEXT, f"the reply is not JSON: {Complaint.of(body).text}")
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Failed(NO_TEXT, f"the reply has no choices: {Complaint.of(body).text}")
    return _spoken(choices[0], data.get("usage"))


def _spoken(choice: Mapping[str, Any], usage: object) -> Spoken:
    message, reason = choice.get("message"), choice.get("finish_reason")
    finish = reason if isinstance(reason, str) else ""
    content = message.get("content") if isinstance(message, dict) else None
    text = content.strip() if isinstance(content, str) else ""
    used = [_count(usage, name) for name in ("prompt_tokens", "completion_tokens")]
    failure = None
    if finish == "content_filter":
        failure = "content filter: the server cut the answer"
    elif not isinstance(content, str):
        declined = message.get("refusal") if isinstance(message, dict) else None
        why = (
            f"the model declined: {_line(declined)}" if isinstance(declined, str) else "no content"
        )
        failure = f"{NO_TEXT}: {why}"
    elif finish == "length" and not text:
        failure = f"{NO_TEXT}: all tokens went before any word; allow longer answers"
    return Spoken(text, finish, used[0], used[1], failure)


def _why_none(message: object) -> str:
    declined = message.get("refusal") if isinstance(message, dict) else None
    return f"the model declined: {_line(declined)}" if isinstance(declined, str) else "no content"


def _count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and value >= 0 else None
