"""Rows for tokens that a vocabulary did not have."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

NOISE = 0.02  # of the spread of the old rows
_CHUNK = 8192


@torch.no_grad()
def fill_new_rows(table: Tensor, rows: int, seed: int) -> None:
    """Fill rows `rows`.. of `table` in place: the mean of the old rows plus a little noise.

    A new token then starts as likely as an average one (Hewitt 2021); the noise, 2 % of the old
    rows' deviation in each column, keeps several new tokens apart.
    """
    mean, std = _moments(table[:rows])
    shape = (table.shape[0] - rows, *table.shape[1:])
    noise = torch.randn(shape, generator=Generator().manual_seed(seed))
    table[rows:] = (mean + NOISE * std * noise.to(mean)).to(table.dtype)


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each column, in float32, without a float copy of the table."""
    count = rows.shape[0]
    total = spread = torch.zeros(rows.shape[1:], device=rows.device)
    for chunk in torch.split(rows, _CHUNK):
        total = total + chunk.float().sum(0)
    mean = total / count
    for chunk in torch.split(rows, _CHUNK):
        spread = spread + (chunk.float() - mean).square().sum(0)
    return mean, (spread / count).sqrt()
