"""What PEFT's adapter_config.json says, where it matters; what is not understood is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from sightline.core.errors import WeightError

# Keys of adapter_config.json that say where adapters go or how they began: the tensors say it here.
HARMLESS = (
    "arrow_config auto_mapping base_model_name_or_path corda_config ensure_weight_tying eva_config "
    "exclude_modules inference_mode layers_pattern layers_to_transform loftq_config lora_dropout "
    "megatron_config megatron_core modules_to_save peft_type peft_version qalora_group_size r "
    "lora_alpha rank_pattern alpha_pattern revision target_modules task_type use_dora use_rslora"
).split()
# First values that leave the base as it is; others (PiSSA, OLoRA, CorDA, LoftQ) change it.
STARTS = (True, False, None, "gaussian", "eva", "orthogonal")


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Raises WeightError for another kind of adapter, or a key that changes what it computes."""
    if (kind := config.get("peft_type")) != "LORA":
        raise WeightError(f"{where}: peft_type", f"is {kind!r}", "LoRA and DoRA can be read")
    if (start := config.get("init_lora_weights", True)) not in STARTS:
        problem = f"is {start!r}, which changes the base model"
        raise WeightError(f"{where}: init_lora_weights", problem, "convert it to LoRA with PEFT")
    if (bias := config.get("bias", "none")) != "none":
        raise WeightError(f"{where}: bias", f"is {bias!r}", "merge it with PEFT and load the model")
    known = {*HARMLESS, "init_lora_weights", "bias"}
    for key, value in config.items():
        if key not in known and value not in (None, False, [], {}, 0):
            fix = "merge it with PEFT and load the whole model"
            raise WeightError(f"{where}: {key}", f"is {value!r}, which is not understood", fix)


def scale_of(config: Mapping[str, Any], module: str, rank: int) -> float:
    """alpha / rank of one module, or alpha / sqrt(rank) (rsLoRA)."""
    alpha = float(_of(config.get("alpha_pattern"), module, config.get("lora_alpha", 8)))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def check_rank(config: Mapping[str, Any], module: str, rank: int) -> None:
    """Raises WeightError if the tensors have another rank than the config says."""
    stated = int(_of(config.get("rank_pattern"), module, config.get("r", 8)))
    if stated != rank:
        problem = f"has rank {rank}, adapter_config.json says {stated}"
        raise WeightError(module, problem, "mend r or rank_pattern")


def _of(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    """PEFT's rule: the first pattern that fits the end of the name."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
