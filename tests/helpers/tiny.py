"""Models of a few thousand parameters that reach every switch, and conversations for them."""

# T tokens  A position axes  V views

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sightline.core.geometry import Grid, Size
from sightline.model.build import build_model
from sightline.model.visual import VisualInput
from sightline.model.vlm import Vlm
from sightline.nn.norm import LayerNorm, RmsNorm
from sightline.prompt.encode import Span
from sightline.resolution.groups import Groups
from sightline.resolution.layout import Canvas, Features, MediaLayout, View, VisualLayout
from sightline.spec import ModelSpec

NO_PICTURE = VisualInput()
Json = dict[str, Any]

VOCAB, PAD, STOPS, IMAGE = 48, 0, (1, 2), 3
SIDE, PATCH = 8, 4
VISUAL = (SIDE // PATCH) ** 2

BASE: Json = {
    "resolution": {"kind": "fixed", "size": SIDE},
    "vision": {
        "kind": "vit",
        "width": 12,
        "depth": 2,
        "heads": 2,
        "mlp_width": 20,
        "patch": PATCH,
        "image_size": SIDE,
    },
    "connector": {"kind": "mlp", "depth": 2},
    "language": {
        "kind": "decoder",
        "vocab": VOCAB,
        "width": 20,
        "depth": 3,
        "context": 96,
        "attention": {"heads": 4, "kv_heads": 2, "head_dim": 8},
        "mlp": {"width": 28},
    },
    "prompt": {"image": {"id": IMAGE}, "stop_ids": STOPS, "pad_id": PAD},
}

# What each case changes in the language section.
DECODERS: dict[str, Json] = {
    "base": {},
    "parallel": {"block": "parallel"},
    "parallel_two_norms": {"block": "parallel_two_norms"},
    "layer_norm": {"norm": {"kind": "layer"}},
    "unit_offset": {"norm": {"kind": "rms", "unit_offset": True}},
    "multi_head": {"attention": {"kv_heads": 4}},
    "multi_query": {"attention": {"kv_heads": 1}},
    "qk_norm": {"attention": {"qk_norm": "rms"}},
    "biases": {"attention": {"qkv_bias": True, "out_bias": True}, "mlp": {"bias": True}},
    "scale": {"attention": {"scale": 0.5}},
    "window": {"attention": {"window": 4}},
    "window_some": {"attention": {"window": 3, "windowed_layers": (0, 1)}},
    "window_one": {"attention": {"window": 1}},
    "plain_mlp": {"mlp": {"kind": "plain", "activation": "gelu_tanh"}},
    "relu2": {"mlp": {"kind": "plain", "activation": "relu2"}},
    "partial_rotary": {"positions": {"fraction": 0.5}},
    "theta": {"positions": {"theta": 50.0}},
    "learned": {"positions": {"kind": "learned", "offset": 2}},
    "linear": {"positions": {"scaling": {"kind": "linear", "factor": 4.0}}},
    "dynamic": {
        "positions": {"scaling": {"kind": "dynamic", "factor": 2.0, "original_context": 40}}
    },
    "llama3": {
        "positions": {
            "theta": 50.0,
            "scaling": {
                "kind": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_context": 64,
            },
        }
    },
    "yarn": {
        "positions": {
            "scaling": {
                "kind": "yarn",
                "factor": 4.0,
                "original_context": 16,
                "beta_fast": 2.0,
                "beta_slow": 0.1,
            }
        }
    },
    "embedding_scale": {"embedding_scale": math.sqrt(20)},
    "tied_head": {"tied_head": True},
    "head_bias": {"head_bias": True},
    "falcon": {
        "block": "parallel_two_norms",
        "norm": {"kind": "layer"},
        "attention": {"kv_heads": 1, "head_dim": 4},
        "mlp": {"kind": "plain", "activation": "gelu"},
        "tied_head": True,
    },
    "phi": {
        "block": "parallel",
        "norm": {"kind": "layer"},
        "attention": {"kv_heads": 4, "head_dim": 6, "qkv_bias": True, "out_bias": True},
        "mlp": {"kind": "plain", "activation": "gelu_tanh", "bias": True},
        "positions": {"fraction": 0.4},
        "head_bias": True,
    },
    "gemma": {
        "norm": {"kind": "rms", "unit_offset": True},
        "attention": {"kv_heads": 1, "head_dim": 12},
        "mlp": {"activation": "gelu_tanh"},
        "embedding_scale": math.sqrt(20),
        "tied_head": True,
    },
    "soft_cap": {"attention": {"soft_cap": 2.0}},
    "logit_soft_cap": {"logit_soft_cap": 3.0},
    "sandwich": {"block": "sandwich"},
    "windowed_positions": {
        "attention": {"window": 5, "windowed_layers": (0, 2)},
        "positions": {"theta": 50.0, "scaling": {"kind": "linear", "factor": 3.0}},
        "windowed_positions": {"theta": 20.0},
    },
    "gemma2": {
        "block": "sandwich",
        "norm": {"kind": "rms", "unit_offset": True},
        "attention": {
            "head_dim": 12,
            "scale": 0.4,
            "soft_cap": 2.0,
            "window": 5,
            "windowed_layers": (0, 2),
        },
        "mlp": {"activation": "gelu_tanh"},
        "embedding_scale": math.sqrt(20),
        "tied_head": True,
        "logit_soft_cap": 3.0,
    },
    "gemma3": {
        "block": "sandwich",
        "norm": {"kind": "rms", "unit_offset": True},
        "attention": {
            "qk_norm": "rms",
            "scale": 0.4,
            "window": 5,
            "windowed_layers": (0, 1),
        },
        "mlp": {"activation": "gelu_tanh"},
        "positions": {"theta": 50.0, "scaling": {"kind": "linear", "factor": 8.0}},
        "windowed_positions": {"theta": 20.0},
        "embedding_scale": math.sqrt(20),
        "tied_head": True,
    },
    "everything": {
        "block": "parallel_two_norms",
        "norm": {"kind": "layer"},
        "attention": {
            "kv_heads": 1,
            "head_dim": 12,
            "qkv_bias": True,
            "out_bias": True,
            "qk_norm": "rms",
            "scale": 0.3,
            "window": 5,
            "windowed_layers": (2,),
        },
        "mlp": {"kind": "plain", "activation": "relu", "bias": True},
        "positions": {
            "fraction": 0.5,
            "scaling": {"kind": "linear", "factor": 3.0},
        },
        "embedding_scale": 3.0,
        "tied_head": True,
        "head_bias": True,
    },
}


def merged(base: Json, change: Json) -> Json:
    """`base` with the values of `change`, section by section."""
    both = {k: merged(base[k], v) for k, v in change.items() if isinstance(v, dict) and k in base}
    return {**base, **change, **both}


def tiny_spec(**sections: Json) -> ModelSpec:
    """The base spec with changes: `tiny_spec(language={"depth": 1})`."""
    return ModelSpec.parse(merged(BASE, sections))


def tiny_model(spec: ModelSpec | None = None, seed: int = 0) -> Vlm:
    """A float32 model with loud random weights, ready to answer."""
    model = build_model(tiny_spec() if spec is None else spec)
    randomise(model, seed)
    return model.eval()


@torch.no_grad()
def randomise(module: nn.Module, seed: int) -> None:
    """Every matrix from N(0, 0.2²), norms and gates around 1, biases and tokens N(0, 0.2²).

    Default initialisation hides wrong positions and wrong layers; these weights do not.
    """
    generator = torch.Generator().manual_seed(seed)
    around_one = {id(m.weight) for m in module.modules() if _multiplies(m)}
    for name, p in module.named_parameters():
        noise = 0.2 * torch.randn(p.shape, generator=generator)
        gate = name.split(".")[-1].startswith("scale")
        p.copy_(1 + noise if gate or id(p) in around_one else noise)


def _multiplies(module: nn.Module) -> bool:
    return isinstance(module, LayerNorm) or (isinstance(module, RmsNorm) and not module.unit_offset)


@dataclass(frozen=True, slots=True)
class Item:
    """One prepared conversation."""

    token_ids: tuple[int, ...]
    visual_T: Tensor
    positions_AT: Tensor
    visual: VisualInput = NO_PICTURE
    spans: tuple[Span, ...] = ()
    groups: Groups | None = None

    @property
    def pixels_V3HW(self) -> Tensor | None:
        """Views of one size as one tensor."""
        return torch.stack(self.visual.pixels) if self.visual.pixels else None


def shown(pixels_V3HW: Tensor | None, tokens: int) -> VisualInput:
    """Each view as a media item of its own, `tokens` of the sequence."""
    if pixels_V3HW is None:
        return VisualInput()
    size = Size(pixels_V3HW.shape[3], pixels_V3HW.shape[2])
    count = len(pixels_V3HW)
    views = tuple(View(i, Canvas(size), size, Canvas(size)) for i in range(count))
    media = tuple(MediaLayout((Features(i, tokens, Grid(1, tokens)),)) for i in range(count))
    return VisualInput(VisualLayout(views, media), tuple(pixels_V3HW))


def item(
    *parts: int | Sequence[int], seed: int = 0, visual: int = VISUAL, side: int = SIDE
) -> Item:
    """A conversation of text runs (ids) and random pictures (an int: how many).

    `item([5, 6], 1, [7])` is two words, a picture of `visual` tokens, a word.
    """
    ids: list[int] = []
    views = 0
    for part in parts:
        ids += [IMAGE] * visual * part if isinstance(part, int) else part
        views += part if isinstance(part, int) else 0
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(views, 3, side, side, generator=generator) if views else None
    token_ids = torch.tensor(ids)
    return Item(tuple(ids), token_ids == IMAGE, torch.arange(len(ids))[None], shown(pixels, visual))


def words(count: int, seed: int = 0) -> list[int]:
    """Random ids that are neither special nor placeholders."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, VOCAB, (count,), generator=generator).tolist()
