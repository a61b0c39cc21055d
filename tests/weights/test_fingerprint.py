"""The fingerprint names what decides about pixels and tokens, and loading tells what changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.helpers.speaking import speaking

from sightline.api import load
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec import ModelSpec, PixelSpec
from sightline.weights.fingerprint import differences, fingerprint


def test_it_changes_with_spec_and_tokenizer() -> None:
    vlm = speaking()
    now = vlm.fingerprint
    spec, tokenizer = vlm.spec, vlm.tokenizer
    assert fingerprint(spec, tokenizer) == now
    other = Tokenizer(tokenizer.source, replace(tokenizer.config)).add_token("<new>")
    assert fingerprint(spec, other)["tokenizer"] != now["tokenizer"]
    changed = spec.model_dump() | {"resolution": {**spec.resolution.model_dump(), "fit": "pad"}}
    assert fingerprint(ModelSpec.parse(changed), tokenizer)["spec"] != now["spec"]


@pytest.mark.parametrize("backend", ["torch", "pillow"])
def test_it_names_the_resampler(backend: str) -> None:
    vlm = speaking()
    data = vlm.spec.model_dump()
    data["resolution"]["pixels"] = PixelSpec(backend=backend).model_dump()  # type: ignore[arg-type]
    assert fingerprint(ModelSpec.parse(data), vlm.tokenizer)["pixels"].startswith(backend)


def test_a_folder_made_with_other_versions_says_so(tmp_path: Path) -> None:
    speaking().save(tmp_path)
    assert load(tmp_path).notes == ()
    path = tmp_path / "sightline.yaml"
    data = yaml.safe_load(path.read_text())
    data["about"]["fingerprint"]["pixels"] = "torch 1.0.0"
    path.write_text(yaml.safe_dump(data))
    (note,) = load(tmp_path).notes
    assert "pixels" in note and "torch 1.0.0" in note


def test_only_differences_are_told() -> None:
    assert differences({"spec": "a", "pixels": "b"}, {"spec": "a", "pixels": "c"}) == (
        "pixels is c, the folder was made with b: answers may differ",
    )
