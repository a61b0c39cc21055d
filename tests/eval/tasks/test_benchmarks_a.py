"""Benchmarks of short answers, text in pictures and captions: as published, spoilt, and as scored
by lmms-eval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.eval.lmms_oracle import ask_lmms_all, lmms_configs, needs_lmms
from tests.eval.tasks.cases_a import (
    CASES,
    FORMULAS,
    GQA_PICTURES,
    OCRBENCH_ROWS,
    Case,
    Row,
)
from tests.eval.tasks.published_files import png, write_jsonl, write_parquet

from sightline.core.errors import DataError
from sightline.eval.item import Answers, Item, StoredPicture
from sightline.eval.said import Said
from sightline.eval.statistics import figure
from sightline.eval.tasks.catalogue import BENCHMARKS, benchmark
from sightline.pictures import open_picture

BY_NAME = {case.name: case for case in CASES}
EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
WRITERS = pytest.mark.parametrize("writer", [write_parquet, write_jsonl])
Writer = Callable[[Path, Sequence[Row]], Path]


def items_of(case: Case, folder: Path) -> list[Item]:
    return list(case.benchmark.open(folder).items())


def shade(item: Item) -> int:
    source = item.media[0].source
    read = source.read() if isinstance(source, StoredPicture) else source
    return int(open_picture(read).rgb[0, 0, 0])  # type: ignore[arg-type]


@EACH
@WRITERS
def test_published_files_are_read(case: Case, writer: Writer, tmp_path: Path) -> None:
    items = items_of(case, case.write(tmp_path, writer))
    assert [item.question for item in items] == list(case.prompts)
    assert [item.answer for item in items] == list(case.truths)
    assert [item.kind for item in items] == list(case.kinds)
    assert all(len(item.media) == 1 and item.system is None for item in items)
    file = case.file if writer is write_parquet else f"{case.file.split('-0')[0]}.jsonl"
    for number, item in enumerate(items, 1):
        assert item.key.split()[0] == f"{file}:{number}"


@EACH
def test_items_hold_their_own_picture(case: Case, tmp_path: Path) -> None:
    items = items_of(case, case.write(tmp_path, write_parquet))
    by_id = {row["id"]: row for row in GQA_PICTURES}
    rows = [by_id[row["imageId"]] if "imageId" in row else row for row in case.rows]
    assert [f"{shade(item)}.png" for item in items] == [row["image"]["path"] for row in rows]


@EACH
def test_items_about_one_picture_are_one_cluster(case: Case, tmp_path: Path) -> None:
    found = [item.cluster for item in items_of(case, case.write(tmp_path, write_parquet))]
    if all(isinstance(name, str) for name in case.clusters):
        assert found == list(case.clusters)
    assert all(found)
    same = [[one == other for other in case.clusters] for one in case.clusters]
    assert [[one == other for other in found] for one in found] == same


@EACH
def test_answers_score_what_they_do_by_hand(case: Case, tmp_path: Path) -> None:
    items = items_of(case, case.write(tmp_path, write_parquet))
    said = [Said(text) for text in case.said]
    scores = case.benchmark.metric.scores(items, said)
    assert scores == pytest.approx(list(case.scores), abs=1e-9)
    first = case.benchmark.metric.tallies(items, said, scores)[0]
    assert figure(first).value == pytest.approx(case.figure, abs=1e-9)


@EACH
@WRITERS
def test_a_missing_field_is_named_with_its_row(case: Case, writer: Writer, tmp_path: Path) -> None:
    for number, field in enumerate(case.needed):
        # JSONL: a Parquet file has its columns in all rows.
        spoilt = [dict(row) for row in case.rows]
        for row in spoilt if writer is write_parquet else spoilt[1:2]:
            del row[field]
        error = refused(case, spoilt, writer, tmp_path / str(number))
        assert f":{1 if writer is write_parquet else 2}" in error.field
        assert f"has no {field} " in error.problem


@EACH
@pytest.mark.parametrize("wrong", [17, {"a": 1}, [1, 2]], ids=["number", "mapping", "numbers"])
def test_an_answer_of_another_kind_is_named_with_its_row(
    case: Case, wrong: Any, tmp_path: Path
) -> None:
    error = refused(case, changed(case, 1, case.answer, wrong), write_jsonl, tmp_path)
    assert error.field.endswith(":2")
    assert case.answer in error.problem and error.fix


@EACH
def test_a_broken_picture_is_named_with_its_row(case: Case, tmp_path: Path) -> None:
    broken = {"bytes": b"no picture", "path": "broken.png"}
    if case.name == "gqa":
        pictures = [GQA_PICTURES[0], {**GQA_PICTURES[1], "image": broken}]
        more = dict.fromkeys(case.more or (), pictures)
        error = refused(case, case.rows, write_parquet, tmp_path, more)
        assert error.field.startswith("testdev_balanced_images/testdev")
    else:
        error = refused(case, changed(case, 1, "image", broken), write_parquet, tmp_path)
        assert error.field.startswith(case.file)
    assert error.field.split()[0].endswith(":2") and "image" in str(error)


@EACH
def test_a_split_that_hides_its_answers_is_refused(case: Case, tmp_path: Path) -> None:
    spoilt = [{**row, case.answer: case.hidden} for row in case.rows]
    error = refused(case, spoilt, write_jsonl, tmp_path)
    assert error.field.endswith(":1")
    assert "keep the answers" in error.problem and "split" in error.fix


@EACH
def test_a_line_that_is_no_json_is_named(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path, write_jsonl)
    file = tmp_path / f"{case.file.split('-0')[0]}.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1][:-5]]) + "\n")
    with pytest.raises(DataError) as caught:
        items_of(case, tmp_path)
    assert file.name in caught.value.field and ":2" in caught.value.field


def refused(
    case: Case,
    rows: Sequence[Row],
    writer: Writer,
    folder: Path,
    more: Mapping[str, Sequence[Row]] | None = None,
) -> DataError:
    spoilt = replace(case, rows=rows, more=case.more if more is None else more)
    with pytest.raises(DataError) as caught:
        items_of(case, spoilt.write(folder, writer))
    return caught.value


def changed(case: Case, number: int, field: str, value: Any) -> list[Row]:
    return [
        {**row, field: value} if at == number else dict(row) for at, row in enumerate(case.rows)
    ]


def test_several_files_of_a_split_are_read_in_order_and_others_are_not(tmp_path: Path) -> None:
    case = BY_NAME["vqav2"]
    write_parquet(tmp_path / "data/validation-00001-of-00002.parquet", case.rows[1:])
    write_parquet(tmp_path / "data/validation-00000-of-00002.parquet", case.rows[:1])
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", case.rows)
    items = items_of(case, tmp_path)
    assert [item.answer for item in items] == list(case.truths)
    assert items[1].key == "data/validation-00001-of-00002.parquet:1 262148001"


def test_a_file_alone_is_read(tmp_path: Path) -> None:
    case = BY_NAME["docvqa"]
    file = write_parquet(tmp_path / "some.parquet", case.rows)
    assert items_of(case, file)[0].key == "some.parquet:1 49153"


def test_gqa_needs_both_tables_and_every_picture(tmp_path: Path) -> None:
    case = BY_NAME["gqa"]
    with pytest.raises(DataError, match="testdev_balanced_images"):
        items_of(case, write_parquet(tmp_path / "one.parquet", case.rows).parent)
    error = refused(case, changed(case, 2, "imageId", "n1"), write_parquet, tmp_path / "a")
    assert error.field.endswith(":3") and "n1" in error.problem
    twice = {name: [*GQA_PICTURES, GQA_PICTURES[0]] for name in case.more or ()}
    error = refused(case, case.rows, write_parquet, tmp_path / "b", twice)
    assert error.field.endswith(":3") and "n235859" in error.problem


def test_chartqa_refuses_a_part_it_does_not_know(tmp_path: Path) -> None:
    case = BY_NAME["chartqa"]
    error = refused(case, changed(case, 1, "type", "val_human"), write_parquet, tmp_path)
    assert error.field.endswith(":2") and "human_test" in error.fix


def test_ocrbench_refuses_formulas_from_elsewhere(tmp_path: Path) -> None:
    case = BY_NAME["ocrbench"]
    error = refused(case, changed(case, 0, "question_type", FORMULAS), write_parquet, tmp_path)
    assert error.field.endswith(":1") and "IIIT5K" in error.problem
    error = refused(case, changed(case, 3, "dataset", "HME100k"), write_parquet, tmp_path)
    assert error.field.endswith(":4") and "dataset" in error.problem


def test_coco_needs_the_file_name_of_a_picture(tmp_path: Path) -> None:
    case = BY_NAME["coco_captions"]
    error = refused(case, changed(case, 1, "question_id", "no number.jpg"), write_jsonl, tmp_path)
    assert error.field.endswith(":2") and "question_id" in error.problem


@pytest.mark.parametrize("name", ["docvqa", "infovqa", "chartqa", "ocrbench"])
@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_answer_beside_others_is_refused(name: str, blank: str, tmp_path: Path) -> None:
    case = BY_NAME[name]
    answers = ["one", blank]
    rows = changed(case, 1, case.answer, answers)
    error = refused(case, rows, write_jsonl, tmp_path)
    assert error.field.endswith(":2")
    assert f"{case.answer} has a blank answer beside others" in error.problem


@pytest.mark.parametrize("name", ["textvqa", "ok_vqa"])
def test_one_of_ten_people_may_have_said_nothing(name: str, tmp_path: Path) -> None:
    case = BY_NAME[name]
    rows = [{**row, "answers": ["ford,mustang"] * 9 + [""]} for row in case.rows]
    items = items_of(case, replace(case, rows=rows).write(tmp_path, write_parquet))
    said = [Said("ford mustang"), Said("FordMustang")]  # the comma goes before anything else
    assert case.benchmark.metric.scores(items[:1] * 2, said) == [0, 1]
    assert case.benchmark.metric.scores(items[:1], [Said("")]) == pytest.approx([0.3])


def test_a_question_asked_often_is_a_group_of_its_own(tmp_path: Path) -> None:
    case = BY_NAME["ocrbench"]
    rows = [{**OCRBENCH_ROWS[0], "image": png(n)} for n in range(10)] + list(OCRBENCH_ROWS[1:])
    write_parquet(tmp_path / "test.parquet", rows)
    groups = [item.group for item in items_of(case, tmp_path)]
    assert groups[:10] == ["what is written in the image?"] * 10
    assert groups[10:] == [FORMULAS, FORMULAS, "Doc-oriented VQA"]


def test_the_answer_that_most_people_gave_stands_first(tmp_path: Path) -> None:
    case = BY_NAME["vqav2"]
    truth = items_of(case, case.write(tmp_path, write_parquet))[0].truth
    assert truth == Answers(("yes",) * 9 + ("no",))


def test_counts_draw_the_same_items_again(tmp_path: Path) -> None:
    case = BY_NAME["docvqa"]
    task = case.benchmark.open(case.write(tmp_path, write_parquet), seed=3)
    keys = [item.key for item in task.items(2)]
    assert keys == [item.key for item in task.items(2)] and len(keys) == 2
    with pytest.raises(DataError, match="has 3 questions, 4"):
        task.items(4)


def test_the_catalogue_names_each_benchmark_once() -> None:
    names = [one.name for one in BENCHMARKS]
    assert len(set(names)) == len(names) and {case.name for case in CASES} <= set(names)
    assert all(benchmark(one.name) is one and one.source for one in BENCHMARKS)
    with pytest.raises(DataError, match=r"chartqa, .*docvqa"):
        benchmark("DocVQA")


# What models say besides bare answers, against every row.
MESSY = (
    *("", " ", "Yes", "yes.", "yes, it is", "No", "no!", "2", "two", "Two.", " 3 ", "3.0", "three"),
    *("the plate", "A pizza", "plates", "it's a plate", "its a plate", "pizza\nplate", "dont know"),
    *("race", "RACE", "stuffed-animal", "teddy bear.", "Dakota", "dakota digital,", "copenhagen"),
    *("0.28", ".28", "28%", "0.28%", "UC", "university  of california", "U.C.", "San Diego, CA"),
    *("1,500", "1500", "1.500", "e mail", "14", "14.7", "14.71", "13.3", "13.29", "20", "0.2"),
    *("20 %", "21%", "21.1%", "nan", "inf", "centre", "CENTRE point", "cent re", "twelve pages"),
    *(
        "\\frac{1}{2}",
        "\\frac { 1 } { 2 } x",
        "X^{2}",
        "x ^ { 2 }",
        "\uff11\uff12",
        "coffee-table",
        "co-ffee table",
    ),
)


@needs_lmms
def test_lmms_eval_gives_the_same_prompts() -> None:
    calls, wanted = [], []
    for case, config in zip(CASES, lmms_configs([case.config for case in CASES]), strict=True):
        given = dict(config.get("lmms_eval_specific_kwargs", {}).get("default", {}))
        kwargs = {"lmms_eval_specific_kwargs": given} if given else {}
        module = case.config.split("/")[0]
        calls += [(f"{module}.utils", case.text, (plain(row),), kwargs) for row in case.rows]
        wanted += case.prompts
        tokens = config["generation_kwargs"].get("max_new_tokens", case.benchmark.max_tokens)
        assert tokens == case.benchmark.max_tokens, case.name
    assert ask_lmms_all(calls) == wanted


@needs_lmms
def test_lmms_eval_gives_the_same_scores(tmp_path: Path) -> None:
    asked: list[tuple[Case, Item, str]] = []
    calls = []
    for case in CASES:
        if case.call is None:
            continue
        items = items_of(case, case.write(tmp_path / case.name, write_parquet))
        for row, item in zip(case.rows, items, strict=True):
            for text in (*case.said, *case.truths, *MESSY):
                asked.append((case, item, text))
                calls.append(case.call(plain(row), text))
    theirs = [
        case.judged(found) for (case, _, _), found in zip(asked, ask_lmms_all(calls), strict=True)
    ]
    ours = [case.benchmark.metric.scores([item], [Said(text)])[0] for case, item, text in asked]
    different = [
        (case.name, item.answer, text, mine, other)
        for (case, item, text), mine, other in zip(asked, ours, theirs, strict=True)
        if abs(mine - other) > 1e-9
    ]
    assert len(asked) > 1000 and 50 < sum(score > 0 for score in ours) < 500
    assert different == []


CAPTIONS = {
    "coco_captions": ("coco_cap.utils", "coco_process_result", "coco_cider"),
    "nocaps": ("nocaps.utils", "nocaps_process_result", "nocaps_cider"),
    "flickr30k_captions": ("flickr30k.utils", "flickr_process_result", "flickr_cider"),
}


@needs_lmms
def test_lmms_eval_gives_the_same_cider(tmp_path: Path) -> None:
    said = ["Brown dogs run over the wet, wet grass", "Some ships near a harbour (far away)."]
    items = {
        name: items_of(BY_NAME[name], BY_NAME[name].write(tmp_path / name, write_parquet))
        for name in CAPTIONS
    }
    calls = [
        (module, process, (plain(row), [text]), {})
        for name, (module, process, _) in CAPTIONS.items()
        for row, text in zip(BY_NAME[name].rows, said, strict=True)
    ]
    found = [next(iter(one.values())) for one in ask_lmms_all(calls)]
    ours = [item for each in items.values() for item in each]
    assert [one["answer"] for one in found] == [texts_of(item) for item in ours]
    assert [str(one["image_id"]) for one in found] == [item.cluster for item in ours]
    pairs = [(found[at : at + 2], None) for at in range(0, len(found), 2)]
    totals = [
        (module, total, pair, {})
        for (module, _, total), pair in zip(CAPTIONS.values(), pairs, strict=True)
    ]
    for name, theirs in zip(CAPTIONS, ask_lmms_all(totals), strict=True):
        metric, mine = BY_NAME[name].benchmark.metric, [Said(text) for text in said]
        first = metric.tallies(items[name], mine, metric.scores(items[name], mine))[0]
        assert first.name == "CIDEr" and theirs > 0.5
        assert figure(first).value == pytest.approx(theirs, abs=1e-9)


def texts_of(item: Item) -> list[str]:
    assert isinstance(item.truth, Answers)
    return list(item.truth.texts)


def plain(row: Row) -> dict[str, Any]:
    """A row without its picture."""
    return {name: value for name, value in row.items() if name != "image"}
