"""PEFT's adapters on transformers' models beside ours, by a table of names written by hand."""

# T tokens  V vocabulary

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import TEXT, TOWER
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.model.batch import collate
from sightline.model.vlm import Vlm
from sightline.nn.lora import adapters_of

SIGLIP = {"model_type": "siglip_vision_model", "vision_use_head": False, **TOWER}
CLIP = {"model_type": "clip_vision_model", **TOWER}
LLAMA = {"model_type": "llama", **TEXT}
FULL = {"vision_feature_select_strategy": "full"}
ATTENTION = {"q_proj": "attn.q", "k_proj": "attn.k", "v_proj": "attn.v"}
LANGUAGE = ATTENTION | {"o_proj": "attn.out", "gate_proj": "mlp.gate", "up_proj": "mlp.up",
                        "down_proj": "mlp.down"}  # fmt: skip
VISION = ATTENTION | {"out_proj": "attn.out", "fc1": "mlp.up", "fc2": "mlp.down"}
DECODER = r"model\.language_model\.layers\.(\d+)\.\w+\.(\w+)"
ENCODER = r"model\.vision_tower\.encoder\.layers\.(\d+)\.\w+\.(\w+)"


def siglip_llava(seed: int = 0) -> Any:
    return ref.llava(SIGLIP, LLAMA, seed, **FULL)


def clip_llava(seed: int = 0) -> Any:
    return ref.llava(CLIP, LLAMA, seed)


def our_name(name: str) -> str:
    """The layer of ours that a linear module of LLaVA is."""
    if found := re.fullmatch(DECODER, name):
        return f"language.blocks.{found[1]}.{LANGUAGE[found[2]]}"
    found = re.fullmatch(ENCODER, name)
    assert found, name
    return f"vision.blocks.{found[1]}.{VISION[found[2]]}"


def their_tensors(model: Any) -> dict[str, nn.Parameter]:
    """PEFT's own parameters by the names that ours have."""
    kinds = {"lora_A": "a", "lora_B": "b", "lora_magnitude_vector": "magnitude"}
    found = {}
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            module, kind = re.fullmatch(
                r"base_model\.model\.(.+)\.(lora_\w+)\.default\.weight", name
            ).groups()
            found[f"{our_name(module)}.adapter.{kinds[kind]}"] = parameter
    return found


def our_tensors(model: nn.Module) -> dict[str, nn.Parameter]:
    return {
        f"{name}.adapter.{inner}": parameter
        for name, _, adapter in adapters_of(model)
        for inner, parameter in adapter.named_parameters()
    }


@torch.no_grad()
def same_start(ours: nn.Module, theirs: Any) -> None:
    """PEFT's first values in our adapters; both must have the same ones."""
    wanted = their_tensors(theirs)
    own = our_tensors(ours)
    assert set(own) == set(wanted)
    for name, parameter in own.items():
        parameter.copy_(wanted[name])


@torch.no_grad()
def stir(model: nn.Module, seed: int = 0) -> None:
    """Give every adapter values as after training."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {n: p for n, p in model.named_parameters() if ".lora_" in n or ".adapter." in n}
    for name in sorted(parameters):
        noise = torch.randn(parameters[name].shape, generator=generator)
        if "magnitude" in name:
            parameters[name].mul_(1 + 0.3 * noise)
        else:
            parameters[name].copy_(0.2 * noise)


def our_logits(model: Vlm, item: Item) -> Tensor:
    """float32 [T, V] by the path of training."""
    return model.language.logits(model(collate([item], 0, "right")))[0]


def their_logits(model: Any, item: Item) -> Tensor:
    inputs: dict[str, Tensor] = {"input_ids": torch.tensor([item.token_ids])}
    if item.pixels_V3HW is not None:
        inputs["pixel_values"] = item.pixels_V3HW
    return model(**inputs).logits[0].float()


def loss(logits_TV: Tensor, item: Item) -> Tensor:
    """Mean next-token cross-entropy."""
    return F.cross_entropy(logits_TV[:-1], torch.tensor(item.token_ids[1:]))


def train(model: Any, logits: Any, items: Mapping[str, Item], steps: int, lr: float) -> list[float]:
    """Plain AdamW over what trains, one conversation a step; returns the losses."""
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=lr, weight_decay=0.01)
    losses = []
    rows = list(items.values())
    for step in range(steps):
        value = loss(logits(model, rows[step % len(rows)]), rows[step % len(rows)])
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(value.detach()))
    return losses


def gaps(ours: nn.Module, theirs: Any) -> Iterator[tuple[str, float]]:
    """The largest difference of every adapter's tensor."""
    wanted = their_tensors(theirs)
    for name, parameter in our_tensors(ours).items():
        yield name, float((parameter - wanted[name]).detach().abs().max())


def conversations() -> dict[str, Item]:
    return {name: replace(item) for name, item in ref.conversations(4).items()}
