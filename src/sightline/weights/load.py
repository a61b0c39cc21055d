"""From folders to a model: built without memory, then filled tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sightline.core.errors import FamilyError, WeightError
from sightline.families.declared import Declared, only_part, text_alone
from sightline.families.read import read_spec
from sightline.language.decoder import Decoder, Embedding
from sightline.model.build import build_decoder, build_model, build_vision
from sightline.model.init import initialise
from sightline.model.vlm import Vlm
from sightline.spec.rules import Grow, Rename, Step, matches
from sightline.weights.audit import Audit, Planned, audited, plan_sources
from sightline.weights.convert import with_safetensors
from sightline.weights.grow import fill_new_rows
from sightline.weights.mapped import FLOATS, MappedTensors
from sightline.weights.moves import to_ours
from sightline.weights.state import put, state_of


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, the declaration it was made from, and what became of every tensor."""

    model: Vlm
    declared: Declared
    audit: Audit


def load_folder(
    folder: Path | str,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    tower: Path | str | None = None,
    vision: nn.Module | None = None,
) -> Loaded:
    """Load a whole model, published or our own. `dtype` None keeps the checkpoint's.

    `tower` is a folder, for original LLaVA checkpoints that lack their tower; `vision` a module,
    for models of ours that were composed with one. `.bin` weights are converted once, see
    `with_safetensors`. Embeddings stay in the pages of their file, as private copies: replace files
    of a model in use (as `save` does), do not overwrite them.

    Raises FolderError, FamilyError, SpecError or WeightError.
    """
    ready = with_safetensors(Path(folder))
    beside = None if tower is None else with_safetensors(Path(tower))
    return load(read_spec(ready, tower=beside), dtype=dtype, device=device, vision=vision)


def load(
    declared: Declared,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    vision: nn.Module | None = None,
) -> Loaded:
    """Build the declared model and fill it; parameters without a source are drawn from `seed`.

    `vision` stands in where the declared encoder is a module of the user's; it keeps its values
    unless a folder holds them. The model and one tensor are all that is held in memory.

    Raises FamilyError for a part alone, WeightError for tensors that do not match.
    """
    model = build_model(declared.model, vision=vision, device="meta")
    audit = fill(model, declared, dtype=dtype, device=device, seed=seed)
    return Loaded(model.eval(), declared, audit)


def load_vision(
    declared: Declared,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """The vision tower of `declared` alone."""
    if declared.vision is None:
        raise FamilyError(declared.family, "has no vision tower", "give another folder")
    with torch.device("meta"):
        holder = nn.ModuleDict({"vision": build_vision(declared.vision)})
    fill(holder, _part(declared, "vision."), dtype=dtype, device=device)
    return holder["vision"].eval()


def load_decoder(
    declared: Declared,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Decoder:
    """The text model of `declared` alone."""
    if declared.language is None:
        raise FamilyError(declared.family, "has no text model", "give another folder")
    with torch.device("meta"):
        decoder = build_decoder(declared.language)
    holder = nn.ModuleDict({"language": decoder})
    alone = replace(declared, sources=text_alone(declared.sources), fresh=(), needs=())
    fill(holder, alone, dtype=dtype, device=device)
    return decoder.eval()


def fill(
    module: nn.Module,
    declared: Declared,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Audit:
    """Give every parameter of `module` (on device meta, under our names) its tensor."""
    if declared.needs:
        raise WeightError(
            declared.family,
            f"the weights of {', '.join(declared.needs)} are in none of its folders",
            "fetch that folder and give it as `tower`",
        )
    targets = state_of(module)
    planned = plan_sources(targets, declared.sources, declared.fresh)
    fresh = [n for n in targets if any(matches(pattern, n) for pattern in declared.fresh)]
    target = dtype or _stored_dtype(declared, planned)
    filling = Filling(module, targets, target, torch.device(device), seed)
    for plan in planned:
        tensors = MappedTensors(plan.index)
        for step in plan.resolved.steps:
            filling.move(step, tensors)
    filling.initialise(fresh)
    filling.settle()
    return audited(planned, fresh, targets)


@dataclass(frozen=True, slots=True)
class Filling:
    """A module that is being given its tensors, and in what form."""

    module: nn.Module
    targets: Mapping[str, Tensor]
    dtype: torch.dtype
    device: torch.device
    seed: int

    def move(self, step: Step, tensors: MappedTensors) -> None:
        """Mapped pages to new memory, in the target dtype, without an intermediate copy.

        A table whose rows are looked up one by one stays in the file's pages, where it fits.
        """
        found = to_ours(step, [tensors[name] for name in step.disk])
        for name, stored in zip(step.ours, found, strict=True):
            if self._stays(step, name, stored):
                put(self.module, name, stored)
                return
            filled = self._empty(name)
            if isinstance(step.rule, Grow):
                filled[: step.rule.rows] = stored
                fill_new_rows(filled, step.rule.rows, self.seed)
            else:
                filled.copy_(stored)
            put(self.module, name, filled)
        for name in step.disk:
            tensors.release(name)

    def _stays(self, step: Step, name: str, stored: Tensor) -> bool:
        """Pages are mapped as private copies: training may write to them, the file stays."""
        owner = self.module.get_submodule(name.rpartition(".")[0])
        fits = self.device.type == "cpu" and stored.dtype == self._dtype_of(name)
        return fits and isinstance(owner, Embedding) and isinstance(step.rule, Rename)

    def initialise(self, names: Iterable[str]) -> None:
        """Draw new parameters; a module is new as a whole or made of new and old ones."""
        new = set(names)
        for name in new:
            put(self.module, name, self._empty(name))
        for part in _wholly(self.module, new):
            initialise(part, self.seed)

    def settle(self) -> None:
        """Modules that came in memory follow in dtype and device."""
        for name, tensor in self.targets.items():
            if not tensor.is_meta:
                put(self.module, name, tensor.detach().to(self.device, self._dtype_of(name)))

    def _empty(self, name: str) -> Tensor:
        shape = self.targets[name].shape
        return torch.empty(shape, dtype=self._dtype_of(name), device=self.device)

    def _dtype_of(self, name: str) -> torch.dtype:
        """Floats take the model's dtype; counters of a user's module keep theirs."""
        own = self.targets[name].dtype
        return self.dtype if own.is_floating_point else own


def _wholly(module: nn.Module, names: set[str], prefix: str = "") -> Iterator[nn.Module]:
    """The largest modules within, all of whose parameters are among `names`."""
    for name, child in module.named_children():
        own = {f"{prefix}{name}.{inner}" for inner, _ in child.named_parameters()}
        if own and own <= names:
            yield child
        elif own & names:
            yield from _wholly(child, names, f"{prefix}{name}.")


def _part(declared: Declared, prefix: str) -> Declared:
    return replace(declared, sources=only_part(declared.sources, prefix), fresh=(), needs=())


def _stored_dtype(declared: Declared, planned: Iterable[Planned]) -> torch.dtype:
    """The checkpoint's dtype: as declared, else that of its first tensor."""
    if isinstance(named := getattr(torch, declared.dtype or "", None), torch.dtype):
        return named
    steps = ((plan.index, step) for plan in planned for step in plan.resolved.steps)
    index, step = next(steps)
    return FLOATS[index[step.disk[0]].dtype]
