"""CLIP, SigLIP and DINOv2 towers alone against transformers, at their own size and at others."""

# V views  N rows  D width

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tests.parity import reference as ref
from tests.parity.reference import TOLERANCE, TOWER
from torch import Tensor, nn

from sightline.families import Declared, read_spec
from sightline.weights import load_vision

SEEN = 5 * TOLERANCE
# A grid of 4 × 4 positions, so that stretching with and without antialiasing differ.
DINO = {k: v for k, v in TOWER.items() if k != "intermediate_size"} | {"patch_size": 7}
TEXT_SIDE = {**TOWER, "vocab_size": 60, "num_hidden_layers": 1, "projection_size": 32}
TEXT_SIDE = {k: v for k, v in TEXT_SIDE.items() if k not in ("image_size", "patch_size")}


def clip_whole() -> Any:
    text = {k: v for k, v in TEXT_SIDE.items() if k != "projection_size"}
    return hf.CLIPModel(hf.CLIPConfig(vision_config=TOWER, text_config=text))


def siglip_whole() -> Any:
    return hf.SiglipModel(hf.SiglipConfig(vision_config=TOWER, text_config=TEXT_SIDE))


def dinov2(**changes: Any) -> Any:
    return hf.Dinov2Model(hf.Dinov2Config(**DINO, **changes))


def registers(**changes: Any) -> Any:
    config = hf.Dinov2WithRegistersConfig(**DINO, num_register_tokens=3, **changes)
    return hf.Dinov2WithRegistersModel(config)


TOWERS: dict[str, Callable[[], Any]] = {
    "clip": lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**TOWER)),
    "clip of both towers": clip_whole,
    "clip with projection": lambda: hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(**TOWER)),
    "openclip gelu": lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**TOWER, hidden_act="gelu")),
    "siglip": lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**TOWER)),
    "siglip without head": lambda: hf.SiglipVisionModel(
        hf.SiglipVisionConfig(**TOWER, vision_use_head=False)
    ),
    "siglip of both towers": siglip_whole,
    "dinov2": dinov2,
    "dinov2 giant": lambda: dinov2(use_swiglu_ffn=True),
    "dinov2 without qkv bias": lambda: dinov2(qkv_bias=False),
    "dinov2 ratio 2": lambda: dinov2(mlp_ratio=2),
    "registers": registers,
    "registers giant": lambda: registers(use_swiglu_ffn=True),
}
SIZES = ((28, 28), (42, 42), (28, 56), (70, 42), (14, 14), (31, 45))  # height, width


def made(name: str, folder: Path) -> tuple[Any, Declared]:
    theirs = ref.randomise(TOWERS[name]())
    return theirs, read_spec(ref.saved(theirs, folder))


def pixels(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, height, width, generator=generator)


@torch.no_grad()
def their_rows(model: Any, views: Tensor, layer: int | None = None) -> Tensor:
    """The tower's rows [V, N, D]; `layer` None is its last_hidden_state."""
    tower = getattr(model, "vision_model", model)
    args: dict[str, Any] = {"output_hidden_states": True}
    if "dinov2" not in tower.config.model_type:
        args["interpolate_pos_encoding"] = True
    out = tower(views, **args)
    return out.last_hidden_state if layer is None else out.hidden_states[layer]


def without_registers(declared: Declared, rows: Tensor) -> Tensor:
    assert declared.vision is not None
    start = 1 + declared.vision.registers
    return torch.cat((rows[:, :1], rows[:, start:]), 1) if declared.vision.registers else rows


@pytest.mark.parametrize("name", TOWERS)
def test_last_hidden_state_at_every_size(name: str, tmp_path: Path) -> None:
    theirs, declared = made(name, tmp_path)
    ours = load_vision(declared)
    for height, width in SIZES:
        views = pixels(height, width)
        wanted = without_registers(declared, their_rows(theirs, views))
        with torch.no_grad():
            found = ours(views)
        assert found.shape == wanted.shape
        assert float((found - wanted).abs().max()) <= TOLERANCE, (height, width)


@pytest.mark.parametrize("layer", [-1, -2, -4, 0, 2])
@pytest.mark.parametrize("name", ["clip", "siglip", "dinov2"])
def test_every_hidden_state(name: str, layer: int, tmp_path: Path) -> None:
    theirs, declared = made(name, tmp_path)
    chosen = {"layer": layer, "post_norm": "unused"}
    ours = load_vision(changed(declared, **chosen))
    views = pixels(28, 28)
    with torch.no_grad():
        assert float((ours(views) - their_rows(theirs, views, layer)).abs().max()) <= TOLERANCE


