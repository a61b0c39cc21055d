"""Finding a model folder: local paths, and a hub that runs on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import FolderError
from sightline.hub import find

# Local paths.


def test_a_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert find(tmp_path) == tmp_path
    assert find(str(tmp_path)) == tmp_path


def test_our_own_folder(tmp_path: Path) -> None:
    (tmp_path / "sightline.yaml").write_text("format: 1")
    assert find(tmp_path) == tmp_path


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    assert find("~/m") == tmp_path / "m"


def error(model: Any, **options: Any) -> FolderError:
    with pytest.raises(FolderError) as caught:
        find(model, **options)
    return caught.value


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "is empty" in error(tmp_path).problem


def test_what_was_found_is_said(tmp_path: Path) -> None:
    for name in "abcdefgh":
        (tmp_path / f"{name}.txt").write_text("")
    assert "a.txt, b.txt, c.txt, d.txt, e.txt, f.txt and 2 more" in error(tmp_path).problem


def test_a_model_one_folder_down(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "config.json").write_text("{}")
    assert str(tmp_path / "inner") in error(tmp_path).fix


@pytest.mark.parametrize(
    ("file", "says"), [("adapter_config.json", "adapter"), ("model.gguf", "GGUF")]
)
def test_other_formats_are_named(tmp_path: Path, file: str, says: str) -> None:
    (tmp_path / file).write_text("")
    assert says in error(tmp_path).fix


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert "is a file" in error(tmp_path / "config.json").problem


@pytest.mark.parametrize("name", ["none", "./org/name", "/org/name", "a/b/c", "org/", "", "o r/g"])
def test_neither_path_nor_id(name: str) -> None:
    assert "neither a folder here nor a hub id" in error(name).problem


def test_a_path_is_never_looked_up(tmp_path: Path) -> None:
    assert "neither" in error(Path("org/name")).problem


def test_what_lies_beside(tmp_path: Path) -> None:
    (tmp_path / "llava-7b").mkdir()
    assert "llava-7b" in error(tmp_path / "llava-7c").fix


def test_a_revision_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert error(tmp_path, revision="main").field == "revision"


# A hub.

SHA = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "modeling_evil.py": b"raise SystemExit",
    "original/params.json": b"{}",
    "consolidated.safetensors": b"again",
    "flax_model.msgpack": b"flax",
}
REPOS = {
    "org/model": FILES,
    "org/old": {"config.json": FILES["config.json"], "pytorch_model.bin": b"pickle"},
    "org/bare": {"config.json": FILES["config.json"]},
    "org/notes": {"readme.md": b"hello"},
}


class Hub(BaseHTTPRequestHandler):
    """The endpoints of huggingface.co that a snapshot needs."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            return self._api(*path.removeprefix("api/models/").split("/"))
        org, name, resolve, revision, *file = path.split("/")
        data = REPOS.get(f"{org}/{name}", {}).get("/".join(file))
        if resolve != "resolve" or revision not in (SHA, "main") or data is None:
            return self._fail(404, "EntryNotFound")
        if self.command == "GET":
            type(self).asked.append("/".join(file))
        self._send(data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": SHA})

    def _api(self, org: str, name: str, what: str = "", revision: str = "main", *_: str) -> None:
        repo = f"{org}/{name}"
        if repo == "org/gated":
            return self._fail(403, "GatedRepo")
        if repo not in REPOS:
            return self._fail(404, "RepoNotFound")
        if revision not in ("main", SHA):
            return self._fail(404, "RevisionNotFound")
        if what == "tree":
            tree = [
                {"type": "file", "path": file, "size": len(data), "oid": "0" * 40}
                for file, data in REPOS[repo].items()
            ]
            return self._send(json.dumps(tree).encode(), {})
        siblings = [{"rfilename": file} for file in REPOS[repo]]
        info = {"id": repo, "modelId": repo, "sha": SHA, "siblings": siblings, "private": False}
        return self._send(json.dumps(info).encode(), {})

    def _send(self, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


CODE = """
import json, sys
from pathlib import Path
from sightline.core.errors import FolderError
from sightline.hub import find
model, options = json.loads(sys.argv[1])
options["cache"] = Path(options["cache"])
try:
    folder = find(model, **options)
    print(json.dumps(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))))
except FolderError as error:
    print(json.dumps({"problem": error.problem, "fix": error.fix}))
"""


def fetch(endpoint: str, cache: Path, model: str, *, online: bool = True, **options: Any) -> Any:
    """`find` in a process of its own: huggingface_hub reads its environment once."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0" if online else "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
        "HOME": str(cache),
    }
    environment.pop("HF_TOKEN", None)
    asked = json.dumps([model, {**options, "cache": str(cache)}])
    command = [sys.executable, "-c", CODE, asked]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SAFE = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"]


def test_safe_files_only_and_then_from_the_cache(hub: str, tmp_path: Path) -> None:
    """No code, no pickles, no other formats; a second time nothing is asked for."""
    assert fetch(hub, tmp_path, "org/model") == SAFE
    assert sorted(Hub.asked) == SAFE
    Hub.asked.clear()
    assert fetch(hub, tmp_path, "org/model", offline=True) == SAFE
    assert fetch(hub, tmp_path, "org/model", online=False) == SAFE
    assert Hub.asked == []


def test_config_only(hub: str, tmp_path: Path) -> None:
    found = fetch(hub, tmp_path, "org/model", config_only=True)
    assert found == [name for name in SAFE if not name.endswith(".safetensors")]


def test_pickles_only_where_there_is_nothing_else(hub: str, tmp_path: Path) -> None:
    assert fetch(hub, tmp_path, "org/old") == ["config.json", "pytorch_model.bin"]


FAILURES = {
    "no such id": ("org/nothing", {}, "neither a folder here nor a hub id", "spelling"),
    "gated": ("org/gated", {}, "gated", "log in"),
    "no such revision": ("org/model", {"revision": "v9"}, "no revision 'v9'", "branch"),
    "no weights": ("org/bare", {}, "neither safetensors nor .bin", "another"),
    "no model": ("org/notes", {"config_only": True}, "no sightline.yaml or config.json", "folder"),
    "offline": ("org/model", {"offline": True}, "not complete in the cache", "go online"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_can_go_wrong(case: str, hub: str, tmp_path: Path) -> None:
    model, options, problem, fix = FAILURES[case]
    found = fetch(hub, tmp_path, model, **options)
    assert problem in found["problem"] and fix in found["fix"], found


def test_no_network(tmp_path: Path) -> None:
    found = fetch("http://127.0.0.1:9", tmp_path, "org/model")
    assert "cannot be reached" in found["problem"] and "local folder" in found["fix"]


def test_network_forbidden(hub: str, tmp_path: Path) -> None:
    found = fetch(hub, tmp_path, "org/model", online=False)
    assert "cannot be reached" in found["problem"] and "HF_HUB_OFFLINE" in found["fix"]
    assert Hub.asked == []
