"""A pair in memory: what enters, what it embeds, and what a folder gives back."""

# B texts  T tokens  E width of embeddings

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.helpers.pairs import (
    BEGIN,
    CONTEXT,
    END,
    LIKE_CLIP,
    LIKE_SIGLIP,
    PAD,
    SIDE,
    byte_words,
    pair_spec,
    random_pair,
    rows,
)

import sightline
from sightline.core.errors import ContextOverflow, FamilyError, PictureError, PromptError
from sightline.core.geometry import MediaSize
from sightline.families import read_spec
from sightline.model.init import initialise
from sightline.model.matcher import Matcher
from sightline.model.pair import Pair, build_pair
from sightline.model.pair_prepare import PairPreparer, collate_pairs, padded
from sightline.resolution.policy import one_view
from sightline.vision.pixels import render
from sightline.weights import load_vision, save

TINY = Path(sightline.__file__).parent / "embedded" / "tiny"
KINDS: dict[str, dict[str, Any]] = {"base": {}, "clip": LIKE_CLIP, "siglip": LIKE_SIGLIP}


def picture(side: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side + 3, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_float32_units(kind: str) -> None:
    pair = random_pair(KINDS[kind]).to(torch.bfloat16)
    pixels, ids = rows(3)
    with torch.no_grad():
        images, texts = pair.encode_images(pixels.bfloat16()), pair.encode_texts(ids)
    for found in (images, texts):
        assert found.dtype == torch.float32 and found.shape == (3, pair.spec.width)
        assert torch.allclose(found.norm(dim=-1), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_initialised_parameters_are_all_drawn(kind: str) -> None:
    """Nothing is left as it was allocated, and the loss begins as declared."""
    pair = build_pair(pair_spec(KINDS[kind]))
    with torch.no_grad():
        for parameter in pair.parameters():
            parameter.fill_(torch.nan)
    initialise(pair, 0)
    for name, parameter in pair.named_parameters():
        assert torch.isfinite(parameter).all(), name
    loss, head = pair.spec.loss, pair.connector
    assert head.log_scale.exp().item() == pytest.approx(loss.scale)
    assert (head.bias is None) == (loss.kind == "softmax")
    if head.bias is not None:
        assert head.bias.item() == -10.0


def test_an_embedding_does_not_depend_on_its_neighbours() -> None:
    """One text alone, and beside a longer one."""
    for kind in ("clip", "siglip"):
        pair = random_pair(KINDS[kind])
        prepare = PairPreparer(pair.spec, byte_words())
        short, long = prepare.text("a cat"), prepare.text("a cat that sleeps")
        with torch.no_grad():
            alone = pair.encode_texts(padded(pair.spec.text, [short]))
            beside = pair.encode_texts(padded(pair.spec.text, [short, long]))
        assert torch.allclose(alone[0], beside[0], atol=1e-6), kind


# What enters.


def test_ids_by_hand() -> None:
    prepare = PairPreparer(pair_spec(), byte_words())
    assert prepare.text("cat").ids == (BEGIN, 99, 97, 116, END)
    both = padded(prepare.spec.text, [prepare.text("cat"), prepare.text("a")])
    assert both.tolist() == [[BEGIN, 99, 97, 116, END], [BEGIN, 97, END, PAD, PAD]]
    whole = pair_spec(LIKE_SIGLIP)
    ids = padded(whole.text, [PairPreparer(whole, byte_words()).text("cat")])
    assert ids.tolist() == [[99, 97, 116, END] + [PAD] * (CONTEXT - 4)]


def test_special_tokens_in_a_text_are_plain_words() -> None:
    ids = PairPreparer(pair_spec(), byte_words()).text("<end>").ids
    assert ids == (BEGIN, *b"<end>", END)


@pytest.mark.parametrize(
    ("cleaning", "cleaned"),
    [("none", " A  (Cat),\n!"), ("lower", " a  (cat),\n!"), ("canonical", "a cat")],
)
def test_cleaning(cleaning: str, cleaned: str) -> None:
    prepare = PairPreparer(pair_spec({"text": {"cleaning": cleaning}}), byte_words())
    assert prepare.text(" A  (Cat),\n!").ids == (BEGIN, *cleaned.encode(), END)


def test_long_texts_are_refused_or_cut_and_counted() -> None:
    text = "x" * 30
    with pytest.raises(ContextOverflow, match="takes 30 tokens, there is room for 22"):
        PairPreparer(pair_spec(), byte_words()).text(text)
    prepare = PairPreparer(pair_spec({"text": {"long_text": "cut"}}), byte_words())
    found = prepare.text(text)
    assert (len(found.ids), found.ids[-1], found.cut) == (CONTEXT, END, 8)
    given = [prepare(picture(), text, id="a"), prepare(picture(), "short", id="b")]
    batch = collate_pairs(prepare.spec, given)
    assert (batch.cut_tokens, batch.tokens, batch.capacity) == (8, CONTEXT + 7, 2 * CONTEXT)
    assert (batch.ids, batch.rows, batch.weight) == (("a", "b"), 2, 2.0)
    assert batch.visual_tokens == 2 * (SIDE // 4) ** 2
    silent = batch.silent()
    assert (silent.rows, silent.weight, silent.capacity, silent.visual_tokens) == (0, 0.0, 0, 0)


def test_empty_texts_and_narrow_pictures_are_refused() -> None:
    prepare = PairPreparer(pair_spec({"resolution": {"fit": "crop"}}), byte_words())
    with pytest.raises(PromptError, match="has no token"):
        prepare.text("")
    with pytest.raises(PictureError, match="would be laid out"):
        prepare.pixels(np.zeros((1, 10**7, 3), np.uint8))


def test_pixels_are_those_of_the_layout() -> None:
    """The same view through the one door."""
    prepare = PairPreparer(pair_spec({"resolution": {"fit": "crop"}}), byte_words())
    shown = picture()
    size = MediaSize(shown.shape[1], shown.shape[0])
    policy = prepare.spec.resolution
    [view] = one_view(policy, size).views
    assert torch.equal(prepare.pixels(shown), render(shown, view, policy.pixels))


# Folders.


def test_a_saved_pair_is_loaded_bit_by_bit(tmp_path: Path) -> None:
    pair, words = random_pair(LIKE_SIGLIP).eval(), byte_words()
    save(pair, tmp_path / "pair", tokenizer=words, card="A pair.", about={"steps": 3})
    again = sightline.load_pair(tmp_path / "pair")
    assert again.model.spec == pair.spec and again.notes == ()
    state = again.model.state_dict()
    for name, tensor in pair.state_dict().items():
        assert torch.equal(state[name], tensor), name
    before = Matcher(pair, words).logits([picture()], ["a cat", "a dog"])
    assert torch.equal(again.logits([picture()], ["a cat", "a dog"]), before)
    assert sightline.load_pair(tmp_path / "pair", dtype="bfloat16").model.dtype == torch.bfloat16


def test_batches_change_no_embedding(tmp_path: Path) -> None:
    matcher = Matcher(random_pair(LIKE_CLIP).eval(), byte_words())
    shown = [picture(seed=i) for i in range(5)]
    for batch in (1, 2, 5):
        found = matcher.encode_images(shown, batch=batch)
        assert torch.allclose(found, matcher.encode_images(shown), atol=1e-6)
        texts = matcher.encode_texts(["a", "cat", "on a mat"], batch=batch)
        assert torch.allclose(texts, matcher.encode_texts(["a", "cat", "on a mat"]), atol=1e-6)
    assert matcher.encode_texts([]).shape == (0, 10)


def test_the_tower_of_a_saved_pair_enters_a_model(tmp_path: Path) -> None:
    """Its weights are those of the pair; its rows those of the last but one block, as of any."""
    pair = random_pair(LIKE_CLIP).eval()
    save(pair, tmp_path / "pair", tokenizer=byte_words())
    tiny = sightline.compose(vision=tmp_path / "pair", language=TINY, dtype="float32")
    assert tiny.spec.vision.layer == -2 and tiny.spec.vision.class_token == "drop"
    vision = tiny.model.vision.state_dict()
    for name, tensor in pair.vision.state_dict().items():
        assert torch.equal(vision[name], tensor), name
    assert tiny.ask(Image.fromarray(picture()), "What is it?", max_tokens=2).usage


def test_the_tower_alone(tmp_path: Path) -> None:
    pair = random_pair().eval()
    save(pair, tmp_path)
    pixels, _ = rows(2)
    with torch.no_grad():
        assert torch.equal(load_vision(read_spec(tmp_path))(pixels), pair.vision(pixels))


def test_a_pair_is_no_whole_model_and_the_reverse(tmp_path: Path) -> None:
    save(random_pair(), tmp_path, tokenizer=byte_words())
    with pytest.raises(FamilyError, match="pair of towers; open it with load_pair"):
        sightline.load(tmp_path)
    with pytest.raises(FamilyError, match="not a pair"):
        sightline.load_pair(TINY)


def parameters(pair: Pair) -> int:
    return sum(p.numel() for p in pair.parameters())


def test_what_is_not_declared_is_not_there() -> None:
    base, likes = random_pair(), random_pair(LIKE_SIGLIP)
    assert base.connector.bias is None and likes.connector.image is None
    assert base.connector.text is not None and base.connector.text.bias is None
    assert likes.connector.text is not None and likes.connector.text.bias is not None
    assert parameters(base) != parameters(likes)
