"""The house rules, read from the source: who imports whom, where torch begins, how long things are.

A package imports only packages on lower levels, never one on its own level. Up to level 4 nothing
imports torch. Each rule is shown to catch a bad tree at the end of this file.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "sightline"

ROOMS: dict[float, tuple[str, ...]] = {
    0: ("core", "embedded"),
    1: ("spec",),
    2: ("resolution", "prompt", "pictures"),
    3: ("families", "hub"),
    4: ("planner",),
    # torch begins
    5: ("nn",),
    6: ("vision", "connectors", "fusion", "language"),
    7: ("model",),
    8: ("weights",),
    9: ("data",),
    10: ("engine",),
    10.5: ("api",),
    10.6: ("sightline",),  # the facade, sightline/__init__.py
    11: ("eval",),
    12: ("train",),
    13: ("server",),
    14: ("studio",),
    15: ("cli",),
    16: ("__main__",),
}
LEVEL = {room: level for level, rooms in ROOMS.items() for room in rooms}
LAST_WITHOUT_TORCH = 4
MAX_FUNCTION_LINES = 80
MAX_FILE_LINES = 300


def modules(src: Path) -> list[Path]:
    return sorted(src.rglob("*.py"))


def room_of(path: Path, src: Path) -> str:
    first = path.relative_to(src).parts[0]
    return "sightline" if first == "__init__.py" else first.removesuffix(".py")


def dotted(path: Path, src: Path) -> str:
    parts = path.relative_to(src.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, src: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of all that a file imports, at any depth, for types too."""
    package = path.relative_to(src.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*base, *filter(None, [node.module])))
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def target_room(name: str) -> str | None:
    """The room an imported name lives in; None outside Sightline."""
    top, _, rest = name.partition(".")
    if top != "sightline":
        return None
    first = rest.partition(".")[0]
    return first if first in LEVEL else "sightline"


def unknown_rooms(src: Path) -> list[str]:
    found = {room_of(path, src) for path in modules(src)}
    return [f"{room} has no level: give it one in ROOMS" for room in sorted(found - set(LEVEL))]


def upward_imports(src: Path) -> list[str]:
    found = []
    for path in modules(src):
        room = room_of(path, src)
        for line, name in imports(path, src):
            target = target_room(name)
            if target in (None, room) or room not in LEVEL or LEVEL[target] < LEVEL[room]:
                continue
            found.append(
                f"{path.relative_to(src)}:{line}: {room} (L{LEVEL[room]}) imports {name} "
                f"(L{LEVEL[target]}); only lower levels are allowed"
            )
    return found


def is_light(path: Path, src: Path) -> bool:
    return LEVEL.get(room_of(path, src), 99) <= LAST_WITHOUT_TORCH


def torch_too_early(src: Path) -> list[str]:
    return [
        f"{path.relative_to(src)}:{line}: imports {name} below the line where torch begins"
        for path in modules(src)
        if is_light(path, src)
        for line, name in imports(path, src)
        if "torch" in name.split(".")[:2] and target_room(name) is None
    ]


def too_long(src: Path) -> list[str]:
    found = []
    for path in modules(src):
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > MAX_FILE_LINES:
            found.append(f"{path.relative_to(src)}: {lines} lines, the limit is {MAX_FILE_LINES}")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES:
                found.append(
                    f"{path.relative_to(src)}:{node.lineno}: {node.name} has {lines} lines, "
                    f"the limit is {MAX_FUNCTION_LINES}"
                )
    return found


def bare_ignores(src: Path) -> list[str]:
    return [
        f"{path.relative_to(src)}:{line}: name the error: `type: ignore[code]`"
        for path in modules(src)
        for line, comment in comments(path)
        if re.search(r"type:\s*ignore(?!\[)", comment)
    ]


def comments(path: Path) -> Iterator[tuple[int, str]]:
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


RULES = (unknown_rooms, upward_imports, torch_too_early, too_long, bare_ignores)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule):
    assert modules(SRC), "no source found"
    assert not (broken := rule(SRC)), "\n".join(broken)


IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert "torch" not in sys.modules, f"importing {name} brings torch along"
"""


def run_python(code: str, *args: str) -> None:
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_lower_levels_import_without_torch():
    light = [dotted(path, SRC) for path in modules(SRC) if is_light(path, SRC)]
    assert light
    run_python(IMPORT_ALL, "sightline", *light)


# Each rule, a file that breaks it, and what the complaint must say.
BAD = [
    (unknown_rooms, "attic/__init__.py", "", "attic"),
    (upward_imports, "spec/a.py", "from sightline.planner import plan", "planner"),
    (upward_imports, "spec/a.py", "import sightline.nn.rope", "sightline.nn.rope"),
    (upward_imports, "spec/a.py", "from sightline import hub", "sightline.hub"),
    (upward_imports, "spec/a.py", "from sightline import load", "sightline.load"),
    (upward_imports, "spec/a.py", "from ..families import llava", "families.llava"),
    (upward_imports, "spec/deep/a.py", "from ... import families", "sightline.families"),
    (upward_imports, "spec/__init__.py", "from ..nn.rope import rotate", "nn.rope"),
    (upward_imports, "spec/a.py", "def f():\n    import sightline.api", "sightline.api"),
    (upward_imports, "prompt/a.py", "from sightline.pictures import open", "pictures"),
    (upward_imports, "engine/a.py", "from sightline.api import load", "sightline.api"),
    (upward_imports, "api.py", "from sightline.eval import tasks", "sightline.eval"),
    (torch_too_early, "planner/a.py", "import torch.nn", "torch.nn"),
    (torch_too_early, "core/a.py", "def f():\n    from torch import nn", "torch.nn"),
    (torch_too_early, "hub/a.py", "from safetensors.torch import load_file", "safetensors.torch"),
    (too_long, "nn/a.py", "x = 1\n" * 301, "301 lines"),
    (too_long, "nn/a.py", "class A:\n    def f(self):\n" + "        x = 1\n" * 80, "f has 81"),
    (bare_ignores, "nn/a.py", "x = 1  # type: ignore", "a.py:1"),
]


@pytest.mark.parametrize(("rule", "file", "text", "says"), BAD)
def test_rule_catches_a_bad_tree(tmp_path, rule, file, text, says):
    src = plant(tmp_path, {file: text})
    [complaint] = rule(src)
    assert says in complaint


GOOD = {
    "__init__.py": "from sightline.api import load\nfrom sightline.planner import plan",
    "__main__.py": "from sightline.cli import main",
    "api.py": "from .engine import run",
    "cli/ask.py": "import sightline\nfrom sightline.api import load",
    "engine/__init__.py": "import torch\nfrom sightline.core import errors",
    "spec/a.py": "from .b import B\nfrom . import c\nfrom ..core.errors import SpecError",
    "weights/a.py": "from safetensors.torch import load\nx = load  # type: ignore[misc]",
    "prompt/a.py": "text = '# type: ignore'\nimport torchlight\n" + "x = 1\n" * 298,
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_a_good_tree(tmp_path, rule):
    assert rule(plant(tmp_path, GOOD)) == []


def plant(folder: Path, files: dict[str, str]) -> Path:
    src = folder / "sightline"
    for name, text in files.items():
        path = src / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return src
