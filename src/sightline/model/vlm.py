"""The composed model."""

# B batch  T tokens  D language width  V views  N visual tokens of the batch  A position axes

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.fusion.interleave import interleave
from sightline.language.decoder import Decoder
from sightline.model.batch import Batch
from sightline.nn.kv_cache import KvCache
from sightline.spec.model import ModelSpec


class Vlm(nn.Module):
    """Vision encoder, connector and language model, joined by the fusion of the spec.

    `vision` maps float[V, 3, height, width] to [V, rows, width]; `connector` maps its rows to
    the language width. Any module with these shapes can stand in.
    """

    def __init__(
        self, spec: ModelSpec, vision: nn.Module, connector: nn.Module, language: Decoder
    ) -> None:
        super().__init__()
        self.spec = spec
        self.vision, self.connector, self.language = vision, connector, language

    @property
    def device(self) -> torch.device:
        return self.language.embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.language.embed.weight.dtype

    def encode(self, pixels_V3HW: Tensor) -> Tensor:
        """Views to visual tokens [N, D], views end to end."""
        rows: Tensor = self.connector(self.vision(pixels_V3HW))
        return rows.flatten(0, 1)

    def embed(self, batch: Batch, visual_ND: Tensor | None = None) -> Tensor:
        """Token embeddings [B, T, D] with visual tokens in place.

        `visual_ND` are encodings made before (a cache); None encodes the batch's own views.
        """
        x_BTD = self.language.embed_tokens(batch.token_ids_BT)
        if visual_ND is None:
            if batch.pixels_V3HW is None:
                visual_ND = x_BTD.new_zeros(0, x_BTD.shape[-1])
            else:
                visual_ND = self.encode(batch.pixels_V3HW)
        return interleave(x_BTD, batch.visual_BT, visual_ND)

    def forward(
        self, batch: Batch, *, cache: KvCache | None = None, visual_ND: Tensor | None = None
    ) -> Tensor:
        """Normed hidden states [B, T, D]; `language.logits` turns the rows one needs to logits."""
        x_BTD = self.embed(batch, visual_ND)
        hidden: Tensor = self.language(
            x_BTD, batch.positions_ABT, batch.mask, cache=cache, visual_BT=batch.visual_BT
        )
        return hidden
