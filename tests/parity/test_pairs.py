"""CLIP's and SigLIP's whole models against transformers: embeddings, logits, tensors, both ways."""

# V pictures  B texts  T tokens  E width of embeddings

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from tests.parity import reference as ref
from tests.parity.reference import TOLERANCE, TOWER
from torch import Tensor

from sightline.core.errors import FamilyError, WeightError
from sightline.families.declared import Declared
from sightline.families.pairs import publish_pair, read_pair
from sightline.model.pair import Pair
from sightline.weights import export_pair, fill_pair

SEEN = 5 * TOLERANCE
VOCAB, EMBEDDING = 60, 24
SIDE: dict[str, Any] = {k: v for k, v in TOWER.items() if k not in ("image_size", "patch_size")}
TEXT: dict[str, Any] = SIDE | {
    "vocab_size": VOCAB,
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "max_position_embeddings": 16,
}
END, BEGIN = VOCAB - 1, VOCAB - 2


def clip(**text: Any) -> Any:
    ids = {"bos_token_id": BEGIN, "eos_token_id": END}
    config = hf.CLIPConfig(
        vision_config=TOWER, text_config=TEXT | ids | text, projection_dim=EMBEDDING
    )
    return hf.CLIPModel(config)


def siglip(**text: Any) -> Any:
    side = TEXT | {"projection_size": TOWER["hidden_size"]} | text
    return hf.SiglipModel(hf.SiglipConfig(vision_config=TOWER, text_config=side))


PAIRS: dict[str, Callable[[], Any]] = {
    "clip": clip,
    "clip whose end is inside the vocabulary": lambda: clip(eos_token_id=40),
    "clip's first files": lambda: clip(bos_token_id=0, eos_token_id=2),
    "openclip gelu": lambda: clip(hidden_act="gelu"),
    "siglip": siglip,
    "siglip of equal widths": lambda: siglip(hidden_size=32),
}
LENGTHS = (3, 7, 16)


def made(name: str, folder: Path) -> tuple[Any, Declared]:
    theirs = ref.randomise(PAIRS[name]())
    return theirs, read_pair(ref.saved(theirs, folder))


def pixels(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, 3, 28, 28, generator=generator)


def words(length: int, spec: Any) -> Tensor:
    """Four texts of `length` ids: begin, words, end at other places, padding or words after it."""
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(3, 38, (4, length), generator=generator)
    ids[:, 0] = spec.bos_id or 5
    for row in range(4):
        end = max(1, length - 1 - row)
        ids[row, end] = spec.eos_id
        ids[row, end + 1 :] = spec.pad_id if row % 2 else 7
    return ids


