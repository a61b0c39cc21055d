"""What of a model trains, at which rates, said aloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from torch import nn

from sightline.core.errors import TrainError
from sightline.fusion.cross_attention import CrossAttentionBlock
from sightline.fusion.visual_expert import Expert
from sightline.model.pair import Pair
from sightline.model.vlm import Vlm
from sightline.nn.linear import Linear
from sightline.nn.lora import LowRank, adapters_of, add_adapters, blocks_of, matrices_of, merge
from sightline.nn.nf4 import quantise
from sightline.spec.train import PARTS, AdapterSpec, FullSpec, Part, PartSpec, StageSpec


@dataclass(frozen=True, slots=True)
class PartRow:
    """One line of the table of what trains. parameters: of the part; trained: those that train."""

    part: Part
    how: str
    parameters: int
    trained: int
    lr: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters with one rate, as a multiple of the stage's, and one weight decay."""

    names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]
    rate: float
    weight_decay: float


def modules_of(model: Vlm | Pair) -> dict[Part, tuple[nn.Module, ...]]:
    """The modules of each part; learned vectors of the layout belong to the connector."""
    added = (m for m in model.language.modules() if isinstance(m, CrossAttentionBlock | Expert))
    return {
        "vision": (model.vision,),
        "connector": (model.connector, model.learned),
        "fusion": tuple(added),
        "language": (model.language,),
    }


def parameters_of(model: Vlm | Pair) -> dict[Part, dict[str, nn.Parameter]]:
    """Every parameter of the model by name, in exactly one part."""
    names = {id(p): name for name, p in model.named_parameters()}
    found: dict[Part, dict[str, nn.Parameter]] = {part: {} for part in PARTS}
    taken: set[int] = set()
    for part, modules in modules_of(model).items():  # what fusion adds stands inside language
        for p in (p for module in modules for p in module.parameters()):
            if id(p) not in taken:
                taken.add(id(p))
                found[part][names[id(p)]] = p
    assert len(taken) == len(names), "every parameter has a part"
    return found


def prepare_parts(model: Vlm | Pair, stage: StageSpec, seed: int) -> set[str]:
    """Give each part the adapters that the stage asks for, and set requires_grad.

    Adapters of an earlier stage that this one does not continue are merged into their matrices;
    returns the names of the matrices that this has changed. Raises TrainError if nothing trains.
    """
    changed: set[str] = set()
    names = {id(module): name for name, module in model.named_modules()}
    for number, (part, modules) in enumerate(modules_of(model).items()):
        way = stage.trains.get(part)
        for place, module in enumerate(modules):
            layers = _wanted(model, part, module, way)
            own = [layer for layer in _layers(model, part, module) if layer.adapter is not None]
            if own and not _continued(own, layers, way):
                for layer in own:
                    changed.add(f"{names[id(layer)]}.weight")
                    merge(layer)
            if isinstance(way, AdapterSpec) and layers and next(iter(layers.values())).is_plain:
                _adapt(layers, way, seed + number + 1_000_003 * place)
    _set_gradients(model, stage)
    if not any(p.requires_grad for p in model.parameters()):
        raise TrainError("trains", "names parts that this model does not have", "name others")
    return changed


def _layers(model: Vlm | Pair, part: Part, module: nn.Module) -> list[Linear]:
    """The linear layers of a part's module; those that fusion adds are not the language's."""
    others: set[int] = set()
    if part == "language":
        others = {id(m) for added in modules_of(model)["fusion"] for m in added.modules()}
    return [m for m in module.modules() if isinstance(m, Linear) and id(m) not in others]


def _wanted(
    model: Vlm | Pair, part: Part, module: nn.Module, way: PartSpec | None
) -> dict[str, Linear]:
    """The layers that get adapters."""
    if not isinstance(way, AdapterSpec) or not _layers(model, part, module):
        return {}
    own = {id(layer) for layer in _layers(model, part, module)}
    found = matrices_of(module, way.matrices)
    return {name: layer for name, layer in found.items() if id(layer) in own}


