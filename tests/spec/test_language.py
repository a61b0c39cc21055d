"""What a decoder refuses."""

from __future__ import annotations

from typing import Any

import pytest
from tests.helpers.tiny import BASE, merged

from sightline.core.errors import SpecError
from sightline.spec import DecoderSpec

ROPE = {"theta": 20.0}
WINDOW = {"attention": {"window": 4}}


def decoder(change: dict[str, Any]) -> DecoderSpec:
    return DecoderSpec.parse(merged(BASE["language"], change))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"windowed_positions": ROPE}, "windowed_positions"),
        (WINDOW | {"windowed_positions": ROPE | {"fraction": 0.5}}, "windowed_positions"),
        (WINDOW | {"windowed_positions": ROPE, "positions": {"kind": "learned"}},
         "windowed_positions"),
        (WINDOW | {"windowed_positions": ROPE | {"scaling": {
            "kind": "dynamic", "factor": 2.0, "original_context": 8}}},
         "windowed_positions.scaling"),
        ({"attention": {"soft_cap": 0.0}}, "soft_cap"),
        ({"logit_soft_cap": -1.0}, "logit_soft_cap"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as refused:
        decoder(change)
    assert refused.value.field.endswith(field)


def test_windows_turn_alike_unless_told() -> None:
    assert decoder(WINDOW).windowed_positions is None
    local = decoder(WINDOW | {"windowed_positions": ROPE}).windowed_positions
    assert local is not None and local.theta == 20.0