@torch.no_grad()
def theirs_of(model: Any, views: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    out = model(input_ids=ids, pixel_values=views)
    return out.image_embeds, out.text_embeds, out.logits_per_image


@torch.no_grad()
def ours_of(model: Pair, views: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    images_VE, texts_BE = model.encode_images(views), model.encode_texts(ids)
    return images_VE, texts_BE, model.logits(images_VE, texts_BE)


def gap(model: Any, ours: Pair, length: int = 16) -> float:
    """The largest difference of embeddings and logits."""
    views, ids = pixels(), words(length, ours.spec.text)
    pairs = zip(ours_of(ours, views, ids), theirs_of(model, views, ids), strict=True)
    gaps = []
    for found, wanted in pairs:
        assert found.shape == wanted.shape
        gaps.append(float((found - wanted).abs().max()))
    return max(gaps)


@pytest.mark.parametrize("name", PAIRS)
def test_embeddings_and_logits(name: str, tmp_path: Path) -> None:
    theirs, declared = made(name, tmp_path)
    loaded = fill_pair(declared)
    assert not loaded.audit.fresh
    for length in LENGTHS:
        assert gap(theirs, loaded.model, length) <= TOLERANCE, length


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_every_tensor_is_loaded(name: str, tmp_path: Path) -> None:
    theirs, declared = made(name, tmp_path)
    loaded = fill_pair(declared)
    assert loaded.audit.dropped == ()
    found = sum(p.numel() for p in loaded.model.parameters())
    assert found == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_hub_spelling(name: str, tmp_path: Path) -> None:
    """4.x writes position ids beside the weights."""
    theirs, _ = made(name, tmp_path)
    counted = {
        "text_model.embeddings.position_ids": torch.arange(16)[None],
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
    }
    ref.edit_tensors(tmp_path, lambda tensors: tensors | counted)
    ref.to_hub_dialect(tmp_path)
    loaded = fill_pair(read_pair(tmp_path))
    assert {name for name, _ in loaded.audit.dropped} == set(counted)
    assert gap(theirs, loaded.model) <= TOLERANCE


def test_text_config_dict_wins(tmp_path: Path) -> None:
    """openai/clip-vit-base-patch32 keeps its values there."""
    theirs, _ = made("clip", tmp_path)
    ids = {"bos_token_id": BEGIN, "eos_token_id": END}
    ref.edit_config(tmp_path, {"text_config_dict": TEXT | ids, "text_config": {"hidden_size": 8}})
    assert gap(theirs, fill_pair(read_pair(tmp_path)).model) <= TOLERANCE


@pytest.mark.parametrize("name", ["clip", "clip's first files", "siglip"])
def test_exported_tensors_are_equal(name: str, tmp_path: Path) -> None:
    theirs, declared = made(name, tmp_path / "theirs")
    export_pair(fill_pair(declared).model, tmp_path / "ours")
    before = load_file(tmp_path / "theirs" / "model.safetensors")
    after = load_file(tmp_path / "ours" / "model.safetensors")
    assert before.keys() == after.keys()
    for tensor in before:
        assert torch.equal(before[tensor], after[tensor]), tensor
    again = type(theirs).from_pretrained(tmp_path / "ours", dtype=torch.float32).eval()
    assert gap(again, fill_pair(declared).model) <= TOLERANCE
    assert read_pair(tmp_path / "ours").pair == declared.pair


# What must be seen.


def changed(pair: Pair, **values: Any) -> None:
    pair.spec = pair.spec.model_copy(update=values)


def text_changed(pair: Pair, **values: Any) -> None:
    changed(pair, text=pair.spec.text.model_copy(update=values))


def rolled(name: str) -> Callable[[Pair], None]:
    def roll(pair: Pair) -> None:
        data = pair.get_parameter(name).data
        data.copy_(data.roll(1, 0))

    return roll


def pool_not_normed(pair: Pair) -> None:
    pair.vision.spec = pair.vision.spec.model_copy(update={"post_norm": "unused"})


def no_residual(pair: Pair) -> None:
    pair.connector.pool.mlp.down.weight.data.zero_()
    pair.connector.pool.mlp.down.bias.data.zero_()


def gelu_of_texts(pair: Pair) -> None:
    for block in pair.language.blocks:
        block.mlp.activation = "gelu"


def colder(pair: Pair) -> None:
    pair.connector.log_scale.data.add_(0.01)


MISTAKES: dict[str, tuple[str, Callable[[Pair], None]]] = {
    "sees later words": ("clip", lambda p: text_changed(p, mask="bidirectional")),
    "sees earlier words only": ("siglip", lambda p: text_changed(p, mask="causal")),
    "read at the last word": ("clip", lambda p: text_changed(p, pool="last")),
    "read at the highest id": (
        "clip whose end is inside the vocabulary",
        lambda p: text_changed(p, pool="highest"),
    ),
    "read at another end": ("clip's first files", lambda p: text_changed(p, pool="end", eos_id=7)),
    "read at the end": ("siglip", lambda p: text_changed(p, pool="end")),
    "text positions off by one": ("clip", rolled("language.positions.weight")),
    "text activation": ("clip", gelu_of_texts),
    "class token without its norm": ("clip", pool_not_normed),
    "patches without their norm": ("siglip", pool_not_normed),
    "image projection off by one": ("clip", rolled("connector.image.weight")),
    "text bias off by one": ("siglip", rolled("connector.text.bias")),
    "queries of the pool off by one": ("siglip", rolled("connector.pool.q.weight")),
    "values of the pool off by one": ("siglip", rolled("connector.pool.v.bias")),
    "probe off by one": ("siglip", rolled("connector.pool.probe")),
    "pool without its MLP": ("siglip", no_residual),
    "scale of CLIP": ("clip", colder),
    "scale of SigLIP": ("siglip", colder),
    "bias": ("siglip", lambda p: p.connector.bias.data.add_(0.01)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake: str, tmp_path: Path) -> None:
    name, break_it = MISTAKES[mistake]
    theirs, declared = made(name, tmp_path)
    ours = fill_pair(declared).model
    break_it(ours)
    assert gap(theirs, ours) > SEEN


def test_a_tensor_that_is_left_over_is_named(tmp_path: Path) -> None:
    made("siglip", tmp_path)
    ref.edit_tensors(tmp_path, lambda t: t | {"vision_model.head.extra.weight": torch.ones(2)})
    with pytest.raises(WeightError, match=r"vision_model\.head\.extra\.weight"):
        fill_pair(read_pair(tmp_path))


def test_a_tensor_that_is_missing_is_named(tmp_path: Path) -> None:
    made("clip", tmp_path)
    ref.edit_tensors(tmp_path, lambda t: {n: v for n, v in t.items() if n != "logit_scale"})
    with pytest.raises(WeightError, match="logit_scale"):
        fill_pair(read_pair(tmp_path))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("siglip", {"text_config": TEXT | {"projection_size": 8}}, "projection_size"),
        ("clip", {"text_config": TEXT | {"hidden_size": 21}}, "num_attention_heads"),
        ("clip", {"twist": 3}, "twist"),
        (
            "siglip",
            {"text_config": TEXT | {"projection_size": 32, "twist": 3}},
            r"text_config\.twist",
        ),
        ("clip", {"model_type": "bert"}, "bert"),
    ],
)
def test_what_cannot_be_read_is_refused(
    name: str, change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    made(name, tmp_path)
    ref.edit_config(tmp_path, change)
    with pytest.raises(FamilyError, match=says):
        read_pair(tmp_path)


def test_a_pair_that_neither_family_expresses_is_not_exported(tmp_path: Path) -> None:
    _, declared = made("clip", tmp_path)
    assert declared.pair is not None
    with pytest.raises(FamilyError, match="clip and siglip"):
        publish_pair(declared.pair.model_copy(update={"text_projection": "affine"}))
