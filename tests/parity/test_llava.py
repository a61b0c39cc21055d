"""LLaVA 1.5, Interleave and v1 against transformers: every spelling, both dialects."""

# T tokens  V views  N rows  D width

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import TEXT, TOLERANCE, TOWER, VOCAB
from torch import Tensor, nn

from sightline.families import Declared, read_spec
from sightline.model.vlm import Vlm
from sightline.weights import load, load_folder, load_vision

CLIP = {"model_type": "clip_vision_model", **TOWER}
SIGLIP = {"model_type": "siglip_vision_model", "vision_use_head": False, **TOWER}
DINOV2 = {"model_type": "dinov2", **{k: v for k, v in TOWER.items() if k != "intermediate_size"}}
TEXTS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", **TEXT},
    "mistral": {"model_type": "mistral", **TEXT, "sliding_window": 7, "head_dim": 16},
    "qwen2": {"model_type": "qwen2", **TEXT, "tie_word_embeddings": True},
    "qwen3": {"model_type": "qwen3", **TEXT, "head_dim": 16},
    "gemma": {"model_type": "gemma", **TEXT, "head_dim": 16, "tie_word_embeddings": True},
}
FULL = {"vision_feature_select_strategy": "full"}
MODELS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "clip-llama": (CLIP, "llama", {}),
    "clip-mistral": (CLIP, "mistral", {}),
    "clip-qwen2": (CLIP, "qwen2", {}),
    "siglip-llama": (SIGLIP, "llama", FULL),
    "siglip-mistral": (SIGLIP, "mistral", FULL),
    "siglip-qwen2": (SIGLIP, "qwen2", FULL),
    "interleave": (SIGLIP, "qwen2", FULL | {"vision_feature_layer": -1}),
    "clip-qwen3": (CLIP, "qwen3", {}),
    "clip-gemma": (CLIP, "gemma", {}),
    "dinov2-llama": (DINOV2, "llama", {}),
    "class token kept": (CLIP, "llama", FULL),
    "first layer": (CLIP, "llama", {"vision_feature_layer": 1}),
    "no projector bias": (CLIP, "llama", {"multimodal_projector_bias": False}),
    "projector relu": (CLIP, "llama", {"projector_hidden_act": "relu"}),
}


def reference_of(name: str, seed: int = 0) -> Any:
    tower, text, changes = MODELS[name]
    return ref.llava(tower, TEXTS[text], seed, **changes)


def tokens_of(model: Any) -> int:
    keeps = model.config.vision_feature_select_strategy == "full"
    return 4 + (keeps and model.config.vision_config.model_type != "siglip_vision_model")


@pytest.mark.parametrize("name", MODELS)
def test_same_logits_and_answers(name: str, tmp_path: Path) -> None:
    theirs = reference_of(name)
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    items = ref.conversations(tokens_of(theirs))
    assert ref.difference(ours, theirs, items) <= TOLERANCE
    ref.assert_same_greedy(ours, theirs, items)


def as_5s(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)


def as_5n(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, save_original_format=False)


def as_hub(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    ref.edit_tensors(folder, ref.renamed(("vision_tower.", "vision_tower.vision_model.")))


SPELLINGS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "5s": (as_5s, "vision_tower.encoder."),
    "5n": (as_5n, "model.vision_tower.encoder."),
    "hub": (as_hub, "vision_tower.vision_model.encoder."),
}


@pytest.mark.parametrize("dialect", ["4.x", "5.x"])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", ["clip-llama", "siglip-qwen2"])
def test_every_spelling_and_dialect(name: str, spelling: str, dialect: str, tmp_path: Path) -> None:
    theirs = reference_of(name)
    write, prefix = SPELLINGS[spelling]
    write(theirs, tmp_path)
    if dialect == "4.x":
        ref.to_hub_dialect(tmp_path)
    declared = read_spec(tmp_path)
    assert any(name.startswith(prefix) for name in _names(tmp_path))
    assert declared.dtype == "float32"
    ours = load(declared).model
    assert ref.difference(ours, theirs, ref.conversations(4)) <= TOLERANCE


