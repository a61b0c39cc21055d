"""What a pair of towers may declare, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.helpers.pairs import BASE, LIKE_CLIP, LIKE_SIGLIP, PAD, merged, pair_spec

from sightline.core.errors import SpecError
from sightline.spec.pair import PairSpec


@pytest.mark.parametrize("change", [{}, LIKE_CLIP, LIKE_SIGLIP], ids=["base", "clip", "siglip"])
def test_yaml_both_ways(change: dict[str, Any]) -> None:
    spec = pair_spec(change)
    assert PairSpec.from_yaml(spec.to_yaml()) == spec


def stack(**change: Any) -> dict[str, Any]:
    return {"text": {"stack": change}}


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (LIKE_SIGLIP, {"width": 13}, "image_projection: none leaves 12 channels"),
    ({}, {"text_projection": "none"}, "text_projection: none leaves 16 channels"),
    (LIKE_SIGLIP, {"image_pool": {"heads": 5}}, "image_pool.heads: 5 does not divide 12"),
    (LIKE_CLIP, {"vision": {"class_token": "drop"}}, "image_pool: reads a class token"),
    (LIKE_CLIP, {"image_pool": {"kind": "mean"}}, "image_pool: would mix the class token"),
    ({}, {"resolution": {"size": 3}}, "resolution.size: 3 pixels hold no patch of 4"),
    ({}, {"resolution": {"ends": ["a", "b"]}}, "resolution.ends"),
    ({}, {"vision": {"frames_per_view": 2}}, "vision.frames_per_view"),
    ({}, {"text": {"mask": "bidirectional"}}, "text.padding: longest with mask: bidirectional"),
    ({}, {"text": {"pool": "last"}}, "text.padding: longest with pool: last"),
    ({}, {"text": {"pool": "highest"}}, "text.pool: highest does not find eos_id 257"),
    ({}, {"text": {"eos_id": 260}}, "text.eos_id: 260 is outside"),
    ({}, {"text": {"pad_id": 260}}, "text.pad_id: 260 is outside"),
    ({}, {"text": {"bos_id": 260}}, "text.bos_id: 260 is outside"),
    ({}, stack(context=2), "text.stack.context: 2 holds no word"),
    ({}, stack(tied_head=False), "text.stack.tied_head"),
    ({}, stack(head_bias=True), "text.stack.tied_head"),
    ({}, stack(positions={"sections": [1, 1, 2]}), "text.stack.positions.sections"),
    ({}, {"loss": {"kind": "softmax", "scale": 200}}, "loss.scale: 200.0 exceeds"),
    ({}, {"loss": {"kind": "hinge"}}, "loss: kind 'hinge'"),
    ({}, {"twist": 1}, "twist"),
]


@pytest.mark.parametrize(
    ("base", "change", "says"), REFUSED, ids=lambda x: x if isinstance(x, str) else ""
)
def test_what_does_not_fit_is_refused(
    base: dict[str, Any], change: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecError) as error:
        PairSpec.parse(merged(merged(BASE, base), change))
    assert says in str(error.value)


def test_the_highest_id_may_be_the_end_that_also_pads() -> None:
    spec = pair_spec({"text": {"pool": "highest", "eos_id": PAD, "pad_id": PAD}})
    assert spec.text.extra_tokens == 2
