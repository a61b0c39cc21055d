"""Benchmarks as lmms-eval has them: rows, answers, and its functions for prompts and figures."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.eval.tasks import benchmark_rows as published
from tests.eval.tasks.benchmark_rows import Row

from sightline.eval.tasks.ai2d import AI2D
from sightline.eval.tasks.countbench import COUNTBENCH
from sightline.eval.tasks.hallusionbench import HALLUSIONBENCH
from sightline.eval.tasks.mmbench import MMBENCH
from sightline.eval.tasks.mme import MME
from sightline.eval.tasks.mmmu import MMMU
from sightline.eval.tasks.mmstar import MMSTAR
from sightline.eval.tasks.pope import POPE
from sightline.eval.tasks.scienceqa import SCIENCEQA
from sightline.eval.tasks.seedbench import SEEDBENCH
from sightline.eval.tasks.task import Benchmark


@dataclass(frozen=True)
class Case:
    """A benchmark on both sides.

    Attributes:
        said: words from which an answer to each row is drawn. All are read alike on both sides.
        text, config: lmms-eval's function and YAML file of the prompt.
        process: what it says of one answer.
        totals: our figure -> the key in what `process` says, and the function over all; "" is the
            mean.
    """

    benchmark: Benchmark
    rows: Sequence[Row]
    said: Sequence[str]
    module: str
    text: str
    config: str
    process: str = ""
    totals: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.benchmark.name

    @property
    def answers(self) -> list[str]:
        return random.Random(self.name).choices(self.said, k=len(self.rows))


def many(rows: Sequence[Row], times: int, **names: str) -> list[Row]:
    """The rows again and again; `names` are fields that must differ, with a pattern for each."""
    return [
        {**row, **{name: form.format(row[name], copy) for name, form in names.items()}}
        for copy in range(times)
        for row in rows
    ]


def mmmu_rows() -> list[Row]:
    return many(published.mmmu(), 8, id="{}{}")


CASES = [
    Case(
        AI2D,
        published.ai2d(),
        ["A"],
        "ai2d.utils",
        "ai2d_doc_to_text",
        "ai2d/ai2d.yaml",
    ),
    Case(
        SCIENCEQA,
        many(published.scienceqa(), 10),
        ["A", "b", "B. a brick", "A. yes", "C"],
        "scienceqa.utils",
        "sqa_doc_to_text",
        "scienceqa/scienceqa.yaml",
        "sqa_process_results",
        {"accuracy": ("exact_match", "")},
    ),
    Case(
        SEEDBENCH,
        many([row for row in published.seedbench() if row["data_type"] == "image"], 10),
        ["A", "B", "C", "D.", "B. b thing"],
        "seedbench.utils",
        "seed_doc_to_text",
        "",
        "seed_process_result",
        {"accuracy": ("seed_image", "seed_aggregation_result")},
    ),
    Case(
        MMSTAR,
        many(published.mmstar(), 6, index="{}{}"),
        ["A", "(B)", "C.", "The answer is D.", "B. two"],
        "mmstar.utils",
        "mmstar_doc_to_text",
        "mmstar/mmstar.yaml",
        "mmstar_process_results",
        {"average over skills": ("average", "mmstar_aggregate_results")},
    ),
    Case(
        MMBENCH,
        published.mmbench(),
        ["A"],
        "mmbench.en_utils",
        "mmbench_doc_to_text",
        "mmbench/mmbench_en_dev.yaml",
    ),
    Case(
        POPE,
        many(published.pope(), 10, question_id="{}{}"),
        ["Yes", "no", "NO ", "yes"],
        "pope.utils",
        "pope_doc_to_text",
        "pope/pope.yaml",
        "pope_process_results",
        {
            "accuracy": ("pope_accuracy", "pope_aggregate_accuracy"),
            "precision": ("pope_precision", "pope_aggregate_precision"),
            "recall": ("pope_recall", "pope_aggregate_recall"),
            "F1": ("pope_f1_score", "pope_aggregate_f1_score"),
        },
    ),
    Case(
        MME,
        many(published.mme(), 6, question_id="{}{}"),
        ["Yes", "no", "No.", "yes, it is", "y", "maybe"],
        "mme.utils",
        "mme_doc_to_text",
        "mme/mme.yaml",
        "mme_process_results",
        {
            "perception score": ("mme_perception_score", "mme_aggregate_results"),
            "cognition score": ("mme_cognition_score", "mme_aggregate_results"),
        },
    ),
    Case(
        HALLUSIONBENCH,
        many(published.hallusionbench(), 6, set_id="{}{}"),
        ["Yes.", "No", "yes, they are"],
        "hallusion_bench.evaluate_hb",
        "hb_doc_to_text",
        "hallusion_bench/hallusion_bench_image.yaml",
        "hb_process_results",
        # Its rules without a judge, which it keeps beside the others.
        {name: (name, f"hb_aggregation_result_{name}_intern") for name in ("aAcc", "fAcc", "qAcc")},
    ),
    Case(
        COUNTBENCH,
        many(published.countbench(), 10),
        ["2", "two", " Ten", "10", "3", "none"],
        "countbench.utils",
        "countbench_doc_to_text",
        "countbench/countbench.yaml",
        "countbench_process_results",
        {"accuracy": ("acc", "")},
    ),
    Case(
        MMMU,
        mmmu_rows(),
        # It gives an option by chance to an answer that names none: nothing here is left to it.
        ["A", "(B)", "B.", "So (A) is 1.5."],
        "mmmu.utils",
        "",
        "mmmu/mmmu_val.yaml",
        "mmmu_process_results",
        {"accuracy": ("mmmu_acc", "mmmu_aggregate_results")},
    ),
]
