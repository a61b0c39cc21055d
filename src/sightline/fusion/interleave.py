"""Visual tokens in the sequence, in place of their placeholders."""

# B batch  T tokens  D width  N visual tokens of the whole batch

from __future__ import annotations

from torch import Tensor

from sightline.core.errors import PlaceholderMismatch


def interleave(x_BTD: Tensor, visual_BT: Tensor, visual_ND: Tensor) -> Tensor:
    """Embeddings with row n of `visual_ND` at the n-th true position of bool `visual_BT`.

    Raises PlaceholderMismatch if the counts differ.
    """
    reserved = int(visual_BT.sum())
    if reserved != visual_ND.shape[0]:
        raise PlaceholderMismatch(
            "visual tokens",
            f"the prompt reserves {reserved} positions, the connector emits "
            f"{visual_ND.shape[0]} rows",
            "prepare prompt and pixels from the same layout",
        )
    return x_BTD.masked_scatter(visual_BT[..., None], visual_ND.to(x_BTD.dtype))