def test_defaults_of_a_hub_config(tmp_path: Path) -> None:
    """llava-1.5-7b-hf states neither layers nor widths of its text model."""
    config = {
        "model_type": "llava",
        "image_token_index": 32000,
        "ignore_index": -100,
        "pad_token_id": 32001,
        "projector_hidden_act": "gelu",
        "torch_dtype": "float16",
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vocab_size": 32064,
        "text_config": {
            "_name_or_path": "lmsys/vicuna-7b-v1.5",
            "architectures": ["LlamaForCausalLM"],
            "max_position_embeddings": 4096,
            "model_type": "llama",
            "rms_norm_eps": 1e-05,
            "torch_dtype": "float16",
            "vocab_size": 32064,
        },
        "vision_config": {
            "hidden_size": 1024,
            "image_size": 336,
            "intermediate_size": 4096,
            "model_type": "clip_vision_model",
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "patch_size": 14,
            "projection_dim": 768,
            "vocab_size": 32000,
        },
    }
    spec = read_spec(config).model
    theirs = hf.LlavaConfig(**config)
    text, vision = theirs.text_config, theirs.vision_config
    assert (spec.language.depth, spec.language.width) == (text.num_hidden_layers, text.hidden_size)
    assert spec.language.mlp.width == text.intermediate_size
    assert spec.language.attention.kv_heads == text.num_key_value_heads
    assert spec.language.positions.theta == text.rope_parameters["rope_theta"]
    assert spec.vision.norm_eps == vision.layer_norm_eps
    assert spec.vision.activation == vision.hidden_act
    assert spec.vision.tokens(spec.vision.grid(336, 336)) == 576
    assert spec.prompt.image.id == 32000


# LLaVA as first released: a CLIP tower, a linear or two-layer projector and a Llama, joined here.


class Original:
    """The parts of transformers, joined as llava_arch.py joins them."""

    def __init__(self, projector: nn.Module) -> None:
        clip = {k: v for k, v in CLIP.items() if k != "model_type"}
        llama = {k: v for k, v in TEXTS["llama"].items() if k != "model_type"}
        self.tower = ref.randomise(hf.CLIPVisionModel(hf.CLIPVisionConfig(**clip)), 1)
        self.text = ref.randomise(hf.LlamaForCausalLM(hf.LlamaConfig(**llama)), 2)
        self.projector = ref.randomise(projector, 3)

    @torch.no_grad()
    def logits(self, item: Item) -> Tensor:
        ids_BT = torch.tensor([item.token_ids])
        visual_BT = item.visual_T[None]
        x_BTD = self.text.get_input_embeddings()(ids_BT.masked_fill(visual_BT, 0))
        if item.pixels_V3HW is not None:
            hidden = self.tower(item.pixels_V3HW, output_hidden_states=True).hidden_states[-2]
            x_BTD = x_BTD.masked_scatter(visual_BT[..., None], self.projector(hidden[:, 1:]))
        return self.text(inputs_embeds=x_BTD).logits[0]

    def tensors(self, *, with_tower: bool) -> dict[str, Tensor]:
        found = dict(self.text.state_dict())
        found |= {f"model.mm_projector.{n}": t for n, t in self.projector.state_dict().items()}
        if with_tower:
            prefix = "model.vision_tower.vision_tower.vision_model."
            found |= {prefix + n: t for n, t in self.tower.state_dict().items()}
        return found

    def save(self, folder: Path, kind: str, tower: str | None) -> None:
        self.text.save_pretrained(folder)
        ref.edit_tensors(folder, lambda _: self.tensors(with_tower=tower is None))
        keys = {
            "model_type": "llava_llama",
            "architectures": ["LlavaLlamaForCausalLM"],
            "mm_vision_tower": tower or "openai/clip-vit-large-patch14-336",
            "mm_projector_type": kind,
            "mm_hidden_size": 32,
            "mm_vision_select_layer": -2,
            "mm_vision_select_feature": "patch",
            "mm_use_im_start_end": False,
            "mm_use_im_patch_token": False,
            "use_mm_proj": True,
            "tune_mm_mlp_adapter": False,
            "image_aspect_ratio": "pad",
            "tokenizer_padding_side": "right",
        }
        ref.edit_config(folder, keys)


ORIGINALS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(32, 32),
    "mlp2x_gelu": lambda: nn.Sequential(nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 32)),
}


