"""A console, a talking folder and a picture for every test of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.helpers.console import Console
from tests.helpers.speaking import parrot, picture, saved

BOX = " it is [10, 20, 60, 70]"


@pytest.fixture
def console(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("COLUMNS", "200")
    return Console(capsys, monkeypatch)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers every question with a box and a smile."""
    return saved(parrot(BOX, " :smile: [/x]"), tmp_path_factory.mktemp("model") / "parrot")


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    Image.fromarray(picture(100, 50)).save(path)
    return path
