"""Captioned samples as rows of a pair: what is one, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from tests.helpers.pairs import byte_words, pair_spec

from sightline.core.errors import DataError, PictureError, SightlineError, SpecError
from sightline.core.geometry import Box
from sightline.data.pairs import PairMaker
from sightline.data.sample import Media, Places, Sample, Text, Turn
from sightline.model.pair_prepare import PairPreparer
from sightline.spec.train import PackSpec, PadSpec

PICTURE = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
IMAGE = Media("image", PICTURE)


@pytest.fixture
def maker() -> PairMaker:
    return PairMaker(PairPreparer(pair_spec(), byte_words()))


def sample(*answers: str, shown: tuple[Media, ...] = (IMAGE,), asked: str = "") -> Sample:
    user = Turn("user", (*shown, Text(asked)))
    said = (Turn("assistant", (Text(answer),)) for answer in answers)
    return Sample("file:1", (user, *said))


def test_a_captioned_picture_is_a_row(maker: PairMaker) -> None:
    """The question is no part of it, and white space around the caption is not either."""
    row = maker.make(sample(" a cat\n", asked="What is it?"))
    assert row.id == "file:1"
    assert row.text == maker.prepare.text("a cat")
    assert row.pixels_3HW.equal(maker.prepare.pixels(PICTURE))
    measured = maker.measure(sample("a cat"))
    assert (measured.tokens, measured.visual_tokens) == (7, 4)
    batch = maker.collate([row, row], PadSpec())
    assert batch.ids == ("file:1", "file:1") and batch.pixels_B3HW.shape == (2, 3, 8, 8)
    assert maker.silent(batch).weight == 0


def test_it_goes_to_worker_processes(maker: PairMaker) -> None:
    there = pickle.loads(pickle.dumps(maker))
    assert there.make(sample("a cat")).pixels_3HW.equal(maker.make(sample("a cat")).pixels_3HW)


ASKED = Turn("user", (IMAGE,))
REFUSED: dict[str, tuple[Sample, str]] = {
    "no picture": (sample("a cat", shown=()), "shows nothing"),
    "two pictures": (sample("a cat", shown=(IMAGE, IMAGE)), "shows image, image"),
    "a clip": (sample("a cat", shown=(Media("video", [PICTURE]),)), "shows video"),
    "two answers": (sample("a cat", "a dog"), "with 2 answers"),
    "a question": (Sample("file:1", (ASKED,)), "is a prompt row"),
    "a preference": (
        Sample("file:1", sample("a cat").turns, rejected=sample("a dog").turns),
        "is a preference row",
    ),
    "boxes": (
        Sample("file:1", (ASKED, Turn("assistant", (Places((Box(0, 0, 1, 1),)),)))),
        "has boxes",
    ),
    "no words": (sample(" "), "has no token"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_captioned_picture_is_refused(name: str, maker: PairMaker) -> None:
    given, says = REFUSED[name]
    for use in (maker.make, maker.measure):
        with pytest.raises(SightlineError, match=says):
            use(given)


def test_a_row_is_named(maker: PairMaker) -> None:
    with pytest.raises(DataError, match="file:1"):
        maker.make(sample("a cat", "a dog"))
    with pytest.raises(PictureError):
        maker.measure(sample("a cat", shown=(Media("image", b"no picture"),)))


def test_packs_are_refused(maker: PairMaker) -> None:
    maker.check(PadSpec())
    with pytest.raises(SpecError, match="side by side"):
        maker.check(PackSpec(tokens=64))
