"""Devices and dtypes by the names that users write."""

from __future__ import annotations

import torch

from sightline.core.errors import SpecError


def named_device(name: str) -> torch.device:
    """Raises SpecError for a device that is not here."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        raise SpecError("device", f"{name!r} is not here", "use cpu, or cuda with a GPU") from None


def named_dtype(name: str) -> torch.dtype | None:
    """None for `auto`. Raises SpecError for a name that is none."""
    match name:
        case "auto":
            return None
        case "float32":
            return torch.float32
        case "bfloat16":
            return torch.bfloat16
        case "float16":
            return torch.float16
    raise SpecError("dtype", f"{name!r} is unknown", "use auto, float32, bfloat16 or float16")
