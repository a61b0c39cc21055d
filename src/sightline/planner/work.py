"""FLOPs and bytes of encoding, prefill and decoding, from shapes alone.

A multiply-add is two FLOPs. Counted are matrix products and attention; norms, activations, rotary
positions and sampling are below one percent of them. Causal attention counts the pairs that are
seen, as kernels that skip the masked half compute them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sightline.core.geometry import Size
from sightline.planner.encoder import encoder_flops
from sightline.planner.formats import FORMATS, WeightDtype, weight_bytes
from sightline.planner.tensors import Weight, count, matrices, vision_weights, weights
from sightline.resolution.layout import VisualLayout
from sightline.spec.language import DecoderSpec
from sightline.spec.model import ModelSpec
from sightline.spec.vision import VisionSpec, VitSpec

DECODER_READS = ("linear", "head", "vector")


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
    flops = sum(view_flops(spec, view.size) for view in layout.views)
    read = weight_bytes([*_used(spec.vision), *weights(spec, "connector")], dtype)
    return Work(flops * batch, read)


def view_flops(spec: ModelSpec, view: Size) -> int:
    """One view through the blocks that run and the connector."""
    return encoder_flops(spec.vision, view) + connector_flops(spec, view)


def connector_flops(spec: ModelSpec, view: Size) -> int:
    """The rows of one view through the connector."""
    rows = spec.vision.tokens(spec.vision.grid(view.width, view.height))
    return 2 * rows * matrices(weights(spec, "connector"))


def _used(spec: VisionSpec) -> tuple[Weight, ...]:
    """The encoder without blocks that never run."""
    blocks = spec.blocks_used if isinstance(spec, VitSpec) else None
    return tuple(vision_weights(spec, blocks))


def prefill_work(spec: ModelSpec, tokens: int, dtype: WeightDtype, batch: int = 1) -> Work:
    """`tokens` of each of `batch` sequences through the language model, logits of the last."""
    flops = decoder_flops(spec, tokens) + attention_flops(spec.language, tokens)
    return Work((flops + head_flops(spec.language)) * batch, _language_bytes(spec, dtype))


def decode_work(
    spec: ModelSpec, context: int, dtype: WeightDtype, batch: int = 1, memory_tokens: int = 0
) -> Work:
    """One more token for each of `batch` sequences, the `context`-th of its sequence."""
    attention = 4 * _query_width(spec.language) * _kept(spec.language, context)
    flops = decoder_flops(spec, 1) + attention + head_flops(spec.language)
    cache = kv_bytes(spec, context, dtype, memory_tokens)
    return Work(flops * batch, _language_bytes(spec, dtype) + cache * batch)


def decoder_flops(spec: ModelSpec, tokens: int) -> int:
    """The matrices of all blocks for `tokens` rows."""
    return 2 * tokens * matrices(weights(spec, "language"))


def attention_flops(spec: DecoderSpec, tokens: int) -> int:
    """Scores and sums of causal self-attention over a whole sequence, all blocks."""
    pairs = sum(causal_pairs(tokens, spec.attention.window_of(i)) for i in range(spec.depth))
    return 4 * _query_width(spec) * pairs


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
    return spec.language.kv_bytes(tokens, memory_tokens, bytes_per_value=size)


def parameters(spec: ModelSpec) -> tuple[int, int, int]:
    """Numbers in vision encoder, connector and language model."""
    vision, connector = weights(spec, "vision"), weights(spec, "connector")
    return count(vision), count(connector), count(weights(spec, "language"))


def _query_width(spec: DecoderSpec) -> int:
    return spec.attention.heads * spec.attention.head_dim


def _kept(spec: DecoderSpec, tokens: int) -> int:
    """Keys that a new token sees, summed over the blocks."""
    return sum(min(tokens, spec.attention.window_of(i) or tokens) for i in range(spec.depth))


def _language_bytes(spec: ModelSpec, dtype: WeightDtype) -> int:
    """What one pass reads: blocks, norms and the head, which may be the embedding; not the table
    that single rows are looked up in."""
    read = [w for w in weights(spec, "language") if w.role in DECODER_READS]
    if spec.language.tied_head:
        read += [w for w in weights(spec, "language") if w.role == "embedding"]
    return weight_bytes(read, dtype)
