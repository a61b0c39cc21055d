"""eval and compare on the command line."""

from __future__ import annotations

import inspect
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import BOX
from tests.eval.remote.stub import Stub, completion, refusal
from tests.helpers.console import Console
from tests.helpers.pairs import LIKE_CLIP, byte_words, random_pair

from sightline.cli.asking import AskOptions
from sightline.cli.evaluate import is_worse
from sightline.cli.evaluation import compare, evaluate
from sightline.cli.models_asked import RemoteOptions
from sightline.eval.statistics import Figure
from sightline.weights.save import save

TEXT = f"{BOX} :smile: [/x]".strip()
REPORT = ("report.json", "report.md", "report.html", "items.jsonl")
TINY = Path(__file__).parents[2] / "src" / "sightline" / "embedded" / "tiny" / "model.safetensors"
has_model = pytest.mark.skipif(not TINY.is_file(), reason="the embedded model is not in this tree")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in REPORT}


@pytest.fixture
def questions(scene: Path, tmp_path: Path) -> Path:
    """Two questions about two pictures; the first is answered by what the model always says."""
    Image.open(scene).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "other.png")
    rows = [
        {"image": str(scene), "question": "What is it?", "answers": [TEXT], "kind": "a"},
        {"image": "other.png", "question": "What is it?", "answers": ["no"], "kind": "b"},
    ]
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_eval_reports_and_fails_under(console: Console, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    ran = console("eval", model, "--count", 20, "--json", "--out", out, "--fail-under", 99)
    assert ran.code == 1
    found = json.loads(ran.out)
    assert found == json.loads((out / "report.json").read_text())
    heads = [figures[0] for figures in found["figures"].values()]
    assert heads[0] == heads[1] == heads[2] and found["gaps"]["blind"]["difference"]["p"] == 1
    assert found["sentence"] == "Nothing is right, with the picture or without it."
    lines = [json.loads(line) for line in (out / "items.jsonl").read_text().splitlines()]
    assert [line["control"] for line in lines] == ["full"] * 20 + ["blind"] * 20 + ["swapped"] * 20
    [took] = json.loads((out / "timings.json").read_text())
    assert set(took) >= {"seconds", "processes"}
    passing = console("eval", model, "--count", 3, "--controls", "none", "--fail-under", 0)
    assert passing.code == 0 and "blind" in passing.out


def test_eval_asks_the_questions_of_a_file(console: Console, model: Path, questions: Path) -> None:
    found = json.loads(console("eval", model, questions, "--json", "--max-tokens", 100).out)
    assert found["task"] == "test.jsonl" and found["asked"]["full"]["items"] == 2
    kinds = {kind: figure["value"] for kind, figure in found["by_kind"]["full"].items()}
    assert kinds == {"a": 1, "b": 0}
    table = console("eval", model, questions, "--max-tokens", 100).said
    assert "exact match" in table and "By kind of question" in table and "[/x]" not in table


def test_eval_asks_conversations(
    console: Console, model: Path, questions: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    talks = tmp_path / "talks.jsonl"
    with talks.open("w") as file:
        for row in rows:
            said = [
                {"from": "human", "value": f"<image>\n{row['question']}"},
                {"from": "gpt", "value": row["answers"][0]},
            ]
            image = Path(row["image"]).name
            file.write(json.dumps({"image": image, "conversations": said}) + "\n")
    media = tmp_path / "media"
    media.mkdir()
    for row in rows:
        path = tmp_path / row["image"]
        (media / path.name).write_bytes(path.read_bytes())
    found = json.loads(console("eval", model, talks, "--media", media, "--json").out)
    assert found["figures"]["full"][0]["value"] == 0.5


def test_a_task_that_cannot_be_asked_does_not_stop_the_others(
    console: Console, model: Path, questions: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"question": "What?", "answers": []}\n')
    out = tmp_path / "out"
    ran = console("eval", model, broken, questions, "--max-tokens", 100, "--out", out)
    assert ran.code == 1 and "broken.jsonl:1" in ran.err
    assert (out / "test.jsonl" / "report.html").is_file()
    alone = console("eval", model, questions, "--max-tokens", 100)
    assert alone.code == 0


@pytest.mark.parametrize("value", ["49.9", "50.1"])
def test_fail_under_is_in_the_units_that_are_shown(
    console: Console, model: Path, questions: Path, value: str
) -> None:
    how = ("--max-tokens", 100, "--controls", "none", "--fail-under", value)
    assert console("eval", model, questions, *how).code == (float(value) > 50)


@has_model
def test_processes_and_resuming_give_the_same_bytes(console: Console, tmp_path: Path) -> None:
    """The embedded model, which says different things: one process, two, and one that finds half
    of the answers."""
    how = ("eval", "tiny", "--count", 24, "--batch", 4, "--threads", 1)
    one, two, half = (tmp_path / name for name in ("one", "two", "half"))
    assert console(*how, "--out", one).code == 0
    assert console(*how, "--out", two, "--processes", 2).code == 0
    half.mkdir()
    data = (one / "answers.jsonl").read_bytes()
    (half / "answers.jsonl").write_bytes(data[: len(data) // 2])
    assert console(*how, "--out", half).code == 0
    assert bytes_of(one) == bytes_of(two) == bytes_of(half)


@has_model
@pytest.mark.slow
def test_killed_and_resumed_the_report_is_the_same(tmp_path: Path) -> None:
    """SIGKILL at four moments of a run of the embedded model, which looks; then to the end."""
    how = ["eval", "tiny", "--count", "60", "--batch", "4", "--threads", "1", "--evidence"]

    def start(out: Path) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "sightline", *how, "--out", str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait() == 0
    lines = (whole / "answers.jsonl").read_bytes().count(b"\n")
    rng, seen = random.Random(0), 0
    for share in (0.1, 0.3, 0.6, 0.9):
        running = start(killed)
        while running.poll() is None and seen < share * lines:
            time.sleep(rng.uniform(0.01, 0.1))
            path = killed / "answers.jsonl"
            seen = path.read_bytes().count(b"\n") if path.is_file() else 0
        assert running.poll() is None, "it ended before it was killed"
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert not (killed / "report.json").exists()
    assert start(killed).wait() == 0
    assert bytes_of(killed) == bytes_of(whole)


@has_model
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    console: Console, tmp_path: Path
) -> None:
    how = ("eval", "tiny", "--count", 12, "--controls", "blind,shuffled", "--threads", 1)
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    for out, seed in ((first, 5), (second, 5), (other, 6)):
        assert console(*how, "--seed", seed, "--out", out).code == 0
    assert bytes_of(first) == bytes_of(second)
    assert bytes_of(first)["items.jsonl"] != bytes_of(other)["items.jsonl"]


@has_model
def test_the_report_of_the_embedded_model_says_that_it_looks(console: Console) -> None:
    found = json.loads(console("eval", "tiny", "--count", 100, "--seed", 9, "--json").out)
    full, blind = (found["figures"][control][0]["value"] for control in ("full", "blind"))
    assert full > 0.85 and full - blind > 0.5
    points = f"{100 * (full - blind):.1f} points of {100 * full:.1f} come from the picture"
    assert found["sentence"].startswith(points)
    assert found["gaps"]["blind"]["difference"]["p"] < 0.01


def test_a_limit_is_met_at_the_limit() -> None:
    def figure(value: float, better: bool = True) -> Figure:
        return Figure("f", value, 0, 1, 100, 100, higher_is_better=better)

    for part in range(101):
        assert not is_worse(figure(part / 100), part)
        assert not is_worse(figure(part / 100, False), part)
        assert is_worse(figure(part / 100), part + 0.01)
        assert is_worse(figure(part / 100, False), part - 0.01)
    assert is_worse(figure(float("nan")), 0) and is_worse(figure(float("nan"), False), 100)


def test_compare_goes_on_where_a_question_is_too_long(
    console: Console, model: Path, scene: Path, tmp_path: Path
) -> None:
    file = tmp_path / "long.jsonl"
    rows = [{"question": words, "answers": ["no"]} for words in ("a?", "b " * 9000, "c?")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = f"first={model}", f"second={model}"
    ran = console("compare", *models, "--task", file, "--controls", "none", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["judged"] == 2


def test_compare_sets_models_side_by_side(
    console: Console, model: Path, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    models = f"first={model}", f"second={model}"
    how = ("--task", questions, "--max-tokens", 100, "--timed", 2, "--out", out)
    ran = console("compare", *models, *how, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert [row["model"] for row in found["rows"]] == ["first", "second"]
    assert found["rows"][1]["against"]["difference"]["value"] == 0
    assert "cannot be told from chance" in found["sentences"][0]
    assert all(row["speed"]["median"] > 0 for row in found["rows"])
    compared = out / "test.jsonl"
    assert (compared / "compare.html").is_file() and (compared / "compare.md").is_file()
    assert (compared / "first" / "report.md").is_file()
    shown = console("compare", *models, "--task", questions, "--timed", 0).said
    assert "second" in shown and "cannot be told from chance" in shown


def test_a_model_behind_an_address_and_what_it_does_not_answer(
    console: Console, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten questions: one is refused, one meets a broken server, one a full one at first."""
    rows = [
        {"image": str(scene), "question": f"Number {n}?", "answers": [f"re: Number {n}?"]}
        for n in range(10)
    ]
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    script = {
        "Number 1?": [refusal(400)],
        "Number 2?": [refusal(503)] * 2,
        "Number 3?": [refusal(429, retry_after="0.01")],
    }
    out = tmp_path / "out"
    monkeypatch.setenv("A_KEY", "sk-very-secret")
    how = ("--controls", "none", "--allow-remote", "--retries", 1, "--json", "--out", out)
    how = (*how, "--key-env", "A_KEY")
    prices = ("--price-in", 1000, "--price-out", 0)
    with Stub(script) as stub:
        found = json.loads(console("eval", f"gpt@{stub.url}", file, *how, *prices).out)
        asked = found["asked"]["full"]
        assert asked["failed"] == {"refused (400)": 1, "server error 503": 1}
        assert found["figures"]["full"][0]["value"] == 1
        assert found["figures"]["full"][0]["count"] == 8
        assert found["notes"][0].startswith("2 of 10 questions have no answer")
        assert found["cost"]["full"] == pytest.approx(8 * 10 * 1000 / 1e6)
        assert asked["retried"] == {"rate limit": 1, "server error 503": 1}
        [took] = json.loads((out / "timings.json").read_text())
        assert took["remote"]["retries"] == {"server error 503": 1, "rate limit": 1}
        before = len(stub.raw)
        again = json.loads(console("eval", f"gpt@{stub.url}", file, *how, *prices).out)
        assert again["asked"]["full"]["failed"] == {}
        assert len(stub.raw) - before == 2  # only what had no answer
        assert stub.headers[0]["Authorization"] == "Bearer sk-very-secret"
    for path in out.iterdir():
        assert b"very-secret" not in path.read_bytes(), path
    under = ("eval", f"gpt@{stub.url}", file, *how, "--fail-under", 0)
    assert console(*under).code == 0  # all are answered by now


def test_openai_s_key_goes_to_openai_alone(
    console: Console, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("OTHER", "sk-other")
    how = ("--task", questions, "--allow-remote", "--json")
    with Stub() as one, Stub() as two:
        described = tmp_path / "two.yaml"
        described.write_text(f"url: {two.url}\nmodel: big\nkey_env: OTHER\n")
        ran = console("compare", f"one=m@{one.url}", f"two={described}", *how)
        assert ran.code == 0, ran.err
        assert [row["model"] for row in json.loads(ran.out)["rows"]] == ["one", "two"]
        assert all("Authorization" not in sent for sent in one.headers)
        assert {sent["Authorization"] for sent in two.headers} == {"Bearer sk-other"}
        named = (f"a=m@{one.url}", f"b=m@{two.url.replace('127.0.0.1', 'localhost')}")
        refused = console("compare", *named, *how, "--key-env", "OTHER")
        assert refused.code and "key_env: would send one key to" in refused.err
    prices = "prices: {input: '3', output: 1}"
    described.write_text(f"url: http://127.0.0.1:9/v1\nmodel: m\n{prices}\n")
    assert "prices.input: is '3'" in console("eval", described, questions).err
    described.write_text("url: http://127.0.0.1:9/v1\nmodel: m\ntemprature: 1\n")
    assert "unknown field 'temprature'" in console("eval", described, questions).err


def test_places_are_not_asked_of_a_model_whose_style_is_unknown(
    console: Console, scene: Path, tmp_path: Path
) -> None:
    file = tmp_path / "places.jsonl"
    rows = [{"image": str(scene), "question": "Where?", "boxes": [[10, 10, 30, 30]]}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    how = ("--allow-remote", "--controls", "none", "--json")
    with Stub({"Where?": [completion("[10, 10, 30, 30]")]}) as stub:
        refused = console("eval", f"m@{stub.url}", file, *how)
        assert refused.code and "grounding: is not known of" in refused.err
        assert not stub.raw


def test_local_and_remote_models_stand_in_one_table(
    console: Console, model: Path, questions: Path
) -> None:
    with Stub() as stub:
        models = f"here={model}", f"there=gpt@{stub.url}"
        ran = console("compare", *models, "--task", questions, "--allow-remote", "--json")
    found = json.loads(ran.out)
    assert [row["model"] for row in found["rows"]] == ["here", "there"]
    assert found["rows"][0]["speed"] and found["rows"][1]["speed"] is None
    assert any("there counts the tokens of pictures as text" in note for note in found["notes"])


def test_a_pair_of_towers_names_pictures(console: Console, tmp_path: Path) -> None:
    folder, data = tmp_path / "pair", tmp_path / "data"
    save(random_pair(LIKE_CLIP), folder, tokenizer=byte_words())
    for name, shade in (("night", 0), ("day", 255)):
        (data / name).mkdir(parents=True)
        for n in range(3):
            Image.new("RGB", (16, 16), (shade,) * 3).save(data / name / f"{n}.png")
    ran = console("eval", folder, f"cifar10={data}", "--json", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["figures"][0]["name"] == "accuracy" and found["figures"][0]["count"] == 6
    assert found == json.loads((tmp_path / "out" / "report.json").read_text())
    refused = console("eval", folder, "scenes")
    assert refused.code and "nothing that a pair of towers can be asked" in refused.err
    refused = console("eval", folder, f"cifar10={data}", "--count", 3)
    assert refused.code and "count: says nothing to a pair of towers" in refused.err


def test_every_field_of_how_a_model_is_asked_has_an_option() -> None:
    """Options reach their fields by name; a field without one would keep its default in silence."""
    asked = {field.name for field in fields(AskOptions)} - {"remote"}
    remote = {field.name for field in fields(RemoteOptions)} - {"prices"}
    for command, without in ((evaluate, set()), (compare, {"evidence"})):
        options = set(inspect.signature(command).parameters)
        assert (asked | remote | {"price_in", "price_out"}) - options == without
