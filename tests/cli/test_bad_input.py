"""Every wrong input ends in one line (field, problem, fix), exit code 2 and no traceback."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.helpers.console import Console, Ran
from tests.helpers.speaking import picture


def refused(ran: Ran, says: str) -> None:
    """`error: field: problem; fix`."""
    assert ran.code == 2 and ran.out == "", ran
    lines = ran.err.splitlines()
    assert len(lines) == 1 and "Traceback" not in ran.err, ran.err
    assert re.fullmatch(r"error: .+: .+; .+", lines[0]), lines[0]
    assert says in lines[0], lines[0]


def png() -> bytes:
    import io

    file = io.BytesIO()
    Image.fromarray(picture(60, 40)).save(file, "PNG")
    return file.getvalue()


def folder(path: Path) -> None:
    path.mkdir()


def huge(path: Path) -> None:
    """A header of 60,000 × 60,000 pixels; no more is read."""
    data = bytearray(png())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    path.write_bytes(data)


PICTURES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "cannot be read"),
    "zero bytes": (lambda path: path.write_bytes(b""), "is empty"),
    "truncated": (lambda path: path.write_bytes(png()[:-400]), "is truncated"),
    "disguised": (lambda path: path.write_text("<html>no picture</html>"), "p.png"),
    "oversized": (huge, "p.png"),
    "a folder": (folder, "is a folder"),
    "tiff": (lambda path: Image.fromarray(picture()).save(path, "TIFF"), "TIFF"),
}


@pytest.mark.parametrize("command", ["ask", "inspect", "chat"])
@pytest.mark.parametrize("case", PICTURES)
def test_pictures(case: str, command: str, console: Console, model: Path, tmp_path: Path) -> None:
    make, says = PICTURES[case]
    make(path := tmp_path / "p.png")
    args: dict[str, tuple[Any, ...]] = {
        "ask": ("ask", path, "What?", "--model", model),
        "inspect": ("inspect", model, path),
        "chat": ("chat", path, "--model", model),
    }
    refused(console(*args[command], stdin="What?\n"), says)


ASKED: dict[str, tuple[tuple[str, ...], str]] = {
    "empty question": (("ask", "P", "  "), "question: is empty"),
    "question is a file": (("ask", "P"), "question: is missing"),
    "url": (("ask", "https://x.org/p.png", "What?"), "nothing is fetched"),
    "temperature": (("ask", "P", "Q", "--temperature", "-1"), "temperature"),
    "temperature nan": (("ask", "P", "Q", "--temperature", "nan"), "temperature"),
    "top p": (("ask", "P", "Q", "--top-p", "1.5"), "top_p"),
    "max tokens": (("ask", "P", "Q", "--max-tokens", "0"), "max_tokens"),
    "seed": (("chat", "P", "--seed", "-1"), "seed"),
    "beams": (("ask", "P", "Q", "--beams", "0"), "beams"),
    "sampled beams": (("ask", "P", "Q", "--beams", "2", "--temperature", "1"), "beams"),
    "dtype": (("ask", "P", "Q", "--dtype", "int3", "--model", "M"), "dtype: 'int3' is unknown"),
    "overflow": (("ask", "P", "x " * 999, "--model", "M"), "picture 0 is the largest"),
    "room": (("ask", "P", "Q", "--model", "M", "--max-tokens", "600"), "600 to answer"),
    "nothing to draw on": (("ask", "Q", "--draw", "d.png", "--model", "M"), "no picture to draw"),
    "missing folder": (("ask", "P", "Q", "--model", "no/such/folder"), "no/such/folder"),
    "inspect nothing": (("inspect", "nowhere", "P"), "nowhere"),
    "eval nothing": (("eval", "nowhere"), "nowhere"),
    "eval task": (("eval", "M", "chairs"), "task: 'chairs' is unknown"),
    "eval file": (("eval", "M", "no/such.jsonl"), "no/such.jsonl: does not exist"),
    "eval media": (("eval", "M", "--media", "pictures"), "media: belongs to files"),
    "eval count": (("eval", "M", "--count", "0"), "count: is 0"),
    "eval benchmark": (("eval", "M", "imagination=P"), "task: 'imagination' is no benchmark"),
    "eval folder": (("eval", "M", "docvqa=no/such"), "docvqa=no/such: is not there"),
    "eval pairs": (("eval", "M", "cifar10=P"), "task: cifar10 is for pairs of towers"),
    "eval controls": (("eval", "M", "--controls", "upside-down"), "controls: 'upside-down'"),
    "eval remote": (("eval", "m@http://127.0.0.1:9/v1"), "--allow-remote: is not given"),
    "eval price": (("eval", "M", "--price-in", "1"), "price_in, price_out: come together"),
    "eval prices": (("eval", "M", "--price-in", "-1", "--price-out", "1"), "prices.input: is -1"),
    "eval nan": (("eval", "M", "--price-in", "1", "--price-out", "nan"), "prices.output: is nan"),
    "eval unused": (("eval", "M", "--concurrency", "2"), "concurrency: says nothing here"),
    "eval timed": (("eval", "M", "--timed", "-1"), "timed: is -1"),
    "compare typo": (("compare", "M", "typo/path", "--count", "3"), "typo/path"),
    "compare task": (("compare", "M", "scenes"), "write --task scenes"),
    "eval processes": (("eval", "M", "--processes", "2"), "processes: need a folder"),
    "compare one": (("compare", "M"), "models: are too few"),
    "compare twice": (("compare", "a=M", "a=tiny"), "models: name one twice"),
    "eval batch": (("eval", "M", "--count", "2", "--batch", "0"), "batch"),
    "eval out": (("eval", "M", "--count", "2", "--out", "P"), "cannot be written"),
    "plan nothing": (("plan", "nowhere"), "nowhere"),
}


@pytest.mark.parametrize("case", ASKED)
def test_options(case: str, console: Console, model: Path, scene: Path) -> None:
    args, says = ASKED[case]
    named = {"P": str(scene), "M": str(model), "Q": "What?"}
    refused(console(*(named.get(arg, arg) for arg in args)), says)


@pytest.mark.parametrize("name", ["out.txt", "file/out.png"])
def test_a_drawing_that_cannot_be_written(
    name: str, console: Console, model: Path, scene: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / name
    ran = console("ask", scene, "Where?", "--model", model, "--json", "--draw", out)
    assert ran.code == 2 and re.fullmatch(r"error: .+: cannot be written .+; .+\n", ran.err)


def config(**changes: Any) -> Callable[[Path], None]:
    """Replaces the folder by a published one with this config."""

    def edit(folder: Path) -> None:
        (folder / "sightline.yaml").unlink()
        (folder / "config.json").write_text(json.dumps(changes))

    return edit


def tensors(edit: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        edit(held)
        save_file(held, folder / "model.safetensors", {"format": "pt"})

    return change


def spec(**sections: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "sightline.yaml"
        data = yaml.safe_load(path.read_text())
        for name, values in sections.items():
            data["model"][name] |= values
        path.write_text(yaml.safe_dump(data))

    return change


WEIGHT = "connector.layers.0.weight"
FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "not a model": (lambda f: (f / "sightline.yaml").unlink(), "has no sightline.yaml"),
    "missing tensor": (tensors(lambda t: t.pop(WEIGHT)), WEIGHT),
    "left over": (tensors(lambda t: t.update(extra=torch.ones(1))), "extra"),
    "wrong shape": (tensors(lambda t: t.update({WEIGHT: torch.ones(3, 2)})), "has shape [3, 2]"),
    "wrong dtype": (
        tensors(lambda t: t.update({WEIGHT: t[WEIGHT].to(torch.int32)})), WEIGHT),
    "truncated weights": (
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:900]), "model.safetensors"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "safetensors"),
    "unknown key": (spec(vision={"colour": 3}), "vision.colour"),
    "contradiction": (spec(vision={"heads": 5}), "heads"),
    "not yaml": (lambda f: (f / "sightline.yaml").write_text("{"), "yaml"),
    "unknown architecture": (config(model_type="unheard_of"), "unheard_of"),
    "no model type": (config(hidden_size=3), "model_type"),
    "unknown config key": (
        config(model_type="qwen2", architectures=["Qwen2ForCausalLM"], strange_switch=True),
        "strange_switch"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json"),
    "broken template": (
        spec(prompt={"template": {"kind": "jinja", "source": "{% for %}"}}), "template"),
    "an adapter": (
        lambda f: ((f / "sightline.yaml").unlink(), (f / "adapter_config.json").write_text("{}")),
        "adapter"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_folders(case: str, console: Console, model: Path, scene: Path, tmp_path: Path) -> None:
    edit, says = FOLDERS[case]
    shutil.copytree(model, broken := tmp_path / "model")
    edit(broken)
    refused(console("ask", scene, "What?", "--model", broken), says)


def test_a_text_model_alone_cannot_be_asked(console: Console, tmp_path: Path, scene: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from tests.parity.reference import TEXT

    transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**TEXT)).save_pretrained(tmp_path)
    refused(console("ask", scene, "What?", "--model", tmp_path), "with compose")


def test_unknown_commands_and_options_are_usage_errors(console: Console) -> None:
    for args in (("dance",), ("ask",), ("ask", "Q", "--heat", "3"), ("ask", "Q", "--seed", "x")):
        ran = console(*args)
        assert ran.code == 2 and "Usage" in ran.err and "Traceback" not in ran.err


def child(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from sightline.cli import main; main()", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_a_real_process_says_the_same(scene: Path, model: Path) -> None:
    ran = child("ask", scene, "What?", "--model", model.parent / "absent")
    refused(Ran(ran.returncode, ran.stdout, ran.stderr), "absent")


NO_TORCH = """
import sys
from sightline.cli import main
sys.argv = ["sightline", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
found = {"torch", "numpy", "transformers"} & set(sys.modules)
assert not found, found
"""


@pytest.mark.parametrize("args", [("--help",), ("ask", "--help"), ("models",), ("plan", "M")])
def test_what_needs_no_torch_imports_none(args: tuple[str, ...], model: Path) -> None:
    named = [str(model) if arg == "M" else arg for arg in args]
    ran = subprocess.run(
        [sys.executable, "-c", NO_TORCH, *named], capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0 and ran.stdout, ran.stderr
