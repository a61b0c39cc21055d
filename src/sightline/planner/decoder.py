"""What the inside of a decoder block holds: kept for a backward pass, or passing through memory."""

from __future__ import annotations

from sightline.planner.encoder import SCORES
from sightline.spec.language import DecoderSpec, RopeSpec
from sightline.spec.layers import RmsNormSpec


def decoder_row(spec: DecoderSpec) -> int:
    """Numbers that one decoder block makes of one row: inputs and outputs of norms, the MLP's
    branches, and queries, keys, values (repeated for grouped queries) and output of attention.
    Rotated queries and keys are one tensor, which stays beside the repeated keys.

    They are what a backward pass needs. Of scores see `score_row`.
    """
    a, mlp, rms = spec.attention, spec.mlp, isinstance(spec.norm, RmsNormSpec)
    norms = {
        "sequential": 4 + 2 * rms,
        "sandwich": 6 + 4 * rms,
        "parallel": 2 + rms,
        "parallel_two_norms": 3 + 2 * rms,
    }
    normed = 2 * (a.heads + a.kv_heads) * a.head_dim if a.qk_norm == "rms" else 0
    rotated = isinstance(spec.positions, RopeSpec) and a.kv_heads < a.heads
    beside = a.kv_heads * a.head_dim if rotated else 0
    from_output = mlp.activation == "relu"  # its gradient is known from what it gave
    branches = ((4 if mlp.kind == "gated" else 2) - from_output) * mlp.width
    return norms[spec.block] * spec.width + 4 * a.heads * a.head_dim + beside + normed + branches


def score_row(spec: DecoderSpec, rows: int) -> int:
    """Scores that one row of `rows` keeps for a backward pass: none in fused kernels, which know
    no soft cap; with one, those that are capped and those after the softmax."""
    return 0 if spec.attention.soft_cap is None else 2 * rows * spec.attention.heads


def decoder_scratch(spec: DecoderSpec, rows: int) -> int:
    """Numbers alive at most while rows are prefilled together: one block and one row's logits."""
    return rows * (decoder_row(spec) + SCORES * spec.attention.heads) + spec.vocab


def decoder_kept(spec: DecoderSpec, rows: int, *, checkpointing: bool) -> int:
    """Numbers that all blocks keep for a backward pass; with checkpointing their inputs and one
    block's insides."""
    inside = decoder_row(spec) + score_row(spec, rows)
    each = spec.depth * spec.width + inside if checkpointing else spec.depth * inside
    return rows * each
