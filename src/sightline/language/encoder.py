"""A text to one vector: the decoder's stack under any mask, read at one of its places."""

# B texts  T tokens  D width

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from sightline.language.decoder import Decoder
from sightline.nn.masks import Mask
from sightline.spec.pair import TextEncoderSpec


def encode_texts(stack: Decoder, spec: TextEncoderSpec, token_ids_BT: Tensor) -> Tensor:
    """int64[B, T] -> [B, D]: the final norm's row at the place that the spec reads."""
    positions_1BT = torch.arange(token_ids_BT.shape[1], device=token_ids_BT.device).expand(
        1, *token_ids_BT.shape
    )
    mask = Mask(causal=spec.mask == "causal")
    hidden_BTD = stack(stack.embed_tokens(token_ids_BT), positions_1BT, mask)
    places_B = read_places(spec, token_ids_BT)
    return hidden_BTD[torch.arange(len(hidden_BTD), device=hidden_BTD.device), places_B]


def read_places(spec: TextEncoderSpec, token_ids_BT: Tensor) -> Tensor:
    """int64[B]: the row of each text that stands for it. A text without its end reads row 0, as
    transformers 5.23 does."""
    match spec.pool:
        case "end":
            return (token_ids_BT == spec.eos_id).int().argmax(1)
        case "highest":
            return token_ids_BT.argmax(1)
        case "last":
            return torch.full_like(token_ids_BT[:, 0], token_ids_BT.shape[1] - 1)
        case _:
            assert_never(spec.pool)
