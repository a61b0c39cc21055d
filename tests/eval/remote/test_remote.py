"""A server that misbehaves: all is tried again, counted or refused, and nothing silently wrong."""

from __future__ import annotations

import json
import socket
from email.utils import formatdate

import numpy as np
import pytest
from tests.eval.remote.stub import OK, Act, FakeClock, Stub, completion, refusal

from sightline.core.errors import RemoteError
from sightline.eval.remote.counts import RemoteCounts, cost
from sightline.eval.remote.model import RemoteModel
from sightline.eval.remote.settings import RemoteSettings
from sightline.eval.result import Prices
from sightline.eval.said import Said

KEY = "sk-hush-4711"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def model(url, clock=None, **options) -> RemoteModel:
    settings = RemoteSettings(url, "m", **options)
    return RemoteModel(settings, allowed=True, clock=clock or FakeClock())


def asked(*words):
    picture = {"type": "image", "image": np.zeros((4, 4, 3), np.uint8)}
    return [
        [{"role": "user", "content": [picture, {"type": "text", "text": word}]}] for word in words
    ]


def ask_one(acts, clock=None, **options) -> tuple[Said, RemoteCounts, FakeClock]:
    clock = clock or FakeClock()
    with Stub({"q": acts}) as stub:
        remote = model(stub.url, clock, **options)
        [said] = remote.answers(asked("q"), max_tokens=8)
        assert len(stub.raw) == remote.counts.requests
    return said, remote.counts, clock


def test_an_answer_and_what_it_took():
    act = completion(" Two. ", "length", {"prompt_tokens": 300, "completion_tokens": 5})
    said, counts, clock = ask_one([act])
    assert said == Said("Two.", finish="length", text_tokens=300, answer_tokens=5)
    assert counts == RemoteCounts(1, 1, {}, {}, 300, 5, pictures=1)
    assert cost(counts, Prices(2.5, 10.0)) == pytest.approx((300 * 2.5 + 5 * 10) / 1e6, rel=1e-12)
    assert clock.slept == []


def test_the_request_says_who_asks_and_where():
    with Stub() as stub:
        model(f"{stub.url}/").answers(asked("q"), max_tokens=8)
    [headers] = stub.headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert stub.paths == ["/v1/chat/completions"]
    assert stub.bodies[0]["max_tokens"] == 8


def test_no_key_is_sent_where_there_is_none(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with Stub() as stub:
        model(stub.url).answers(asked("q"), max_tokens=8)
    assert "Authorization" not in stub.headers[0]


def test_answers_keep_the_order_of_the_questions():
    words = [f"q{number}" for number in range(30)]
    slow = {"q0": [refusal(500)] * 3}
    with Stub(slow) as stub:
        said = model(stub.url, concurrency=8).answers(asked(*words), max_tokens=8)
    assert [one.text for one in said] == [f"re: {word}" for word in words]


def test_nothing_asked_is_nothing_sent():
    with Stub() as stub:
        assert model(stub.url).answers([], max_tokens=8) == []
    assert stub.raw == []


# What passes.


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (refusal(500), "server error 500"),
        (refusal(503), "server error 503"),
        (Act(502, "<html>Bad gateway</html>"), "server error 502"),
        (refusal(408), "time-out"),
        (refusal(409), "conflict 409"),
        (refusal(429), "rate limit"),
        (Act(way="close"), "connection"),
        (Act(body="{}", way="cut"), "connection"),
    ],
)
def test_a_failure_that_may_pass_is_tried_again(act, reason):
    said, counts, clock = ask_one([act, act, OK])
    assert (said.text, said.failure, said.retries) == ("re: q", None, (reason, reason))
    assert (counts.requests, counts.retries, counts.failures) == (3, {reason: 2}, {})
    first, second = clock.slept
    assert 0.25 <= first <= 0.5 and 0.5 <= second <= 1.0


def test_a_server_that_hangs_is_not_waited_for():
    said, counts, _ = ask_one([Act(way="hang"), OK], timeout_s=0.2)
    assert said.text == "re: q"
    assert counts.retries == {"time-out": 1}


