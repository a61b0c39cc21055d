"""Rows of benchmarks in the words of their published files, answers, and scores found by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.eval.tasks.published_files import png

from sightline.eval.tasks.captions import COCO_CAPTIONS, FLICKR30K_CAPTIONS, NOCAPS
from sightline.eval.tasks.chartqa import CHARTQA
from sightline.eval.tasks.docvqa import DOCVQA, INFOVQA
from sightline.eval.tasks.gqa import GQA
from sightline.eval.tasks.ocrbench import OCRBENCH
from sightline.eval.tasks.ok_vqa import OK_VQA
from sightline.eval.tasks.task import Benchmark
from sightline.eval.tasks.textvqa import TEXTVQA
from sightline.eval.tasks.vqav2 import VQAV2

SHORTLY = "\nAnswer the question using a single word or phrase."
CAPTION = "Provide a one-sentence caption for the provided image."
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A benchmark with rows and what must become of them.

    Attributes:
        file: where the rows lie in the folder of the data set.
        truths: what Item.answer must be.
        clusters: names of them, or numbers that are equal where clusters must be.
        said, scores: answers, and what each is worth.
        figure: the first one of the metric over all of them.
        needed: fields without which a row is refused.
        answer: the field of the truth; hidden: what it holds in splits that hide it.
        judged: the score that lmms-eval gives to (row, answer).
        config: of lmms-eval, and `text` its function for the prompt.
    """

    benchmark: Benchmark
    file: str
    rows: Sequence[Row]
    prompts: Sequence[str]
    truths: Sequence[str]
    kinds: Sequence[str]
    clusters: Sequence[str | int]
    said: Sequence[str]
    scores: Sequence[float]
    figure: float
    needed: Sequence[str]
    answer: str
    hidden: Any
    config: str
    text: str
    call: Callable[[Row, str], tuple[str, str, tuple[Any, ...], Mapping[str, Any]]] | None = None
    judged: Callable[[Any], float] = float
    more: Mapping[str, Sequence[Row]] | None = None

    @property
    def name(self) -> str:
        return self.benchmark.name

    def write(self, folder: Path, writer: Callable[[Path, Sequence[Row]], Path]) -> Path:
        """The data set in a folder; JSONL where the writer writes that."""
        for file, rows in {self.file: self.rows, **(self.more or {})}.items():
            name = file.split("-0")[0]
            writer(folder / (f"{name}.jsonl" if writer.__name__ == "write_jsonl" else file), rows)
        return folder


def people(**counts: int) -> list[str]:
    """What ten people said."""
    return [text.replace("_", " ") for text, count in counts.items() for _ in range(count)]


def numbered(answers: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"answer": text, "answer_confidence": "yes", "answer_id": number}
        for number, text in enumerate(answers, 1)
    ]


def _process(module: str, function: str) -> Callable[[Row, str], Any]:
    return lambda row, said: (module, function, (row, [said.strip()]), {})


def _anls(row: Row, said: str) -> Any:
    return "lmms_eval.api.metrics", "anls", (row["answers"], [said.strip()]), {}


def _exact(row: Row, said: str) -> Any:
    asked = {"references": [row["answer"]], "predictions": [said.strip()]}
    rules = {"ignore_case": True, "ignore_punctuation": True}
    return "lmms_eval.api.metrics", "exact_match_hf_evaluate", (), {**asked, **rules}


