"""Video-MME's rows beside their clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.eval.lmms_oracle import ask_lmms_all, lmms_default, needs_lmms
from tests.eval.tasks.published_files import write_parquet
from tests.pictures.media_samples import video

from sightline.core.errors import DataError
from sightline.data.sample import Media
from sightline.eval.item import Choice, Item
from sightline.eval.said import Said
from sightline.eval.statistics import figure
from sightline.eval.tasks.task import Benchmark
from sightline.eval.tasks.video_mme import VIDEO_MME, VIDEO_MME_DURATION
from sightline.pictures import probe_clip

OPTIONS = ["A. Apples.", "B. Candles.", "C. Berries.", "D. The three kinds are of the same number."]


def row(number: int, videoID: str, duration: str, answer: str, **change: Any) -> dict[str, Any]:
    return {
        "video_id": "001",
        "duration": duration,
        "domain": "Knowledge",
        "sub_category": "Humanity & History",
        "url": f"https://www.youtube.com/watch?v={videoID}",
        "videoID": videoID,
        "question_id": f"001-{number}",
        "task_type": "Counting Problem" if number < 3 else "Action Reasoning",
        "question": "Of what are there most?",
        "options": OPTIONS,
        "answer": answer,
        **change,
    }


ROWS = [
    row(1, "fFjv93ACGo8", "short", "C"),
    row(2, "fFjv93ACGo8", "short", "D"),
    row(3, "N1cdUjctpG8", "long", "A"),
]
FILE = "videomme/test-00000-of-00001.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/fFjv93ACGo8.mp4").write_bytes(video(5))
    (tmp_path / "data/N1cdUjctpG8.MP4").write_bytes(video(7))
    write_parquet(tmp_path / FILE, ROWS)
    return tmp_path


def items_of(folder: Path, benchmark: Benchmark = VIDEO_MME) -> list[Item]:
    return list(benchmark.open(folder).items())


def test_rows_are_read(folder: Path) -> None:
    items = items_of(folder)
    assert [item.key for item in items] == [f"{FILE}:{n} 001-{n}" for n in (1, 2, 3)]
    clip, words = items[2].parts
    assert isinstance(clip, Media) and clip == Media("video", folder / "data/N1cdUjctpG8.MP4")
    assert probe_clip(clip.source).frames == 7  # type: ignore[arg-type]
    assert words == (
        "Select the best answer to the following multiple-choice question based on the video and "
        "the subtitles. Respond with only the letter (A, B, C, or D) of the correct option.\n"
        "Of what are there most?\nA. Apples.\nB. Candles.\nC. Berries.\n"
        "D. The three kinds are of the same number.\n\n"
        "Answer with the option's letter from the given choices directly."
    )
    options = ("Apples.", "Candles.", "Berries.", "The three kinds are of the same number.")
    assert [item.truth for item in items] == [Choice(options, n, "ABCD") for n in (2, 3, 0)]
    assert [item.kind for item in items] == ["Counting Problem"] * 2 + ["Action Reasoning"]
    assert [item.cluster for item in items] == ["fFjv93ACGo8"] * 2 + ["N1cdUjctpG8"]
    assert [item.kind for item in items_of(folder, VIDEO_MME_DURATION)] == ["short"] * 2 + ["long"]
    assert items_of(folder / FILE)[0].parts == items[0].parts


def test_figures_by_hand(folder: Path) -> None:
    items = items_of(folder)
    said = [Said("C"), Said("The best answer is (B)."), Said("apples")]
    scores = VIDEO_MME.metric.scores(items, said)
    assert scores == [1.0, 0.0, 1.0]
    accuracy, *_ = map(figure, VIDEO_MME.metric.tallies(items, said, scores))
    assert accuracy.value == pytest.approx(2 / 3)
    assert accuracy.clusters == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"videoID": "gone"}, "videoID has no clip data/gone.mp4"),
        ({"options": OPTIONS[:3]}, "options are"),
        ({"options": ["Apples.", *OPTIONS[1:]]}, "options are"),
        ({"answer": "E"}, "answer is 'E'"),
        ({"answer": None}, "answer"),
        ({"task_type": None}, "has no task_type"),
        ({"question": None}, "has no question"),
    ],
)
def test_a_bad_row_is_named(folder: Path, change: dict[str, Any], problem: str) -> None:
    write_parquet(folder / FILE, [*ROWS[:2], ROWS[2] | change])
    with pytest.raises(DataError, match=problem) as error:
        items_of(folder)
    assert error.value.field == f"{FILE}:3"


@needs_lmms
def test_as_lmms_eval(folder: Path) -> None:
    """It reads no letter in lower case, which ours does; the rest is alike."""
    items, module = items_of(folder), "videomme.utils"
    default = lmms_default("videomme/videomme.yaml")
    texts = ("A", "(D)", "C. Berries.", "The answer is D.", "B", "Answer: A", "")
    cases = [(n, text) for n in range(3) for text in texts]
    given = {"lmms_eval_specific_kwargs": default}
    found = ask_lmms_all(
        [
            *((module, "videomme_doc_to_text", (row,), given) for row in ROWS),
            *((module, "videomme_process_results", (ROWS[n], [text]), {}) for n, text in cases),
        ]
    )
    assert [item.question for item in items] == found[:3]
    theirs = [one["videomme_perception_score"]["score"] for one in found[3:]]
    said = [Said(text) for _, text in cases]
    assert VIDEO_MME.metric.scores([items[n] for n, _ in cases], said) == theirs
