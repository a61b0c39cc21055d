"""Deeper features added to visual rows, layer by layer (DeepStack, Meng et al. 2024)."""

# B batch  T tokens  D width  N visual tokens of the whole batch  E values of all levels of one

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from sightline.nn.linear import Linear


class Stacking(Protocol):
    """What of a pass these blocks use."""

    @property
    def visual_BT(self) -> Tensor | None: ...
    @property
    def deep_NE(self) -> Tensor | None: ...
    @property
    def last_only(self) -> bool: ...


class DeepStackBlock(nn.Module):
    """A block of the decoder, then the features of one level added to its visual rows.

    The block's parts are this module's own, under their old names: a text model's weights fit.
    """

    def __init__(self, block: nn.Module, level: int) -> None:
        super().__init__()
        assert not list(block.parameters(recurse=False)), "a block is made of modules"
        for name, part in block.named_children():
            self.add_module(name, part)
        self._block = (block,)  # in a tuple: its parts are registered above
        self.level = level

    def forward(self, x_BTD: Tensor, ctx: Stacking) -> Tensor:
        (block,) = self._block
        out_BTD: Tensor = block(x_BTD, ctx)
        if ctx.deep_NE is None or ctx.visual_BT is None:
            return out_BTD
        start = self.level * out_BTD.shape[-1]
        added_ND = ctx.deep_NE[:, start : start + out_BTD.shape[-1]].to(out_BTD.dtype)
        rows_BT = ctx.visual_BT
        if ctx.last_only:
            ends = rows_BT[:, -1]
            added_ND = added_ND[rows_BT.sum(1).cumsum(0)[ends] - 1]
            rows_BT = rows_BT[:, -1:]
        return out_BTD.index_put(rows_BT.nonzero(as_tuple=True), added_ND, accumulate=True)

    def residual_writers(self) -> tuple[Linear, ...]:
        """The matrices whose products are added to the residual stream."""
        (block,) = self._block
        writers: tuple[Linear, ...] = getattr(block, "residual_writers", tuple)()
        return writers


def split_levels(visual_NE: Tensor, width: int) -> tuple[Tensor, Tensor | None]:
    """Visual tokens [N, D · (1 + levels)] as what is embedded [N, D], and the levels behind it."""
    if visual_NE.shape[-1] == width:
        return visual_NE, None
    return visual_NE[:, :width], visual_NE[:, width:]