VQAV2_ROWS = [
    {
        "question_type": "is the",
        "multiple_choice_answer": "yes",
        "answers": numbered(people(no=1, yes=9)),
        "image_id": 262148,
        "answer_type": "yes/no",
        "question_id": 262148000,
        "question": "Is the cat black?",
        "image": png(10),
    },
    {
        "question_type": "how many",
        "multiple_choice_answer": "3",
        "answers": numbered(["2", "2"] + ["3"] * 8),
        "image_id": 262148,
        "answer_type": "number",
        "question_id": 262148001,
        "question": "How many cats are there?",
        "image": png(10),
    },
    {
        "question_type": "what is on the",
        "multiple_choice_answer": "pizza",
        "answers": numbered(people(plate=3, pizza=7)),
        "image_id": 393225,
        "answer_type": "other",
        "question_id": 393225000,
        "question": "What is on the table?",
        "image": png(20),
    },
]
GQA_ROWS = [
    {
        "id": "201307251",
        "imageId": "n161313",
        "question": "Is it overcast?",
        "answer": "no",
        "fullAnswer": "No, it is clear.",
        "isBalanced": True,
        "types": {"structural": "verify", "semantic": "global", "detailed": "weatherVerify"},
    },
    {
        "id": "201640614",
        "imageId": "n235859",
        "question": "Which kind of furniture is it?",
        "answer": "coffee table",
        "fullAnswer": "It is a coffee table.",
        "isBalanced": True,
        "types": {"structural": "query", "semantic": "cat", "detailed": "categoryThis"},
    },
    {
        "id": "202225914",
        "imageId": "n235859",
        "question": "What is left of the lamp?",
        "answer": "chair",
        "fullAnswer": "The chair is left of the lamp.",
        "isBalanced": True,
        "types": {"structural": "query", "semantic": "rel", "detailed": "relS"},
    },
]
GQA_PICTURES = [{"id": "n235859", "image": png(40)}, {"id": "n161313", "image": png(30)}]
OK_VQA_ROWS = [
    {
        "question_id": "2971475",
        "image": png(50),
        "question": "What sport can you use this for?",
        "answers": people(motocross=2, race=6, ride=2),
        "question_type": "four",
        "answer_type": "other",
    },
    {
        "question_id": "3397615",
        "image": png(60),
        "question": "What toy is this?",
        "answers": people(stuffed_animal=4, teddy_bear=6),
        "question_type": "two",
        "answer_type": "other",
    },
]
TEXTVQA_ROWS = [
    {
        "image_id": "003a8ae2ef43b901",
        "question_id": 34602,
        "question": "what is the brand of this camera?",
        "question_tokens": ["what", "is", "the", "brand", "of", "this", "camera"],
        "image": png(70),
        "image_width": 1024,
        "image_height": 664,
        "answers": people(dakota=5, dakota_digital=3, nikon=2),
        "image_classes": ["Cassette deck", "Printer"],
        "set_name": "val",
        "ocr_tokens": ["DAKOTA", "DIGITAL"],
    },
    {
        "image_id": "0054c91397f2fe05",
        "question_id": 34603,
        "question": "What does the SMALL text say?",
        "question_tokens": ["what", "does", "the", "small", "text", "say"],
        "image": png(80),
        "image_width": 1024,
        "image_height": 730,
        "answers": people(copenhagen=10),
        "image_classes": ["Poster"],
        "set_name": "val",
        "ocr_tokens": ["copenhagen"],
    },
]
DOCVQA_ROWS = [
    {
        "questionId": "49153",
        "question": "What is the actual value per 1000?",
        "question_types": ["figure/diagram"],
        "image": png(90),
        "docId": 14465,
        "ucsf_document_id": "pybv0228",
        "ucsf_document_page_no": "81",
        "answers": ["0.28"],
        "data_split": "val",
    },
    {
        "questionId": "24580",
        "question": "What is name of university?",
        "question_types": ["layout", "form"],
        "image": png(100),
        "docId": 7531,
        "ucsf_document_id": "nkbl0226",
        "ucsf_document_page_no": "1",
        "answers": ["UC", "University of California"],
        "data_split": "val",
    },
    {
        "questionId": "24581",
        "question": "Which city is it in?",
        "question_types": [],
        "image": png(100),
        "docId": 7531,
        "ucsf_document_id": "nkbl0226",
        "ucsf_document_page_no": "1",
        "answers": ["San Diego"],
        "data_split": "val",
    },
]
INFOVQA_ROWS = [
    {
        "questionId": "98313",
        "question": "How many people use it?",
        "answers": ["1,500"],
        "answer_type": ["single span"],
        "image": png(110),
        "image_url": "http://example.org/38931.jpeg",
        "operation/reasoning": [],
        "ocr": "{}",
        "data_split": "val",
    },
    {
        "questionId": "98314",
        "question": "Which channel is used most?",
        "answers": ["email", "e-mail"],
        "answer_type": ["single span", "question span"],
        "image": png(110),
        "image_url": "http://example.org/38931.jpeg",
        "operation/reasoning": ["comparison"],
        "ocr": "{}",
        "data_split": "val",
    },
]
CHARTQA_ROWS = [
    {
        "type": "human_test",
        "question": "What is the value of the tallest bar?",
        "answer": "14",
        "image": png(120),
    },
    {
        "type": "human_test",
        "question": "Is the red bar the tallest?",
        "answer": "Yes",
        "image": png(120),
    },
    {
        "type": "augmented_test",
        "question": "What was the share in 2014?",
        "answer": "20%",
        "image": png(130),
    },
]
FORMULAS = "Handwritten Mathematical Expression Recognition"
WRITE_OUT = "Please write out the expression of the formula in the image using LaTeX format."
OCRBENCH_ROWS = [
    {
        "dataset": "IIIT5K",
        "question": "what is written in the image?",
        "question_type": "Regular Text Recognition",
        "answer": ["CENTRE"],
        "image": png(140),
    },
    {
        "dataset": "HME100k",
        "question": WRITE_OUT,
        "question_type": FORMULAS,
        "answer": ["\\frac { 1 } { 2 }"],
        "image": png(150),
    },
    {
        "dataset": "HME100k",
        "question": WRITE_OUT,
        "question_type": FORMULAS,
        "answer": ["X ^ { 2 }"],
        "image": png(160),
    },
    {
        "dataset": "docVQA",
        "question": "How many pages are there?",
        "question_type": "Doc-oriented VQA",
        "answer": ["12", "twelve"],
        "image": png(170),
    },
]
COCO_ROWS = [
    {
        "question_id": "COCO_val2014_000000203564.jpg",
        "image": png(180),
        "question": "Please carefully observe the image and come up with a caption for the image",
        "answer": ["Brown dogs run over wet grass.", "Two cats sleep under old chairs."],
        "id": 38,
        "license": 4,
        "file_name": "COCO_val2014_000000203564.jpg",
        "coco_url": "http://images.cocodataset.org/val2014/COCO_val2014_000000203564.jpg",
        "height": 400,
        "width": 640,
    },
    {
        "question_id": "COCO_val2014_000000322141.jpg",
        "image": png(190),
        "question": "Please carefully observe the image and come up with a caption for the image",
        "answer": ["Some boats lie near the shore.", "Many ships wait in a harbour."],
        "id": 49,
        "license": 3,
        "file_name": "COCO_val2014_000000322141.jpg",
        "coco_url": "http://images.cocodataset.org/val2014/COCO_val2014_000000322141.jpg",
        "height": 438,
        "width": 640,
    },
]
NOCAPS_ROWS = [
    {
        "image": png(200 + number),
        "image_coco_url": f"https://s3.amazonaws.com/nocaps/val/{number}.jpg",
        "image_date_captured": "2018-11-06 11:04:33",
        "image_file_name": f"{number}.jpg",
        "image_height": 1024,
        "image_width": 732,
        "image_id": number,
        "image_license": 0,
        "image_open_images_id": f"{number}",
        "annotations_ids": [2 * number, 2 * number + 1],
        "annotations_captions": row["answer"],
    }
    for number, row in enumerate(COCO_ROWS)
]
FLICKR_ROWS = [
    {
        "image": png(210 + number),
        "caption": row["answer"],
        "sentids": ["0", "1"],
        "img_id": str(number),
        "filename": f"{number}.jpg",
    }
    for number, row in enumerate(COCO_ROWS)
]
# The first equals one of two references and shares nothing with the other: 10 * (1 + 0) / 2.
CAPTIONS = ("brown dogs run over wet grass", "purple cows jump twice daily")

