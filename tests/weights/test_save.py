"""Our own folders come back bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from tests.helpers.tiny import DECODERS, tiny_model, tiny_spec
from torch import Tensor, nn

from sightline.core.errors import FolderError, SpecError, WeightError
from sightline.families import Declared, compose_spec, read_spec
from sightline.model.vlm import Vlm
from sightline.spec import ConnectorSpec, FixedSpec, LinearSpec, MlpSpec, ModuleSpec
from sightline.weights import load, load_decoder, load_folder, load_vision, save


def bits(model: Vlm) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


VISIONS = {
    "clip": {"class_token": "drop", "pre_norm": True, "patch_bias": False, "post_norm": "unused"},
    "dinov2": {"class_token": "keep", "registers": 2, "layer_scale": True, "mlp": "swiglu"},
    "no norms": {"post_norm": "absent", "qkv_bias": False},
}
CONNECTORS: dict[str, ConnectorSpec] = {
    "linear": LinearSpec(),
    "three layers": MlpSpec(depth=3, hidden=24, bias=False),
}
CASES = {
    **{name: tiny_spec(language=change) for name, change in DECODERS.items()},
    **{name: tiny_spec(vision=change) for name, change in VISIONS.items()},
    **{n: tiny_spec().model_copy(update={"connector": c}) for n, c in CONNECTORS.items()},
}


@pytest.mark.parametrize("case", CASES)
def test_bit_equal(case: str, tmp_path: Path) -> None:
    model = tiny_model(CASES[case])
    save(model, tmp_path)
    loaded = load_folder(tmp_path)
    assert loaded.model.spec == model.spec
    assert same(bits(loaded.model), bits(model))
    assert loaded.audit.loaded == len(bits(model)) and not loaded.audit.dropped


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_saved_in_another_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny_model()
    save(model, tmp_path, dtype=dtype)
    loaded = load_folder(tmp_path).model
    assert same(bits(loaded), {name: t.to(dtype) for name, t in bits(model).items()})


def test_shards_come_and_go(tmp_path: Path) -> None:
    model = tiny_model()
    save(model, tmp_path, max_shard_bytes=4000)
    assert len([*tmp_path.glob("model-*.safetensors")]) > 2
    assert same(bits(load_folder(tmp_path).model), bits(model))
    other = tiny_model(seed=1)
    save(other, tmp_path)
    assert [p.name for p in tmp_path.glob("*.safetensors*")] == ["model.safetensors"]
    assert same(bits(load_folder(tmp_path).model), bits(other))


def test_saving_over_the_folder_it_was_loaded_from(tmp_path: Path) -> None:
    save(tiny_model(), tmp_path)
    loaded = load_folder(tmp_path).model
    with torch.no_grad():
        for p in loaded.parameters():
            p.add_(1)
    save(loaded, tmp_path)
    assert same(bits(load_folder(tmp_path).model), bits(loaded))


def test_weights_may_be_read_by_whom_the_other_files_may(tmp_path: Path) -> None:
    save(tiny_model(), tmp_path)
    assert len({file.stat().st_mode for file in tmp_path.iterdir()}) == 1


def test_card_and_facts(tmp_path: Path) -> None:
    save(tiny_model(), tmp_path, card="# tiny\n", about={"fingerprint": "abc", "steps": 7})
    assert (tmp_path / "card.md").read_text() == "# tiny\n"
    stored = yaml.safe_load((tmp_path / "sightline.yaml").read_text())
    assert stored["about"] == {"fingerprint": "abc", "steps": 7}


def test_parts_of_our_own_folder(tmp_path: Path) -> None:
    model = tiny_model()
    save(model, tmp_path)
    declared = read_spec(tmp_path)
    vision = load_vision(declared).state_dict()
    language = load_decoder(declared).state_dict()
    assert same(dict(vision), dict(model.vision.state_dict()))
    assert same(dict(language), dict(model.language.state_dict()))


def edit_yaml(folder: Path, **values: object) -> None:
    path = folder / "sightline.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    save(tiny_model(), tmp_path)
    edit_yaml(tmp_path, format=2)
    with pytest.raises(FolderError, match="format 2"):
        load_folder(tmp_path)


def test_a_spec_that_contradicts_itself(tmp_path: Path) -> None:
    save(tiny_model(), tmp_path)
    model = yaml.safe_load((tmp_path / "sightline.yaml").read_text())["model"]
    model["vision"]["heads"] = 5
    edit_yaml(tmp_path, model=model)
    with pytest.raises(SpecError, match="heads"):
        load_folder(tmp_path)


def test_weights_of_another_spec(tmp_path: Path) -> None:
    save(tiny_model(), tmp_path)
    model = yaml.safe_load((tmp_path / "sightline.yaml").read_text())["model"]
    model["language"]["depth"] = 2
    edit_yaml(tmp_path, model=model)
    with pytest.raises(WeightError, match=r"language\.blocks\.2"):
        load_folder(tmp_path)
    model["language"]["depth"] = 4
    edit_yaml(tmp_path, model=model)
    with pytest.raises(WeightError, match=r"language\.blocks\.3"):
        load_folder(tmp_path)


class Strided(nn.Module):
    """An encoder of the user's own: one convolution and batch norm, which has buffers."""

    width, patch = 12, 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, self.width, self.patch, self.patch)
        self.norm = nn.BatchNorm2d(self.width)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.norm(self.conv(pixels)).flatten(2).transpose(1, 2)


def used() -> Strided:
    """With statistics that differ from their first values."""
    module = Strided()
    module(torch.randn(4, 3, 8, 8))
    return module


MINE = ModuleSpec(name="Strided", width=12, patch=4, parameters=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_module_of_ones_own(dtype: torch.dtype, tmp_path: Path) -> None:
    """Composed, it keeps its values; saved and loaded, it gets them back, buffers too."""
    save(tiny_model(), tmp_path / "text")
    tower = Declared(family="module", vision=MINE, resolution=FixedSpec(size=8))
    module = used()
    before = {name: t.clone() for name, t in module.state_dict().items()}
    declared = compose_spec(tower, read_spec(tmp_path / "text"))
    model = load(declared, dtype=dtype, vision=module).model
    assert model.vision is module
    wanted = {n: t.to(dtype) if t.is_floating_point() else t for n, t in before.items()}
    assert same(dict(module.state_dict()), wanted)
    save(model, tmp_path / "mine")
    again = load_folder(tmp_path / "mine", vision=Strided()).model
    assert same(dict(again.state_dict()), dict(model.state_dict()))
    assert int(again.vision.norm.num_batches_tracked) == 1


def test_a_module_of_ones_own_is_asked_for(tmp_path: Path) -> None:
    save(tiny_model(), tmp_path / "text")
    tower = Declared(family="module", vision=MINE, resolution=FixedSpec(size=8))
    declared = compose_spec(tower, read_spec(tmp_path / "text"))
    with pytest.raises(SpecError, match="Strided"):
        load(declared)


def test_a_buffer_of_another_kind(tmp_path: Path) -> None:
    save(tiny_model(), tmp_path / "text")
    tower = Declared(family="module", vision=MINE, resolution=FixedSpec(size=8))
    declared = compose_spec(tower, read_spec(tmp_path / "text"))
    save(load(declared, vision=used()).model, tmp_path / "mine")
    other = Strided()
    other.norm.num_batches_tracked = other.norm.num_batches_tracked.int()
    with pytest.raises(WeightError, match="num_batches_tracked"):
        load_folder(tmp_path / "mine", vision=other)
