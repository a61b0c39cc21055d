"""InstructBLIP with Llama and with OPT against transformers: queries that read the question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.blip import QUERIES, TEXTS, Asked, instructblip
from tests.parity.reference import TOLERANCE

from sightline.model.batch import collate
from sightline.model.vlm import Vlm
from sightline.weights import load_folder

SEEN = 5 * TOLERANCE
WORDS = (7, 11, 2, 40, 59, 3)
OTHER = (7, 11, 2, 41, 3)


def told(item: Item, words: tuple[int, ...]) -> Item:
    """The same conversation, its words in the vocabulary of the queries."""
    return replace(item, visual=replace(item.visual, instruction_ids=words))


def items(words: tuple[int, ...] = WORDS) -> dict[str, Item]:
    return {name: told(item, words) for name, item in ref.conversations(QUERIES).items()}


@pytest.mark.parametrize("text", TEXTS)
def test_same_logits_and_answers(text: str, tmp_path: Path) -> None:
    theirs = instructblip(text)
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    assert ref.difference(ours, Asked(theirs, WORDS), items()) <= TOLERANCE
    ref.assert_same_greedy(ours, Asked(theirs, WORDS), items())


def test_a_stored_buffer_of_positions_is_no_weight(tmp_path: Path) -> None:
    """Folders of the hub hold it."""
    theirs = instructblip("llama")
    ref.saved(theirs, tmp_path)
    ref.to_hub_dialect(tmp_path)
    buffer = {"qformer.embeddings.position_ids": torch.arange(20)[None]}
    ref.edit_tensors(tmp_path, lambda tensors: tensors | buffer)
    loaded = load_folder(tmp_path)
    assert any("position_ids" in name for name, _ in loaded.audit.dropped)
    assert ref.difference(loaded.model, Asked(theirs, WORDS), items()) <= TOLERANCE


def test_questions_of_unequal_length_in_one_batch(tmp_path: Path) -> None:
    """Pictures of one size run together, each with its own words and no one else's padding."""
    theirs = instructblip("llama")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    one = ref.conversations(QUERIES)["one"]
    asked = [told(one, words) for words in (WORDS, OTHER, WORDS[:2])]
    with torch.no_grad():
        visual_ND = ours.encode(collate(asked, 0, "left").visuals)
        apart = [ours.encode([item.visual]) for item in asked]
    assert float((visual_ND - torch.cat(apart)).abs().max()) <= 1e-5
    assert float((apart[0] - apart[1]).abs().max()) > SEEN
    for item, words in zip(asked, (WORDS, OTHER, WORDS[:2]), strict=True):
        assert ref.difference(ours, Asked(theirs, words), {"": item}) <= TOLERANCE


# Each mistake must be seen by the comparison above, by a margin.


def without_words(model: Vlm) -> None:
    model.connector.words = None


def rolled(name: str) -> Callable[[Vlm], None]:
    def roll(model: Vlm) -> None:
        data = model.get_parameter(name).data
        data.copy_(data.roll(1, 0))

    return roll


def shared_feed_forward(model: Vlm) -> None:
    for block in model.connector.blocks:
        block.word_mlp = block.query_mlp


MISTAKES: dict[str, Callable[[Vlm], None]] = {
    "words not read": without_words,
    "words one place late": rolled("connector.words.positions"),
    "other words": rolled("connector.words.embed"),
    "words through the feed-forward of queries": shared_feed_forward,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs = instructblip("llama")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    MISTAKES[mistake](ours)
    assert ref.difference(ours, Asked(theirs, WORDS), items()) > SEEN


def test_padding_that_is_read_is_seen(tmp_path: Path) -> None:
    """Without the mask the words of the longest question change the others."""
    ours = load_folder(ref.saved(instructblip("llama"), tmp_path)).model
    one = ref.conversations(QUERIES)["one"]
    short = told(one, WORDS[:2]).visual
    padded = replace(short, instruction_ids=(*WORDS[:2], 0, 0, 0, 0))
    with torch.no_grad():
        assert float((ours.encode([short]) - ours.encode([padded])).abs().max()) > SEEN
