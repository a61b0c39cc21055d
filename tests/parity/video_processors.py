"""Video processors of transformers without torchvision, which has no build for this torch.

They import it for four operators. These are written here with torch's own: its antialiased uint8
interpolation is what torchvision's resize calls, so results are equal to the last bit.
"""

# F frames  C channels  H, W rows and columns of pixels

from __future__ import annotations

import enum
import importlib
import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.image_utils import PILImageResampling


class InterpolationMode(enum.Enum):
    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


def _resize(
    x: Tensor, size: Any, interpolation: InterpolationMode, antialias: bool = True
) -> Tensor:
    lead = x.shape[:-3]
    made = F.interpolate(
        x.flatten(0, -4), size=tuple(size), mode=interpolation.value, antialias=antialias
    )
    return made.unflatten(0, lead)


def _normalize(x: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    mean_C11, std_C11 = (torch.as_tensor(v, dtype=x.dtype)[:, None, None] for v in (mean, std))
    return (x - mean_C11) / std_C11


def _crop(x: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    return x[..., top : top + height, left : left + width]


def _module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(members, __path__=[])
    module.__spec__ = ModuleSpec(name, None)
    return module


def processor_module(monkeypatch: pytest.MonkeyPatch, family: str) -> types.ModuleType:
    """`transformers.models.<family>.video_processing_<family>`, ready to be used in this test."""
    operators = _module(
        "torchvision.transforms.v2.functional",
        InterpolationMode=InterpolationMode,
        resize=_resize,
        normalize=_normalize,
        grayscale_to_rgb=lambda x: x,
        crop=_crop,
    )
    plain = _module("torchvision.transforms.functional", pil_to_tensor=None)
    v2 = _module("torchvision.transforms.v2", functional=operators)
    transforms = _module(
        "torchvision.transforms", v2=v2, functional=plain, InterpolationMode=InterpolationMode
    )
    whole = _module("torchvision", transforms=transforms, io=_module("torchvision.io"))
    for module in (whole, whole.io, transforms, plain, v2, operators):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    path = f"transformers.models.{family}.video_processing_{family}"
    found = importlib.import_module(path)
    backends = "transformers.image_processing_backends"
    for user in ("transformers.video_processing_utils", backends, path):
        monkeypatch.setattr(sys.modules[user], "tvF", operators, raising=False)
    modes = {PILImageResampling[mode.name]: mode for mode in InterpolationMode
             if mode.name in PILImageResampling.__members__}  # fmt: skip
    monkeypatch.setattr(sys.modules[backends], "pil_torch_interpolation_mapping", modes)
    return found
