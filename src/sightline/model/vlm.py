"""The composed model."""

# B batch  T tokens  D language width  V views  N visual tokens of the batch  A position axes

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sightline.fusion.interleave import interleave
from sightline.language.decoder import Decoder
from sightline.model.batch import Batch
from sightline.model.visual import VisualInput, assembled, view_tokens
from sightline.nn.kv_cache import KvCache
from sightline.spec.model import ModelSpec


class Vlm(nn.Module):
    """Vision encoder, connector and language model, joined by the fusion of the spec.

    `vision` maps float[V, channels, height, width] to [V, rows, width]; `connector` maps these and
    a `ViewContext` to [V, tokens, language width]. Any module with these shapes can stand in.
    `learned` are the vectors that layouts name.
    """

    def __init__(
        self, spec: ModelSpec, vision: nn.Module, connector: nn.Module, language: Decoder
    ) -> None:
        super().__init__()
        self.spec = spec
        self.vision, self.connector, self.language = vision, connector, language
        width = spec.language.width
        self.learned = nn.ParameterDict(
            {name: torch.empty(width) for name in spec.resolution.learned}
        )

    @property
    def device(self) -> torch.device:
        return self.language.embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.language.embed.weight.dtype

    def encode(self, visuals: Sequence[VisualInput]) -> Tensor:
        """Visual tokens [N, D] of conversations, in the order of their sequences."""
        views = [view for visual in visuals for view in visual.pixels]
        tokens = view_tokens(self.spec.vision, self.vision, self.connector, views)
        runs: list[Tensor] = []
        for visual in visuals:
            own, tokens = tokens[: len(visual.pixels)], tokens[len(visual.pixels) :]
            runs += assembled(visual.layout, own, dict(self.learned.items()))
        empty = self.language.embed.weight.new_zeros(0, self.spec.language.width)
        return torch.cat(runs) if runs else empty

    def embed(self, batch: Batch, visual_ND: Tensor | None = None) -> Tensor:
        """Token embeddings [B, T, D] with visual tokens in place.

        `visual_ND` are encodings made before (a cache); None encodes the batch's own views.
        """
        x_BTD = self.language.embed_tokens(batch.token_ids_BT)
        visual_ND = self.encode(batch.visuals) if visual_ND is None else visual_ND
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