def test_a_reply_that_trickles_in_is_a_time_out_too():
    said, counts, _ = ask_one([OK], FakeClock(step_s=6), timeout_s=5, retries=0)
    assert said.failure == "time-out: no whole reply in 5 s (attempts: 1)"
    assert counts.failures == {"time-out": 1}


def test_a_failure_that_does_not_pass_is_said_with_its_reason():
    said, counts, clock = ask_one([refusal(503, "overloaded")] * 9, retries=3)
    tries = ("server error 503",) * 3
    assert said == Said("", failure="server error 503: overloaded (attempts: 4)", retries=tries)
    assert counts.retries == {"server error 503": 3}
    assert counts.failures == {"server error 503": 1}
    assert len(clock.slept) == 3 and counts.limited_s == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry_After": "7"},
        {"Retry_After": formatdate(1_700_000_007, usegmt=True)},
        {"x_ratelimit_reset": "7"},
        {"x_ratelimit_reset_requests": "7s", "x_ratelimit_remaining_requests": "0"},
    ],
)
def test_the_pause_that_a_server_asks_for_is_kept(headers):
    said, counts, clock = ask_one([refusal(429, **headers), OK])
    assert said.text == "re: q"
    assert sum(clock.slept) == pytest.approx(7) == counts.limited_s


def test_a_pause_is_one_for_all_threads():
    script = {"q0": [refusal(429, Retry_After="20")]}
    with Stub(script) as stub:
        clock = FakeClock()
        remote = model(stub.url, clock, concurrency=1)
        said = remote.answers(asked("q0", "q1"), max_tokens=8)
    assert [one.text for one in said] == ["re: q0", "re: q1"]
    assert clock.time == pytest.approx(20)


def test_a_pause_that_is_too_long_is_a_failure_that_says_so():
    said, counts, clock = ask_one([refusal(429, "slow down", Retry_After="3600")])
    assert said.failure == (
        "rate limit: the server asks for a pause of 3600 s, longest_wait_s is 300: slow down"
    )
    assert clock.slept == [] and counts.retries == {} and counts.failures == {"rate limit": 1}


def test_our_own_limits_are_kept_and_their_wait_is_counted():
    with Stub() as stub:
        clock = FakeClock()
        remote = model(stub.url, clock, requests_per_minute=30, concurrency=1)
        remote.answers(asked(*"abcd"), max_tokens=8)
        remote.answers(asked("e"), max_tokens=8)
    assert clock.time == pytest.approx(8)  # the first at once, then one every two seconds
    assert remote.counts.limited_s == pytest.approx(8)


def test_the_tokens_that_a_server_counts_are_those_that_are_limited():
    used = {"prompt_tokens": 590, "completion_tokens": 10}
    script = {word: [completion("x", usage=used)] for word in "abc"}
    with Stub(script) as stub:
        clock = FakeClock()
        model(stub.url, clock, tokens_per_minute=6000, concurrency=1).answers(
            asked(*"abc"), max_tokens=8
        )
    # 100 a second and 600 for an answer; the first finds a full second's worth, and each is let in
    # as soon as the 8.25 are there that it is thought to take.
    assert clock.time == pytest.approx(6 - 1 + 8.25 / 100 + 6, rel=1e-6)


# What does not pass.


