"""lmms-eval with a model of ours: what it asks is understood, and its scores are our scores.

The slow tests need lmms-eval 0.7.3, with Sightline beside it, in an environment of its own:
SIGHTLINE_LMMS_PYTHON names its interpreter.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.core.errors import PromptError, SamplingError, SightlineError
from sightline.data.worlds import scenes
from sightline.eval.controls import Full, conversations
from sightline.eval.lmms.talk import MAX_TOKENS, from_messages, from_words, how
from sightline.eval.local import LocalModel
from sightline.eval.tasks.pope import POPE
from sightline.eval.tasks.published import SHORTLY
from sightline.spec.sampling import Sampling

ROOT = Path(__file__).resolve().parents[2]

# Generation options.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Sampling(max_tokens=MAX_TOKENS)),
        # pope.yaml, pope_adv.yaml
        (
            {
                "max_new_tokens": 128,
                "temperature": 0,
                "top_p": 1.0,
                "num_beams": 1,
                "do_sample": False,
            },
            Sampling(max_tokens=128),
        ),
        ({"temperature": 0, "top_p": 0}, Sampling(max_tokens=MAX_TOKENS)),
        ({"until": ["\n\n", ""], "max_new_tokens": 8}, Sampling(max_tokens=8, stop=("\n\n",))),
        ({"until": "ASSISTANT:"}, Sampling(max_tokens=MAX_TOKENS, stop=("ASSISTANT:",))),
        ({"temperature": 0.7}, Sampling(max_tokens=MAX_TOKENS, temperature=0.7)),
        ({"temperature": 0.7, "do_sample": False}, Sampling(max_tokens=MAX_TOKENS)),
        ({"do_sample": True}, Sampling(max_tokens=MAX_TOKENS, temperature=1.0)),
        (
            {"do_sample": True, "temperature": 0.5, "top_p": 0.9, "top_k": 20},
            Sampling(max_tokens=MAX_TOKENS, temperature=0.5, top_p=0.9, top_k=20),
        ),
        ({"num_beams": 3}, Sampling(max_tokens=MAX_TOKENS, beams=3)),
        (
            {"repetition_penalty": 1.1},
            Sampling(max_tokens=MAX_TOKENS, repetition_penalty=1.1),
        ),
    ],
)
def test_generation_options_mean_what_transformers_means(given, expected):
    assert how(given).sampling == expected


def test_a_user_may_bound_the_answers():
    assert how({"max_new_tokens": 4096}, 100).sampling.max_tokens == 100
    assert how({"max_new_tokens": 16}, 100).sampling.max_tokens == 16


def test_options_without_a_meaning_are_named():
    assert how({"image_aspect_ratio": "original", "patch_size": 14}).unused == (
        "image_aspect_ratio",
        "patch_size",
    )


@pytest.mark.parametrize(
    "given", [{"max_new_tokens": 0}, {"max_new_tokens": "9"}, {"until": 3}, {"until": [3]}]
)
def test_wrong_options_are_refused(given):
    with pytest.raises(SamplingError):
        how(given)


# What is said.

PICTURE = Image.new("RGB", (4, 4))


def test_messages_keep_their_order():
    parts = [
        {"type": "text", "text": "A"},
        {"type": "image", "url": PICTURE},
        {"type": "video", "url": "clip.mp4"},
    ]
    told = [{"role": "system", "content": parts[:1]}, {"role": "user", "content": parts}]
    assert from_messages(told) == [
        {"role": "system", "content": [{"type": "text", "text": "A"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "A"},
                {"type": "image", "image": PICTURE},
                {"type": "video", "video": "clip.mp4"},
            ],
        },
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "audio", "url": "a.wav"},
        {"type": "video", "url": "a.mp4", "start_time": 3.0},
        {"type": "video", "url": {"path": "a.mp4", "video_end": 9}},
        {"type": "video", "url": {"other": "a.mp4"}},
    ],
)
def test_what_is_not_read_is_refused(part):
    with pytest.raises(PromptError):
        from_messages([{"role": "user", "content": [part]}])


def test_pictures_of_a_simple_task_stand_before_its_words_or_where_they_say():
    image = {"type": "image", "image": PICTURE}
    text = {"type": "text", "text": "What?"}
    assert from_words("What?", [PICTURE]) == [{"role": "user", "content": [image, text]}]
    assert from_words("What?", []) == [{"role": "user", "content": [text]}]
    [message] = from_words("<image>One <image>two?", [PICTURE, PICTURE])
    words = [{"type": "text", "text": "One "}, {"type": "text", "text": "two?"}]
    assert message["content"] == [image, words[0], image, words[1]]
    [message] = from_words("<image> and <image>?", [PICTURE])  # says it too often: words
    assert message["content"] == [image, {"type": "text", "text": "<image> and <image>?"}]


def test_media_of_a_simple_task_are_told_from_what_they_hold(tmp_path):
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    path = tmp_path / "picture.mp4"  # whatever its name says
    PICTURE.save(path, "PNG")
    [message] = from_words("?", [frames, str(path), {"type": "video", "url": frames}])
    assert [part["type"] for part in message["content"]] == ["video", "image", "video", "text"]
    with pytest.raises(PromptError):
        from_words("?", [{"array": np.zeros(9), "sampling_rate": 16000}])


# The classes, with stand-ins for the two modules of the kit that they need.


@dataclass
class Result:
    text: Any
    token_counts: Any = None


@dataclass
class Counts:
    input_tokens: int
    output_tokens: int


class Base:
    """As lmms_eval.api.model.lmms."""

    def __init__(self) -> None:
        self._rank, self._world_size = 0, 1
        self.task_dict: dict[str, Any] = {}

    @property
    def rank(self) -> int:
        return self._rank


@pytest.fixture
def adapter(monkeypatch):
    api = {
        "lmms_eval.api.model": {"lmms": Base},
        "lmms_eval.api.instance": {"GenerationResult": Result, "TokenCounts": Counts},
    }
    for name in ("lmms_eval", "lmms_eval.api", *api):
        module = ModuleType(name)
        vars(module).update(api.get(name, {}))
        monkeypatch.setitem(sys.modules, name, module)
    name = "sightline.eval.lmms.adapter"
    monkeypatch.delitem(sys.modules, name, raising=False)
    import sightline.eval.lmms.adapter as loaded

    yield loaded
    sys.modules.pop(name, None)


def picture(index: int, side: int = 64) -> tuple[Image.Image, str]:
    scene, asked = scenes.heldout(seed=7, index=index, kinds=("exists",))
    return Image.fromarray(scenes.draw(scene, side)), asked.text


DOCS = [dict(zip(("image", "question"), picture(index), strict=True)) for index in range(6)]


def told(doc: Any) -> Any:
    parts = [{"type": "image", "url": doc["image"]}, {"type": "text", "text": doc["question"]}]
    return [{"role": "user", "content": parts}]


def ours(vlm: Any, docs: Any, **options: Any) -> list[str]:
    return [vlm.ask(doc["image"], doc["question"], **options).text for doc in docs]


def test_answers_come_in_the_order_of_the_requests_whatever_their_options(adapter):
    model = adapter.SightlineChat("tiny", batch_size=2)
    model.task_dict = {"t": {"test": DOCS}}
    # Two groups that alternate; one of them is cut after the first token.
    options = [{"max_new_tokens": 16}, {"max_new_tokens": 1}] * 3
    requests = [
        SimpleNamespace(args=("", told, given, number, "t", "test"))
        for number, given in enumerate(options)
    ]
    found = model.generate_until(requests)
    whole, cut = ours(model.vlm, DOCS, max_tokens=16), ours(model.vlm, DOCS, max_tokens=1)
    assert [one.text for one in found] == [(cut if n % 2 else whole)[n] for n in range(6)]
    assert all(one.token_counts.output_tokens == 1 for one in found[1::2])
    used = model.vlm.ask(DOCS[0]["image"], DOCS[0]["question"], max_tokens=16).usage
    assert found[0].token_counts.input_tokens == used.text_tokens + used.visual_tokens


def test_beams_are_searched(adapter):
    model = adapter.SightlineChat("tiny")
    model.task_dict = {"t": {"test": DOCS}}
    given = {"max_new_tokens": 8, "num_beams": 2}
    [found] = model.generate_until([SimpleNamespace(args=("", told, given, 0, "t", "test"))])
    assert [found.text] == ours(model.vlm, DOCS[:1], max_tokens=8, beams=2)


def test_options_without_a_meaning_are_said_once(adapter, capsys):
    model = adapter.SightlineChat("tiny")
    model.task_dict = {"t": {"test": DOCS}}
    given = {"max_new_tokens": 2, "image_aspect_ratio": "original"}
    model.generate_until(
        [SimpleNamespace(args=("", told, given, number, "t", "test")) for number in range(3)]
    )
    assert capsys.readouterr().err.count("no use for image_aspect_ratio") == 1


def test_rounds_go_on_until_the_task_ends_them(adapter):
    model = adapter.SightlineChat("tiny")
    model.task_dict = {"t": {"test": DOCS}}
    seen = []

    def rounds(doc, *, round_idx=None, previous_output=None, previous_round_info=None):
        if round_idx is None:
            return told(doc)
        seen.append((round_idx, previous_output, previous_round_info))
        return told(DOCS[round_idx]), round_idx == 3, previous_output, f"after {round_idx}"

    request = SimpleNamespace(args=("", rounds, {"max_new_tokens": 16}, 0, "t", "test"))
    [said] = model.generate_until_multi_round([request])
    assert said == ours(model.vlm, DOCS[:3], max_tokens=16)
    assert seen == [
        (1, said[:1], None),
        (2, said[:2], "after 1"),
        (3, said[:3], "after 2"),
    ]


def test_likelihoods_are_losses(adapter):
    model = adapter.SightlineSimple("tiny")
    model.task_dict = {"t": {"test": DOCS}}
    doc, options = DOCS[0], ["yes", "no", "a small red cross"]

    def visual(doc):
        return [doc["image"]]

    def score(option):
        return SimpleNamespace(args=(doc["question"], option, visual, 0, "t", "test"))

    found = [one.text for one in model.loglikelihood([score(f" {option}") for option in options])]
    local = LocalModel(model.vlm, "tiny", "")
    sums = local.option_log_p(from_words(doc["question"], [doc["image"]]), options)
    tokens = [len(model.vlm.tokenizer.encode_text(option)) for option in options]
    means = [-log_p / count for log_p, count in zip(sums, tokens, strict=True)]
    assert [loss for loss, _ in found] == pytest.approx(means, rel=1e-5)
    said = model.vlm.ask(doc["image"], doc["question"], max_tokens=8).text
    assert [greedy for _, greedy in found] == [option == said for option in options]
    [again] = model.loglikelihood([score(lambda doc: "yes")])
    assert again.text[0] == pytest.approx(means[0], rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"trust_remote_code": True}, "trust_remote_code"),
        ({"batch_size": "auto"}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"pretrained": "nowhere/at-all"}, "nowhere"),
    ],
)
def test_wrong_arguments_are_refused(adapter, arguments, names):
    with pytest.raises(SightlineError, match=names):
        adapter.SightlineChat(**arguments)


def test_each_class_names_the_other_for_what_it_cannot_do(adapter):
    with pytest.raises(SightlineError, match="add --force_simple"):
        adapter.SightlineChat("tiny").loglikelihood([])
    simple = adapter.SightlineSimple("tiny")
    with pytest.raises(SightlineError, match="leave --force_simple out"):
        simple.generate_until_multi_round([])
    with pytest.raises(SightlineError, match="acc_mutual_info"):
        simple.loglikelihood([SimpleNamespace(args=("", "yes"))])


def test_the_entry_point_leads_to_both_classes(adapter, monkeypatch):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, name = declared["lmms_eval.models"]["sightline"].partition(":")
    registry = ModuleType("lmms_eval.models.registry_v2")
    vars(registry)["ModelManifest"] = SimpleNamespace
    monkeypatch.setitem(sys.modules, "lmms_eval.models", ModuleType("lmms_eval.models"))
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    made = getattr(importlib.import_module(module), name)()
    assert made.model_id == "sightline"
    for path, simple in ((made.chat_class_path, False), (made.simple_class_path, True)):
        where, _, kind = path.rpartition(".")
        assert where == adapter.__name__ and getattr(adapter, kind).is_simple is simple


# lmms-eval itself.

PYTHON = os.environ.get("SIGHTLINE_LMMS_PYTHON", "")
with_the_kit = pytest.mark.skipif(not PYTHON, reason="SIGHTLINE_LMMS_PYTHON is not set")
SIDES = (24, 32, 48, 64, 96, 128)  # pixels: on the smallest `tiny` errs

# `tiny` knows no instructions; the kit lets a task have a prompt for each model.
PLAIN = """
lmms_eval_specific_kwargs:
  default: {pre_prompt: "", post_prompt: "\\nAnswer the question using a single word or phrase."}
  sightline: {pre_prompt: "", post_prompt: ""}
