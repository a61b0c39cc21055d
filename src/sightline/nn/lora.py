"""Low-rank adapters as a format of the linear layer: LoRA and DoRA; over `nn.nf4` QLoRA."""

# I in  O out  R rank

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from sightline.core.errors import TrainError, WeightError
from sightline.nn.linear import Linear

BLOCKS = ("blocks", "global_blocks")  # where encoders and decoders have their blocks


class LowRank(nn.Module):
    """W x + alpha / rank · B A x, with W frozen (LoRA, Hu et al. 2021).

    With a `magnitude` it is DoRA (Liu et al. 2024): every row of W + alpha / rank · B A is scaled
    to the length that `magnitude` says; as in its section 4.3 and in PEFT, no gradient flows
    through the length that it is divided by. A starts uniform in ±1 / sqrt(inputs), B at 0 and the
    magnitudes at the lengths of W's rows, so that nothing changes at first. Dropout acts on what
    the adapter reads; DoRA reads W's product of the same dropped rows, as PEFT does. Tensors are
    `a` [rank, in], `b` [out, rank] and `magnitude` [out]; they compute in their own dtype.
    """

    def __init__(
        self,
        linear: Linear,
        rank: int,
        alpha: float,
        *,
        dropout: float = 0.0,
        dora: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.alpha, self.dropout = alpha, dropout
        like = linear.values
        dtype = dtype or like.dtype
        self.a = nn.Parameter(torch.empty(rank, linear.inputs, dtype=dtype, device=like.device))
        self.b = nn.Parameter(torch.zeros(linear.outputs, rank, dtype=dtype, device=like.device))
        magnitude = row_lengths(like).to(dtype) if dora else None
        self.magnitude = None if magnitude is None else nn.Parameter(magnitude)

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @torch.no_grad()
    def draw(self, generator: Generator) -> None:
        """Give A its first values, the same on every device and in every dtype up to rounding."""
        drawn = torch.empty(self.a.shape)
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
        self.a.copy_(drawn)

    def forward(self, linear: Linear, x: Tensor, base: Tensor) -> Tensor:
        """Rows x[..., I] and their product with W, base[..., O] -> [..., O] in base's dtype."""
        read = F.dropout(x.to(self.a.dtype), self.dropout, self.training)
        update = F.linear(F.linear(read, self.a), self.b) * self.scale
        if self.magnitude is None:
            return (base + update).to(base.dtype)
        return self._rescaled(self.magnitude, linear, read, base, update).to(base.dtype)

    def _rescaled(
        self, magnitude: Tensor, linear: Linear, read: Tensor, base: Tensor, update: Tensor
    ) -> Tensor:
        with torch.no_grad():
            length_O = row_lengths(linear.values, self.delta()).to(magnitude.dtype)
        ratio_O = magnitude / length_O
        if self.dropout and self.training:
            plain = linear.product(read.to(base.dtype))
        else:
            plain = base if linear.bias is None else base - linear.bias
        return base + (ratio_O - 1) * plain + ratio_O * update

    def delta(self) -> Tensor:
        """float32[O, I] (or float64): what is added to W before the rows are scaled."""
        return (wide(self.b) @ wide(self.a)) * self.scale

    @torch.no_grad()
    def merged(self, values_OI: Tensor) -> Tensor:
        """float32[O, I] (or float64): the one matrix that does what W and the adapter do."""
        whole_OI = wide(values_OI) + self.delta()
        if self.magnitude is None:
            return whole_OI
        ratio_O = wide(self.magnitude) / row_lengths(whole_OI)
        return ratio_O[:, None] * whole_OI


def wide(x: Tensor) -> Tensor:
    """In float32, or in float64 where it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def row_lengths(values_OI: Tensor, delta_OI: Tensor | None = None) -> Tensor:
    """float32[O] (or float64): the length of each row of a matrix, or of the sum of two."""
    whole_OI = wide(values_OI.detach())
    return torch.linalg.vector_norm(whole_OI if delta_OI is None else whole_OI + delta_OI, dim=1)


def blocks_of(part: nn.Module) -> list[nn.Module]:
    """The blocks of an encoder, a decoder or a resampler, in order; none for other modules."""
    lists = (getattr(part, name, None) for name in BLOCKS)
    return [block for found in lists if isinstance(found, nn.ModuleList) for block in found]


def matrices_of(part: nn.Module, matrices: tuple[str, ...] | None = None) -> dict[str, Linear]:
    """The linear layers of `part` by name: those of its blocks, all if it has no blocks.

    `matrices` are the last segments of names (`q`, `mlp.down`) and are looked for in all of it.
    Raises TrainError for one that is not there.
    """
    found = {name: m for name, m in part.named_modules() if isinstance(m, Linear)}
    if matrices is not None:
        absent = [m for m in matrices if not any(_ends(name, (m,)) for name in found)]
        if absent:
            leaves = sorted({name.rpartition(".")[2] for name in found})
            fix = f"it has {', '.join(leaves)}" if leaves else "it has no linear layer"
            raise TrainError("matrices", f"{absent[0]!r} is no linear layer of this part", fix)
        return {name: m for name, m in found.items() if _ends(name, matrices)}
    within = {id(m) for block in blocks_of(part) for m in block.modules()}
    return {name: m for name, m in found.items() if id(m) in within or not within}


def _ends(name: str, matrices: tuple[str, ...]) -> bool:
    return any(f".{name}".endswith(f".{matrix}") for matrix in matrices)


def add_adapters(
    layers: Mapping[str, Linear],
    *,
    rank: int,
    alpha: float,
    dropout: float = 0.0,
    dora: bool = False,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> tuple[str, ...]:
    """Give each of the layers (`matrices_of`) an adapter and freeze its own values; returns names.

    First values are drawn from `seed` in the order of names. `dtype` None is that of the matrix.
    Raises TrainError for a number out of range, WeightError for a layer that has an adapter
    already or is laid out for inference.
    """
    _check(rank, alpha, dropout)
    refuse_taken(layers)
    generator = torch.Generator().manual_seed(seed)
    for linear in layers.values():
        adapter = LowRank(linear, rank, alpha, dropout=dropout, dora=dora, dtype=dtype)
        adapter.draw(generator)
        attach(linear, adapter)
    return tuple(layers)


def _check(rank: int, alpha: float, dropout: float) -> None:
    if rank < 1:
        raise TrainError("rank", f"is {rank}", "give 1 or more")
    if not alpha > 0:
        raise TrainError("alpha", f"is {alpha}", "give a number above 0")
    if not 0 <= dropout < 1:
        raise TrainError("dropout", f"is {dropout}", "give a share from 0 to below 1")


def refuse_taken(layers: Mapping[str, Linear]) -> None:
    """Raises WeightError for a layer that has an adapter or is laid out for inference."""
    for name, linear in layers.items():
        linear.refuse_if_packed("adapted")
        if linear.adapter is not None:
            raise WeightError(name, "has an adapter already", "merge or remove that first")


def attach(linear: Linear, adapter: LowRank) -> None:
    """Give the layer its adapter and freeze its own values."""
    for parameter in linear.parameters(recurse=False):
        parameter.requires_grad_(False)
    linear.adapter = adapter.train(linear.training)


def adapters_of(module: nn.Module) -> Iterator[tuple[str, Linear, LowRank]]:
    """The adapted layers in `module`: name, layer and adapter."""
    for name, child in module.named_modules():
        if isinstance(child, Linear) and isinstance(child.adapter, LowRank):
            yield name, child, child.adapter


@torch.no_grad()
def merge(module: nn.Module) -> tuple[str, ...]:
    """Fold every adapter in `module` into its matrix, and bring back plain matrices of NF4.

    Sums are made in float32 and rounded once to the dtype of the matrix, whose parameter stays the
    same object and frozen. Returns the names of the layers that had an adapter.
    """
    names = []
    for name, linear, adapter in list(adapters_of(module)):
        linear.adapter = None
        unquantise(linear)
        linear.weight.copy_(adapter.merged(linear.weight))
        names.append(name)
    remove(module)
    return tuple(names)


def refuse_adapted(module: nn.Module) -> None:
    """Raises WeightError for a module with adapters or matrices in NF4: it is no plain model."""
    for name, child in module.named_modules():
        if isinstance(child, Linear) and (child.adapter is not None or child.store is not None):
            problem = "has an adapter" if child.adapter is not None else "lies in NF4"
            fix = "call sightline.nn.lora.merge first, or write the adapters alone (save_adapters)"
            raise WeightError(name, f"{problem} and cannot be written as a plain matrix", fix)


def remove(module: nn.Module) -> None:
    """Take all adapters away, and bring back plain matrices of NF4, with what rounding left."""
    for child in module.modules():
        if isinstance(child, Linear):
            child.adapter = None
            unquantise(child)


def unquantise(linear: Linear) -> None:
    """Give the layer its matrix back as a plain, frozen parameter."""
    if (store := linear.store) is not None:
        linear.weight = nn.Parameter(store.values(), requires_grad=False)
        linear.store = None
