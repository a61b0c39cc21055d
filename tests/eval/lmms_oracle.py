"""lmms-eval as an oracle: its functions, called in a Python of their own.

The kit needs an environment of its own, so it is asked through a child process: JSON in, JSON out,
pictures as PNG in base64. Set SIGHTLINE_LMMS_PYTHON to a Python that has it; tests marked with
`needs_lmms` are skipped without it.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

VARIABLE = "SIGHTLINE_LMMS_PYTHON"
needs_lmms = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"set {VARIABLE} to compare")

# torchvision's CUDA build cannot register its operators without a GPU; nothing here needs them.
_CHILD = """
import base64, importlib, io, json, os, sys, types
sys.modules["torchvision._meta_registrations"] = types.ModuleType("_meta_registrations")
from PIL import Image

def given(value):
    if isinstance(value, dict) and set(value) == {"__png__"}:
        picture = Image.open(io.BytesIO(base64.b64decode(value["__png__"])))
        picture.load()
        return picture
    if isinstance(value, dict):
        return {name: given(each) for name, each in value.items()}
    return [given(each) for each in value] if isinstance(value, list) else value

def told(value):
    if isinstance(value, Image.Image):
        file = io.BytesIO()
        value.save(file, "PNG")
        return {"__png__": base64.b64encode(file.getvalue()).decode()}
    if isinstance(value, dict):
        return {str(name): told(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [told(each) for each in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if value is None or isinstance(value, (str, int, float, bool)) else repr(value)

def config(path):
    from lmms_eval import tasks
    from lmms_eval.utils import load_yaml_config
    root = os.path.dirname(tasks.__file__)
    return load_yaml_config(os.path.join(root, path), mode="simple")

def answer(call):
    if call["module"] == "":
        return config(*call["args"])
    function = importlib.import_module(call["module"])
    for name in call["function"].split("."):
        function = getattr(function, name)
    return function(*given(call["args"]), **given(call["kwargs"]))

calls = json.loads(sys.stdin.read())
out, sys.stdout = sys.stdout, sys.stderr
json.dump([told(answer(call)) for call in calls], out)
"""

Call = tuple[str, str, tuple[Any, ...], Mapping[str, Any]]


def ask_lmms(
    module: str, function: str, docs: Sequence[Any], *more: Sequence[Any], **kwargs: Any
) -> list[Any]:
    """`function(doc, *one of each of more, **kwargs)` for each doc; `docvqa.utils` is a module of
    lmms_eval.tasks, and one with `lmms_eval` in front is taken as it is named.

    Rows may hold PIL pictures. Each doc is a copy of its own: some of these functions change it.
    """
    columns = zip(docs, *more, strict=True)
    return ask_lmms_all([(module, function, args, kwargs) for args in columns])


def lmms_config(path: str) -> dict[str, Any]:
    """A YAML file below lmms_eval/tasks, with what it includes; functions are not read."""
    return lmms_configs([path])[0]


def lmms_configs(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Several of them."""
    return ask_lmms_all([("", "", (path,), {}) for path in paths])


def lmms_default(path: str) -> dict[str, Any]:
    """What a YAML file gives its prompt: `lmms_eval_specific_kwargs` of `default`."""
    found: dict[str, Any] = lmms_config(path)["lmms_eval_specific_kwargs"]["default"]
    return found


def ask_lmms_all(calls: Sequence[Call]) -> list[Any]:
    """Several calls of one child process (it takes seconds to start): what each returned."""
    asked = [
        {"module": _full(module), "function": function, "args": args, "kwargs": dict(kwargs)}
        for module, function, args, kwargs in calls
    ]
    with tempfile.TemporaryDirectory() as folder:  # aggregations write files where they run
        ran = subprocess.run(
            [os.environ[VARIABLE], "-c", _CHILD],
            input=json.dumps(asked, default=_plain),
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
    if ran.returncode:
        raise AssertionError(f"lmms-eval failed:\n{ran.stderr[-4000:]}")
    found: list[Any] = _seen(json.loads(ran.stdout))
    return found


def _full(module: str) -> str:
    return module if module == "" or "lmms_eval" in module else f"lmms_eval.tasks.{module}"


def _plain(value: object) -> Any:
    if isinstance(value, Image.Image):
        file = io.BytesIO()
        value.save(file, "PNG")
        return {"__png__": base64.b64encode(file.getvalue()).decode()}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _seen(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"__png__"}:
        return Image.open(io.BytesIO(base64.b64decode(value["__png__"])))
    if isinstance(value, dict):
        return {name: _seen(each) for name, each in value.items()}
    return [_seen(each) for each in value] if isinstance(value, list) else value
