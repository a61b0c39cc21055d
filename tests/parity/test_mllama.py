"""Llama 3.2 Vision against transformers: tiles, memory, gates, every spelling."""

# P tile places

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from tests.helpers.tiny import Item
from tests.parity import memories
from tests.parity import reference as ref
from tests.parity.reference import TEXT, TOLERANCE, VOCAB, WIDTH, words
from torch import Tensor
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

from sightline.core.errors import FamilyError, SightlineError, SpecError
from sightline.families import read_spec
from sightline.model.reference import reference_greedy
from sightline.model.vlm import Vlm
from sightline.planner.work import parameters
from sightline.planner.workload import workload
from sightline.resolution.layout import VisualLayout
from sightline.spec import CanvasSpec
from sightline.weights import load, load_decoder, load_folder, save

TILE, TILES, IMAGE = 28, 4, VOCAB
VISION = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 3,
    "num_global_layers": 2,
    "attention_heads": 4,
    "intermediate_size": 40,
    "vision_output_dim": 3 * WIDTH,
    "image_size": TILE,
    "patch_size": 14,
    "intermediate_layers_indices": [0, 2],
}
ROPE = {
    "rope_type": "llama3",
    "rope_theta": 50.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
TEXTS = {
    "model_type": "mllama_text_model",
    **TEXT,
    "num_hidden_layers": 5,
    "cross_attention_layers": [1, 3],
    "rope_parameters": ROPE,
}


def tiny(seed: int = 0, **text: Any) -> Any:
    config = hf.MllamaConfig(
        vision_config=VISION, text_config={**TEXTS, **text}, image_token_index=IMAGE
    )
    return opened(ref.randomise(hf.MllamaForConditionalGeneration(config), seed))


@torch.no_grad()
def opened(model: Any) -> Any:
    """Gates at 0.8 and around: at zero nothing of a picture would arrive."""
    for name, p in model.named_parameters():
        if "gate" in name.split(".")[-1]:
            p.add_(0.8)
    return model


def as_tiles(pixels: tuple[Tensor, ...], laid: VisualLayout) -> dict[str, Tensor]:
    """Canvases cut into tiles, and what the reference wants to know of them."""
    shapes = [(v.size.height // TILE, v.size.width // TILE) for v in laid.views]
    known = [(r, c) for r in range(1, 5) for c in range(1, 5) if r * c <= TILES]
    values = torch.zeros(1, len(pixels), TILES, 3, TILE, TILE)
    mask = torch.zeros(1, len(pixels), TILES, dtype=torch.int64)
    for i, (picture, (rows, cols)) in enumerate(zip(pixels, shapes, strict=True)):
        cut = picture.unflatten(2, (cols, TILE)).unflatten(1, (rows, TILE))
        values[0, i, : rows * cols] = cut.permute(1, 3, 0, 2, 4).flatten(0, 1)
        mask[0, i, : rows * cols] = 1
    ids = torch.tensor([[known.index(shape) + 1 for shape in shapes]])
    return {"pixel_values": values, "aspect_ratio_ids": ids, "aspect_ratio_mask": mask}


def inputs_of(item: Item) -> dict[str, Tensor]:
    """What MllamaProcessor would make."""
    ids = list(item.token_ids)
    inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids))}
    if not item.visual.pixels:
        return inputs
    inputs |= as_tiles(item.visual.pixels, item.visual.layout)
    tiles = [inputs["aspect_ratio_mask"][0].sum(-1).tolist()]
    sparse = [get_cross_attention_token_mask(ids, IMAGE)]
    dense = convert_sparse_cross_attention_mask_to_dense(sparse, tiles, TILES, len(ids))
    return inputs | {"cross_attention_mask": torch.tensor(dense)}


difference = partial(memories.difference, inputs=inputs_of)


@pytest.fixture(scope="module")
def theirs() -> Any:
    return tiny()


@pytest.fixture
def ours(theirs: Any, tmp_path: Path) -> Vlm:
    return load_folder(ref.saved(theirs, tmp_path)).model


def test_same_logits_and_answers(ours: Vlm, theirs: Any) -> None:
    items = memories.conversations(ours.spec)
    assert difference(ours, theirs, items) <= TOLERANCE
    memories.assert_same_greedy(ours, theirs, items, inputs_of)


def test_cached_answers_are_the_slow_path_s(ours: Vlm) -> None:
    items = memories.conversations(ours.spec)
    cached = ref.our_greedy(ours, list(items.values()), 6)
    assert cached == [reference_greedy(ours, item, 6) for item in items.values()]