@pytest.mark.parametrize("kind", ORIGINALS)
def test_original_names(kind: str, tmp_path: Path) -> None:
    theirs = Original(ORIGINALS[kind]())
    theirs.tower.save_pretrained(tmp_path / "tower")
    theirs.save(tmp_path / "llava", kind, tower="tower")
    loaded = load_folder(tmp_path / "llava")
    spec = loaded.declared.model
    assert (spec.prompt.image.id, spec.language.vocab) == (VOCAB, VOCAB + 1)
    assert spec.resolution.fit == "pad"
    assert {name for name, _ in loaded.audit.grown} == {
        "language.embed.weight",
        "language.head.weight",
    }
    for item in ref.conversations(4, VOCAB).values():
        ours = ref.our_logits(loaded.model, item)[:, :VOCAB]
        assert float((ours - theirs.logits(item)).abs().max()) <= TOLERANCE


def test_original_with_its_tower_inside(tmp_path: Path) -> None:
    """The config of the tower is still that of the folder that is named."""
    theirs = Original(ORIGINALS["linear"]())
    theirs.tower.save_pretrained(tmp_path / "tower")
    theirs.save(tmp_path / "llava", "linear", tower=None)
    loaded = load_folder(tmp_path / "llava", tower=tmp_path / "tower")
    assert [source.folder.name for source in loaded.declared.sources] == ["llava"]
    for item in ref.conversations(4, VOCAB).values():
        ours = ref.our_logits(loaded.model, item)[:, :VOCAB]
        assert float((ours - theirs.logits(item)).abs().max()) <= TOLERANCE


# Each mistake must be seen by the comparison above, by a margin.

SEEN = 5 * TOLERANCE


def spec_change(part: str, **values: Any) -> Callable[[Declared], Declared]:
    """Load the same weights under another declaration."""

    def change(declared: Declared) -> Declared:
        spec = getattr(declared, part)
        nested = {k: getattr(spec, k).model_copy(update=v) for k, v in values.items()
                  if isinstance(v, dict)}  # fmt: skip
        return replace(declared, **{part: spec.model_copy(update={**values, **nested})})

    return change


def without_pre_norm(model: Vlm) -> None:
    model.vision.pre_norm = None


def class_token_kept(model: Vlm) -> None:
    """Rows 0..n-1 instead of 1..n."""
    inner = model.vision.forward

    def shifted(pixels: Tensor) -> Tensor:
        model.vision.spec = model.vision.spec.model_copy(update={"class_token": "keep"})
        return inner(pixels)[:, :-1]

    model.vision.forward = shifted


def swapped(*names: str) -> Callable[[Vlm], None]:
    """Exchange the data of two parameters."""

    def swap(model: Vlm) -> None:
        a, b = (model.get_parameter(name).data for name in names)
        kept = a.clone()
        a.copy_(b)
        b.copy_(kept)

    return swap


def rolled(name: str, by: int) -> Callable[[Vlm], None]:
    """Move the rows of a parameter."""

    def roll(model: Vlm) -> None:
        data = model.get_parameter(name).data
        data.copy_(data.roll(by, 0))

    return roll


def zeroed(name: str) -> Callable[[Vlm], None]:
    return lambda model: model.get_parameter(name).data.zero_()  # type: ignore[return-value]


def columns_first(model: Vlm) -> None:
    """Patches in column order."""
    inner = model.vision.forward
    model.vision.forward = lambda p: inner(p).unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)


def channels_reversed(model: Vlm) -> None:
    inner = model.vision.forward
    model.vision.forward = lambda pixels: inner(pixels.flip(1))


