"""Video-MME: a clip, a question and four options.

The clips lie in `data/` beside the rows or their folder, as `<videoID>.mp4` (or .MP4, .mkv).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sightline.data.sample import Media
from sightline.eval.item import Item
from sightline.eval.metrics.choices import ByLetter
from sightline.eval.tasks.options import DIRECTLY, by_letter
from sightline.eval.tasks.published import EachRow, split, words
from sightline.eval.tasks.table import Row
from sightline.eval.tasks.task import Benchmark

LETTERS = "ABCD"
_BEFORE = (
    "Select the best answer to the following multiple-choice question based on the video and the "
    "subtitles. Respond with only the letter (A, B, C, or D) of the correct option."
)
FILES = split("test", "videomme")


def _item(row: Row, kind: str) -> Item:
    """`kind`: the field by which questions are broken down."""
    options, video = row.texts("options"), row.text("videoID")
    prompt = "\n".join([_BEFORE, words(row, "question"), *options, DIRECTLY])
    return Item(
        f"{row.where} {row.text('question_id')}",
        (Media("video", _clip(row, video)), prompt),
        by_letter(row, _told(row, options), LETTERS),
        row.text(kind),
        group=row.text("task_type"),
        cluster=video,
    )


def _clip(row: Row, video: str) -> Path:
    """Its file, in `data/` beside the rows or their folder."""
    here = row.table.folder(row.index)
    for folder in (here, here.parent):
        for suffix in (".mp4", ".MP4", ".mkv"):
            if (found := folder / "data" / (video + suffix)).is_file():
                return found
    raise row.wrong("videoID", f"has no clip data/{video}.mp4 (or .MP4, .mkv)", "unpack the clips")


def _told(row: Row, options: tuple[str, ...]) -> tuple[str, ...]:
    """Four options without their letters."""
    if [option.strip()[:2] for option in options] != [f"{letter}." for letter in LETTERS]:
        raise row.wrong("options", f"are {options!r:.80}", "give four, from `A. ` to `D. `")
    return tuple(option.strip()[2:].strip() for option in options)


SOURCE = (
    "lmms_eval/tasks/videomme/utils.py and videomme.yaml (0.7.3): fields videoID, question, "
    "options, answer, question_id, task_type, duration. Without subtitles"
)
VIDEO_MME = Benchmark(
    "videomme",
    "Video-MME",
    EachRow(partial(_item, kind="task_type"), FILES),
    ByLetter(),
    16,
    SOURCE,
)
VIDEO_MME_DURATION = Benchmark(
    "videomme_duration",
    "Video-MME by duration",
    EachRow(partial(_item, kind="duration"), FILES),
    ByLetter(),
    16,
    f"{SOURCE}; kinds are short, medium and long clips",
)
