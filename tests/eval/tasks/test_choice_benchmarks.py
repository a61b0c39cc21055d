"""Published files of multiple-choice benchmarks: prompts, options, and figures found by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.eval.tasks import benchmark_rows as published
from tests.eval.tasks.benchmark_rows import Row, coded, figures
from tests.eval.tasks.published_files import png, write_jsonl, write_parquet

from sightline.core.errors import DataError
from sightline.data.sample import Media
from sightline.eval.item import Answers, Choice, Item, StoredPicture
from sightline.eval.said import Said
from sightline.eval.tasks.ai2d import AI2D
from sightline.eval.tasks.mmbench import MMBENCH
from sightline.eval.tasks.mmmu import MMMU
from sightline.eval.tasks.mmstar import MMSTAR
from sightline.eval.tasks.scienceqa import SCIENCEQA
from sightline.eval.tasks.seedbench import SEEDBENCH
from sightline.eval.tasks.vsr import VSR
from sightline.pictures import open_picture

DIRECTLY = "Answer with the option's letter from the given choices directly."


def shade(media: Media) -> int:
    """The grey of a picture."""
    source = media.source
    opened = open_picture(source.read() if isinstance(source, StoredPicture) else source)
    return int(opened.rgb[0, 0, 0])


def shades(item: Item) -> list[int]:
    return [shade(media) for media in item.media]


def test_ai2d(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", published.ai2d())
    items = AI2D.open(tmp_path).items()
    assert items[0].question == f" Which letter is the root?\nA. K\nB. L\nC. M\n{DIRECTLY}"
    assert items[0].truth == Choice(("K", "L", "M"), 1)
    assert [item.answer for item in items] == ["B. L", "B. hare", "A. a leaf"]
    assert [shades(item) for item in items] == [[10], [10], [20]]
    assert items[0].cluster == items[1].cluster != items[2].cluster
    assert items[0].key == "data/test-00000-of-00001.parquet:1"
    said = ["B", "The answer is A.", "a leaf"]
    assert figures(AI2D.metric, items, said) == {"accuracy": 2 / 3, "unparsed": 0}


def test_scienceqa_with_and_without_a_picture(tmp_path: Path) -> None:
    write_parquet(tmp_path / "ScienceQA-FULL/test-00000-of-00001.parquet", published.scienceqa())
    write_parquet(tmp_path / "ScienceQA-IMG/test-00000-of-00001.parquet", published.scienceqa()[:1])
    seen, read = SCIENCEQA.open(tmp_path).items()
    context = "Context: Look at the scale.\n"
    choices = f"A. a feather\nB. a brick\n{DIRECTLY}"
    assert seen.question == f"{context}Which is heavier?\n{choices}"
    assert shades(seen) == [10]
    assert read.parts == (f"Is `it rains` a sentence?\nA. yes\nB. no\n{DIRECTLY}",)
    assert (seen.kind, read.kind) == ("natural science", "language science")
    assert (seen.answer, read.answer) == ("B. a brick", "A. yes")
    assert figures(SCIENCEQA.metric, [seen, read], ["A", "A"])["accuracy"] == 0.5


def test_seedbench_asks_about_pictures_and_not_about_clips(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "test-00000-of-00002.parquet", published.seedbench())
    items = SEEDBENCH.open(path).items()
    listed = "A. a thing\nB. b thing\nC. c thing\nD. d thing"
    assert items[0].question == f"What is left?\n{listed}\n{DIRECTLY}"
    assert [item.key.split()[-1] for item in items] == ["7", "9"]
    assert [item.kind for item in items] == ["type 6", "type 1"]
    assert [item.cluster for item in items] == ["5_9", "5_9"]
    assert [item.answer for item in items] == ["C. c thing", "B. b thing"]
    assert figures(SEEDBENCH.metric, items, ["C", "C"])["accuracy"] == 0.5


def test_mmstar_averages_over_skills(tmp_path: Path) -> None:
    write_parquet(tmp_path / "mmstar.parquet", published.mmstar())
    items = MMSTAR.open(tmp_path).items()
    asked = "Question 0?\nOptions: A: one, B: two, C: three, D: four"
    assert items[0].question == f"{asked}\n{DIRECTLY.removesuffix('.')}"
    assert items[3].kind == "coarse perception: image emotion"
    said = ["A", "B", "A", "B"]  # geometry 2 of 3, emotion 0 of 1
    found = figures(MMSTAR.metric, items, said)
    assert found["average over skills"] == pytest.approx(1 / 3, abs=1e-12)
    assert found["accuracy"] == 0.5
    assert next(iter(found)) == "average over skills"


def test_mmmu_puts_pictures_where_their_marks_stand(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", published.mmmu())
    first, second, third = MMMU.open(tmp_path).items()
    options = "A. the first\nB. it's the second\nC. neither"
    words = ["Compare", "with", f": which is older?\n{options}\n\n{DIRECTLY}"]
    assert [part for part in first.parts if isinstance(part, str)] == words
    assert [isinstance(part, Media) for part in first.parts] == [False, True, False, True, False]
    assert [shades(item) for item in (first, second, third)] == [[10, 20], [30, 40, 50], [60]]
    assert second.parts[1] == "Which of these is a rest?\nA."
    assert third.parts[-1] == "Answer the question using a single word or phrase."
    assert third.truth == Answers(("1.5",))
    assert [item.kind for item in (first, second, third)] == ["Art_Theory", "Music", "Math"]
    said = ["B", "(B)", "So the slope is 3/2 = 1.5."]
    found = figures(MMMU.metric, [first, second, third], said)
    assert found == {"accuracy": 2 / 3, "multiple choice": 0.5, "open": 1}


def test_a_mark_out_of_order_shows_its_own_picture(tmp_path: Path) -> None:
    row = {**published.mmmu()[0], "question": "Is <image 2> older than <image 1> or <image 2>?"}
    [item] = MMMU.open(write_parquet(tmp_path / "validation.parquet", [row])).items()
    assert shades(item) == [20, 10, 20]


def test_mmbench_counts_a_question_if_every_rotation_is_right(tmp_path: Path) -> None:
    write_parquet(tmp_path / "en" / "dev-00000-of-00001.parquet", published.mmbench())
    items = MMBENCH.open(tmp_path).items()
    shown = "There are several options:\nA. a cup\nB. a pot\nC. a jar"
    assert items[0].question == f"What is it? {shown}\n\n{DIRECTLY}"
    assert items[3].question.startswith("It barks. Cat or dog? There are several options:\nA. cat")
    assert [item.unit for item in items] == ["5", "5", "5", "6", "6"]
    assert {item.answer[3:] for item in items} == {"a pot", "dog"}
    assert [item.kind for item in items] == ["logic"] * 3 + ["finegrained"] * 2
    assert items[0].cluster == items[2].cluster != items[3].cluster
    said = ["B", "A", "B", "B", "A"]  # one rotation of the first is wrong
    found = figures(MMBENCH.metric, items, said)
    assert found == {"circular accuracy": 0.5, "accuracy": 0.8, "unparsed": 0}


def tsv(rows: list[Row]) -> str:
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def test_mmbench_from_a_tsv_file_without_rotations(tmp_path: Path) -> None:
    """They are made; the second picture is that of the first row, named by its index."""
    rows = [published.mmbench()[0], published.mmbench()[3]]
    rows = [{**row, "image": image} for row, image in zip(rows, [coded(77), "5"], strict=True)]
    path = tmp_path / "mmbench_dev_en_20231003.tsv"
    path.write_text(tsv(rows), "utf-8")
    items = MMBENCH.open(path).items()
    assert [item.unit for item in items] == ["5", "5", "5", "6", "6"]
    assert [item.answer for item in items] == [
        "B. a pot",
        "A. a pot",
        "C. a pot",
        "B. dog",
        "A. dog",
    ]
    assert "A. a pot\nB. a jar\nC. a cup\n\nAnswer" in items[1].question
    assert [shades(item) for item in items] == [[77]] * 5
    assert len({item.cluster for item in items}) == 1
    drawn = [item.key for item in MMBENCH.open(path).items(2)]
    assert drawn == [item.key for item in items[3:]]  # a question comes whole


def test_mmbench_keeps_the_letters_of_its_columns(tmp_path: Path) -> None:
    row = {**published.mmbench()[0], "B": "nan", "answer": "C"}
    items = MMBENCH.open(write_parquet(tmp_path / "dev.parquet", [row])).items()
    assert items[0].truth == Choice(("a cup", "a jar"), 1, "AC")
    assert "A. a cup\nC. a jar\n" in items[0].question
    assert items[1].answer == "A. a jar"


def test_vsr(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.jpg").write_bytes(png(99)["bytes"])
    write_jsonl(tmp_path / "splits" / "zeroshot" / "test.jsonl", published.vsr())
    items = VSR.open(tmp_path).items()
    assert items[0].question == (
        'Based on the image, is this statement "True" or "False"? The cat is under the bed.\n'
        'Respond with "True" or "False" directly.'
    )
    assert [item.answer for item in items] == ["T. True", "F. False", "T. True"]
    assert [item.kind for item in items] == ["projective", "orientation", "unallocated"]
    assert [item.cluster for item in items] == ["7.jpg"] * 3
    assert shades(items[2]) == [99]
    said = ["True.", "true", "It is a cat"]
    assert figures(VSR.metric, items, said) == {"accuracy": 1 / 3, "unparsed": 1 / 3}


def test_a_letter_that_differs_from_the_words_is_no_trap() -> None:
    """AI2D asks for letters in the picture: option B may read `A`."""
    item = Item("k", ("Which?",), Choice(("B", "A"), 0))
    assert AI2D.metric.scores([item, item], [Said("A"), Said("B")]) == [1, 0]


def test_a_split_that_hides_its_answers_is_refused(tmp_path: Path) -> None:
    for benchmark, rows, none in (
        (AI2D, published.ai2d(), ""),
        (SCIENCEQA, published.scienceqa(), None),
        (SEEDBENCH, published.seedbench(), ""),
        (MMSTAR, published.mmstar(), ""),
        (MMMU, published.mmmu(), "?"),
        (MMBENCH, published.mmbench(), "nan"),
    ):
        path = write_parquet(
            tmp_path / f"{benchmark.name}.parquet", [{**row, "answer": none} for row in rows]
        )
        with pytest.raises(DataError, match=r"parquet:1.*answer.*keep the answers of this split"):
            benchmark.open(path).items()


def test_the_rows_are_json_too(tmp_path: Path) -> None:
    """Data sets are passed on as JSONL with pictures beside it."""
    path = write_jsonl(tmp_path / "test.jsonl", published.ai2d())
    assert json.loads(path.read_text().splitlines()[0])["image"] == "10.png"
    items = AI2D.open(path).items()
    assert [replace(item, cluster="").question for item in items][1].startswith("What eats grass?")
    assert shades(items[2]) == [20]
