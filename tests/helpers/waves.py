"""A picture in which every pixel matters."""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def picture(width: int, height: int) -> np.ndarray:
    """Smooth waves with noise and hard edges, so that every filter tap and rounding matters."""
    rng = np.random.default_rng(width * 10_007 + height)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9 + y / 31), np.cos(x / 17 - y / 7), np.sin(x * y / 997)], axis=2)
    noisy = 128 + 90 * waves + rng.normal(0, 30, waves.shape)
    noisy[(x // 23 + y // 19) % 5 == 0] = 255
    return np.clip(noisy, 0, 255).astype(np.uint8)