SPEC_MISTAKES: dict[str, tuple[str, Callable[[Declared], Declared]]] = {
    "last layer": ("clip-llama", spec_change("vision", layer=-1)),
    "one layer early": ("clip-llama", spec_change("vision", layer=-3)),
    "final norm applied": ("clip-llama", spec_change("vision", post_norm="applied")),
    "tower activation": ("clip-llama", spec_change("vision", activation="gelu")),
    "tower norm eps": ("clip-llama", spec_change("vision", norm_eps=1e-2)),
    "tower heads": ("clip-llama", spec_change("vision", heads=2)),
    "connector activation": ("clip-llama", spec_change("connector", activation="silu")),
    "connector gelu form": ("clip-llama", spec_change("connector", activation="gelu_tanh")),
    "mlp activation": ("clip-llama", spec_change("language", mlp={"activation": "gelu"})),
    "norm eps": ("clip-llama", spec_change("language", norm={"eps": 1e-2})),
    "norm unit offset": ("clip-llama", spec_change("language", norm={"unit_offset": True})),
    "rope theta": ("clip-llama", spec_change("language", positions={"theta": 9_000.0})),
    "rope fraction": ("clip-llama", spec_change("language", positions={"fraction": 0.5})),
    "attention scale": ("clip-llama", spec_change("language", attention={"scale": 0.3})),
    "window one longer": ("clip-mistral", spec_change("language", attention={"window": 8})),
    "no window": ("clip-mistral", spec_change("language", attention={"window": None})),
    "embedding scale": ("clip-gemma", spec_change("language", embedding_scale=None)),
    "gelu form": ("clip-gemma", spec_change("language", mlp={"activation": "gelu"})),
}
MODEL_MISTAKES: dict[str, tuple[str, Callable[[Vlm], None]]] = {
    "missing pre-norm": ("clip-llama", without_pre_norm),
    "class token kept": ("clip-llama", class_token_kept),
    "vision positions off by one": ("clip-llama", rolled("vision.positions", 1)),
    "patches in column order": ("clip-llama", columns_first),
    "channels reversed": ("clip-llama", channels_reversed),
    "key heads of the wrong group": ("clip-llama", rolled("language.blocks.0.attn.k.weight", 8)),
    "value heads of the wrong group": ("clip-llama", rolled("language.blocks.1.attn.v.weight", 8)),
    "gate and up exchanged": (
        "clip-llama",
        swapped("language.blocks.0.mlp.gate.weight", "language.blocks.0.mlp.up.weight"),
    ),
    "norms exchanged": (
        "clip-llama",
        swapped("language.blocks.1.norm1.weight", "language.blocks.1.norm2.weight"),
    ),
    "layers exchanged": (
        "clip-llama",
        swapped("language.blocks.0.attn.q.weight", "language.blocks.1.attn.q.weight"),
    ),
    "query norm for keys": (
        "clip-qwen3",
        swapped("language.blocks.0.attn.q_norm.weight", "language.blocks.0.attn.k_norm.weight"),
    ),
    "no query bias": ("clip-qwen2", zeroed("language.blocks.0.attn.q.bias")),
    "no value bias": ("siglip-qwen2", zeroed("vision.blocks.0.attn.v.bias")),
    "no patch bias": ("siglip-qwen2", zeroed("vision.patch_embed.bias")),
    "no connector bias": ("clip-llama", zeroed("connector.layers.0.bias")),
}


@pytest.mark.parametrize("mistake", SPEC_MISTAKES)
def test_a_wrong_spec_is_seen(mistake: str, tmp_path: Path) -> None:
    name, change = SPEC_MISTAKES[mistake]
    theirs = reference_of(name)
    declared = read_spec(ref.saved(theirs, tmp_path))
    items = ref.conversations(4)
    assert ref.difference(load(change(declared)).model, theirs, items) > SEEN


@pytest.mark.parametrize("mistake", MODEL_MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    name, break_it = MODEL_MISTAKES[mistake]
    theirs = reference_of(name)
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    items = ref.conversations(4)
    assert ref.difference(ours, theirs, items) <= TOLERANCE
    break_it(ours)
    assert ref.difference(ours, theirs, items) > SEEN


def test_wrong_positions_are_seen(tmp_path: Path) -> None:
    """Text after a picture one position late: a shift of everything would be invisible to RoPE."""
    theirs = reference_of("clip-llama")
    ours = load_folder(ref.saved(theirs, tmp_path)).model
    item = ref.conversations(4)["one"]
    late = item.positions_AT + (torch.arange(len(item.token_ids)) > 6)
    gap = ref.our_logits(ours, replace(item, positions_AT=late)) - ref.their_logits(theirs, item)
    assert float(gap.abs().max()) > SEEN


def test_tower_of_a_whole_model(tmp_path: Path) -> None:
    """The vision part of a LLaVA folder alone, as compose takes it."""
    theirs = reference_of("clip-llama")
    declared = read_spec(ref.saved(theirs, tmp_path))
    pixels = ref.pictures(2, 5)
    with torch.no_grad():
        ours = load_vision(declared)(pixels)
        tower = theirs.model.vision_tower(pixels, output_hidden_states=True)
    assert float((ours - tower.hidden_states[-2][:, 1:]).abs().max()) <= TOLERANCE


def _names(folder: Path) -> list[str]:
    with (folder / "model.safetensors").open("rb") as file:
        return list(json.loads(file.read(int.from_bytes(file.read(8), "little"))))
