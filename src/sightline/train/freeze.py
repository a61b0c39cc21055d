"""What trains, said aloud."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from sightline.model.vlm import Vlm
from sightline.spec.train import Part, StageSpec


@dataclass(frozen=True, slots=True)
class PartRow:
    """One line of the table of what trains."""

    part: Part
    trains: bool
    parameters: int


def apply(model: Vlm, stage: StageSpec) -> tuple[PartRow, ...]:
    """Set requires_grad part by part; returns the table. Learned vectors of the layout train with
    the connector."""
    parts: dict[Part, nn.Module] = {
        "vision": model.vision,
        "connector": nn.ModuleList([model.connector, model.learned]),
        "language": model.language,
    }
    rows = []
    for name, module in parts.items():
        module.requires_grad_(name in stage.trains)
        count = sum(p.numel() for p in module.parameters())
        rows.append(PartRow(name, name in stage.trains, count))
    return tuple(rows)
