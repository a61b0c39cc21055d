"""A model behind an address, as something that answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import assert_never

from sightline.core.errors import RemoteError, SightlineError
from sightline.eval.answerer import Conversation, ignored
from sightline.eval.remote.counts import Ledger, RemoteCounts
from sightline.eval.remote.exchange import Line, library
from sightline.eval.remote.limiter import Clock, Limiter, SystemClock
from sightline.eval.remote.pause import backoff_s
from sightline.eval.remote.places import placed
from sightline.eval.remote.settings import RemoteSettings
from sightline.eval.remote.verdict import RATE_LIMIT, Again, Ends, Failed, Spoken, Verdict, judge
from sightline.eval.remote.wire import Request, request
from sightline.eval.said import Said


class RemoteModel:
    """Asks an OpenAI-compatible server, several questions at once.

    Only words and pixels are sent, and nothing unless `allowed`. A request that fails for a time
    is tried again; one that fails for good is a Said with `failure`, which begins with a short
    reason: `time-out`, `connection`, `rate limit`, `server error 503`, `refused (400)`,
    `content filter`, `no text`. A refused key, an unknown model and an address where no server is
    end the run, as all questions would fail alike. `counts` tells what it took.

    Raises RemoteError if it is not allowed, and without the extra `eval`.
    """

    alone = True

    def __init__(
        self, settings: RemoteSettings, *, allowed: bool = False, clock: Clock | None = None
    ) -> None:
        if not allowed:
            problem = f"is not given: questions and pictures would be sent to {settings.host}"
            raise RemoteError("--allow-remote", problem, "give it (allowed=True) to send them")
        library()
        self.settings, self.clock = settings, clock or SystemClock()
        self._ledger = Ledger()
        limits = settings.requests_per_minute, settings.tokens_per_minute
        self._limiter = Limiter(*limits, self.clock)

    @property
    def name(self) -> str:
        return f"{self.settings.model} at {self.settings.url.rstrip('/')}"

    @property
    def identity(self) -> Mapping[str, str]:
        return self.settings.identity

    @property
    def counts(self) -> RemoteCounts:
        """Of all questions so far."""
        return self._ledger.counts()

    def answers(
        self,
        conversations: Sequence[Conversation],
        *,
        max_tokens: int,
        done: Callable[[int, Said], None] = ignored,
    ) -> list[Said]:
        """One answer each, in order; `done` hears of each as it comes. Raises RemoteError where
        the run cannot go on."""
        headers, stop = self.settings.headers(), threading.Event()
        with (
            Line(self.settings, headers, self.clock) as line,
            ThreadPoolExecutor(self.settings.concurrency) as pool,
        ):
            asking = _Asking(self.settings, self.clock, line, self._ledger, self._limiter, stop)

            def answer(number: int) -> Said | None:
                said = asking.answer(number, conversations[number], max_tokens)
                if said is not None:
                    done(number, said)
                return said

            coming = [pool.submit(answer, number) for number in range(len(conversations))]
            return _all(coming, stop)


def _all(coming: Sequence[Future[Said | None]], stop: threading.Event) -> list[Said]:
    """Every answer, or the error that ended the run, once nothing more is sent."""
    try:
        found = [future.result() for future in coming]
    except BaseException:
        stop.set()
        for future in coming:
            future.cancel()
        raise
    answers = [said for said in found if said is not None]
    assert len(answers) == len(coming), "only an error stops a question"
    return answers


@dataclass(frozen=True, slots=True)
class _Asking:
    """One call of `answers`: what its threads share."""

    settings: RemoteSettings
    clock: Clock
    line: Line
    ledger: Ledger
    limiter: Limiter
    stop: threading.Event

    def answer(self, number: int, conversation: Conversation, max_tokens: int) -> Said | None:
        """None once the run is stopped; otherwise one answer or failure."""
        if self.stop.is_set():
            return None
        try:
            made = request(conversation, self.settings, max_tokens)
        except SightlineError as error:
            kind = type(error).__name__.removesuffix("Error").lower()
            return self._failure(Failed(kind, str(error)))
        retries: list[str] = []
        verdict = self._asked(made, number, retries)
        match verdict:
            case None:
                return None
            case Spoken():
                return replace(self._said(verdict, made), retries=tuple(retries))
            case Failed():
                return replace(self._failure(verdict), retries=tuple(retries))
            case Ends(error=ending):
                self.stop.set()
                raise ending
            case _:
                assert_never(verdict)

    def _asked(
        self, made: Request, number: int, retries: list[str]
    ) -> Spoken | Failed | Ends | None:
        """The first verdict that stands, after as many attempts as it takes; their reasons go to
        `retries`."""
        body = json.dumps(made.body).encode()
        for attempt in range(self.settings.retries + 1):
            verdict = self._attempt(body, made)
            if not isinstance(verdict, Again):
                return verdict
            last = attempt == self.settings.retries
            if last or (verdict.after_s or 0) > self.settings.longest_wait_s:
                return self._given_up(verdict, attempt + 1)
            self.ledger.retried(verdict.reason)
            retries.append(verdict.reason)
            self._wait(verdict, backoff_s(attempt, str(number)))
        raise AssertionError("the last attempt returns")

    def _attempt(self, body: bytes, made: Request) -> Verdict | None:
        self.ledger.limited(self.limiter.turn(made.tokens, self.stop))
        if self.stop.is_set():
            return None
        self.ledger.add(requests=1, pictures=made.pictures, resized=made.resized)
        reply = self.line.post(body)
        if isinstance(reply, Again | Failed):
            return reply
        return judge(reply, self.settings, self.clock.wall())

    def _wait(self, verdict: Again, backoff: float) -> None:
        """A pause that the server asks for is one for all threads."""
        if verdict.after_s is not None:
            self.limiter.hold(max(verdict.after_s, backoff))  # the next turn waits for its end
            return
        began = self.clock.now()
        self.clock.sleep(backoff, self.stop)
        if verdict.reason == RATE_LIMIT:
            self.ledger.limited(self.clock.now() - began)

    def _given_up(self, verdict: Again, attempts: int) -> Failed | Ends:
        if not verdict.met and not self.line.met:
            problem = f"is not reached: {verdict.detail}"
            fix = "start the server, or mend the address; a proxy of the environment is not used"
            return Ends(RemoteError(self.settings.endpoint, problem, fix))
        wanted = verdict.after_s or 0
        if wanted > self.settings.longest_wait_s:
            longest = f"longest_wait_s is {self.settings.longest_wait_s:g}"
            detail = f"the server asks for a pause of {wanted:.0f} s, {longest}: {verdict.detail}"
            return Failed(verdict.reason, detail)
        return Failed(verdict.reason, f"{verdict.detail} (attempts: {attempts})")

    def _said(self, spoken: Spoken, made: Request) -> Said:
        given, said = spoken.input_tokens, spoken.output_tokens
        self.ledger.add(input_tokens=given or 0, output_tokens=said or 0)
        if given is None or said is None:
            self.ledger.add(without_usage=1)
        else:
            self.limiter.correct(given + said - made.tokens)
        answer = Said(spoken.text, finish=spoken.finish)
        answer = replace(answer, text_tokens=given or 0, answer_tokens=said or 0)
        if spoken.failure is not None:
            self.ledger.failed(spoken.failure.partition(":")[0])
            return replace(answer, failure=spoken.failure)
        self.ledger.add(answers=1)
        return placed(answer, made, self.settings.grounding)

    def _failure(self, failed: Failed) -> Said:
        self.ledger.failed(failed.reason)
        return Said("", failure=f"{failed.reason}: {failed.detail}")
