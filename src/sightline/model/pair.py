"""Two towers and what joins them."""

# B rows  V views  T tokens  D width of a tower  E width of embeddings

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.language.decoder import Decoder
from sightline.language.encoder import encode_texts
from sightline.model.build import build_decoder, build_vision
from sightline.nn.linear import Linear
from sightline.spec.pair import PairSpec, SigmoidLossSpec
from sightline.vision.pool import build_pool


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a loss reads: unit rows, float32[V, E] and [B, E], log of the scale and bias, each
    float32[1]; no bias where the loss has none."""

    images_VE: Tensor
    texts_BE: Tensor
    log_scale_1: Tensor
    bias_1: Tensor | None = None


class PairHead(nn.Module):
    """Pooling, projections, and how cosines become logits."""

    def __init__(self, spec: PairSpec) -> None:
        super().__init__()
        self.spec = spec
        self.pool = build_pool(spec.image_pool, spec.vision.out_width)
        self.image = _projection(spec.image_projection, spec.vision.out_width, spec.width)
        self.text = _projection(spec.text_projection, spec.text.stack.width, spec.width)
        self.log_scale = nn.Parameter(torch.empty(1))
        biased = isinstance(spec.loss, SigmoidLossSpec)
        self.bias = nn.Parameter(torch.empty(1)) if biased else None

    def images(self, x_VND: Tensor) -> Tensor:
        """Rows of the vision tower -> unit embeddings, float32[V, E]."""
        return _unit(self.pool(x_VND), self.image)

    def texts(self, x_BD: Tensor) -> Tensor:
        """Read rows of the text tower -> unit embeddings, float32[B, E]."""
        return _unit(x_BD, self.text)

    @torch.no_grad()
    def reset(self) -> None:
        """Scale and bias of the first step."""
        self.log_scale.fill_(math.log(self.spec.loss.scale))
        if self.bias is not None and isinstance(self.spec.loss, SigmoidLossSpec):
            self.bias.fill_(self.spec.loss.bias)


class Pair(nn.Module):
    """Vision tower, text tower (`language`), and what joins them (`connector`).

    The parts have the names that they have in a `Vlm`: what trains and what is frozen is said in
    the same words, and `compose` takes the vision tower out of a saved pair.
    """

    def __init__(
        self, spec: PairSpec, vision: nn.Module, connector: PairHead, language: Decoder
    ) -> None:
        super().__init__()
        self.spec = spec
        self.vision, self.connector, self.language = vision, connector, language
        self.learned = nn.ParameterDict()  # no layout names vectors here

    @property
    def device(self) -> torch.device:
        return self.language.embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.language.embed.weight.dtype

    def encode_images(self, pixels_V3HW: Tensor) -> Tensor:
        """float[V, 3, H, W] -> unit embeddings, float32[V, E]."""
        return self.connector.images(self.vision(pixels_V3HW))

    def encode_texts(self, token_ids_BT: Tensor) -> Tensor:
        """int64[B, T] -> unit embeddings, float32[B, E]."""
        return self.connector.texts(encode_texts(self.language, self.spec.text, token_ids_BT))

    def forward(self, pixels_V3HW: Tensor, token_ids_BT: Tensor) -> Embedded:
        """Both towers, and everything that a loss needs beside them."""
        head = self.connector
        return Embedded(
            self.encode_images(pixels_V3HW),
            self.encode_texts(token_ids_BT),
            head.log_scale.float(),
            None if head.bias is None else head.bias.float(),
        )

    def logits(self, images_VE: Tensor, texts_BE: Tensor) -> Tensor:
        """float32[V, B]: scaled cosines, shifted where there is a bias."""
        head = self.connector
        logits_VB = images_VE @ texts_BE.T * head.log_scale.float().exp()
        return logits_VB if head.bias is None else logits_VB + head.bias.float()


def build_pair(
    spec: PairSpec,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Pair:
    """The pair, parameters uninitialised (use `initialise` or load weights)."""
    with torch.device(device):
        pair = Pair(spec, build_vision(spec.vision), PairHead(spec), build_decoder(spec.text.stack))
    return pair.to(dtype)


def _projection(
    kind: Literal["none", "linear", "affine"], inputs: int, outputs: int
) -> Linear | None:
    return None if kind == "none" else Linear(inputs, outputs, bias=kind == "affine")


def _unit(x: Tensor, projection: Linear | None) -> Tensor:
    projected = x if projection is None else projection(x)
    return F.normalize(projected.float(), dim=-1)
