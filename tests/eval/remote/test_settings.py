"""Settings that cannot be are refused, and no secret is kept or shown."""

from __future__ import annotations

import math
import pickle
import sys
from dataclasses import asdict, replace

import pytest

from sightline.core.errors import RemoteError
from sightline.eval.remote.model import RemoteModel
from sightline.eval.remote.settings import RemoteSettings

HTTPS = RemoteSettings("https://api.example.com/v1", "m", key_env="SOME_KEY")


def test_nothing_is_sent_unless_it_is_allowed():
    with pytest.raises(RemoteError, match=r"--allow-remote: is not given.*api\.example\.com"):
        RemoteModel(HTTPS)
    with pytest.raises(RemoteError):
        RemoteModel(RemoteSettings("http://127.0.0.1:1/v1", "m"), allowed=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", " "),
        ("timeout_s", 0),
        ("timeout_s", math.nan),
        ("connect_timeout_s", math.inf),
        ("concurrency", 0),
        ("retries", -1),
        ("longest_wait_s", -1),
        ("requests_per_minute", 0),
        ("tokens_per_minute", -5),
        ("picture_format", "webp"),
        ("jpeg_quality", 101),
        ("max_side", 0),
        ("num_frames", 0),
        ("limit_field", "max_words"),
        ("grounding", "boxes"),
    ],
)
def test_a_wrong_setting_is_named(field, value):
    with pytest.raises(RemoteError) as caught:
        replace(HTTPS, **{field: value})
    assert caught.value.field == f"remote.{field}" and caught.value.fix


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://example.com",
        "https://",
        "https://[::1",
        "https://example.com:99999/v1",
        "https://example.com/v1\n",
        "",
    ],
)
def test_a_wrong_address_is_refused(url):
    with pytest.raises(RemoteError, match=r"remote\.url"):
        replace(HTTPS, url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hush@example.com/v1",
        "https://hush@example.com/v1",
        "https://example.com/v1?key=hush",
        "https://example.com/v1#hush",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(url):
    with pytest.raises(RemoteError) as caught:
        replace(HTTPS, url=url)
    assert "hush" not in str(caught.value)


def test_the_key_is_read_when_it_is_used_and_kept_nowhere(monkeypatch):
    model = RemoteModel(HTTPS, allowed=True)
    monkeypatch.setenv("SOME_KEY", "sk-hush")
    assert model.settings.headers() == {"Authorization": "Bearer sk-hush"}
    seen = [repr(model.settings), str(asdict(model.settings)), str(model.identity), model.name]
    seen += [str(vars(model)), str(pickle.dumps(model.settings)), str(model.counts)]
    assert not any("sk-hush" in text for text in seen)
    monkeypatch.setenv("SOME_KEY", "sk-other\n")
    assert model.settings.headers() == {"Authorization": "Bearer sk-other"}
    monkeypatch.delenv("SOME_KEY")
    assert model.settings.headers() == {}
    assert replace(HTTPS, key_env=None).headers() == {}


def test_a_key_goes_unencrypted_to_this_machine_only(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-hush")
    for here in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1"):
        assert replace(HTTPS, url=here).headers()
    for there in ("http://10.0.0.5:8000/v1", "http://localhost.example.com/v1"):
        with pytest.raises(RemoteError, match="unencrypted") as caught:
            replace(HTTPS, url=there).headers()
        assert "sk-hush" not in str(caught.value)
        assert replace(HTTPS, url=there, key_env=None).headers() == {}


@pytest.mark.parametrize("key", ["sk hush", "sk-hush\r\nX: y", "sk-hüsh"])
def test_a_key_that_is_none_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("SOME_KEY", key)
    with pytest.raises(RemoteError, match=r"\$SOME_KEY") as caught:
        HTTPS.headers()
    assert "sh" not in caught.value.problem.replace("characters", "")


def test_the_identity_is_all_that_answers_depend_on():
    identities = {tuple(sorted(HTTPS.identity.items()))}
    changes = [
        {"url": "https://other.example.com/v1"},
        {"model": "n"},
        {"picture_format": "jpeg"},
        {"picture_format": "jpeg", "jpeg_quality": 50},
        {"max_side": 512},
        {"num_frames": 4},
        {"limit_field": "max_completion_tokens"},
        {"temperature": None},
        {"seed": 1},
        {"grounding": "json"},
    ]
    for change in changes:
        identities.add(tuple(sorted(replace(HTTPS, **change).identity.items())))
    assert len(identities) == 1 + len(changes)
    how = {"timeout_s": 1, "concurrency": 9, "retries": 0, "requests_per_minute": 5, "key_env": "K"}
    assert replace(HTTPS, **how).identity == HTTPS.identity


def test_without_httpx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(RemoteError, match=r"pip install sightline\[eval\]"):
        RemoteModel(HTTPS, allowed=True)
