"""The pages say what is true: their blocks run, their links lead somewhere, their tables hold."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import create_model
from tests.docs import benchmarks_table
from tests.docs.blocks import EMBEDDED, PAGES, ROOT, Block, blocks, blocks_of, prose
from tests.docs.families_table import families_table, written_table
from typer.core import TyperGroup
from typer.testing import CliRunner

from sightline.cli.app import app
from sightline.core.config import Spec, load_yaml
from sightline.families import compose_spec
from sightline.spec import ModelSpec
from sightline.spec.hardware import HardwareSpec
from sightline.spec.pair import PairSpec
from sightline.spec.sampling import Sampling
from sightline.spec.train import StageSpec, TrainSpec
from sightline.train.recipe import read_recipe

has_model = EMBEDDED.is_file()
by_place = {"ids": lambda it: it.where if isinstance(it, Block) else it.name}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, from which examples and recipes are in reach."""
    for name in ("examples", "recipes"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_fence_says_its_language_and_every_comment_is_understood():
    for page in PAGES:
        assert page.read_text(encoding="utf-8").count("```") == 2 * len(list(blocks(page))), page
    for block in blocks_of("python", "sh", "yaml", "json"):
        assert block.wants_model or not block.runs or not block.note, f"{block.where}: {block.note}"


# Python.


PYTHON_PAGES = [page for page in PAGES if any(b.language == "python" for b in blocks(page))]


@pytest.mark.parametrize("page", PYTHON_PAGES, **by_place)
def test_python_runs(page, desk):
    """The blocks of a page, one after the other, in one namespace."""
    names: dict[str, Any] = {"__name__": "page"}
    left_out = []
    for block in (b for b in blocks(page) if b.language == "python"):
        code = compile("\n" * block.line + block.text, str(block.page), "exec")
        if not block.runs:
            continue
        if block.wants_model and not has_model:
            left_out.append(block.where)
            continue
        exec(code, names)
    if left_out:
        pytest.skip(f"no embedded model; left out: {', '.join(left_out)}")


# Shell.


@pytest.mark.parametrize("block", blocks_of("sh"), **by_place)
def test_commands_run_or_are_understood(block, desk):
    if block.wants_model and not has_model:
        pytest.skip("no embedded model")
    for words in block.commands:
        understand(words)
        if block.runs:
            assert words[0] == "sightline", f"{words} cannot run here: say why before the block"
            done = CliRunner().invoke(app, words[1:])
            assert done.exit_code == 0, f"{words}: {done.output} {done.exception}"


def understand(words: list[str]) -> None:
    """Parse a command without running it; fails for one that is unknown."""
    match words:
        case ["sightline", *arguments]:
            parse_sightline(arguments)
        case ["make", target, *variables]:
            assert all("=" in variable for variable in variables)
            assert re.search(rf"^{re.escape(target)}:", makefile(), re.MULTILINE), target
        case [python, "-m", "bench.single_stream", *arguments] if is_python(python):
            parse_bench("single_stream", arguments)
        case [python, "-m", "bench.train", *arguments] if is_python(python):
            parse_bench("train", arguments)
        case ["torchrun", "--nproc-per-node", count, "-m", "sightline", *arguments]:
            assert count.isdigit()
            parse_sightline(arguments)
        case [python, "-m", "tests.docs.families_table"] if is_python(python):
            pass
        case [python, script, *_] if is_python(python) and script.startswith("recipes/"):
            assert (ROOT / script).is_file(), script
        case _:
            pytest.fail(f"unknown command: {words}")


def is_python(word: str) -> bool:
    return Path(word).name == "python"


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def parse_bench(name: str, arguments: list[str]) -> None:
    importlib.import_module(f"bench.{name}").parse(arguments)


def parse_sightline(arguments: list[str]) -> None:
    """Resolve verb, arguments and options as the command line does; UsageError where they fail."""
    if arguments == ["--help"]:
        return
    name, *rest = arguments
    assert name in verbs(), f"sightline has no verb {name}"
    verbs()[name].make_context(name, rest)


def verbs() -> Mapping[str, Any]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group.commands


UsageError = typer.BadParameter.__bases__[0]  # of the click that this typer uses


@pytest.mark.parametrize("words", ["ask a.png q --drow x", "chart a.png", "plan --image 1x1"])
def test_a_command_that_does_not_exist_is_noticed(words):
    with pytest.raises((UsageError, AssertionError)):
        understand(["sightline", *words.split()])


def test_every_verb_and_option_is_described():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## sightline (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    assert set(sections) == set(verbs())
    for name, verb in verbs().items():
        for parameter in verb.params:
            option = parameter.opts[0]
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in sections[name], f"docs/cli.md: {name} lacks {option}"


# YAML and JSON.


@pytest.mark.parametrize("block", blocks_of("yaml"), **by_place)
def test_yaml_is_valid(block, desk):
    data = load_yaml(block.text)
    if {"model", "train"} <= set(data):
        path = desk / "recipe.yaml"
        path.write_text(block.text, encoding="utf-8")
        check_recipe(path)
    else:
        check_spec(data, block.where)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), **by_place)
