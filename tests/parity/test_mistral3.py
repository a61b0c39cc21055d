"""Mistral Small 3.1 against transformers: logits, answers, spellings, and mistakes that show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import IMAGE, TEXT, TOLERANCE, words
from tests.parity.tiles import Seen, assert_same_greedy, difference
from torch.nn import functional as F

from sightline.core.errors import ContextOverflow, FamilyError, PictureError, SpecError
from sightline.core.geometry import MediaSize, Size
from sightline.families import Declared, read_spec
from sightline.model.prepare import placeholders
from sightline.model.visual import VisualInput
from sightline.model.vlm import Vlm
from sightline.resolution.layout import Features
from sightline.resolution.longest_edge import view_size
from sightline.resolution.policy import layout
from sightline.spec import LongestEdgeSpec, ModelSpec
from sightline.weights import load, load_folder
from sightline.weights.save import save

SEEN = 5 * TOLERANCE
PIXTRAL: dict[str, Any] = {
    "model_type": "pixtral",
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 4,
    "hidden_act": "silu",
    "rope_parameters": {"rope_type": "axial", "rope_theta": 90.0},
}
MISTRAL: dict[str, Any] = {
    "model_type": "mistral", **TEXT, "head_dim": 16, "sliding_window": None,
    "max_position_embeddings": 512,
}  # fmt: skip


def mistral3(hidden_act: str = "silu", **changes: Any) -> Any:
    """A tiny random Mistral 3."""
    own = {
        "vision_config": PIXTRAL | {"hidden_act": hidden_act},
        "text_config": MISTRAL,
        "image_token_index": IMAGE,
        "tie_word_embeddings": False,
    }
    config = hf.Mistral3Config(**own | changes)
    return ref.randomise(hf.Mistral3ForConditionalGeneration(config))


MODELS: dict[str, Callable[[], Any]] = {
    "mistral 3.1": lambda: mistral3(),
    "tied, biases, gelu": lambda: mistral3(
        "gelu", tie_word_embeddings=True, multimodal_projector_bias=True
    ),
    "squares of one": lambda: mistral3(spatial_merge_size=1),
    "the layer before": lambda: mistral3(vision_feature_layer=-2),
}


def chats(spec: ModelSpec) -> dict[str, Seen]:
    """No picture, one, several of other shapes, one in the second turn."""
    text = [words(n, n) for n in (2, 3, 4, 6, 9)]
    return {
        "text": chat(spec, text[4]),
        "one": chat(spec, text[0], MediaSize(40, 30), text[3], seed=1),
        "small": chat(spec, MediaSize(3, 9), text[1], seed=2),
        "several": chat(spec, text[0], MediaSize(31, 90), text[1], MediaSize(9, 9),
                        MediaSize(300, 40), text[2], seed=3),
        "second turn": chat(spec, text[4], text[2], MediaSize(17, 16), text[1], seed=4),
    }  # fmt: skip


def chat(spec: ModelSpec, *parts: list[int] | MediaSize, seed: int = 0) -> Seen:
    """Runs of ids and pictures with their row tags; the reference pads pictures to one size."""
    laid = layout(spec, [part for part in parts if isinstance(part, MediaSize)])
    generator = torch.Generator().manual_seed(seed)
    sizes = [(view.size.height, view.size.width) for view in laid.views]
    pixels = tuple(torch.randn(3, *size, generator=generator) for size in sizes)
    spans, ids = iter(laid.media), list[int]()
    for part in parts:
        marks = part if isinstance(part, list) else placeholders(next(spans))
        ids += [IMAGE if mark is None else mark for mark in marks]
    token_ids = torch.tensor(ids)
    item = Item(
        tuple(ids), token_ids == IMAGE, torch.arange(len(ids))[None], VisualInput(laid, pixels)
    )
    inputs = {"input_ids": token_ids[None]}
    if pixels:
        high, wide = (max(side) for side in zip(*sizes, strict=True))
        padded = [F.pad(p, (0, wide - p.shape[2], 0, high - p.shape[1])) for p in pixels]
        inputs |= {"pixel_values": torch.stack(padded), "image_sizes": torch.tensor(sizes)}
    return Seen(item, inputs)


def made(folder: Path) -> tuple[Any, Declared]:
    theirs = mistral3()
    return theirs, read_spec(ref.saved(theirs, folder))


@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs = MODELS[name]()
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    assert difference(ours, theirs, chats(ours.spec)) <= TOLERANCE
    assert_same_greedy(ours, theirs, chats(ours.spec))


def as_saved(model: Any, folder: Path) -> None:
    """As 5.x saves it and the hub has it: the tower has no inner prefix."""
    model.save_pretrained(folder)


def as_5n(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, save_original_format=False)


@pytest.mark.parametrize("dialect", ["4.x", "5.x"])
@pytest.mark.parametrize("write", [as_saved, as_5n])
def test_every_spelling_and_dialect(
    write: Callable[[Any, Path], None], dialect: str, tmp_path: Path
) -> None:
    theirs = mistral3()
    write(theirs, tmp_path)
    if dialect == "4.x":
        ref.to_hub_dialect(tmp_path)
        vision = {k: v for k, v in PIXTRAL.items() if k != "rope_parameters"}
        vision |= {"rope_theta": 90.0, "head_dim": 8}
        ref.edit_config(tmp_path, {"vision_config": vision})
    ours = load_folder(tmp_path).model
    assert difference(ours, theirs, chats(ours.spec)) <= TOLERANCE


def test_saved_and_read_again(tmp_path: Path) -> None:
    """Our own folder holds the spec with its row tags, and the weights bit by bit."""
    declared = made(tmp_path / "theirs")[1]
    ours = load(declared).model
    save(ours, tmp_path / "ours")
    again = load_folder(tmp_path / "ours").model
    assert again.spec == ours.spec
    for name, p in ours.named_parameters():
        assert torch.equal(p, again.get_parameter(name)), name


def vision_spec(**changes: Any) -> Callable[[Vlm], None]:
    def change(ours: Vlm) -> None:
        ours.vision.spec = ours.vision.spec.model_copy(update=changes)  # type: ignore[union-attr]

    return change


def merged_row_by_row(ours: Vlm) -> None:
    """Joined rows as [i, j, C]."""
    merge = ours.connector.merge  # type: ignore[union-attr]
    by_channel = merge.weight.data.unflatten(1, (-1, 4))  # type: ignore[union-attr, operator]
    merge.weight.data.copy_(by_channel.transpose(1, 2).flatten(1))  # type: ignore[union-attr]


def no_norm(ours: Vlm) -> None:
    ours.connector.norm = torch.nn.Identity()  # type: ignore[union-attr]


MISTAKES: dict[str, Callable[[Vlm], None]] = {
    "one set of frequencies": vision_spec(rope="shared"),
    "another theta": vision_spec(rope_theta=100.0),
    "no rotation": vision_spec(rope="absent"),
    "squares row by row": merged_row_by_row,
    "no norm before merging": no_norm,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs, declared = made(tmp_path)
    ours = load(declared).model
    one = {"one": chats(ours.spec)["one"]}
    assert difference(ours, theirs, one) <= TOLERANCE
    MISTAKES[mistake](ours)
    assert difference(ours, theirs, one) > SEEN


def test_rows_in_a_wrong_order_are_seen(tmp_path: Path) -> None:
    theirs, declared = made(tmp_path)
    ours = load(declared).model
    one = chats(ours.spec)["one"]
    laid = one.item.visual.layout
    rows = [s for s in laid.media[0].segments if isinstance(s, Features)]
    turned = dict(zip(rows, rows[::-1], strict=True))
    segments = tuple(turned.get(s, s) for s in laid.media[0].segments)  # type: ignore[call-overload]
    media = (replace(laid.media[0], segments=segments),)
    visual = replace(one.item.visual, layout=replace(laid, media=media))
    wrong = replace(one, item=replace(one.item, visual=visual))
    assert difference(ours, theirs, {"one": wrong}) > SEEN


HUB = {  # mistralai/Mistral-Small-3.1-24B-Instruct-2503
    "architectures": ["Mistral3ForConditionalGeneration"],
    "image_token_index": 10,
    "model_type": "mistral3",
    "multimodal_projector_bias": False,
    "projector_hidden_act": "gelu",
    "spatial_merge_size": 2,
    "text_config": {
        "attention_dropout": 0.0,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 5120,
        "initializer_range": 0.02,
        "intermediate_size": 32768,
        "max_position_embeddings": 131072,
        "model_type": "mistral",
        "num_attention_heads": 32,
        "num_hidden_layers": 40,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000000.0,
        "sliding_window": None,
        "use_cache": True,
        "vocab_size": 131072,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0.dev0",
    "vision_config": {
        "attention_dropout": 0.0,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 1024,
        "image_size": 1540,
        "initializer_range": 0.02,
        "intermediate_size": 4096,
        "model_type": "pixtral",
        "num_attention_heads": 16,
        "num_channels": 3,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "rope_theta": 10000.0,
    },
    "vision_feature_layer": -1,
}


def test_published_config_alone() -> None:
    spec = read_spec(HUB).model
    assert (spec.resolution.edge, spec.resolution.multiple) == (1540, 28)
    [item] = layout(spec, [MediaSize(1540, 1000)]).media
    assert item.visual_tokens == 55 * 36 and item.tokens == 56 * 36
    assert placeholders(item)[55::56] == [12] * 35 + [13]
    assert not spec.language.tied_head and spec.language.attention.window is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text_config": {"model_type": "llama"}}, "text_config.model_type"),
        ({"vision_config": {"model_type": "clip_vision_model"}}, "vision_config.model_type"),
        ({"vision_feature_layer": [-1, -2]}, "vision_feature_layer"),
        ({"vision_config": {"rope_parameters": {"rope_type": "linear"}}},
         "vision_config.rope_parameters.rope_type"),
    ],
)  # fmt: skip
def test_what_is_not_built_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FamilyError) as refused:
        read_spec(HUB | change)
    assert refused.value.field == field


def test_a_budget_lowers_the_longest_edge() -> None:
    spec, sizes = read_spec(HUB).model, [MediaSize(1500, 900), MediaSize(400, 1400)]
    whole = layout(spec, sizes)
    assert layout(spec, sizes, whole.visual_tokens) == whole
    for budget in (2, 100, 999):
        laid = layout(spec, sizes, budget)
        assert laid.visual_tokens <= budget
        assert any("longest edge" in note for note in laid.notes)
    with pytest.raises(ContextOverflow):
        layout(spec, sizes, 1)


def test_a_picture_too_narrow_is_refused() -> None:
    with pytest.raises(PictureError, match="no shorter side"):
        view_size(LongestEdgeSpec(edge=1540, multiple=28), Size(1, 6000))


def test_a_multiple_that_squares_do_not_fill_is_refused() -> None:
    spec = read_spec(HUB).model
    with pytest.raises(SpecError, match="does not divide"):
        ModelSpec.parse(spec.model_dump() | {"resolution": spec.resolution.model_copy(
            update={"multiple": 14}).model_dump()})  # fmt: skip