CASES = (
    Case(
        VQAV2,
        "data/validation-00000-of-00001.parquet",
        VQAV2_ROWS,
        [row["question"] + SHORTLY for row in VQAV2_ROWS],
        truths=["yes", "3", "pizza"],
        kinds=["yes/no", "number", "other"],
        clusters=["262148", "262148", "393225"],
        said=["Yes.", "two", "The plate"],
        # Two of ten: 1/3 seen by either of them, 2/3 by the eight others. Three: 2/3 and 1.
        scores=[1, 0.6, 0.9],
        figure=2.5 / 3,
        needed=["question", "answers", "question_id", "image"],
        answer="answers",
        hidden=None,
        config="vqav2/vqav2_val.yaml",
        text="vqav2_doc_to_text",
        call=_process("vqav2.utils", "vqav2_process_results_val"),
        judged=lambda found: found["exact_match"],
    ),
    Case(
        GQA,
        "testdev_balanced_instructions/testdev-00000-of-00001.parquet",
        GQA_ROWS,
        [row["question"] + SHORTLY for row in GQA_ROWS],
        truths=["no", "coffee table", "chair"],
        kinds=["verify", "query", "query"],
        clusters=["n161313", "n235859", "n235859"],
        said=["No!", "Coffee table", "the chair"],
        scores=[1, 1, 0],
        figure=2 / 3,
        needed=["question", "answer", "imageId"],
        answer="answer",
        hidden=None,
        config="gqa/gqa.yaml",
        text="gqa_doc_to_text",
        call=_exact,
        judged=lambda found: found["exact_match"],
        more={"testdev_balanced_images/testdev-00000-of-00001.parquet": GQA_PICTURES},
    ),
    Case(
        OK_VQA,
        "data/val2014-00000-of-00001.parquet",
        OK_VQA_ROWS,
        [
            row["question"]
            + "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
            + SHORTLY
            for row in OK_VQA_ROWS
        ],
        truths=["race", "teddy bear"],
        kinds=["four", "two"],
        clusters=[0, 1],
        said=["motocross", "A teddy bear!"],
        scores=[0.6, 1],
        figure=0.8,
        needed=["question", "answers", "question_id", "image"],
        answer="answers",
        hidden=None,
        config="ok_vqa/ok_vqa_val2014.yaml",
        text="ok_vqa_doc_to_text",
        call=_process("ok_vqa.utils", "ok_vqa_process_results"),
        judged=lambda found: found["exact_match"],
    ),
    Case(
        TEXTVQA,
        "data/validation-00000-of-00001.parquet",
        TEXTVQA_ROWS,
        [
            "What is the brand of this camera?" + SHORTLY,
            "What does the small text say?" + SHORTLY,
        ],
        truths=["dakota", "copenhagen"],
        kinds=["question", "question"],
        clusters=["003a8ae2ef43b901", "0054c91397f2fe05"],
        said=["Dakota Digital", "unknown"],
        scores=[0.9, 0],
        figure=0.45,
        needed=["question", "answers", "question_id", "image"],
        answer="answers",
        hidden=[""] * 10,
        config="textvqa/textvqa_val.yaml",
        text="textvqa_doc_to_text",
        call=_process("textvqa.utils", "textvqa_process_results"),
        judged=lambda found: found["exact_match"],
    ),
    Case(
        DOCVQA,
        "DocVQA/validation-00000-of-00001.parquet",
        DOCVQA_ROWS,
        [row["question"] + SHORTLY for row in DOCVQA_ROWS],
        truths=["0.28", "UC", "San Diego"],
        kinds=["figure/diagram", "form + layout", "question"],
        clusters=["14465", "7531", "7531"],
        said=["0.28", "university of Californa", "San"],
        # One letter of 24 is missing; six of nine are, which is more than half.
        scores=[1, 23 / 24, 0],
        figure=(1 + 23 / 24) / 3,
        needed=["question", "answers", "questionId", "image"],
        answer="answers",
        hidden=None,
        config="docvqa/docvqa_val.yaml",
        text="docvqa_doc_to_text",
        call=_anls,
        judged=lambda found: found["anls"],
    ),
    Case(
        INFOVQA,
        "InfographicVQA/validation-00000-of-00001.parquet",
        INFOVQA_ROWS,
        [row["question"] + SHORTLY for row in INFOVQA_ROWS],
        truths=["1,500", "email"],
        kinds=["single span", "question span + single span"],
        clusters=["http://example.org/38931.jpeg"] * 2,
        said=["1500", "E-mail"],
        scores=[0.8, 1],
        figure=0.9,
        needed=["question", "answers", "questionId", "image"],
        answer="answers",
        hidden=None,
        config="infovqa/infovqa_val.yaml",
        text="infovqa_doc_to_text",
        call=_anls,
        judged=lambda found: found["anls"],
    ),
    Case(
        CHARTQA,
        "data/test-00000-of-00001.parquet",
        CHARTQA_ROWS,
        [f"{row['question']}\nAnswer the question with a single word." for row in CHARTQA_ROWS],
        truths=["14", "Yes", "20%"],
        kinds=["human", "human", "augmented"],
        clusters=[0, 0, 1],
        said=["14.6", "no", "19.5%"],
        scores=[1, 0, 1],
        figure=2 / 3,
        needed=["question", "answer", "type", "image"],
        answer="answer",
        hidden="",
        config="chartqa/chartqa.yaml",
        text="chartqa_doc_to_text",
        call=_process("chartqa.utils", "chartqa_process_results"),
        judged=lambda found: found["relaxed_overall"],
    ),
    Case(
        OCRBENCH,
        "data/test-00000-of-00001.parquet",
        OCRBENCH_ROWS,
        [row["question"] for row in OCRBENCH_ROWS],
        truths=["CENTRE", "\\frac { 1 } { 2 }", "X ^ { 2 }", "12"],
        kinds=["Regular Text Recognition", FORMULAS, FORMULAS, "Doc-oriented VQA"],
        clusters=[0, 1, 2, 3],
        said=["The text says: Centre", "$\\frac{1}{2}$", "x^{2}", "eleven"],
        scores=[1, 1, 0, 0],
        figure=0.5,
        needed=["question", "answer", "question_type", "dataset", "image"],
        answer="answer",
        hidden=[],
        config="ocrbench/ocrbench.yaml",
        text="ocrbench_doc_to_text",
        call=_process("ocrbench.utils", "ocrbench_process_results"),
        judged=lambda found: found["ocrbench_accuracy"]["score"],
    ),
    Case(
        COCO_CAPTIONS,
        "data/val-00000-of-00001.parquet",
        COCO_ROWS,
        [CAPTION, CAPTION],
        truths=[row["answer"][0] for row in COCO_ROWS],
        kinds=["caption", "caption"],
        clusters=["203564", "322141"],
        said=CAPTIONS,
        scores=[5, 0],
        figure=2.5,
        needed=["question_id", "answer", "image"],
        answer="answer",
        hidden=[],
        config="coco_cap/coco2017_cap_val.yaml",
        text="coco_doc_to_text",
    ),
    Case(
        NOCAPS,
        "data/validation-00000-of-00001.parquet",
        NOCAPS_ROWS,
        [CAPTION, CAPTION],
        truths=[row["answer"][0] for row in COCO_ROWS],
        kinds=["caption", "caption"],
        clusters=["0", "1"],
        said=CAPTIONS,
        scores=[5, 0],
        figure=2.5,
        needed=["image_id", "annotations_captions", "image"],
        answer="annotations_captions",
        hidden=[],
        config="nocaps/nocaps_val.yaml",
        text="nocaps_doc_to_text",
    ),
    Case(
        FLICKR30K_CAPTIONS,
        "data/test-00000-of-00001.parquet",
        FLICKR_ROWS,
        [CAPTION, CAPTION],
        truths=[row["answer"][0] for row in COCO_ROWS],
        kinds=["caption", "caption"],
        clusters=["0", "1"],
        said=CAPTIONS,
        scores=[5, 0],
        figure=2.5,
        needed=["img_id", "caption", "image"],
        answer="caption",
        hidden=[],
        config="flickr30k/flickr30k_test.yaml",
        text="flickr_doc_to_text",
    ),
)
