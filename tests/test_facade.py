"""The doors of `import sightline`, and that they cost nothing until they are opened."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import sightline


@pytest.mark.parametrize("name", sightline.__all__)
def test_every_door_opens(name):
    assert getattr(sightline, name) is not None
    assert name in dir(sightline)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'window'"):
        getattr(sightline, "window")  # noqa: B009


def test_version_is_the_installed_one():
    assert sightline.__version__ == version("sightline")


def test_import_is_light():
    code = (
        "import sys, sightline; "
        "heavy = {'torch', 'numpy', 'pydantic', 'PIL', 'typer'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
