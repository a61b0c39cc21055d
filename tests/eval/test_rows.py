"""A file of questions as a task: what is asked, what is scored, and rows that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.eval.rule_models import RuleModel

from sightline.core.errors import DataError
from sightline.eval.controls import Blind, Control, Full, Swapped, conversations
from sightline.eval.item import Item
from sightline.eval.report import report
from sightline.eval.run import Asking, run
from sightline.eval.said import Said
from sightline.eval.tasks.rows import RowPicture, RowsTask
from sightline.pictures import open_picture

SHADES = {"dark": 20, "grey": 120, "bright": 220}


CONTROLS: tuple[Control, ...] = (Full(), Blind(), Swapped())


def shade(words: str, picture: Any) -> str:
    """Names the shade of the picture it is shown; says `grey` when shown none."""
    if picture is None:
        return "Grey."
    mean = open_picture(picture).rgb.mean()
    return min(SHADES, key=lambda name: abs(SHADES[name] - mean))


def source(item: Item) -> Any:
    [media] = item.media
    return media.source


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {"from": who, "value": f"<image>\n{text}" if i == 0 and who == "human" else text}
        for i, pair in enumerate(pairs)
        for who, text in zip(("human", "gpt"), pair, strict=True)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, shade in SHADES.items():
        Image.fromarray(np.full((6, 8, 3), shade, np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


Write = Callable[[Sequence[Any]], str]


@pytest.fixture
def write(folder: Path) -> Write:
    def written(rows: Sequence[Any]) -> str:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (folder / "test.jsonl").write_text("\n".join(lines) + "\n")
        return str(folder / "test.jsonl")

    return written


def shade_row(name: str, **fields: Any) -> dict[str, Any]:
    return {"image": f"{name}.png", "conversations": turns(("Which shade?", name)), **fields}


def test_each_question_is_asked_alone_with_its_picture(write: Write, folder: Path) -> None:
    asked = [("Which shade?", "Dark"), ("Is it grey?", "no")]
    file = write([{"image": "dark.png", "conversations": turns(*asked)}, shade_row("grey")])
    items = RowsTask(file).items()
    assert [(i.key, i.question, i.answer) for i in items] == [
        (f"{file}:1#1", "Which shade?", "Dark"),
        (f"{file}:1#2", "Is it grey?", "no"),
        (f"{file}:2", "Which shade?", "grey"),
    ]
    full, blind, swapped = (conversations(items, control) for control in CONTROLS)
    dark, grey = folder / "dark.png", folder / "grey.png"
    for index, (own, other) in enumerate([(dark, grey), (dark, grey), (grey, dark)]):
        text = {"type": "text", "text": items[index].question}
        assert full[index] == [{"role": "user", "content": [{"type": "image", "image": own}, text]}]
        assert blind[index] == [{"role": "user", "content": [text]}]
        assert swapped[index][0]["content"] == [{"type": "image", "image": other}, text]


def test_pictures_are_not_decoded_before_they_are_asked_about(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write([shade_row(name) for name in SHADES])
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("was decoded"))
    assert all(isinstance(source(item), Path) for item in RowsTask(file).items())


def test_pictures_inside_the_file_are_read_when_asked_about(folder: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    rows = [
        {
            "images": [{"bytes": (folder / f"{name}.png").read_bytes(), "path": None}],
            "texts": [{"user": "Which shade?", "assistant": name}],
        }
        for name in SHADES
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    task = RowsTask(str(folder / "test.parquet"))
    items = task.items()
    assert all(isinstance(source(item), RowPicture) for item in items)
    result = run(RuleModel(shade), task, items, Asking(CONTROLS))
    right = {name: task.metric.scores(items, said) for name, said in result.said.items()}
    assert right["full"] == [1, 1, 1] and right["swapped"] == [0, 0, 0]


def test_a_system_message_is_said_before_every_question(write: Write) -> None:
    talk = [{"from": "system", "value": "Be brief."}, *turns(("A?", "b"), ("C?", "d"))]
    items = RowsTask(write([{"image": "dark.png", "conversations": talk}])).items()
    for messages in conversations(items, Blind()):
        assert messages[0] == {"role": "system", "content": "Be brief."}
        assert [m["role"] for m in messages] == ["system", "user"]


def test_scores_kinds_and_controls(write: Write) -> None:
    rows = [shade_row(name, kind="open" if i % 3 else "closed")
            for i, name in enumerate([*SHADES] * 5)]  # fmt: skip
    task = RowsTask(write(rows))
    made = report(run(RuleModel(shade), task, task.items(), Asking(CONTROLS, batch=4)))
    assert {c: figures[0].value for c, figures in made.figures.items()} == {
        "full": 1, "blind": pytest.approx(1 / 3), "swapped": 0}  # fmt: skip
    assert {kind: f.count for kind, f in made.by_kind["full"].items()} == {"open": 10, "closed": 5}
    assert made.by_kind["blind"]["closed"].value == 0 and made.by_kind["blind"]["open"].value == 0.5
    assert made.majority is not None and made.majority.value == pytest.approx(1 / 3)
    assert made.headline is not None and made.headline.clusters == 3  # pictures


@pytest.mark.parametrize(
    ("said", "score"), [("yes", 1), (" YES. ", 1), ("yes it is", 0), ("", 0), ("no", 0)]
)
def test_words_are_matched_whole(write: Write, said: str, score: float) -> None:
    row = {"image": "dark.png", "conversations": turns(("Dark?", "Yes."))}
    task = RowsTask(write([row]))
    assert task.metric.scores(task.items(), [Said(said)]) == [score]


def test_the_majority_answer_is_of_a_question_asked_often_or_of_the_kind(write: Write) -> None:
    def row(question: str, kind: str) -> dict[str, Any]:
        return {"image": "dark.png", "kind": kind, "conversations": turns((question, "no"))}

    rows = [*[row("Is it?", "a")] * 5, *[row("is it? ", "b")] * 5, *[row("Which?", "c")] * 9]
    items = RowsTask(write(rows)).items()
    assert [item.group for item in items] == ["is it?"] * 10 + ["c"] * 9
    assert {item.kind for item in RowsTask(write([shade_row("dark")])).items()} == {"question"}


def test_some_of_the_questions_are_drawn_by_the_seed(write: Write) -> None:
    file = write([shade_row([*SHADES][i % 3], kind=str(i)) for i in range(30)])
    every = [item.key for item in RowsTask(file).items()]
    some = [item.key for item in RowsTask(file, seed=1).items(10)]
    assert some == [key for key in every if key in set(some)] and len(set(some)) == 10
    assert some == [item.key for item in RowsTask(file, seed=1).items(10)]
    assert some != [item.key for item in RowsTask(file, seed=2).items(10)]
    assert every == [item.key for item in RowsTask(file).items(30)]
    assert all(item.group == item.kind for item in RowsTask(file).items(9))
    with pytest.raises(DataError, match="has 30 questions, 31 were asked for"):
        RowsTask(file).items(31)


def test_pictures_lie_beside_the_file_or_in_a_folder_of_their_own(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("elsewhere") / "test.jsonl"
    file.write_text(json.dumps(shade_row("dark")) + "\n")
    with pytest.raises(DataError, match=r"test\.jsonl:1.*dark\.png"):
        RowsTask(str(file)).items()
    assert source(RowsTask(str(file), media=str(folder)).items()[0]) == folder / "dark.png"


def test_one_picture_alone_cannot_be_swapped(write: Write) -> None:
    items = RowsTask(write([shade_row("dark"), shade_row("dark")])).items()
    with pytest.raises(DataError, match=r"test\.jsonl:1: cannot be swapped"):
        conversations(items, Swapped())


GOOD = shade_row("dark")
BAD = {
    "not JSON": ('{"image": "dark.png", ', "test.jsonl:2"),
    "no picture": ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt",
        "value": "Hi"}]}, "test.jsonl:2: has no picture"),
    "two pictures": ({"image": ["dark.png", "grey.png"], "conversations": [
        {"from": "human", "value": "<image><image>\nWhich?"}, {"from": "gpt", "value": "b"}]},
        "test.jsonl:2: has 2 images"),
    "no mark": ({"image": "dark.png", "conversations": [{"from": "human", "value": "Which?"},
        {"from": "gpt", "value": "b"}]}, "test.jsonl:2"),
    "missing picture": (shade_row("black"), "test.jsonl:2: .*black.png"),
    "no answer": ({"image": "dark.png", "conversations": turns(("Which?", "b"))[:1]},
        "test.jsonl:2"),
    "picture without words": ({"image": "dark.png", "conversations": turns(("", "b"))},
        "test.jsonl:2: has a message of the user without words"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_with_file_and_line(write: Write, name: str) -> None:
    row, message = BAD[name]
    task = RowsTask(write([GOOD, row, GOOD]))
    with pytest.raises(DataError, match=message):
        task.items()


def test_a_picture_that_is_none_is_named_with_its_row(write: Write, folder: Path) -> None:
    (folder / "text.png").write_text("no picture")
    task = RowsTask(write([GOOD, shade_row("text")]))
    with pytest.raises(DataError, match=r"test\.jsonl:2: .*text\.png"):
        task.items()


def test_rows_that_are_no_questions_are_refused(write: Write) -> None:
    pair = {"prompt": "Which?", "chosen": "a", "rejected": "b", "images": ["dark.png"]}
    with pytest.raises(DataError, match=r"test\.jsonl:1: is a preference row"):
        RowsTask(write([pair])).items()
    places = {"messages": [{"role": "user", "content": "<image>Where?"},
        {"role": "assistant", "content": "<bbox>"}], "images": ["dark.png"],
        "objects": {"ref": [], "bbox": [[1, 1, 3, 3]]}}  # fmt: skip
    with pytest.raises(DataError, match=r"test\.jsonl:1: has boxes or points"):
        RowsTask(write([places])).items()
