"""MMBench: every question in each rotation of its options (Liu et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sightline.data.sample import Media
from sightline.eval.item import Choice, Item
from sightline.eval.metrics.choices import Circular
from sightline.eval.tasks.coded import CodedPictures
from sightline.eval.tasks.options import DIRECTLY, by_letter, in_columns, listed
from sightline.eval.tasks.published import picture_id, split, words
from sightline.eval.tasks.table import Row, rows
from sightline.eval.tasks.task import Benchmark

FILES = (*split("dev", "en"), "*dev_en*.tsv", "*DEV_EN*.tsv", "*.tsv")
TURNS = 1_000_000  # rotation k of question n has the index n + k * TURNS
_COLUMNS = ("A", "B", "C", "D", "E")


def _read(path: Path) -> Iterator[Item]:
    coded, asked = CodedPictures(), dict[int, Item]()
    for row in rows(path, *FILES):
        if (index := row.whole("index")) in asked:
            raise row.wrong("index", f"{index} is there twice", "give one file of one version")
        asked[index] = _item(row, coded)
    items = list(asked.values())
    turned = len({item.unit for item in items}) < len(items)
    return iter(items) if turned else (turn for item in items for turn in _turns(item))


def _item(row: Row, coded: CodedPictures) -> Item:
    options = in_columns(row, _COLUMNS)
    truth = by_letter(row, tuple(options.values()), "".join(options))
    hint = f"{words(row, 'hint')} " if row.optional("hint") else ""
    skill = next((name for name in ("L2-category", "l2-category") if row.has(name)), "category")
    shown, cluster = _picture(row, coded)
    number, kind = row.whole("index"), row.text(skill)
    return Item(
        f"{row.where} {number}",
        (shown, f"{hint}{words(row, 'question')}{_choices(truth)}"),
        truth,
        kind,
        group=kind,
        cluster=cluster,
        unit=str(number % TURNS),
    )


def _choices(truth: Choice) -> str:
    options = listed(truth.options, truth.letters)
    return f" There are several options:\n{options}\n{DIRECTLY}"


def _picture(row: Row, coded: CodedPictures) -> tuple[Media, str]:
    """The picture of a row, and a name for it."""
    if not isinstance(row.value("image"), str):
        return Media("image", row.picture("image")), picture_id(row)
    found = coded.of(row)
    return Media("image", found), found.digest


def _turns(item: Item) -> Iterator[Item]:
    """A question in all rotations of its options."""
    [shown], truth = item.media, item.truth
    assert isinstance(truth, Choice)
    start = item.question.removesuffix(_choices(truth))
    for turn in range(len(truth.options)):
        options = truth.options[turn:] + truth.options[:turn]
        moved = replace(truth, options=options, index=(truth.index - turn) % len(options))
        key = item.key if turn == 0 else f"{item.key} turned {turn}"
        yield replace(item, key=key, parts=(shown, start + _choices(moved)), truth=moved)


MMBENCH = Benchmark(
    name="mmbench",
    title="MMBench (dev, English)",
    read=_read,
    metric=Circular(),
    max_tokens=1024,
    source="lmms_eval/tasks/mmbench/{mmbench_en_dev.yaml, _default_template_mmbench_en_yaml,"
    " mmbench.yaml, en_utils.py, mmbench_evals.py} (0.7.3); base64 and indices of other rows in TSV"
    " files: vlmeval/dataset/image_base.py of github.com/open-compass/VLMEvalKit; there a GPT"
    " reads answers that rules do not, here they are wrong; rotations that a file lacks are made",
)
