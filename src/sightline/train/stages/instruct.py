"""Conversations: answer tokens only, given the pictures and everything said before.

The second stage of LLaVA (Liu et al. 2023).
"""

from __future__ import annotations

from sightline.train.losses import next_token

loss = next_token