"""

ASKED = "doc_to_text: question\n"  # the column alone, without " Answer :"

# A torchvision whose operators do not fit torch fails in this module, which nothing here needs.
START = """
import sys, types
sys.modules["torchvision._meta_registrations"] = types.ModuleType("none")
from lmms_eval.cli.dispatch import main
sys.exit(main())
"""
WHERE = "import importlib.util as u; print(u.find_spec('lmms_eval').submodule_search_locations[0])"


def kit_tasks() -> Path:
    done = subprocess.run([PYTHON, "-c", WHERE], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()) / "tasks"


def declare(folder: Path, name: str, included: Path, data: Path, more: str = "") -> None:
    """A task of the kit with its data taken from here."""
    (folder / f"{name}.yaml").write_text(
        f"include: {included}\ntask: {name}\ndataset_path: parquet\n"
        f"dataset_kwargs: {json.dumps({'data_files': {'test': str(data)}})}\n{more}"
    )


def run_kit(
    folder: Path, *arguments: str, dtype: str = "auto"
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Figures of each task, and its answers in the order of its rows."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    given = ["--model", "sightline", "--model_args", f"pretrained=tiny,dtype={dtype}"]
    given += ["--batch_size", "16"]
    given += ["--include_path", str(folder), "--output_path", str(folder / "out"), "--log_samples"]
    done = subprocess.run(
        [PYTHON, "-c", START, *given, *arguments],
        cwd=folder,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
    )
    results = sorted((folder / "out").rglob("*_results.json"))
    assert done.returncode == 0 and len(results) == 1, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads(results[0].read_text())["results"]
    samples = {}
    for name in figures:
        [path] = (folder / "out").rglob(f"*_samples_{name}.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines.sort(key=lambda line: line["doc_id"])
        samples[name] = [line["filtered_resps"] for line in lines]
    return figures, samples


def png(scene: scenes.Scene, side: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(scenes.draw(scene, side)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def write_pope(path: Path, count: int) -> None:
    """Rows as lmms-lab/POPE has them, of generated scenes."""
    import datasets

    rows = []
    for index in range(count):
        scene, asked = scenes.heldout(seed=7, index=index, kinds=("exists",))
        words = {"id": index, "question_id": index, "image_source": f"scene-{index}"}
        words |= {"question": asked.text, "category": asked.template}
        words |= {"answer": scenes.answer_text(asked, lambda box: "").strip()}
        side = SIDES[index % len(SIDES)]
        rows.append({name: str(word) for name, word in words.items()} | {"image": png(scene, side)})
    kinds = {name: datasets.Value("string") for name in rows[0] if name != "image"}
    features = datasets.Features({**kinds, "image": datasets.Image()})
    datasets.Dataset.from_list(rows, features=features).to_parquet(path)


@pytest.mark.slow
@with_the_kit
@pytest.mark.parametrize("way", ["chat", "simple"])
def test_pope_of_the_kit_scores_as_our_pope(tmp_path, way):
    """The task is the kit's own, only its files are local; ours reads the same ones."""
    data = tmp_path / "data" / "test-00000-of-00001.parquet"
    data.parent.mkdir()
    write_pope(data, 96)
    declare(tmp_path, "pope_here", kit_tasks() / "pope" / "pope.yaml", data, PLAIN)
    force = ["--force_simple"] if way == "simple" else []
    figures, samples = run_kit(tmp_path, "--tasks", "pope_here", *force)

    items = [
        replace(item, parts=(*item.media, item.question.removesuffix(SHORTLY)))
        for item in POPE.open(tmp_path).items()
    ]
    said = LocalModel.open("tiny").answers(conversations(items, Full()), max_tokens=128)
    scores = POPE.metric.scores(items, said)
    tallies = {tally.name: tally for tally in POPE.metric.tallies(items, said, scores)}

    assert samples["pope_here"] == [one.text for one in said]
    for name in ("accuracy", "precision", "recall", "F1"):
        theirs = figures["pope_here"][f"pope_{'f1_score' if name == 'F1' else name},none"]
        tally = tallies[name]
        assert theirs == pytest.approx(float(tally.value(tally.rows_NK.sum(0))), abs=1e-12)
    assert 0.6 < figures["pope_here"]["pope_accuracy,none"] < 1  # neither chance nor trivial


