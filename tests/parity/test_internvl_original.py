"""InternVL as first released against transformers' InternVL, its tensors renamed and fused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.parity import reference as ref
from tests.parity import tiles
from tests.parity.internvl import (
    SIX_B,
    VIT,
    Tensors,
    as_first,
    as_internlm2,
    chats,
    first_config,
    internvl,
    tower,
)
from tests.parity.reference import IMAGE, TOLERANCE

from sightline.core.errors import FamilyError
from sightline.families import read_spec
from sightline.weights import load_folder, load_vision

SEEN = 5 * TOLERANCE
MODELS: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    "1.5, 26B": ("internlm2", lambda: internvl("llama", vision=SIX_B), {}),
    "2, 8B": ("internlm2", lambda: internvl("llama"), {"template": "internlm2-chat"}),
    "2.5, 38B": ("qwen2", lambda: internvl("qwen2", vision=SIX_B), {}),
    "2, 1B": ("qwen2", lambda: internvl("qwen2"), {"template": "Hermes-2"}),
    "2, llama": ("llama", lambda: internvl("llama"), {"template": "unheard of"}),
    "3.5": ("qwen3", lambda: internvl("qwen3"), {}),
    "layer before": ("qwen2", lambda: internvl("qwen2", vision_feature_layer=-2), {}),
    "no thumbnail": ("qwen2", lambda: internvl("qwen2"), {"use_thumbnail": False}),
    "one view": ("qwen2", lambda: internvl("qwen2"), {"dynamic_image_size": False}),
    "larger tiles": ("qwen2", lambda: internvl("qwen2"), {"force_image_size": 42}),
}


def saved(theirs: Any, decoder: str, folder: Path, **changes: Any) -> Path:
    """The folder of a first release that holds the weights of `theirs`."""

    def edit(tensors: Tensors) -> Tensors:
        tensors = as_first(tensors)
        if decoder != "internlm2":
            return tensors
        return as_internlm2(tensors, theirs.config.text_config, "language_model.")

    ref.saved(theirs, folder)
    ref.edit_tensors(folder, edit)
    (folder / "config.json").write_text(json.dumps(first_config(theirs, decoder, **changes)))
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    decoder, make, changes = MODELS[name]
    theirs = make()
    loaded = load_folder(saved(theirs, decoder, tmp_path, **changes))
    ours = loaded.model
    assert loaded.declared.family == "internvl_original"
    assert ours.spec.prompt.image.id == IMAGE
    same = chats(ours.spec)
    assert tiles.difference(ours, theirs, same) <= TOLERANCE
    tiles.assert_same_greedy(ours, theirs, same)


def test_tower_alone(tmp_path: Path) -> None:
    for name, config in {"300M": VIT, "6B": SIX_B}.items():
        theirs = tower(config)
        folder = ref.saved(theirs, tmp_path / name)
        whole = internvl("qwen2", vision=config)
        ref.edit_tensors(folder, lambda tensors: as_first(tensors))
        vision = first_config(whole, "qwen2")["vision_config"]
        (folder / "config.json").write_text(json.dumps(vision))
        pixels = torch.randn(2, 3, 35, 42, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            gap = load_vision(read_spec(folder))(pixels) - theirs(pixels).last_hidden_state
        assert float(gap.abs().max()) <= TOLERANCE


# A wrong split of a fused tensor must be seen, by a margin.

FUSED = {
    "vision thirds, heads first": r"vision_model.encoder.layers.1.attn.qkv.weight",
    "queries after keys": r"language_model.model.layers.0.attention.wqkv.weight",
}


@pytest.mark.parametrize("mistake", FUSED)
def test_a_wrong_split_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs = internvl("llama")
    saved(theirs, "internlm2", tmp_path)
    ref.edit_tensors(tmp_path, lambda t: t | {FUSED[mistake]: t[FUSED[mistake]].roll(8, 0)})
    ours = load_folder(tmp_path).model
    assert tiles.difference(ours, theirs, chats(ours.spec)) > SEEN


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "transposed grid": ({"ps_version": "v1"}, "ps_version"),
    "letterboxed": ({"pad2square": True}, "pad2square"),
    "adapters": ({"use_llm_lora": 16}, "use_llm_lora"),
    "phi-3": ({"llm_config": {"model_type": "phi3"}}, "phi3"),
    "falcon": ({"llm_config": {"model_type": "falcon"}}, "falcon"),
    "experts": ({"vision_config": {"use_moe": True}}, "use_moe"),
    "tiles": ({"min_dynamic_patch": 20}, "min_tiles"),
    "unknown key": ({"fancy": 1}, "fancy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_built_is_refused(name: str) -> None:
    change, field = REFUSED[name]
    with pytest.raises(FamilyError, match=field):
        read_spec(first_config(internvl("qwen2"), "qwen2") | change)


def test_the_default_of_ps_version_is_refused() -> None:
    config = first_config(internvl("qwen2"), "qwen2")
    del config["ps_version"]
    with pytest.raises(FamilyError, match="ps_version"):
        read_spec(config)
