"""Training rows of generated scenes."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.helpers.scenes import scene_row
from tests.helpers.speaking import chat_spec, tokenizer

from sightline.core.errors import DataError
from sightline.core.geometry import Size
from sightline.data.sample import Media, Part, Places
from sightline.data.scene_rows import scene_sample
from sightline.model.prepare import Preparer
from sightline.prompt.grounding import write_box
from sightline.spec.train import ScenesSpec

PREPARE = Preparer(chat_spec(), tokenizer())
SMALL = {"sides": (32,), "words": 60}


def texts(spec: ScenesSpec, index: int, role: str) -> list[str]:
    """What one side says in a row."""
    said = [message["content"] for message in scene_row(spec, index, PREPARE)
            if message["role"] == role]  # fmt: skip
    return [c if isinstance(c, str) else c[-1]["text"] for c in said]


def test_a_template_stands_for_itself() -> None:
    spec = ScenesSpec(**SMALL, kinds=("relation.horizontal",), min_objects=2)
    answers = {a for index in range(40) for a in texts(spec, index, "assistant")}
    assert answers >= {"left", "right"} and not answers & {"above", "below", "yes", "no"}


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(DataError, match=r"relation\.diagonal"):
        scene_row(ScenesSpec(**SMALL, kinds=("relation.diagonal",)), 0, PREPARE)


def test_a_scene_that_allows_no_question_is_captioned() -> None:
    """One object stands in no relation."""
    spec = ScenesSpec(**SMALL, kinds=("relation",), max_objects=1)
    for index in range(10):
        [answer] = texts(spec, index, "assistant")
        assert answer.split()[0] in ("a", "an")


def test_every_row_has_as_many_objects_as_asked_for() -> None:
    spec = ScenesSpec(**SMALL, kinds=("count.all",), min_objects=3, max_objects=4, questions=1)
    assert {texts(spec, index, "assistant")[0] for index in range(30)} == {"3", "4"}


# Rows as they were before they were samples: models trained on a seed can be trained on it again.
DIGESTS: list[tuple[dict[str, Any], str]] = [
    ({"seed": 3}, "bd39ef7072e4af2e"),
    (
        {"seed": 7, "dense_share": 0.5, "caption_share": 0.3, "sides": (64, 96), "words": 80},
        "fc542a914330e189",
    ),
    (
        {"kinds": ("locate", "count"), "plain": True, "words": 40, "sides": (48,)},
        "f9eae7f4157bd30f",
    ),
]


def as_bytes(part: Part, side: int) -> bytes:
    if isinstance(part, Media):
        return part.source.tobytes()
    if isinstance(part, Places):
        boxes = [box.scaled(side, side) for box in part.boxes]
        return "".join(write_box(box, Size(side, side), "percent") for box in boxes).encode()
    return part.text.encode()


@pytest.mark.parametrize(("fields", "wanted"), DIGESTS)
def test_rows_stay_what_they_were(fields: dict[str, Any], wanted: str) -> None:
    digest = hashlib.sha256()
    for index in range(25):
        sample = scene_sample(ScenesSpec(**fields), index, "row")
        side = len(sample.media[0].source)
        for turn in sample.turns:
            pictures, words = list(turn.media), [p for p in turn.parts if not isinstance(p, Media)]
            for part in pictures:
                digest.update(f"{turn.role}image".encode() + as_bytes(part, side))
            said = b"".join(as_bytes(part, side) for part in words)
            digest.update(f"{turn.role}text".encode() + said)
    assert digest.hexdigest()[:16] == wanted


def test_boxes_are_shares_of_the_first_picture() -> None:
    spec = ScenesSpec(seed=5, kinds=("locate",), **SMALL)
    for index in range(5):
        sample = scene_sample(spec, index, f"scenes-5:{index}")
        assert sample.id == f"scenes-5:{index}" and sample.kind == "conversation"
        assert [media.source.shape for media in sample.media] == [(32, 32, 3)]
        places = [part for turn in sample.turns for part in turn.parts if isinstance(part, Places)]
        assert len(places) == sum(turn.role == "assistant" for turn in sample.turns)
        assert all(place.unit == "share" and place.media == 0 for place in places)
        assert all(0 <= box.x0 < box.x1 <= 1 for place in places for box in place.boxes)