def test_recipes_are_valid(path):
    check_recipe(path)


def check_recipe(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.train.stages
    model = recipe.data["model"]
    if isinstance(model, str):  # a folder to go on with
        return
    if recipe.is_pair:
        PairSpec.parse(model, field="model")
        return
    if not any("from" in part for part in model.values()):
        ModelSpec.parse(model, field="model")
        return
    choices = set(inspect.signature(compose_spec).parameters) | {"from"}
    for name, part in model.items():
        if name in ("vision", "language", "prompt"):
            assert ("from" in part) == (name != "prompt") and set(part) <= choices, name
        else:
            check_fields(ModelSpec, {name: part})


def check_spec(data: Mapping[str, Any], where: str) -> None:
    """A whole spec of some kind, or fields of one."""
    for kind in (HardwareSpec, StageSpec, TrainSpec, ModelSpec, PairSpec):
        if set(data) <= set(kind.model_fields):
            required = {name for name, field in kind.model_fields.items() if field.is_required()}
            if required <= set(data):
                kind.parse(data)
            else:
                check_fields(kind, data)
            return
    pytest.fail(f"{where}: {sorted(data)} are fields of no spec")


def check_fields(kind: type[Spec], data: Mapping[str, Any]) -> None:
    """Some fields of a spec, without the others."""
    fields: dict[str, Any] = {
        name: (kind.model_fields[name].annotation, kind.model_fields[name]) for name in data
    }
    create_model(kind.__name__, __base__=Spec, **fields).parse(data)


@pytest.mark.parametrize("text", ["rezolution: {size: 3}", "resolution: {sice: 3}", "steps: -1"])
def test_yaml_that_is_wrong_is_noticed(text):
    with pytest.raises((ValueError, pytest.fail.Exception)):
        check_spec(load_yaml(text), "here")


@pytest.mark.parametrize("block", blocks_of("json"), **by_place)
def test_json_is_valid(block):
    json.loads(block.text)


# What pages refer to.


@pytest.mark.parametrize("page", PAGES, **by_place)
def test_links_lead_somewhere(page):
    for target in re.findall(r"!?\[[^]]*\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, **by_place)
def test_tests_that_are_named_exist(page):
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", page.read_text(encoding="utf-8"))
    for path, test in named:
        assert (ROOT / path).is_file(), f"{page.name}: {path}"
        assert not test or test in defined(ROOT / path), f"{page.name}: {path}::{test}"


def defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_page_is_reached_from_the_readme():
    linked = set(re.findall(r"\((docs/\w+\.md)\)", prose(ROOT / "README.md")))
    assert linked == {f"docs/{page.name}" for page in PAGES[1:]}


def test_every_sampling_option_is_described():
    text = (ROOT / "docs" / "generation.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(Sampling):
        assert f"`{field.name}`" in text, f"docs/generation.md lacks {field.name}"


def test_the_table_of_benchmarks_is_the_catalogue():
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    fix = "python -m tests.docs.benchmarks_table"
    written, made = benchmarks_table.written_table(text), benchmarks_table.benchmarks_table()
    assert written == made, f"the table is old; run {fix}"


def test_the_table_of_families_is_the_catalogue():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    fix = "python -m tests.docs.families_table"
    assert written_table(text) == families_table(), f"the table is old; run {fix}"


@pytest.mark.skipif(not has_model, reason="no embedded model")
def test_the_demo_finds_what_it_asks_for():
    """The picture is a held-out scene; the answer's box is that of its only orange cross."""
    import sightline
    from sightline.data.worlds import scenes

    [(picture, question)] = re.findall(r'sightline ask (\S+) "(.+?)"', makefile())
    assert question == "Where is the orange cross?"
    scene, _ = scenes.heldout(seed=2026, index=2046, kinds=("locate",))
    [cross] = [t for t in scene.things if (t.colour, t.shape) == ("orange", "cross")]
    [box] = sightline.load("tiny").ask(ROOT / picture, question).boxes
    assert box.iou(cross.box.scaled(448, 448)) >= 0.5