@pytest.mark.parametrize(
    ("act", "failure"),
    [
        (refusal(400, "bad picture"), "refused (400): bad picture"),
        (refusal(413, "too large"), "refused (413): too large"),
        (refusal(422, "odd"), "refused (422): odd"),
        (refusal(400, "flagged", code="content_filter"), "content filter: flagged"),
        (Act(418, ""), "refused (418): nothing"),
        (Act(400, '[{"error": {"message": "in a list"}}]'), "refused (400): in a list"),
        (Act(400, '{"error": "a word"}'), "refused (400): a word"),
        (Act(400, '{"detail": "a detail"}'), "refused (400): a detail"),
        (Act(400, "a\n\x1b[31mb"), "refused (400): a [31mb"),
        (Act(400, "x" * 900), f"refused (400): {'x' * 200}..."),
        (Act(body="<html>"), "no text: the reply is not JSON: <html>"),
        (Act(body="[" * 100_000), f"no text: the reply is not JSON: {'[' * 200}..."),
        (Act(body="[]"), "no text: the reply has no choices: []"),
        (Act(body="{}"), "no text: the reply has no choices: {}"),
        (Act(body='{"choices": []}'), 'no text: the reply has no choices: {"choices": []}'),
        (Act(body='{"error": {"message": "m"}}'), "no text: the reply has no choices: m"),
        (Act(body='{"choices": [{}]}'), "no text: no content"),
        (completion(None), "no text: no content"),
        (completion([{"type": "text", "text": "a"}]), "no text: no content"),
        (completion(None, refusal="I will not"), "no text: the model declined: I will not"),
        (completion("", "length"), "no text: all tokens went before any word"),
        (completion("half", "content_filter"), "content filter: the server cut the answer"),
        (
            Act(body="no gzip at all", headers={"Content-Encoding": "gzip"}),
            "no text: the reply cannot be decoded",
        ),
    ],
)
def test_a_failure_of_one_question(act, failure):
    said, counts, clock = ask_one([act])
    assert said.failure is not None
    assert said.failure.startswith(failure), said.failure
    assert (counts.requests, counts.answers, counts.retries) == (1, 0, {})
    assert counts.failures == {failure.partition(":")[0]: 1}
    assert clock.slept == []


def test_tokens_of_a_failure_are_counted_and_its_finish_is_kept():
    said, counts, _ = ask_one([completion("half", "content_filter")])
    assert (said.text, said.finish) == ("half", "content_filter")
    assert (counts.input_tokens, counts.output_tokens) == (10, 2)


def test_an_empty_answer_is_an_answer():
    said, counts, _ = ask_one([completion("")])
    assert (said.text, said.failure, counts.answers) == ("", None, 1)


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": "9"}, {"prompt_tokens": 3}, [1]])
def test_answers_without_usage_are_counted(usage):
    _, counts, _ = ask_one([completion("a", usage=usage)])
    assert (counts.without_usage, counts.output_tokens) == (1, 0)


def test_questions_that_cannot_be_sent_fail_alone(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    [good] = asked("q")
    bad = [{"role": "user", "content": [{"type": "image", "path": broken}]}]
    pages = [{"role": "user", "content": [{"type": "document", "path": "a.pdf"}]}]
    with Stub() as stub:
        remote = model(stub.url)
        said = remote.answers([bad, good, pages, []], max_tokens=8)
    assert said[1].text == "re: q"
    reasons = [(one.failure or "").partition(":")[0] for one in said]
    assert reasons == ["picture", "", "prompt", "prompt"]
    assert remote.counts.failures == {"picture": 1, "prompt": 2} and len(stub.raw) == 1


# What ends the run.


@pytest.mark.parametrize(
    ("act", "names"),
    [
        (refusal(401, "bad key"), ["$OPENAI_API_KEY", "bad key", "401"]),
        (refusal(403, "not for you"), ["$OPENAI_API_KEY", "not for you", "m"]),
        (refusal(404, "no such model"), ["remote.model", "/v1/chat/completions", "no such model"]),
        (refusal(429, "pay", code="insufficient_quota"), ["127.0.0.1", "quota", "pay"]),
        (Act(307, headers={"Location": "http://127.0.0.1:1/"}), ["final address"]),
    ],
)
def test_what_all_would_meet_alike_ends_the_run_at_once(act, names):
    with Stub({"*": [act] * 50}) as stub:
        remote = model(stub.url, concurrency=1)
        with pytest.raises(RemoteError) as caught:
            remote.answers(asked(*(f"q{number}" for number in range(20))), max_tokens=8)
    assert all(name in str(caught.value) for name in names), caught.value
    assert len(stub.raw) == 1


def test_who_waits_is_told_of_the_end():
    """One thread is in a long pause when another learns that the key is refused."""
    script = {"q0": [refusal(503)] * 9, "q1": [refusal(401)] * 9}
    with Stub(script) as stub:
        settings = RemoteSettings(stub.url, "m", concurrency=2, retries=8)
        remote = RemoteModel(settings, allowed=True)  # the real clock: it would take a minute
        with pytest.raises(RemoteError, match="is refused"):
            remote.answers(asked("q0", "q1"), max_tokens=8)
    assert stub.attempts["q1"] == 1 and stub.attempts["q0"] <= 2


def test_a_missing_key_is_told_from_a_wrong_one(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with Stub({"*": [refusal(401)]}) as stub, pytest.raises(RemoteError, match="holds no key"):
        model(stub.url).answers(asked("q"), max_tokens=8)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 503])