def write_seed(path: Path, count: int) -> list[tuple[list[dict[str, Any]], list[str], int]]:
    """Rows as lmms-lab/SEED-Bench has them; the conversation, options and truth of each."""
    import datasets

    rows, known = [], []
    for index in range(count):
        scene, asked = scenes.heldout(seed=7, index=index, kinds=("colour",))
        truth = scenes.answer_text(asked, lambda box: "").strip()
        options = [colour for colour in scenes.COLOURS if colour != truth][index % 5 :][:3]
        options.insert(index % 4, truth)
        image = png(scene, 64)
        row = {"question": asked.text, "question_id": str(index), "answer": "ABCD"[index % 4]}
        row |= {f"choice_{letter}": option for letter, option in zip("abcd", options, strict=True)}
        rows.append({**row, "image": [image]})
        words = from_words(asked.text, [image["bytes"]])
        known.append((words, options, index % 4))
    kinds = {name: datasets.Value("string") for name in rows[0] if name != "image"}
    images = datasets.List(datasets.Image())
    datasets.Dataset.from_list(
        rows, features=datasets.Features({**kinds, "image": images})
    ).to_parquet(path)
    return known


@pytest.mark.slow
@with_the_kit
def test_likelihoods_of_the_kit_choose_as_ours(tmp_path):
    data = tmp_path / "seed.parquet"
    known = write_seed(data, 24)
    declare(tmp_path, "seed_here", kit_tasks() / "seedbench" / "seedbench_ppl.yaml", data, ASKED)
    figures, samples = run_kit(tmp_path, "--tasks", "seed_here", "--force_simple", dtype="float32")

    local = LocalModel.open("tiny", dtype="float32")  # in bfloat16 a shorter row differs by 0.03
    right = 0
    for (words, options, truth), theirs in zip(known, samples["seed_here"], strict=True):
        log_p = local.option_log_p(words, options)
        tokens = [len(local.vlm.tokenizer.encode_text(option)) for option in options]
        losses = [-total / count for total, count in zip(log_p, tokens, strict=True)]
        assert [float(loss) for loss, _ in theirs] == pytest.approx(losses, rel=1e-4, abs=1e-5)
        right += int(np.argmin(losses)) == truth
    assert figures["seed_here"]["acc,none"] == pytest.approx(right / len(known), abs=1e-12)
    assert right > len(known) / 2  # the least loss is the best answer, not the worst
