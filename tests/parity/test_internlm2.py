"""InternLM2 against a Llama of transformers whose tensors are renamed and fused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tests.parity import reference as ref
from tests.parity.internvl import as_internlm2, internlm2_config
from tests.parity.reference import TEXT, TOLERANCE, conversation, words

from sightline.core.errors import FamilyError
from sightline.families import read_spec
from sightline.weights import load_decoder

SEEN = 5 * TOLERANCE
LLAMAS: dict[str, dict[str, Any]] = {
    "grouped": {},
    "multi_head": {"num_key_value_heads": 4},
    "biases": {"attention_bias": True},
    "linear": {"rope_scaling": {"type": "linear", "factor": 2.0}},
    "dynamic": {"rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 24},
    "theta": {"rope_theta": 1_000_000.0},
}
ITEMS = {name: conversation(words(n, n), tokens=0) for name, n in (("short", 5), ("long", 40))}


def llama(name: str) -> Any:
    config = hf.LlamaConfig(**TEXT | LLAMAS[name])
    return ref.randomise(hf.LlamaForCausalLM(config))


def saved(theirs: Any, folder: Path) -> Path:
    ref.saved(theirs, folder)
    ref.edit_tensors(folder, lambda tensors: as_internlm2(tensors, theirs.config))
    (folder / "config.json").write_text(json.dumps(internlm2_config(theirs.config)))
    return folder


@pytest.mark.parametrize("name", LLAMAS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs = llama(name)
    ours = load_decoder(read_spec(saved(theirs, tmp_path)))
    assert ref.difference(ours, theirs, ITEMS) <= TOLERANCE
    if name != "dynamic":  # the reference's cache keeps keys turned for a shorter sequence
        ref.assert_same_greedy(ours, theirs, ITEMS)


def test_heads_dealt_in_thirds_are_seen(tmp_path: Path) -> None:
    """[all q, all k, all v] instead of a run for each key-value head."""
    theirs = llama("grouped")
    saved(theirs, tmp_path)

    def thirds(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        state = theirs.state_dict()
        for i in range(2):
            own = [state[f"model.layers.{i}.self_attn.{n}_proj.weight"] for n in "qkv"]
            tensors[f"model.layers.{i}.attention.wqkv.weight"] = torch.cat(own)
        return tensors

    ref.edit_tensors(tmp_path, thirds)
    ours = load_decoder(read_spec(tmp_path))
    assert ref.difference(ours, theirs, ITEMS) > SEEN


REFUSED = {
    "rope_pos_id_version": "v2pe",
    "rope_scaling": {"type": "longrope", "factor": 2.0},
    "hidden_act": "mish",
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_is_not_built_is_refused(key: str) -> None:
    config = {"model_type": "internlm2", key: REFUSED[key]}
    with pytest.raises(FamilyError, match=key):
        read_spec(config)
