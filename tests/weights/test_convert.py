"""Pickled weights are converted once, in a child, and nothing in them runs."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.parity import reference as ref
from tests.parity.test_llava import reference_of

from sightline.core.errors import WeightError
from sightline.weights import load_folder, with_safetensors


def pickled(folder: Path, shards: int = 1) -> Path:
    """A folder as the hub had them before safetensors."""
    tensors = load_file(ref.saved(reference_of("clip-llama"), folder) / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if shards == 1:
        torch.save(tensors, folder / "pytorch_model.bin")
        return folder
    places = {}
    for i in range(shards):
        name = f"pytorch_model-{i + 1:05}-of-{shards:05}.bin"
        part = dict([*tensors.items()][i::shards])
        torch.save(part, folder / name)
        places |= dict.fromkeys(part, name)
    index = {"metadata": {}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("shards", [1, 3])
def test_same_numbers(shards: int, tmp_path: Path) -> None:
    theirs = reference_of("clip-llama")
    ours = load_folder(pickled(tmp_path / "old", shards)).model
    assert ref.difference(ours, theirs, ref.conversations(4)) <= ref.TOLERANCE
    assert len([*(tmp_path / "old").glob("*.safetensors")]) == shards
    assert not [*(tmp_path / "old").glob(".*part*")]


def test_converted_once(tmp_path: Path) -> None:
    folder = with_safetensors(pickled(tmp_path / "old"))
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert with_safetensors(folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: Any) -> None:
    """The result and the small files go to the cache; a second call finds them there."""
    folder = pickled(tmp_path / "old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    made = with_safetensors(folder, cache=tmp_path / "cache")
    assert made.parent == tmp_path / "cache"
    assert not (folder / "model.safetensors").exists()
    assert with_safetensors(folder, cache=tmp_path / "cache") == made
    theirs = reference_of("clip-llama")
    gap = ref.difference(load_folder(made).model, theirs, ref.conversations(4))
    assert gap <= ref.TOLERANCE


def test_a_changed_file_is_converted_again(tmp_path: Path, monkeypatch: Any) -> None:
    folder = pickled(tmp_path / "old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    first = with_safetensors(folder, cache=tmp_path / "cache")
    torch.save(torch.load(folder / "pytorch_model.bin"), folder / "pytorch_model.bin")
    os.utime(folder / "pytorch_model.bin", ns=(1, 1))
    assert with_safetensors(folder, cache=tmp_path / "cache") != first


class Bomb:
    """Pickles to a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_pickle_does_not_run(how: str, tmp_path: Path) -> None:
    folder = pickled(tmp_path / "old")
    target, bad = folder / "pytorch_model.bin", {"weight": Bomb(tmp_path / "boom")}
    torch.save(bad, target) if how == "torch" else target.write_bytes(pickle.dumps(bad))
    with pytest.raises(WeightError, match="not plain weights"):
        load_folder(folder)
    assert not (tmp_path / "boom").exists()
    assert not [*folder.glob("*.safetensors")] and not [*folder.glob(".*part*")]


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}], ids=["list", "numbers"])
def test_other_contents_are_refused(content: Any, tmp_path: Path) -> None:
    folder = pickled(tmp_path / "old")
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(WeightError, match="dict of tensors"):
        load_folder(folder)


def test_truncated(tmp_path: Path) -> None:
    folder = pickled(tmp_path / "old")
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightError, match=r"cannot be converted: pytorch_model\.bin"):
        load_folder(folder)


def test_missing_shard(tmp_path: Path) -> None:
    folder = pickled(tmp_path / "old", shards=2)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(WeightError, match=r"lacks pytorch_model-00002-of-00002\.bin"):
        load_folder(folder)


def test_a_nested_state_and_shared_tensors(tmp_path: Path) -> None:
    folder = pickled(tmp_path / "old")
    tensors = torch.load(folder / "pytorch_model.bin")
    name = "language_model.lm_head.weight"
    tensors[name] = tensors["language_model.model.embed_tokens.weight"]
    torch.save({"state_dict": tensors}, folder / "pytorch_model.bin")
    model = load_folder(folder).model
    assert model.language.head.weight is not None
    assert torch.equal(model.language.head.weight, model.language.embed.weight)
