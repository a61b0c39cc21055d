"""What each connector holds, and what one view costs in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import assert_never

from sightline.core.geometry import Grid
from sightline.planner.pieces import Weight, linear_weights, matrices, mlp_weights, norm_weights
from sightline.spec.connector import (
    CAbstractorSpec,
    ConnectorSpec,
    GluSpec,
    GridResamplerSpec,
    LinearSpec,
    MergerSpec,
    MlpSpec,
    PatchMergerSpec,
    PixelShuffleSpec,
    PooledSpec,
    QFormerSpec,
    ResamplerSpec,
)
from sightline.spec.layers import LayerNormSpec


def connector_weights(spec: ConnectorSpec, inputs: int, outputs: int) -> Iterator[Weight]:
    """The parameters of a connector from `inputs` to `outputs` channels."""
    match spec:
        case LinearSpec():
            yield from _layers([inputs, outputs], spec.bias)
        case MlpSpec():
            widths = [inputs, *[spec.hidden or outputs] * (spec.depth - 1), outputs]
            yield from _layers(widths, spec.bias)
            for i, width in enumerate(widths[1:] if spec.norms else ()):
                yield from norm_weights(f"connector.norms.{i}", LayerNormSpec(), width)
        case PixelShuffleSpec():
            joined = inputs * spec.side**2
            if spec.norm == "layer":
                yield from norm_weights("connector.norm", LayerNormSpec(), joined)
            yield from _layers([joined, *[outputs] * spec.depth], spec.bias)
        case MergerSpec():
            yield from _merger(spec, inputs, outputs)
        case PatchMergerSpec():
            yield from norm_weights("connector.norm", spec.norm, inputs)
            yield from linear_weights("connector.merge", inputs * spec.side**2, inputs, False)
            yield from _layers([inputs, outputs, outputs], spec.bias)
        case PooledSpec():
            yield from norm_weights("connector.norm", spec.norm, inputs)
            yield from _layers([inputs, outputs], bias=False)
        case CAbstractorSpec():
            yield from _c_abstractor(spec, inputs, outputs)
        case GluSpec():
            yield from linear_weights("connector.project", inputs, outputs, False)
            yield from norm_weights("connector.norm", LayerNormSpec(), outputs)
            yield from mlp_weights("connector.mlp", outputs, spec.hidden, 1, gated=True, bias=False)
        case GridResamplerSpec():
            yield from _grid_resampler(spec, inputs, outputs)
        case QFormerSpec():
            yield from _qformer(spec, inputs, outputs)
        case ResamplerSpec():
            yield from _resampler(spec, inputs, outputs)
        case _:
            assert_never(spec)


def _merger(spec: MergerSpec, inputs: int, outputs: int) -> Iterator[Weight]:
    width = inputs // (1 + spec.levels)
    joined = width * spec.side**2
    names = ("connector.main", *(f"connector.deep.{i}" for i in range(spec.levels)))
    for name in names:
        normed = width if name == "connector.main" else joined
        yield from norm_weights(f"{name}.norm", spec.norm_spec, normed)
        yield from linear_weights(f"{name}.up", joined, joined, True)
        yield from linear_weights(f"{name}.down", joined, outputs, True)


def connector_flops(spec: ConnectorSpec, rows: int, cells: Grid, inputs: int, outputs: int) -> int:
    """One view of `rows` encoder rows, of which `cells` form a grid, through the connector."""
    each = 2 * matrices(connector_weights(spec, inputs, outputs))
    match spec:
        case LinearSpec() | MlpSpec() | GluSpec():
            return rows * each
        case PixelShuffleSpec() | MergerSpec() | PatchMergerSpec() | PooledSpec():
            return spec.tokens(rows, cells) * each
        case CAbstractorSpec():
            return _c_abstractor_flops(spec, cells.area, inputs, outputs)
        case GridResamplerSpec():
            return _grid_resampler_flops(spec, rows, inputs, outputs)
        case QFormerSpec():
            return _qformer_flops(spec, rows, inputs, outputs)
        case ResamplerSpec():
            return _resampler_flops(spec, rows, inputs, outputs)
        case _:
            assert_never(spec)


def _resampler(spec: ResamplerSpec, width: int, outputs: int) -> Iterator[Weight]:
    norm, inner, block = LayerNormSpec(), spec.heads * spec.head_dim, "connector.blocks.{i}"
    yield Weight("connector.latents", (spec.latents, width), "vector")
    for part in ("context_norm", "latent_norm", "mlp_norm"):
        yield from norm_weights(f"{block}.{part}", norm, width, spec.depth)
    for part in ("q", "k", "v"):
        yield from linear_weights(f"{block}.{part}", width, inner, False, spec.depth)
    yield from linear_weights(f"{block}.out", inner, width, False, spec.depth)
    if spec.qk_norm == "layer":
        for part in ("q_norm", "k_norm"):
            yield from norm_weights(f"{block}.{part}", norm, spec.head_dim, spec.depth)
    mlp = spec.mlp_ratio * width
    yield from mlp_weights(f"{block}.mlp", width, mlp, spec.depth, gated=False, bias=False)
    yield from norm_weights("connector.norm", norm, width)
    if width != outputs:
        yield from linear_weights("connector.project", width, outputs, False)


def _resampler_flops(spec: ResamplerSpec, rows: int, width: int, outputs: int) -> int:
    latents, inner, seen = spec.latents, spec.heads * spec.head_dim, rows + spec.latents
    own = 2 * latents * width * (2 * inner + 2 * spec.mlp_ratio * width)
    block = own + 4 * seen * width * inner + 4 * latents * seen * inner
    last = 0 if width == outputs else 2 * latents * width * outputs
    return spec.depth * block + last


def _layers(widths: list[int], bias: bool) -> Iterator[Weight]:
    for i, (wide, out) in enumerate(pairwise(widths)):
        yield from linear_weights(f"connector.layers.{i}", wide, out, bias)


def _c_abstractor(spec: CAbstractorSpec, inputs: int, outputs: int) -> Iterator[Weight]:
    width, norm = spec.width, LayerNormSpec()
    if spec.position_side is not None:
        yield Weight("connector.positions", (spec.position_side**2, inputs), "vector")
    for stage, given in (("before", inputs), ("after", width)):
        for i, (wide, squeezed) in enumerate(spec.blocks(given)):
            block = f"connector.{stage}.{i}"
            yield from linear_weights(f"{block}.widen", wide, width, False)
            yield Weight(f"{block}.mix.weight", (width, 1, 3, 3), "conv")
            yield from linear_weights(f"{block}.squeeze", width, squeezed, True)
            yield from linear_weights(f"{block}.excite", squeezed, width, True)
            yield from linear_weights(f"{block}.out", width, width, False)
            norms = ["norm1", "norm2", "norm3"]
            if wide != width:
                yield from linear_weights(f"{block}.shortcut", wide, width, False)
                norms.append("shortcut_norm")
            for name in norms:
                yield from norm_weights(f"{block}.{name}", norm, width)
    yield from _layers([width, *[outputs] * spec.mlp_depth], bias=True)


def _c_abstractor_flops(spec: CAbstractorSpec, cells: int, inputs: int, outputs: int) -> int:
    """Kernels and matrices of every cell; squeeze and excitation once a view."""
    width, tokens, flops = spec.width, spec.side**2, 0
    for given, places in ((inputs, cells), (width, tokens)):
        for wide, squeezed in spec.blocks(given):
            through = width * (9 + wide + width) + (wide * width if wide != width else 0)
            flops += 2 * places * through + 4 * width * squeezed
    mlp = outputs * (width + (spec.mlp_depth - 1) * outputs)
    return flops + 2 * tokens * mlp


def _grid_resampler(spec: GridResamplerSpec, inputs: int, width: int) -> Iterator[Weight]:
    yield Weight("connector.queries", (spec.side**2, width), "vector")
    if inputs != width:
        yield from linear_weights("connector.widen", inputs, width, False)
    for name in ("query_norm", "view_norm", "norm"):
        yield from norm_weights(f"connector.{name}", LayerNormSpec(), width)
    for name in ("q", "k", "v", "out"):
        yield from linear_weights(f"connector.{name}", width, width, True)
    yield from linear_weights("connector.project", width, width, False)


def _grid_resampler_flops(spec: GridResamplerSpec, rows: int, inputs: int, width: int) -> int:
    """Queries are projected once for all views: counted with each, they are few."""
    queries = spec.side**2
    widened = 0 if inputs == width else 2 * rows * inputs * width
    return widened + 4 * rows * width**2 + 6 * queries * width**2 + 4 * queries * rows * width


def _qformer(spec: QFormerSpec, inputs: int, outputs: int) -> Iterator[Weight]:
    width, norm = spec.width, LayerNormSpec()
    yield Weight("connector.queries", (spec.queries, width), "vector")
    branches = ["query_mlp"]
    if (words := spec.instruction) is not None:
        yield Weight("connector.words.embed", (words.vocab, width), "embedding")
        yield Weight("connector.words.positions", (words.context, width), "vector")
        branches.append("word_mlp")
    yield from norm_weights("connector.norm", norm, width)
    for i in range(spec.depth):
        block = f"connector.blocks.{i}"
        yield from _post_norm_attention(f"{block}.attn", width, width)
        if i in spec.crossing:
            yield from _post_norm_attention(f"{block}.cross", width, inputs)
        for name in branches:
            branch = f"{block}.{name}"
            yield from mlp_weights(
                f"{branch}.mlp", width, spec.mlp_width, 1, gated=False, bias=True
            )
            yield from norm_weights(f"{branch}.norm", norm, width)
    yield from linear_weights("connector.project", width, outputs, True)


def _post_norm_attention(name: str, width: int, inputs: int) -> Iterator[Weight]:
    for part, wide in (("q", width), ("k", inputs), ("v", inputs), ("out", width)):
        yield from linear_weights(f"{name}.{part}", wide, width, True)
    yield from norm_weights(f"{name}.norm", LayerNormSpec(), width)


def _qformer_flops(spec: QFormerSpec, rows: int, inputs: int, outputs: int) -> int:
    """Of the queries; the words of an instruction, where it is read, come on top."""
    queries, width = spec.queries, spec.width
    block = 2 * queries * (4 * width * width + 2 * width * spec.mlp_width)
    seen = 4 * queries * queries * width
    crossing = 4 * queries * width * (width + rows) + 4 * rows * inputs * width
    crossings = len(spec.crossing) * crossing
    return spec.depth * (block + seen) + crossings + 2 * queries * width * outputs