@pytest.mark.parametrize(
    ("layers", "depth", "before"),
    [([0], 3, (0,)), ([1], 3, (1,)), ([2, 4], 6, (2, 3)), ([0, 2, 4], 6, (0, 1, 2))],
)
def test_reading_layers_stand_anywhere(
    layers: list[int], depth: int, before: tuple[int, ...], tmp_path: Path
) -> None:
    model = tiny(1, cross_attention_layers=layers, num_hidden_layers=depth)
    mine = load_folder(ref.saved(model, tmp_path)).model
    assert mine.spec.fusion.layers == before
    assert difference(mine, model, memories.conversations(mine.spec)) <= TOLERANCE


def hub(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    ref.to_hub_dialect(folder)


SPELLINGS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "5s": (lambda model, folder: model.save_pretrained(folder), "language_model.model.layers."),
    "5n": (
        lambda model, folder: model.save_pretrained(folder, save_original_format=False),
        "model.language_model.layers.",
    ),
    "hub": (hub, "vision_model.global_transformer.layers."),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling(name: str, theirs: Any, tmp_path: Path) -> None:
    write, prefix = SPELLINGS[name]
    write(theirs, tmp_path)
    declared = read_spec(tmp_path)
    assert any(tensor.startswith(prefix) for tensor in load_file(tmp_path / "model.safetensors"))
    mine = load(declared).model
    assert difference(mine, theirs, memories.conversations(mine.spec)) <= TOLERANCE


def test_our_own_folder_brings_the_model_back(ours: Vlm, tmp_path: Path) -> None:
    save(ours, tmp_path / "own")
    again = load_folder(tmp_path / "own").model
    assert again.spec == ours.spec
    assert all(map(torch.equal, again.parameters(), ours.parameters()))


def with_fusion(model: Vlm, **changes: Any) -> None:
    fusion = model.spec.fusion.model_copy(update=changes)
    model.spec = model.spec.model_copy(update={"fusion": fusion})


@torch.no_grad()
def swap(a: Tensor, b: Tensor) -> None:
    kept = a.clone()
    a.copy_(b)
    b.copy_(kept)


def unmasked(model: Vlm) -> None:
    model.vision._pairs = lambda tiles, device: torch.ones(1, 1, 1, 1, dtype=torch.bool)


def stacked_taps(model: Vlm) -> None:
    """Taps side by side instead of channel by channel."""
    weight = model.connector.layers[0].weight
    with torch.no_grad():
        taps = weight[:, WIDTH:].unflatten(1, (WIDTH, 2)).transpose(1, 2).flatten(1).clone()
        weight[:, WIDTH:] = taps


def first_tap(model: Vlm) -> None:
    model.vision.spec = model.vision.spec.model_copy(update={"taps": (1, 2)})


def cross_of(model: Vlm) -> Any:
    return model.language.blocks[1].cross


MUTATIONS: dict[str, Callable[[Vlm], Any]] = {
    "latest picture alone": lambda m: with_fusion(m, sees="latest"),
    "all pictures": lambda m: with_fusion(m, sees="all"),
    "nothing before pictures": lambda m: with_fusion(m, blind="nothing"),
    "padding seen by padding": unmasked,
    "taps not interleaved": stacked_taps,
    "another tap": first_tap,
    "gates of attention and mlp": lambda m: swap(cross_of(m).attn_gate, cross_of(m).mlp_gate),
    "no norm of keys": lambda m: setattr(cross_of(m).attn, "k_norm", None),
    "tables before and after": lambda m: swap(
        m.vision.tile_before.weight, m.vision.tile_after.weight
    ),
    "arrangements transposed": lambda m: swap(
        m.vision.positions.tiles[2], m.vision.positions.tiles[5]
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_are_caught(name: str, ours: Vlm, theirs: Any) -> None:
    MUTATIONS[name](ours)
    items = memories.conversations(ours.spec)
    assert difference(ours, theirs, items) >= 5 * TOLERANCE


def test_rows_of_padding_are_read_before_a_picture(ours: Vlm, theirs: Any) -> None:
    """The reference lets these tokens see every row, also those of places without a tile."""
    item = memories.conversations(ours.spec)["one"]
    [media] = item.visual.layout.media
    [run] = media.memory
    assert (run.tokens, run.padding) == (TILES * 5, 1 * 5)
    hidden = replace(media, memory=(replace(run, padding=0),))
    laid = replace(item.visual.layout, media=(hidden,))
    wrong = replace(item, visual=replace(item.visual, layout=laid))
    assert difference(ours, theirs, {"padding as picture": wrong}) >= 5 * TOLERANCE


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "reads last": ({"text_config": {**TEXTS, "cross_attention_layers": [4]}}, "cross_attention"),
    "reads twice": (
        {"text_config": {**TEXTS, "cross_attention_layers": [1, 2]}},
        "cross_attention",
    ),
    "image outside": ({"image_token_index": VOCAB + 8}, "image_token_index"),
    "other shapes": (
        {"vision_config": {**VISION, "supported_aspect_ratios": [[1, 1]]}},
        "supported_aspect_ratios",
    ),
    "other width": ({"vision_config": {**VISION, "vision_output_dim": 99}}, "vision_output_dim"),
    "tap outside": (
        {"vision_config": {**VISION, "intermediate_layers_indices": [0, 3]}},
        "taps",
    ),
    "unknown key": (
        {"text_config": {**TEXTS, "cross_attention_bias": True}},
        "cross_attention_bias",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_configs(name: str) -> None:
    change, field = REFUSED[name]
    base = {"model_type": "mllama", "vision_config": VISION, "text_config": TEXTS}
    assert read_spec(base | {"image_token_index": IMAGE}).is_model
    with pytest.raises(SightlineError, match=field) as caught:
        read_spec(base | {"image_token_index": IMAGE} | change)
    assert isinstance(caught.value, FamilyError)


LLAMA_32_11B: dict[str, Any] = {
    "model_type": "mllama",
    "image_token_index": 128256,
    "vision_config": {"model_type": "mllama_vision_model", "image_size": 560},
    "text_config": {"model_type": "mllama_text_model", "rope_theta": 500000.0},
}


def test_the_11b_from_its_config_alone() -> None:
    """Every parameter is counted, and a picture is one token beside 4 · 1601 rows of memory."""
    spec = read_spec(LLAMA_32_11B).model
    with torch.device("meta"):
        config = hf.MllamaConfig(vision_config={"image_size": 560})
        wanted = sum(p.numel() for p in hf.MllamaForConditionalGeneration(config).parameters())
    assert sum(parameters(spec)) == wanted == 10_670_220_835
    assert spec.fusion.layers == (3, 7, 11, 15, 19, 23, 27, 31)
    assert spec.language.depth == 32 and spec.language.unspoken == 8
    work = workload(spec, [(640, 480)], text_tokens=100)
    assert (work.prompt_tokens, work.layout.memory_tokens) == (101, 4 * 1601)
    per_token = 2 * 8 * 128 * 2
    assert work.kv_bytes == per_token * (32 * 101 + 8 * 4 * 1601)


def test_the_text_model_alone_is_a_llama(theirs: Any, tmp_path: Path) -> None:
    """What a conversation without pictures passes, and what `compose` may take."""
    decoder = load_decoder(read_spec(ref.saved(theirs, tmp_path)))
    assert (decoder.spec.depth, len(decoder.blocks)) == (3, 3)
    item = Item(tuple(words(9, 1)), torch.zeros(9, dtype=torch.bool), torch.arange(9)[None])
    gap = ref.our_logits(decoder, item) - memories.their_logits(theirs, inputs_of(item))
    assert gap.abs().max() <= TOLERANCE


PROCESSOR: dict[str, Any] = {
    "do_resize": True,
    "do_pad": True,
    "size": {"height": TILE, "width": TILE},
    "max_image_tiles": TILES,
    "resample": 2,
}
PROCESSORS: dict[str, tuple[dict[str, Any], str]] = {
    "unpadded": ({"do_pad": False}, "do_pad"),
    "not square": ({"size": {"height": TILE, "width": 14}}, "width"),
    "no tiles": ({"max_image_tiles": 0}, "tiles"),
    "unknown key": ({"do_split": True}, "do_split"),
    "unknown filter": ({"resample": 5}, "resample"),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_refused_processors(name: str, theirs: Any, tmp_path: Path) -> None:
    ref.saved(theirs, tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(PROCESSOR))
    views = read_spec(tmp_path).resolution
    assert isinstance(views, CanvasSpec) and views.pixels.mean == (0.5, 0.5, 0.5)
    change, field = PROCESSORS[name]
    file.write_text(json.dumps(PROCESSOR | change))
    with pytest.raises(FamilyError, match=field):
        read_spec(tmp_path)


def test_tiles_of_another_size_are_refused(theirs: Any, tmp_path: Path) -> None:
    ref.saved(theirs, tmp_path)
    size = {"height": 2 * TILE, "width": 2 * TILE}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | {"size": size}))
    with pytest.raises(SpecError, match="not the encoder's tile"):
        load_folder(tmp_path)


def test_missing_files_are_said_aloud(theirs: Any, tmp_path: Path) -> None:
    notes = read_spec(ref.saved(theirs, tmp_path)).notes
    assert any("no processor file" in note for note in notes)
    assert any("llama3" in note for note in notes)
