"""Where the class of a family has which tensors of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from sightline.core.errors import FamilyError, WeightError
from sightline.families.declared import Declared
from sightline.families.export import publish_model, publish_text, publish_tower
from sightline.families.trees import Tree, tree_of
from sightline.language.decoder import Decoder
from sightline.model.vlm import Vlm
from sightline.nn.linear import Linear
from sightline.spec.rules import Drop, Rename, Rule, Step, matches, resolve
from sightline.vision.vit import VitEncoder
from sightline.weights.state import state_of

Names = Literal["family", "own"]
Model = Vlm | Decoder | VitEncoder
IDENTITY: tuple[Rule, ...] = (Rename("{any}", "{any}"),)
EMBEDDING, HEAD = "language.embed.weight", "language.head.weight"
OWN = ("vision", "connector", "language", "learned")  # how names of ours begin


@dataclass(frozen=True, slots=True)
class Book:
    """A model under our names, and the steps that give every tensor its name in the class.

    `state` holds the tensors but those of adapters and of matrices in NF4.
    """

    holder: nn.Module
    steps: tuple[Step, ...]
    tree: Tree
    linears: Mapping[str, Linear]
    state: Mapping[str, Tensor]

    def name(self, step: Step) -> str:
        """The name in the class of the tensor that a step moves."""
        return self.tree.module_name(step.disk[0])

    def layers(self, step: Step) -> list[Linear]:
        """The linear layers whose matrices a step moves; none for other tensors."""
        names = [n.removesuffix(".weight") for n in step.ours if n.endswith(".weight")]
        return [self.linears[n] for n in names if n in self.linears]


def book_of(model: Model, declared: Declared | None, names: Names) -> Book:
    """The places of a model's tensors. Raises WeightError if no other tool has such a model."""
    holder = _holder(model)
    linears = {n: m for n, m in holder.named_modules() if isinstance(m, Linear)}
    inner = tuple(f"{n}.{inside}." for n in linears for inside in ("adapter", "store"))
    state = {n: t for n, t in state_of(holder).items() if not n.startswith(inner)}
    stored = [f"{n}.weight" for n, m in linears.items() if m.store is not None]
    family, rules = _rules(model, declared) if names == "family" else ("", [IDENTITY])
    tree = tree_of(family)
    steps = [part for step in _steps(rules, [*state, *stored]) for part in tree.steps(step)]
    return Book(holder, tuple(steps), tree, linears, state)


def _holder(model: Model) -> nn.Module:
    match model:
        case Decoder():
            return nn.ModuleDict({"language": model})
        case VitEncoder():
            return nn.ModuleDict({"vision": model})
        case _:
            return model


def _rules(model: Model, declared: Declared | None) -> tuple[str, list[tuple[Rule, ...]]]:
    """The family's name and rules: those of the folder, or of the family that is exported."""
    if declared is not None and declared.family not in ("sightline", "composed"):
        if declared.sources:
            return declared.family, [source.rules for source in declared.sources]
        raise WeightError("declared", "comes from a config alone", "declare the folder itself")
    try:
        match model:
            case Decoder():
                published = publish_text(model.spec)
            case VitEncoder():
                published = publish_tower(model.spec)
            case _:
                published = publish_model(model.spec)
    except FamilyError as error:
        fix = "use names='own', which only sightline reads, or merge and save the whole model"
        raise WeightError(error.field, f"{error.problem}: no other tool has it", fix) from None
    return published.family, [published.rules]


def _steps(sources: list[tuple[Rule, ...]], names: list[str]) -> tuple[Step, ...]:
    """Steps of all tensors that some source names; those of none (new ones) have no step."""
    steps: list[Step] = []
    for rules in sources:
        mine = {name for name in names if any(_claims(rule, name) for rule in rules)}
        names = [name for name in names if name not in mine]
        steps += resolve(rules, mine).steps
    return tuple(steps)


def _claims(rule: Rule, name: str) -> bool:
    if isinstance(rule, Drop):
        return False
    ours = (rule.ours,) if isinstance(rule.ours, str) else rule.ours
    return any(matches(pattern, name) for pattern in ours)


def refuse_loose(book: Book, kept: Mapping[str, Tensor]) -> None:
    """Raises WeightError for a tensor beside modules: PEFT saves whole modules."""
    modules = {book.tree.module_name(n).rpartition(".")[0] for s in book.steps for n in s.disk}
    for name in kept:
        module = name.rpartition(".")[0]
        if not module or any(other.startswith(f"{module}.") for other in modules):
            raise WeightError(
                name,
                "was trained as a whole but lies beside modules, and PEFT saves whole modules",
                "merge and save the whole model, or use names='own'",
            )


def refuse_tied(book: Book, kept: Mapping[str, Tensor]) -> None:
    """Raises WeightError for an embedding that is the head too: PEFT would part them."""
    for step in book.steps:
        name = book.name(step)
        if step.ours == (EMBEDDING,) and HEAD not in book.state and name in kept:
            problem = "was trained and is the output matrix too, of which PEFT would keep the old"
            raise WeightError(name, problem, "merge and save the whole model")
