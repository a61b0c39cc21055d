"""FLOPs and bytes of encoding, prefill and decoding, from shapes alone.

A multiply-add is two FLOPs. Counted are matrix products and attention; norms, activations, rotary
positions and sampling are below one percent of them. Causal attention counts the pairs that are
seen, as kernels that skip the masked half compute them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sightline.core.geometry import Size
from sightline.planner import connectors
from sightline.planner.encoder import encoder_flops
from sightline.planner.formats import FORMATS, WeightDtype, weight_bytes
from sightline.planner.memory import memory_flops
from sightline.planner.pieces import Weight, count, matrices
from sightline.planner.tensors import decoder_weights, text_weights, vision_weights, weights
from sightline.resolution.layout import VisualLayout
from sightline.spec.fusion import CrossAttentionSpec, InSequenceSpec, VisualExpertSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.model import ModelSpec
from sightline.spec.resolution import PoolSpec
from sightline.spec.vision import VisionSpec, VitSpec

DECODER_READS = ("linear", "head", "vector", "memory")


@dataclass(frozen=True, slots=True)
class Work:
    """What one step computes, and what it reads from memory at least once."""

    flops: int
    read_bytes: int

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.read_bytes + other.read_bytes)


def encode_work(spec: ModelSpec, layout: VisualLayout, dtype: WeightDtype, batch: int = 1) -> Work:
    """All views of `batch` conversations of this layout, through encoder and connector."""
    if not layout.views:
        return Work(0, 0)
    flops = sum(view_flops(spec, view.size, view.pool) for view in layout.views)
    read = weight_bytes([*_used(spec.vision), *weights(spec, "connector")], dtype)
    return Work(flops * batch, read)


def view_flops(spec: ModelSpec, view: Size, pool: PoolSpec | None = None) -> int:
    """One view through the blocks that run and the connector."""
    return encoder_flops(spec.vision, view) + connector_flops(spec, view, pool)


def connector_flops(spec: ModelSpec, view: Size, pool: PoolSpec | None = None) -> int:
    """What encoder and view give the connector, through it."""
    cells = spec.vision.grid(view.width, view.height)
    rows = spec.vision.tokens(cells)
    if pool is not None and pool.at == "features":
        cells = pool.grid(cells)
        rows = cells.area
    inputs, outputs = spec.vision.out_width, spec.visual_width
    return connectors.connector_flops(spec.connector, rows, cells, inputs, outputs)


def _used(spec: VisionSpec) -> tuple[Weight, ...]:
    """The encoder without blocks that never run."""
    blocks = spec.blocks_used if isinstance(spec, VitSpec) else None
    return tuple(vision_weights(spec, blocks))


def prefill_work(
    spec: ModelSpec, tokens: int, dtype: WeightDtype, batch: int = 1, memory_tokens: int = 0
) -> Work:
    """`tokens` of each of `batch` sequences through the language model, logits of the last."""
    flops = decoder_flops(spec, tokens) + prompt_attention_flops(spec, tokens)
    flops += memory_flops(spec, tokens, memory_tokens)
    read = _language_bytes(spec, text_weights(spec), dtype)
    return Work((flops + head_flops(spec.language)) * batch, read)


def decode_work(
    spec: ModelSpec, context: int, dtype: WeightDtype, batch: int = 1, memory_tokens: int = 0
) -> Work:
    """One more token for each of `batch` sequences, the `context`-th of its sequence."""
    attention = 4 * _query_width(spec.language) * _kept(spec.language, context)
    flops = decoder_flops(spec, 1) + attention + head_flops(spec.language)
    flops += memory_flops(spec, 1, memory_tokens, cached=True)
    cache = kv_bytes(spec, context, dtype, memory_tokens)
    read = _language_bytes(spec, _text_weights(spec), dtype)
    return Work(flops * batch, read + cache * batch)


def decoder_flops(spec: ModelSpec, tokens: int) -> int:
    """The matrices of all blocks for `tokens` rows."""
    return 2 * tokens * matrices(_text_weights(spec))


def _text_weights(spec: ModelSpec) -> tuple[Weight, ...]:
    """What a row of text passes; where visual rows have a version of their own, it is as large."""
    if isinstance(spec.fusion, VisualExpertSpec):
        return tuple(decoder_weights(spec.language))
    return text_weights(spec)


def attention_flops(spec: DecoderSpec, tokens: int) -> int:
    """Scores and sums of causal self-attention over a whole sequence, all blocks."""
    pairs = sum(causal_pairs(tokens, spec.attention.window_of(i)) for i in range(spec.depth))
    return 4 * _query_width(spec) * pairs


def prompt_attention_flops(spec: ModelSpec, tokens: int) -> int:
    """Scores and sums over a prompt: where it sees itself whole, all pairs in every block.

    What pictures add that see themselves is left out: half the square of a picture's tokens.
    """
    if isinstance(spec.fusion, InSequenceSpec) and spec.fusion.mask == "prefix":
        return 4 * _query_width(spec.language) * tokens**2 * spec.language.depth
    return attention_flops(spec.language, tokens)


def causal_pairs(tokens: int, window: int | None) -> int:
    """Query-key pairs in which the key is not later and, with a window, among the latest."""
    width = min(tokens, window or tokens)
    return width * (width + 1) // 2 + (tokens - width) * width


def head_flops(spec: DecoderSpec, rows: int = 1) -> int:
    """Logits of `rows` hidden states."""
    return 2 * rows * spec.vocab * spec.width


def kv_bytes(spec: ModelSpec, tokens: int, dtype: WeightDtype, memory_tokens: int = 0) -> int:
    """Keys and values of one sequence of `tokens`, in the dtype the arithmetic runs in."""
    size = FORMATS[dtype].value_bytes
    own = spec.language.kv_bytes(tokens, memory_tokens, bytes_per_value=size)
    if not isinstance(spec.fusion, CrossAttentionSpec):
        return own
    return own + spec.fusion.kv_bytes(spec.language, memory_tokens, size)


def parameters(spec: ModelSpec) -> tuple[int, int, int]:
    """Numbers in vision encoder, connector and language model."""
    vision, connector = weights(spec, "vision"), weights(spec, "connector")
    return count(vision), count(connector), count(text_weights(spec))


def _query_width(spec: DecoderSpec) -> int:
    return spec.attention.heads * spec.attention.head_dim


def _kept(spec: DecoderSpec, tokens: int) -> int:
    """Keys that a new token sees, summed over the blocks."""
    return sum(min(tokens, spec.attention.window_of(i) or tokens) for i in range(spec.depth))


def _language_bytes(spec: ModelSpec, held: Iterable[Weight], dtype: WeightDtype) -> int:
    """What one pass reads of `held`: blocks, norms and the head, which may be the embedding; not
    the table that single rows are looked up in."""
    roles = (*DECODER_READS, *(("embedding",) if spec.language.tied_head else ()))
    read = [w for w in held if w.role in roles]
    return weight_bytes(read, dtype)
