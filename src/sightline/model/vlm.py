"""The composed model."""

# B batch  T tokens  D language width  V views  N visual tokens of the batch  A position axes

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightline.core.errors import TrainError
from sightline.fusion.deep_stack import split_levels
from sightline.fusion.interleave import interleave
from sightline.fusion.memory import remembered, unread
from sightline.language.decoder import Decoder
from sightline.model.batch import Batch
from sightline.model.visual import Idle, VisualInput, assembled, view_tokens
from sightline.nn.kv_cache import KvCache
from sightline.nn.memory import Memory
from sightline.spec.fusion import CrossAttentionSpec
from sightline.spec.model import ModelSpec
from sightline.spec.packing import packing_refusal


@dataclass(frozen=True, slots=True)
class Joined:
    """What enters the decoder: embeddings, deeper levels of visual rows, and memory."""

    x_BTD: Tensor
    deep_NE: Tensor | None = None
    memory: Memory | None = None


class Vlm(nn.Module):
    """Vision encoder, connector and language model, joined by the fusion of the spec.

    `vision` maps float[V, channels, height, width] to [V, rows, width]; `connector` maps these and
    a `ViewContext` to [V, tokens, visual width]. Any module with these shapes can stand in.
    `learned` are the vectors that layouts name.
    """

    def __init__(
        self, spec: ModelSpec, vision: nn.Module, connector: nn.Module, language: Decoder
    ) -> None:
        super().__init__()
        self.spec = spec
        self.vision, self.connector, self.language = vision, connector, language
        self.learned = nn.ParameterDict(
            {name: torch.empty(spec.visual_width) for name in spec.resolution.learned}
        )

    @property
    def device(self) -> torch.device:
        return self.language.embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.language.embed.weight.dtype

    def encode(self, visuals: Sequence[VisualInput]) -> Tensor:
        """Visual tokens [N, D] of conversations, in the order of their sequences or memories."""
        tokens = view_tokens(self.spec, self.vision, self.connector, visuals)
        runs: list[Tensor] = []
        for visual in visuals:
            own, tokens = tokens[: len(visual.pixels)], tokens[len(visual.pixels) :]
            runs += assembled(visual.layout, own, dict(self.learned.items()))
        empty = self.language.embed.weight.new_zeros(0, self.spec.visual_width)
        return torch.cat(runs) if runs else empty

    def embed(self, batch: Batch, visual_ND: Tensor | None = None) -> Tensor:
        """Token embeddings [B, T, D] with visual tokens in place.

        `visual_ND` are encodings made before (a cache); None encodes the batch's own views.
        """
        return self.join(batch, visual_ND).x_BTD

    def join(self, batch: Batch, visual_ND: Tensor | None = None) -> Joined:
        """Text and visual tokens, as the fusion joins them; `visual_ND` as for `embed`."""
        x_BTD = self.language.embed_tokens(batch.token_ids_BT)
        visual_NE = self.encode(batch.visuals) if visual_ND is None else visual_ND
        if batch.idle is not None and (rows := self._unread(batch.idle)):
            unread_NE = torch.cat(rows)
            if isinstance(self.spec.fusion, CrossAttentionSpec) and not len(visual_NE):
                nobody_BT = torch.zeros_like(batch.visual_BT)
                return Joined(x_BTD, memory=unread(self.spec.fusion, nobody_BT, unread_NE))
            none_NE = unread_NE[:0]
            visual_NE = torch.cat((visual_NE, none_NE)) if len(visual_NE) else none_NE
        if isinstance(self.spec.fusion, CrossAttentionSpec):
            layouts = [visual.layout for visual in batch.visuals]
            latest_BT = batch.latest_BT
            if latest_BT is None:
                latest_BT = torch.zeros_like(batch.token_ids_BT)
            lengths = batch.mask.lengths
            memory = remembered(self.spec.fusion, latest_BT, layouts, visual_NE, lengths)
            return Joined(x_BTD, memory=memory)
        own_ND, deep_NE = split_levels(visual_NE, self.spec.language.width)
        return Joined(interleave(x_BTD, batch.visual_BT, own_ND), deep_NE)

    def _unread(self, idle: Idle) -> list[Tensor]:
        """Rows [N, D] that no token takes anything from; their parameters get gradients of zero."""
        views = (view_tokens(self.spec, self.vision, self.connector, [b]) for b in idle.blanks)
        rows = [tokens for view in views for tokens in view]
        learned = [self.learned[name].expand(0, -1) for name in idle.learned]
        return [*rows, *learned]

    def forward(
        self,
        batch: Batch,
        *,
        cache: KvCache | None = None,
        visual_ND: Tensor | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """Normed hidden states [B, T, D]; `language.logits` turns the rows one needs to logits.

        `visual_ND` as for `embed`; `last_only` gives the last row [B, 1, D].

        Raises TrainError for a packed batch of a model that cannot be packed.
        """
        if batch.mask.lengths is not None and (reason := packing_refusal(self.spec)) is not None:
            raise TrainError("batch", f"is packed, and {reason}", "pad conversations instead")
        joined = self.join(batch, visual_ND)
        hidden: Tensor = self.language(
            joined.x_BTD,
            batch.positions_ABT,
            batch.mask,
            cache=cache,
            visual_BT=batch.visual_BT,
            memory=joined.memory,
            deep_NE=joined.deep_NE,
            last_only=last_only,
            idle=batch.idle is not None,
        )
        return hidden