def test_a_server_that_repeats_the_key_is_not_quoted(status):
    long = "x" * 190 + KEY  # the cut would leave a part of it
    with Stub({"*": [refusal(status, long)] * 9}) as stub:
        try:
            [said] = model(stub.url, retries=1).answers(asked("q"), max_tokens=8)
            text = str(said)
        except RemoteError as error:
            text = str(error)
    assert "x" * 190 + "[key]" in text and "sk-" not in text


def test_a_place_where_no_server_is_ends_the_run():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        remote = model(url, retries=2, concurrency=1)
        with pytest.raises(RemoteError, match=r"is not reached: ConnectError.*start the server"):
            remote.answers(asked("a", "b", "c"), max_tokens=8)
    assert remote.counts.requests == 3 and remote.counts.retries == {"connection": 2}


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    said, _, _ = ask_one([OK])
    assert said.text == "re: q"


# All at once.


def mixed() -> dict[str, list[Act]]:
    ways = {
        0: [OK],
        1: [refusal(500), OK],
        2: [refusal(429, Retry_After="2"), OK],
        3: [refusal(400, "no")],
        4: [Act(way="close"), Act(way="close"), OK],
        5: [Act(body="not json")],
        6: [refusal(503)] * 9,
        7: [completion(None)],
    }
    return {f"q{number}": ways[number % 8] for number in range(40)}


def test_forty_questions_of_which_some_fail():
    script = mixed()
    with Stub(script) as stub:
        remote = model(stub.url, concurrency=6, retries=3)
        said = remote.answers(asked(*script), max_tokens=8)
    failures = [(one.failure or "").partition(":")[0] for one in said]
    kinds = ["", "", "", "refused (400)", "", "no text", "server error 503", "no text"]
    assert failures == kinds * 5
    assert [one.text for one in said if not one.failure] == [
        f"re: q{number}" for number in range(40) if not kinds[number % 8]
    ]
    counts = remote.counts
    assert counts.requests == len(stub.raw) == 5 * (1 + 2 + 2 + 1 + 3 + 1 + 4 + 1)
    assert counts.retries == {
        "connection": 10,
        "rate limit": 5,
        "server error 500": 5,
        "server error 503": 15,
    }
    assert counts.failures == {"no text": 10, "refused (400)": 5, "server error 503": 5}
    assert counts.answers == 20 and counts.pictures == counts.requests
    assert (counts.input_tokens, counts.output_tokens) == (250, 50)  # 20 answers, 5 without text
    assert json.loads(json.dumps(counts.as_dict()))["retries"] == counts.retries


def test_twice_the_same_is_said_whatever_the_threads_do():
    def run(concurrency: int) -> list[Said]:
        with Stub(mixed()) as stub:
            remote = model(stub.url, concurrency=concurrency, retries=3)
            return remote.answers(asked(*mixed()), max_tokens=8)

    assert run(1) == run(7)


def test_every_answer_is_told_of_before_the_run_has_to_end():
    """The key is refused at the fourth question: the first three are paid for, and kept."""
    kept = {}
    with Stub({"n3": [refusal(401)]}) as stub, pytest.raises(RemoteError):
        model(stub.url, concurrency=1).answers(
            asked(*(f"n{n}" for n in range(6))),
            max_tokens=4,
            done=lambda number, said: kept.update({number: said.text}),
        )
    assert kept == {n: f"re: n{n}" for n in range(3)}
