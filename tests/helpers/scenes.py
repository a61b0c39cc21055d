"""Generated scenes as conversations."""

from __future__ import annotations

from typing import Any

from sightline.data.rows import messages_of
from sightline.data.scene_rows import scene_sample
from sightline.model.prepare import Preparer
from sightline.spec.train import ScenesSpec


def scene_row(spec: ScenesSpec, index: int, prepare: Preparer) -> list[dict[str, Any]]:
    """Row `index` as messages, its boxes written as the model of `prepare` reads them."""
    return messages_of(scene_sample(spec, index, f"scenes:{index}").turns, prepare)
