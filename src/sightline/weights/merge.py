"""From a base model and adapters to one plain model."""

from __future__ import annotations

from pathlib import Path

import torch

from sightline.families.read import read_spec
from sightline.nn.lora import merge
from sightline.weights.adapters import load_adapters
from sightline.weights.convert import with_safetensors
from sightline.weights.load import Loaded, load


def load_merged(
    base: Path | str,
    *adapters: Path | str,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    tower: Path | str | None = None,
) -> Loaded:
    """Load a folder and fold PEFT folders into it, one after the other.

    What they hold as a whole (a connector trained in full beside adapters) takes the place of the
    base's. The result is a plain model: `save` and `export_hf` write it. Sums are made in float32
    and rounded once to the model's dtype. Other arguments and errors as for `load_folder` and
    `load_adapters`.
    """
    ready = with_safetensors(Path(base))
    declared = read_spec(ready, tower=None if tower is None else with_safetensors(Path(tower)))
    loaded = load(declared, dtype=dtype, device=device)
    for folder in adapters:
        load_adapters(loaded.model, folder, declared, dtype=torch.float32)
        merge(loaded.model)
    return loaded