def _continued(own: list[Linear], layers: dict[str, Linear], way: PartSpec | None) -> bool:
    """Whether the adapters that are there are those that the stage asks for."""
    return (
        isinstance(way, AdapterSpec)
        and [id(x) for x in own] == [id(x) for x in layers.values()]
        and all(
            isinstance(layer.adapter, LowRank)
            and (layer.adapter.rank, layer.adapter.alpha) == (way.rank, way.alpha)
            and layer.adapter.dropout == way.dropout
            and (layer.adapter.magnitude is not None) == (way.how == "dora")
            and (layer.store is not None) == (way.how == "qlora")
            for layer in own
        )
    )


def _adapt(layers: dict[str, Linear], way: AdapterSpec, seed: int) -> None:
    add_adapters(
        layers,
        rank=way.rank,
        alpha=way.alpha,
        dropout=way.dropout,
        dora=way.how == "dora",
        seed=seed,
    )
    if way.how == "qlora":
        quantise(layers.values())


def _set_gradients(model: Vlm | Pair, stage: StageSpec) -> None:
    adapted = {id(p) for _, _, adapter in adapters_of(model) for p in adapter.parameters()}
    for part, parameters in parameters_of(model).items():
        way = stage.trains.get(part)
        for p in parameters.values():
            if not p.is_floating_point():
                continue
            match way:
                case None:
                    p.requires_grad_(False)
                case FullSpec():
                    p.requires_grad_(True)
                case AdapterSpec():
                    p.requires_grad_(id(p) in adapted)
                case _:
                    assert_never(way)


def table(model: Vlm | Pair, stage: StageSpec) -> tuple[PartRow, ...]:
    """What trains of each part that the model has."""
    rows = []
    for part, parameters in parameters_of(model).items():
        if not parameters:
            continue
        way = stage.trains.get(part)
        count = sum(p.numel() for p in parameters.values())
        trained = sum(p.numel() for p in parameters.values() if p.requires_grad)
        rate = 0.0 if way is None else way.lr or stage.lr
        rows.append(PartRow(part, _said(way), count, trained, rate))
    return tuple(rows)


def _said(way: PartSpec | None) -> str:
    match way:
        case None:
            return "frozen"
        case FullSpec():
            return "full"
        case AdapterSpec():
            return f"{way.how} r{way.rank}"
        case _:
            assert_never(way)


def groups(model: Vlm | Pair, stage: StageSpec) -> tuple[Group, ...]:
    """What trains, sorted by rate and weight decay. Vectors do not decay."""
    sorted_: dict[tuple[float, float], dict[str, nn.Parameter]] = {}
    for part, parameters in parameters_of(model).items():
        way = stage.trains.get(part)
        if way is None:
            continue
        rates = _rates(modules_of(model)[part], way, stage)
        decay = stage.weight_decay if way.weight_decay is None else way.weight_decay
        for name, p in parameters.items():
            if p.requires_grad:
                key = rates[id(p)], decay if p.ndim >= 2 else 0.0
                sorted_.setdefault(key, {})[name] = p
    return tuple(Group(tuple(named), tuple(named.values()), *key) for key, named in sorted_.items())


def _rates(modules: tuple[nn.Module, ...], way: PartSpec, stage: StageSpec) -> Mapping[int, float]:
    """Each parameter's rate as a multiple of the stage's."""
    base = (way.lr or stage.lr) / stage.lr
    decay = way.layer_decay if isinstance(way, FullSpec) else 1.0
    return {id(p): base * decay**below for module in modules for p, below in _depths(module)}


def _depths(module: nn.Module) -> Iterator[tuple[nn.Parameter, int]]:
    """Each parameter with the number of blocks above it; what precedes the blocks has them all."""
    blocks = blocks_of(module)
    if not blocks:
        yield from ((p, 0) for p in module.parameters())
        return
    depth = len(blocks)
    inside = {id(p): depth - 1 - i for i, block in enumerate(blocks) for p in block.parameters()}
    ends = (getattr(module, name, None) for name in ("norm", "post_norm", "head"))
    after = {id(p): 0 for end in ends if isinstance(end, nn.Module) for p in end.parameters()}
    embed = getattr(module, "embed", None)  # a tied head is the embedding: it stays at the bottom
    if isinstance(embed, nn.Module):
        after = {k: v for k, v in after.items() if k not in {id(p) for p in embed.parameters()}}
    for p in module.parameters():
        yield p, inside.get(id(p), after.get(id(p), depth))
