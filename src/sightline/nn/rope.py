"""Rotary positions and their published scalings."""

# B batch  T tokens  H heads  K head dim  R rotated dims  F frequencies (R/2)

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import assert_never

import torch
from torch import Tensor

from sightline.spec.language import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    RopeSpec,
    YarnScaling,
)


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines of every token, [B, T, 1, R]."""

    cos_BT1R: Tensor
    sin_BT1R: Tensor

    def turn(self, x_BTHK: Tensor) -> Tensor:
        """Rotate the first R dims of each head; dims beyond R pass through."""
        rotated = self.cos_BT1R.shape[-1]
        if rotated == x_BTHK.shape[-1]:
            return self._turn(x_BTHK)
        return torch.cat((self._turn(x_BTHK[..., :rotated]), x_BTHK[..., rotated:]), -1)

    def _turn(self, x_BTHR: Tensor) -> Tensor:
        swapped_BTHR = x_BTHR.roll(x_BTHR.shape[-1] // 2, -1)
        return torch.addcmul(x_BTHR * self.cos_BT1R, swapped_BTHR, self._signed_sin_BT1R)

    @cached_property
    def _signed_sin_BT1R(self) -> Tensor:
        """Sines as the swapped halves (second, first) take them: the first half is negated."""
        first, second = self.sin_BT1R.chunk(2, -1)
        return torch.cat((-first, second), -1)


class RotaryTable:
    """Rotations by position for one decoder, computed once per length and dtype.

    Dynamic scaling ties the angles to the length of each sequence: nothing is kept for it.
    """

    def __init__(self, spec: RopeSpec, rotated_dim: int) -> None:
        self.spec, self.rotated_dim = spec, rotated_dim
        self._table: tuple[Tensor, Tensor] | None = None

    def at(self, positions_ABT: Tensor, length: int, dtype: torch.dtype) -> Rotary:
        """Rotations of positions int64[axes, B, T], all below `length`.

        One axis turns all pairs; of three, each turns the pairs that the spec deals it.
        """
        if isinstance(self.spec.scaling, DynamicScaling):
            return self._by_sequence(positions_ABT[0], dtype)
        cos, sin = self._upto(length, dtype, positions_ABT.device)
        if positions_ABT.shape[0] > 1:
            places_BTR = positions_ABT.permute(1, 2, 0)[..., self._axes(positions_ABT.device)]
            at_NR = places_BTR.flatten(0, 1)
            turned = (
                table.gather(0, at_NR).unflatten(0, places_BTR.shape[:2]) for table in (cos, sin)
            )
            return Rotary(*(table_BTR[:, :, None] for table_BTR in turned))
        return Rotary(cos[positions_ABT[0]][:, :, None], sin[positions_ABT[0]][:, :, None])

    def _axes(self, device: torch.device) -> Tensor:
        """int64[R]: the axis with which each dim turns."""
        axes = self.spec.axes(self.rotated_dim // 2)
        return torch.tensor((*axes, *axes), device=device)

    def _upto(self, length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        table = self._table
        fits = table is not None and table[0].shape[0] >= length
        if table is None or not fits or table[0].dtype != dtype or table[0].device != device:
            table = self._table = self._make(_round_up(length), dtype, device)
        return table

    def _by_sequence(self, positions_BT: Tensor, dtype: torch.dtype) -> Rotary:
        lengths = (positions_BT.amax(-1) + 1).tolist()
        each = [frequencies(self.spec, self.rotated_dim, n)[0] for n in lengths]
        steps_B1F = torch.stack(each)[:, None].to(positions_BT.device)
        angles_BTF = positions_BT.float()[..., None] * steps_B1F
        angles_BT1R = torch.cat((angles_BTF, angles_BTF), dim=-1)[:, :, None]
        return Rotary(angles_BT1R.cos().to(dtype), angles_BT1R.sin().to(dtype))

    def _make(self, length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        frequencies_F, factor = frequencies(self.spec, self.rotated_dim, length)
        angles_TF = torch.arange(length).float()[:, None] * frequencies_F
        angles_TR = torch.cat((angles_TF, angles_TF), dim=-1).to(device)
        return (angles_TR.cos() * factor).to(dtype), (angles_TR.sin() * factor).to(dtype)


def _round_up(length: int) -> int:
    return max(64, 1 << (length - 1).bit_length())


def frequencies(spec: RopeSpec, rotated_dim: int, length: int) -> tuple[Tensor, float]:
    """Angular step per position of each pair, float32[F], and a factor on cosines and sines."""
    exponents_F = torch.arange(0, rotated_dim, 2, dtype=torch.int64).float() / rotated_dim
    periods_F = spec.theta**exponents_F
    plain_F = 1.0 / periods_F
    match spec.scaling:
        case None:
            return plain_F, 1.0
        case LinearScaling(factor=factor):
            return plain_F / factor, 1.0
        case DynamicScaling() as scaling:
            return 1.0 / (_ntk_base(spec.theta, scaling, rotated_dim, length) ** exponents_F), 1.0
        case Llama3Scaling() as scaling:
            return _llama3(plain_F, scaling), 1.0
        case YarnScaling() as scaling:
            return _yarn(periods_F, spec.theta, scaling, rotated_dim)
        case _:
            assert_never(spec.scaling)


def _ntk_base(theta: float, scaling: DynamicScaling, dim: int, length: int) -> float:
    ratio = max(length, scaling.original_context) / scaling.original_context
    growth = scaling.factor * ratio - (scaling.factor - 1)
    return float(theta * growth ** (dim / (dim - 2)))


def _llama3(plain_F: Tensor, scaling: Llama3Scaling) -> Tensor:
    wavelength_F = 2 * math.pi / plain_F
    low = scaling.original_context / scaling.low_freq_factor
    high = scaling.original_context / scaling.high_freq_factor
    blend_F = (scaling.original_context / wavelength_F - scaling.low_freq_factor) / (
        scaling.high_freq_factor - scaling.low_freq_factor
    )
    mixed_F = (1 - blend_F) * plain_F / scaling.factor + blend_F * plain_F
    slow_F = torch.where(wavelength_F > low, plain_F / scaling.factor, plain_F)
    between = (wavelength_F >= high) & (wavelength_F <= low)
    return torch.where(between, mixed_F, slow_F)


def _yarn(periods_F: Tensor, theta: float, scaling: YarnScaling, dim: int) -> tuple[Tensor, float]:
    def pair_turning(turns: float) -> float:
        return (
            dim * math.log(scaling.original_context / (turns * 2 * math.pi)) / (2 * math.log(theta))
        )

    low = max(math.floor(pair_turning(scaling.beta_fast)), 0)
    high = min(math.ceil(pair_turning(scaling.beta_slow)), dim - 1)
    ramp_F = ((torch.arange(dim // 2).float() - low) / max(high - low, 0.001)).clamp(0, 1)
    kept_F = 1 - ramp_F
    mixed_F = 1.0 / (scaling.factor * periods_F) * (1 - kept_F) + 1.0 / periods_F * kept_F
    factor = scaling.attention_factor
    return mixed_F, 0.1 * math.log(max(scaling.factor, 1.0)) + 1 if factor is None else factor
