"""JSON, Markdown, HTML and lines of one result: the same figures, the same bytes, and no text of a
task or model is ever markup."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eval.report.pages import check
from tests.eval.report.results import Length, item, letter, place, result, said

from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.metrics.sets import MmeScore
from sightline.eval.report import (
    as_html,
    as_json,
    as_markdown,
    items_jsonl,
    report,
    write_report,
)
from sightline.eval.report.markdown import cell
from sightline.eval.report.page import STYLE
from sightline.eval.report.visible import escaped, visible
from sightline.eval.report.words import figure_in_words, number, p_in_words, signed
from sightline.eval.result import Prices, Result
from sightline.eval.statistics import Figure

EVIL = "<script>alert(1)</script> \"x\" & 'y' </svg><img src=http://e.vil/a.png onerror=b()>"


def broad() -> Result:
    """Everything that a report can show."""
    kinds = ("shape", "colour", "size", "count", "place")
    items = [item(n, "yes", kinds[n % 5], level=float(n % 3)) for n in range(40)]
    full = [said("yes" if n % 7 else "no", evidence=0.5 + n / 100) for n in range(40)]
    full[7] = said("", failure="time-out: 60 s")
    answers = {"full": full, "blind": ["yes"] * 20 + ["no"] * 20, "blurred 5%": ["no"] * 40}
    made = result(items, answers, prices=Prices(2.5, 10))
    return replace(made, identity={"weights": "w", "dtype": "float32", "device": "cpu", "a": "b"})


def figures_in(data: Any) -> Iterator[Figure]:
    """Every figure in plain data."""
    if isinstance(data, dict) and set(data) == set(Figure.__slots__):
        bounds = {n: float("nan") if data[n] is None else data[n] for n in ("value", "low", "high")}
        yield Figure(**{**data, **bounds})
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from figures_in(inner)


@pytest.mark.parametrize(
    "made",
    [
        broad(),
        result([item(0)], {"full": ["no"]}),
        result([item(n) for n in range(9)], {"full": ["ye"] * 9, "blind": [""] * 9}, Length()),
    ],
    ids=["broad", "one", "errors"],
)
def test_every_figure_of_the_json_is_in_the_markdown_and_the_page(made: Result) -> None:
    found = report(made)
    data = json.loads(as_json(found))
    markdown, page = as_markdown(found), check(as_html(found, made))
    figures = list(figures_in(data))
    assert figures and data["sentence"] == found.sentence
    for figure in figures:
        words = [number(v, figure.percent) for v in (figure.value, figure.low, figure.high)]
        assert all(word in markdown and word in page.text for word in words)
    for text in (found.sentence, *found.notes):
        assert cell(text) in markdown and " ".join(text.split()) in page.text
    for gap in found.gaps.values():
        assert signed(gap.difference.value, figures[0].percent) in markdown


def test_what_is_not_known_is_a_dash_or_null() -> None:
    found = report(result([item(0)], {"full": ["no"]}))
    data = json.loads(as_json(found))
    assert data["figures"]["full"][0]["low"] is None
    assert figure_in_words(found.headline) == "0.0"
    assert number(float("nan"), True) == "–" and figure_in_words(None) == "–"


def test_a_kind_without_answers_is_there_without_figures() -> None:
    items = [item(0), item(1), item(2, kind="lost")]
    found = report(result(items, {"full": ["yes", "no", said("", failure="refused: 400")]}))
    assert "lost" not in found.by_kind["full"]
    assert "| lost | 0 | – |" in as_markdown(found)


def test_kinds_may_have_figures_of_other_names() -> None:
    kinds = ("color", "count", "text_translation")
    items = [item(n, "yes", kinds[n % 3], unit=f"u{n % 3} {n // 6}") for n in range(24)]
    made = result(items, {"full": ["yes", "no", "yes"] * 8}, MmeScore())
    markdown = as_markdown(report(made))
    assert "perception score, cognition score. In brackets" in markdown
    assert "| color | 8 | 200.0 (200.0 to 200.0) |" in markdown
    assert "| perception score | 200.0 (200.0 to 200.0) |" in markdown
    check(as_html(report(made), made))


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_report(tmp_path / name, broad())
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["items.jsonl", "report.html", "report.json", "report.md"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


HASHES = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, ".")
from sightline.eval.report import write_report
from tests.eval.report.test_render import broad
write_report(Path(sys.argv[1]), broad())
"""


