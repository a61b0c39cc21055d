"""Zero-shot names and retrieval against truth written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.pairs import LIKE_CLIP, byte_words, random_pair
from torch import Tensor

from sightline.core.errors import DataError
from sightline.eval.pairs import (
    class_embeddings,
    retrieval,
    retrieval_tallies,
    zero_shot,
    zero_shot_tallies,
)
from sightline.eval.statistics import figure
from sightline.model.matcher import Matcher


def rows(*angles: float) -> Tensor:
    """Unit vectors of the plane by their angle in degrees."""
    turns = torch.tensor(angles).deg2rad()
    return torch.stack((turns.cos(), turns.sin()), 1)


def test_a_picture_has_the_name_of_the_nearest_class() -> None:
    found = zero_shot(rows(5, 80, 100, 40), rows(0, 90), (0, 1, 1, 1), ("east", "north"))
    assert found.predicted == (0, 1, 1, 0)
    assert found.correct == (True, True, True, False)
    assert found.accuracy == 0.75
    assert found.by_class == {"east": 1.0, "north": pytest.approx(2 / 3)}
    low, high = found.confidence
    assert 0 <= low <= 0.75 <= high <= 1


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher(random_pair(LIKE_CLIP).eval(), byte_words())


def test_an_ensemble_is_the_mean_of_units_made_a_unit(matcher: Matcher) -> None:
    """Each template's text alone, added up by hand."""
    templates = ("a {}.", "one {}", "{} here")
    found = class_embeddings(matcher, ("cat", "dog"), templates)
    for number, name in enumerate(("cat", "dog")):
        alone = [matcher.encode_texts([t.format(name)])[0].tolist() for t in templates]
        summed = [sum(column) for column in zip(*alone, strict=True)]
        length = math.sqrt(sum(value * value for value in summed))
        assert found[number].tolist() == pytest.approx([v / length for v in summed], abs=1e-6)


# Pictures at 0, 90 and 180 degrees. Their texts, nearest first, by hand:
#   0:   text 0 (10), text 2 (50), text 1 (120)
#   90:  text 1 (120), text 2 (50), text 0 (10)
#   180: text 1 (120), text 2 (50), text 0 (10)
# and the pictures of each text: 0: 0, 90, 180.  1: 90, 180, 0.  2: 90, 0, 180.


def test_recall_both_ways() -> None:
    found = retrieval(rows(0, 90, 180), rows(10, 120, 50), ks=(1, 2, 3))
    assert found.image_to_text == {1: pytest.approx(2 / 3), 2: 1.0, 3: 1.0}
    assert found.text_to_image == {1: pytest.approx(2 / 3), 2: pytest.approx(2 / 3), 3: 1.0}


def test_a_picture_finds_any_of_its_texts() -> None:
    """Picture 0 has texts 1 and 2 (nearest: 0 of the other, then 2), picture 1 has text 0."""
    found = retrieval(rows(0, 90), rows(10, 120, 50), owners=(1, 0, 0), ks=(1, 2, 3))
    assert found.image_to_text == {1: 0.0, 2: 0.5, 3: 1.0}
    assert found.text_to_image == {1: 0.0, 2: 1.0, 3: 1.0}


def test_equal_embeddings_find_nothing() -> None:
    found = retrieval(rows(0, 0, 0), rows(0, 0, 0), ks=(1, 2, 3))
    assert found.image_to_text == {1: 0.0, 2: 0.0, 3: 1.0} == found.text_to_image


def by_sorting(images: Tensor, texts: Tensor, owners: Sequence[int], k: int) -> tuple[float, float]:
    """Recall at k, by sorted lists."""
    scores = (images @ texts.T).tolist()
    of_images = [
        any(
            owners[text] == i
            for text in sorted(range(len(owners)), key=lambda t: -scores[i][t])[:k]
        )
        for i in range(len(images))
    ]
    of_texts = [
        owners[text] in sorted(range(len(images)), key=lambda i: -scores[i][text])[:k]
        for text in range(len(owners))
    ]
    return sum(of_images) / len(of_images), sum(of_texts) / len(of_texts)


@given(seed=st.integers(0, 10**6), pictures=st.integers(1, 6), more=st.integers(0, 5))
def test_recall_is_what_sorting_gives(seed: int, pictures: int, more: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    extra = torch.randint(0, pictures, (more,), generator=generator).tolist()
    owners = [*range(pictures), *extra]
    images = torch.randn(pictures, 5, generator=generator)
    texts = torch.randn(len(owners), 5, generator=generator)
    found = retrieval(images, texts, owners, ks=(1, 2, 4))
    for k in (1, 2, 4):
        wanted = by_sorting(images, texts, owners, k)
        assert (found.image_to_text[k], found.text_to_image[k]) == pytest.approx(wanted)


def test_tallies_are_the_same_figures_with_clusters() -> None:
    """Pictures `a` and `b` are one cluster; each class is a figure of its own."""
    labels, names = (0, 1, 1, 1), ("east", "north")
    found = zero_shot(rows(5, 80, 100, 40), rows(0, 90), labels, names)
    tallies = zero_shot_tallies(found, labels, names, ("a", "b", "b", "c"))
    figures = {each.name: each for each in map(figure, tallies)}
    assert {name: each.value for name, each in figures.items()} == {
        "accuracy": found.accuracy,
        **found.by_class,
    }
    assert [each.clusters for each in figures.values()] == [3, 1, 2]
    owners, names = (1, 0, 0), ("a", "b")
    recall = retrieval(rows(0, 90), rows(10, 120, 50), owners, ks=(1, 2))
    tallies = retrieval_tallies(rows(0, 90), rows(10, 120, 50), owners, names, ks=(1, 2))
    figures = {each.name: each for each in map(figure, tallies)}
    assert {name: each.value for name, each in figures.items()} == {
        **{f"image to text R@{k}": share for k, share in recall.image_to_text.items()},
        **{f"text to image R@{k}": share for k, share in recall.text_to_image.items()},
    }
    assert {(each.count, each.clusters) for each in figures.values()} == {(2, 2), (3, 2)}


def test_blocks_of_pictures_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(count, 4, generator=generator) for count in (7, 18))
    owners = [*range(7), *torch.randint(0, 7, (11,), generator=generator).tolist()]
    whole = retrieval(images, texts, owners, ks=(1, 2, 4))
    assert 0 < whole.image_to_text[1] < 1
    for block in (1, 3, 7):
        monkeypatch.setattr("sightline.eval.pairs.BLOCK", block)
        assert retrieval(images, texts, owners, ks=(1, 2, 4)) == whole


def test_what_does_not_fit_is_refused(matcher: Matcher) -> None:
    with pytest.raises(DataError, match="owners"):
        retrieval(rows(0, 90), rows(0, 90, 5))
    with pytest.raises(DataError, match="every one of 2"):
        retrieval(rows(0, 90), rows(0, 90), owners=(0, 0))
    with pytest.raises(DataError, match="labels"):
        zero_shot(rows(0, 90), rows(0, 90), (0,), ("a", "b"))
    with pytest.raises(DataError, match="no class"):
        zero_shot(rows(0), rows(0, 90), (2,), ("a", "b"))
    with pytest.raises(DataError, match="names"):
        zero_shot(rows(0), rows(0, 90), (0,), ("a",))
    with pytest.raises(DataError, match="has not one"):
        class_embeddings(matcher, ("cat",), ("a photo",))
    with pytest.raises(DataError, match="classes"):
        class_embeddings(matcher, ())