@pytest.mark.parametrize("name", ["clip", "siglip", "clip of both towers", "siglip of both towers"])
def test_the_hub_spelling(name: str, tmp_path: Path) -> None:
    """4.x writes `vision_model.` before a tower alone, and position ids beside the weights."""
    theirs, _ = made(name, tmp_path)
    if hasattr(theirs, "visual_projection") or "both" in name:
        extra = {"vision_model.embeddings.position_ids": torch.arange(5)[None]}
        ref.edit_tensors(tmp_path, lambda tensors: tensors | extra)
    else:
        ref.edit_tensors(tmp_path, ref.renamed(("", "vision_model.")))
    ours = load_vision(read_spec(tmp_path))
    views = pixels(28, 28)
    with torch.no_grad():
        assert float((ours(views) - their_rows(theirs, views)).abs().max()) <= TOLERANCE


def test_vision_config_dict_wins(tmp_path: Path) -> None:
    """openai/clip-vit-large-patch14-336 keeps its values there."""
    theirs, _ = made("clip of both towers", tmp_path)
    ref.edit_config(tmp_path, {"vision_config_dict": TOWER, "vision_config": {"patch_size": 7}})
    declared = read_spec(tmp_path)
    views = pixels(28, 28)
    with torch.no_grad():
        gap = load_vision(declared)(views) - their_rows(theirs, views)
    assert float(gap.abs().max()) <= TOLERANCE


def changed(declared: Declared, **values: Any) -> Declared:
    assert declared.vision is not None
    return replace(declared, vision=declared.vision.model_copy(update=values))


def rolled(name: str) -> Callable[[nn.Module], None]:
    def roll(tower: nn.Module) -> None:
        data = tower.get_parameter(name).data
        data.copy_(data.roll(1, 0))

    return roll


def lost(name: str) -> Callable[[nn.Module], None]:
    return lambda tower: setattr(tower, name, None)


def unscaled(tower: nn.Module) -> None:
    for block in tower.blocks:
        block.scale1.data.fill_(1)


def registers_last(tower: nn.Module) -> None:
    tower.registers.data.zero_()


SPEC_MISTAKES: dict[str, tuple[str, dict[str, Any], tuple[int, int]]] = {
    "layer": ("clip", {"layer": -2}, (28, 28)),
    "final norm": ("clip", {"post_norm": "applied"}, (28, 28)),
    "no final norm": ("siglip", {"post_norm": "unused"}, (28, 28)),
    "activation": ("clip", {"activation": "gelu"}, (28, 28)),
    "gelu form": ("siglip", {"activation": "quick_gelu"}, (28, 28)),
    "heads": ("dinov2", {"heads": 8}, (28, 28)),
    "norm eps": ("dinov2", {"norm_eps": 1e-2}, (28, 28)),
    "stretched with antialiasing": ("dinov2", {"position_antialias": True}, (14, 14)),
    "stretched without": ("registers", {"position_antialias": False}, (14, 14)),
}
MODEL_MISTAKES: dict[str, tuple[str, Callable[[nn.Module], None]]] = {
    "missing pre-norm": ("clip", lost("pre_norm")),
    "positions off by one": ("siglip", rolled("positions")),
    "missing layer scale": ("dinov2", unscaled),
    "missing registers": ("registers", registers_last),
    "gate rows off by one": ("dinov2 giant", rolled("blocks.0.mlp.gate.weight")),
    "query heads off by one": ("clip", rolled("blocks.0.attn.q.weight")),
}


@pytest.mark.parametrize("mistake", SPEC_MISTAKES)
def test_a_wrong_spec_is_seen(mistake: str, tmp_path: Path) -> None:
    name, change, (height, width) = SPEC_MISTAKES[mistake]
    theirs, declared = made(name, tmp_path)
    views = pixels(height, width)
    wanted = without_registers(declared, their_rows(theirs, views))
    with torch.no_grad():
        found = load_vision(changed(declared, **change))(views)
    assert float((found - wanted).abs().max()) > SEEN


@pytest.mark.parametrize("mistake", MODEL_MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    name, break_it = MODEL_MISTAKES[mistake]
    theirs, declared = made(name, tmp_path)
    ours = load_vision(declared)
    break_it(ours)
    views = pixels(28, 28)
    wanted = without_registers(declared, their_rows(theirs, views))
    with torch.no_grad():
        assert float((ours(views) - wanted).abs().max()) > SEEN