def test_the_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    digests = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        root = Path(__file__).resolve().parents[3]
        call = [sys.executable, "-c", HASHES, str(tmp_path / seed)]
        done = subprocess.run(call, env=env, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        whole = b"".join(path.read_bytes() for path in sorted((tmp_path / seed).iterdir()))
        digests.add(hashlib.sha256(whole).hexdigest())
    assert len(digests) == 1
    data = json.loads((tmp_path / "1" / "report.json").read_text())
    assert list(data["identity"]) == ["a", "device", "dtype", "weights"]
    assert data["kinds"] == ["colour", "count", "place", "shape", "size"]


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path, broad())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def torn(result: Result) -> Iterator[str]:
        yield "{}"
        raise OSError("disk full")

    monkeypatch.setattr("sightline.eval.report.save.items_jsonl", torn)
    with pytest.raises(OSError, match="disk full"):
        write_report(tmp_path, broad())
    assert (tmp_path / "items.jsonl").read_bytes() == before["items.jsonl"]


def test_text_is_never_markup() -> None:
    parts = asked_about(f"/nowhere/{EVIL}.png", EVIL)
    evil = Item(EVIL, parts, Answers((EVIL,)), EVIL, cluster="a")
    items = [evil, item(1), item(2)]
    made = result(items, {"full": [EVIL + "no", "no", "no"], "blind": ["no"] * 3}, model=EVIL)
    made = replace(made, task=EVIL, identity={EVIL: EVIL})
    html = as_html(report(made), made)
    page = check(html)
    shown = " ".join(EVIL.split())
    assert page.text.count(shown) >= 8 and "<script" not in html and "<img" not in html
    markdown = as_markdown(report(made))
    assert not re.search(r"(?<!\\)<[a-zA-Z/!]", markdown)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a|b", r"a\|b"),
        ("two\nlines", "two lines"),
        ("*b* `c` [d](e) ~f~", r"\*b\* \`c\` \[d\](e) \~f\~"),
        ("snake_case and _it_", r"snake_case and \_it\_"),
        ("p < 0.001 <b>", r"p < 0.001 \<b>"),
        ("&lt; & co", r"\&lt; & co"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, wanted: str) -> None:
    assert cell(text) == wanted


@given(st.text())
def test_any_text_can_be_written_and_keeps_its_letters(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert visible(shown) == shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    if text.isascii() and text.isprintable():
        assert shown == text
    assert not set(escaped(text)) & set("<>\"'")


def test_halves_of_characters_are_written_whole() -> None:
    made = result([item(0)], {"full": ["\ud83d \x00 é"]})
    [line] = items_jsonl(made)
    assert json.loads(line)["said"]["text"] == "\ud83d \x00 é" and "é" in line
    line.encode("utf-8")
    assert "\ufffd ␀ é" in check(as_html(report(made), made)).text


def test_lines_hold_every_item_under_every_control() -> None:
    made = broad()
    lines = [json.loads(line) for line in items_jsonl(made)]
    assert [(row["control"], row["key"]) for row in lines] == [
        (control, one.key) for control in made.said for one in made.items
    ]
    row = lines[7]
    assert row["score"] is None and row["said"]["failure"] == "time-out: 60 s"
    assert lines[0]["score"] == 0.0 and lines[1]["score"] == 1.0
    assert lines[1]["truth"] == {"answers": ["yes"]} and lines[1]["level"] == 1.0
    assert lines[1]["question"] == "Question 1?" and lines[1]["said"]["evidence"] == 0.51
    more = result([letter(0, 1), place(1)], {"full": ["A", "B"]}, Length())
    choice, box = (json.loads(line)["truth"] for line in items_jsonl(more))
    assert choice == {"letter": "B", "options": ["red", "blue"], "index": 1}
    assert box["boxes"] == [{"x0": 10, "y0": 8, "x1": 30, "y1": 20, "label": None}]


@pytest.mark.parametrize(
    ("p", "wanted"),
    [(0.0001, "p < 0.001"), (0.0124, "p = 0.012"), (0.312, "p = 0.31"), (1.0, "p = 1.00")],
)
def test_p_in_words(p: float, wanted: str) -> None:
    assert p_in_words(p) == wanted


def test_numbers_in_words() -> None:
    assert number(-0.0001, True) == "0.0" and number(-0.05, True) == "−5.0"
    assert number(1.24219, False) == "1.242" and number(1450.25, False) == "1450.2"
    assert signed(0.013, True) == "+1.3" and signed(0.0001, True) == "0.0"


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_contrasts_in_light_and_dark() -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        light = {n: luminance(c) for n, c in re.findall(r"--(\w+): (#\w{6})", block)}

        def contrast(a: str, b: str, light: dict[str, float] = light) -> float:
            one, two = sorted((light[a], light[b]))
            return (two + 0.05) / (one + 0.05)

        for ground in ("ground", "raised"):
            assert all(contrast(name, ground) >= 7 for name in ("ink", "quiet"))
            assert all(contrast(name, ground) >= 4.5 for name in ("s0", "warn"))
            assert all(contrast(name, ground) >= 3 for name in ("right", "wrong"))
        assert all(contrast(f"s{number}", "ground") >= 4.5 for number in range(5))
