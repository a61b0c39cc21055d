"""CogVLM against the published formulas written out, and, with equal experts, against Llama."""

# B sequences  T tokens  D width  V views  N rows

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import save_file
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import TEXT, TOLERANCE
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.core.errors import FamilyError
from sightline.core.geometry import MediaSize
from sightline.families import read_spec
from sightline.model.visual import VisualInput
from sightline.model.vlm import Vlm
from sightline.resolution.policy import layout
from sightline.resolution.positions import positions
from sightline.spec.fusion import VisualExpertSpec
from sightline.weights import load, load_decoder, load_folder

SEEN = 5 * TOLERANCE
WIDTH, INNER, HEADS, DEPTH, VOCAB, CONTEXT = 32, 48, 4, 2, 300, 256
IMAGE, SIDE, PATCH = 299, 28, 14
TOKENS = (SIDE // PATCH) ** 2 + 2
VISION: dict[str, Any] = {
    "dropout_prob": 0.0, "hidden_act": "gelu", "hidden_size": 24, "image_size": SIDE,
    "in_channels": 3, "intermediate_size": 40, "layer_norm_eps": 1e-6, "num_heads": 4,
    "num_hidden_layers": 2, "num_positions": 5, "patch_size": PATCH,
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "architectures": ["CogVLMForCausalLM"], "vocab_size": VOCAB, "hidden_size": WIDTH,
    "intermediate_size": INNER, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS,
    "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-6, "hidden_act": "silu",
    "template_version": "chat", "tie_word_embeddings": False, "vision_config": VISION,
    "auto_map": {"AutoModelForCausalLM": "modeling_cogvlm.CogVLMForCausalLM"},
    "torch_dtype": "float32",
}  # fmt: skip


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


class Layer(nn.Module):
    """A block whose modules have the names of the hub; `tree` makes them from paths."""

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        super().__init__()
        for path, part in parts.items():
            *parents, last = path.split(".")
            place: nn.Module = self
            for name in parents:
                if not hasattr(place, name):
                    place.add_module(name, nn.Module())
                place = getattr(place, name)
            place.add_module(last, part)

    def part(self, path: str) -> Any:
        return self.get_submodule(path)


def text_layer() -> Layer:
    parts: dict[str, nn.Module] = {
        "input_layernorm": nn.RMSNorm(WIDTH, 1e-6),
        "post_attention_layernorm": nn.RMSNorm(WIDTH, 1e-6),
    }
    for name in ("language", "vision"):
        parts[f"self_attn.{name}_expert_query_key_value"] = linear(WIDTH, 3 * WIDTH)
        parts[f"self_attn.{name}_expert_dense"] = linear(WIDTH, WIDTH)
        parts[f"mlp.{name}_mlp.gate_proj"] = linear(WIDTH, INNER)
        parts[f"mlp.{name}_mlp.up_proj"] = linear(WIDTH, INNER)
        parts[f"mlp.{name}_mlp.down_proj"] = linear(INNER, WIDTH)
    return Layer(parts)


def vision_layer() -> Layer:
    return Layer(
        {
            "input_layernorm": nn.LayerNorm(24, 1e-6),
            "attention.query_key_value": nn.Linear(24, 72),
            "attention.dense": nn.Linear(24, 24),
            "mlp.fc1": nn.Linear(24, 40),
            "mlp.fc2": nn.Linear(40, 24),
            "post_attention_layernorm": nn.LayerNorm(24, 1e-6),
        }
    )


class Original(nn.Module):
    """modeling_cogvlm.py and visual.py in the plainest words, without a cache."""

    def __init__(self, seed: int = 0, vocab: int = VOCAB) -> None:
        super().__init__()
        bridge = Layer(
            {
                "linear_proj": linear(24, WIDTH),
                "norm1": nn.LayerNorm(WIDTH),
                "dense_h_to_4h": linear(WIDTH, INNER),
                "gate_proj": linear(WIDTH, INNER),
                "dense_4h_to_h": linear(INNER, WIDTH),
            }
        )
        self.model = Layer(
            {
                "embed_tokens": nn.Embedding(vocab, WIDTH),
                "layers": nn.ModuleList(text_layer() for _ in range(DEPTH)),
                "norm": nn.RMSNorm(WIDTH, 1e-6),
                "vision.patch_embedding.proj": nn.Conv2d(3, 24, PATCH, PATCH),
                "vision.patch_embedding.position_embedding": nn.Embedding(5, 24),
                "vision.transformer.layers": nn.ModuleList(vision_layer() for _ in range(2)),
                "vision.linear_proj": bridge,
            }
        )
        vision = self.model.part("vision")
        vision.boi = nn.Parameter(torch.empty(1, 1, WIDTH))
        vision.eoi = nn.Parameter(torch.empty(1, 1, WIDTH))
        vision.patch_embedding.cls_embedding = nn.Parameter(torch.empty(1, 24))
        self.lm_head = linear(WIDTH, vocab)
        ref.randomise(self, seed)
        with torch.no_grad():
            for name, p in self.named_parameters():
                if name.endswith("norm1.weight"):
                    p.add_(1 - p.mean().round())
        self.generation_config = SimpleNamespace(eos_token_id=None)

    def visual(self, pixels_V3HW: Tensor) -> Tensor:
        vision = self.model.part("vision")
        x = vision.patch_embedding.proj(pixels_V3HW).flatten(2).transpose(1, 2)
        first = vision.patch_embedding.cls_embedding.expand(len(x), -1, -1)
        x = torch.cat((first, x), 1) + vision.patch_embedding.position_embedding.weight
        for layer in vision.transformer.layers:
            qkv = layer.part("attention.query_key_value")(x).unflatten(-1, (3, 4, -1))
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + layer.part("input_layernorm")(layer.part("attention.dense")(mixed))
            inner = layer.part("mlp.fc2")(F.gelu(layer.part("mlp.fc1")(x)))
            x = x + layer.part("post_attention_layernorm")(inner)
        bridge = vision.linear_proj
        x = F.gelu(bridge.part("norm1")(bridge.part("linear_proj")(x[:, 1:])))
        x = F.silu(bridge.part("gate_proj")(x)) * bridge.part("dense_h_to_4h")(x)
        x = bridge.part("dense_4h_to_h")(x)
        ends = [end.expand(len(x), -1, -1) for end in (vision.boi, vision.eoi)]
        return torch.cat((ends[0], x, ends[1]), 1)

    def embedded(self, ids_T: Tensor, pixels_V3HW: Tensor | None) -> Tensor:
        x_TD = self.model.part("embed_tokens")(ids_T)
        if pixels_V3HW is None:
            return x_TD
        return x_TD.masked_scatter((ids_T == IMAGE)[:, None], self.visual(pixels_V3HW))

    @torch.no_grad()
    def __call__(self, *, input_ids: Tensor, pixel_values: Tensor | None = None) -> Any:
        (ids_T,) = input_ids
        x_TD, kinds = self.embedded(ids_T, pixel_values), (ids_T == IMAGE).tolist()
        expert_T = torch.tensor([a and b for a, b in zip(kinds, [*kinds[1:], False], strict=True)])
        angles = torch.tensor(published_positions(kinds))[:, None] / 10000 ** (
            torch.arange(0, 8, 2) / 8
        )
        cos, sin = (torch.cat((w, w), -1)[:, None] for w in (angles.cos(), angles.sin()))

        def turned(x: Tensor) -> Tensor:
            return x * cos + torch.cat((-x[..., 4:], x[..., :4]), -1) * sin

        def either(path: str, x: Tensor) -> Tensor:
            made = [layer.part(path.format(name))(x) for name in ("vision", "language")]
            return torch.where(expert_T[:, None], *made)

        for layer in self.model.part("layers"):
            normed = layer.part("input_layernorm")(x_TD)
            qkv = either("self_attn.{}_expert_query_key_value", normed)
            q, k, v = (part.unflatten(-1, (HEADS, -1)) for part in qkv.chunk(3, -1))
            q, k, v = (part.transpose(0, 1) for part in (turned(q), turned(k), v))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(0, 1)
            x_TD = x_TD + either("self_attn.{}_expert_dense", mixed.flatten(1))
            normed = layer.part("post_attention_layernorm")(x_TD)
            gated = F.silu(either("mlp.{}_mlp.gate_proj", normed))
            inner = gated * either("mlp.{}_mlp.up_proj", normed)
            x_TD = x_TD + either("mlp.{}_mlp.down_proj", inner)
        logits = self.lm_head(self.model.part("norm")(x_TD))
        return SimpleNamespace(logits=logits[None])

    def generate(self, *, input_ids: Tensor, max_new_tokens: int, **inputs: Any) -> Any:
        pixels, scores = inputs.get("pixel_values"), []
        for _ in range(max_new_tokens):
            scores.append(self(input_ids=input_ids, pixel_values=pixels).logits[:, -1])
            scores[-1][:, IMAGE] = -torch.inf  # the published code has no such token
            input_ids = torch.cat((input_ids, scores[-1].argmax(-1)[None]), 1)
        return SimpleNamespace(sequences=input_ids, scores=scores)


def published_positions(kinds: list[bool]) -> list[int]:
    """build_position_ids: the ends of a run of vision count as language, its inside once."""
    inside = [
        kind and 0 < i < len(kinds) - 1 and kinds[i - 1] and kinds[i + 1]
        for i, kind in enumerate(kinds)
    ]
    places, at = [0], 0
    for before, now in itertools.pairwise(inside):
        at += not (now and before)
        places.append(at)
    return places


def saved(theirs: Original, folder: Path, **changes: Any) -> Path:
    tensors = {n: t.detach().contiguous() for n, t in theirs.state_dict().items()}
    buffers = {
        f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(DEPTH)
    }
    save_file(tensors | buffers, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    return folder


def load_changed(folder: Path, fusion: VisualExpertSpec) -> Vlm:
    return load(replace(read_spec(folder), fusion=fusion)).model


PARTS: dict[str, tuple[list[int] | None, ...]] = {
    "text": (ref.words(9, 1),),
    "one": (ref.words(3, 2), None, ref.words(6, 3)),
    "two": (None, ref.words(4, 4), None, ref.words(3, 5)),
    "last": (ref.words(5, 6), None),
}


def items(model: Vlm) -> dict[str, Item]:
    """Conversations laid out by the model's own spec."""
    made = {}
    for seed, (name, parts) in enumerate(PARTS.items()):
        ids, starts = list[int](), list[int]()
        for part in parts:
            starts += [len(ids)] if part is None else []
            ids += [IMAGE] * TOKENS if part is None else part
        laid = layout(model.spec, [MediaSize(SIDE, SIDE)] * len(starts))
        pixels = tuple(ref.pictures(len(starts), seed)) if starts else ()
        places = torch.tensor(positions(model.spec, len(ids), laid, starts))
        t = torch.tensor(ids)
        made[name] = Item(tuple(ids), t == IMAGE, places, VisualInput(laid, pixels))
    return made


def difference(ours: Vlm, theirs: Original) -> float:
    gaps = [
        (ref.our_logits(ours, item)[:, :VOCAB] - ref.their_logits(theirs, item)).abs().max()
        for item in items(ours).values()
    ]
    return float(torch.stack(gaps).max())


def test_same_logits_and_answers(tmp_path: Path) -> None:
    theirs = Original()
    ours = load_folder(saved(theirs, tmp_path)).model
    assert (ours.spec.prompt.image.id, ours.spec.language.vocab) == (VOCAB, VOCAB + 1)
    assert difference(ours, theirs) <= TOLERANCE
    barred = torch.zeros(VOCAB + 1).index_fill(0, torch.tensor([IMAGE, VOCAB]), -torch.inf)
    ours.language.head.bias = nn.Parameter(barred)
    answers = ref.our_greedy(ours, list(items(ours).values()), 32)
    for (name, item), answer in zip(items(ours).items(), answers, strict=True):
        wanted, _ = ref.their_greedy(theirs, item, 32)
        assert answer == wanted, name


def test_equal_experts_are_llama(tmp_path: Path) -> None:
    """The text model of transformers, given the same embeddings and positions."""
    theirs, llama = Original(), equal_experts()
    theirs.load_state_dict(theirs.state_dict() | llama[1])
    ours = load_folder(saved(theirs, tmp_path)).model
    for item in items(ours).values():
        x_TD = theirs.embedded(torch.tensor(item.token_ids), item.pixels_V3HW)
        with torch.no_grad():
            wanted = llama[0](inputs_embeds=x_TD[None], position_ids=item.positions_AT).logits[0]
        assert float((ref.our_logits(ours, item)[:, :VOCAB] - wanted).abs().max()) <= TOLERANCE


def test_the_text_model_alone_is_llama(tmp_path: Path) -> None:
    theirs, llama = Original(), equal_experts()
    theirs.load_state_dict(theirs.state_dict() | llama[1])
    ours = load_decoder(read_spec(saved(theirs, tmp_path)))
    assert not any("expert" in name for name, _ in ours.named_parameters())
    ids_BT = torch.arange(VOCAB - 20, VOCAB - 1)[None]
    with torch.no_grad():
        wanted = llama[0](input_ids=ids_BT).logits
    assert float((ref.decoder_logits(ours, ids_BT)[..., :VOCAB] - wanted).abs().max()) <= TOLERANCE


def equal_experts() -> tuple[Any, dict[str, Tensor]]:
    """A Llama, and its weights under CogVLM's names, both versions alike."""
    config = TEXT | {"intermediate_size": INNER, "num_key_value_heads": HEADS}
    llama = ref.randomise(hf.LlamaForCausalLM(hf.LlamaConfig(**config)), 5)
    made = {"lm_head.weight": llama.lm_head.weight, "model.norm.weight": llama.model.norm.weight}
    made["model.embed_tokens.weight"] = llama.model.embed_tokens.weight
    for i, layer in enumerate(llama.model.layers):
        qkv = torch.cat([getattr(layer.self_attn, f"{n}_proj").weight for n in "qkv"])
        at = f"model.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            made[f"{at}{norm}.weight"] = getattr(layer, norm).weight
        for name in ("language", "vision"):
            made[f"{at}self_attn.{name}_expert_query_key_value.weight"] = qkv
            made[f"{at}self_attn.{name}_expert_dense.weight"] = layer.self_attn.o_proj.weight
            for n in ("gate", "up", "down"):
                matrix = getattr(layer.mlp, f"{n}_proj").weight
                made[f"{at}mlp.{name}_mlp.{n}_proj.weight"] = matrix
    return llama, {name: tensor.detach() for name, tensor in made.items()}


def test_the_places_of_a_picture(tmp_path: Path) -> None:
    """Begin, all patches at one place, end, then the text goes on."""
    ours = load_folder(saved(Original(), tmp_path)).model
    for item in items(ours).values():
        kinds = [id_ == IMAGE for id_ in item.token_ids]
        assert item.positions_AT[0].tolist() == published_positions(kinds)
    assert items(ours)["one"].positions_AT[0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4, *range(5, 12)]


def test_the_published_config() -> None:
    vision = {
        "hidden_size": 1792, "image_size": 490, "intermediate_size": 15360, "num_heads": 16,
        "num_hidden_layers": 63, "num_positions": 1226, "patch_size": 14, "layer_norm_eps": 1e-6,
    }  # fmt: skip
    config = CONFIG | {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048,
        "vision_config": vision,
    }  # fmt: skip
    spec = read_spec(config).model
    assert layout(spec, [MediaSize(640, 480)]).tokens == 35**2 + 2 == 1227
    assert (spec.resolution.size, spec.prompt.image.id) == (490, 32000)


@pytest.mark.parametrize(
    "change", [{"num_multi_query_heads": 8}, {"vision_config": VISION | {"num_positions": 9}}]
)
def test_another_architecture_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FamilyError):
        read_spec(CONFIG | change)


# Each mistake must be seen by the comparison above, by a margin.


def all_rows(model: Vlm) -> None:
    """The last visual token goes through the visual version, too."""
    for block in model.language.blocks:
        inner = block.forward

        def forward(x: Tensor, ctx: Any, inner: Any = inner) -> Tensor:
            seen = ctx.visual_BT
            if seen is not None:
                longer = seen | F.pad(seen[:, :-1], (1, 0), value=False)
                ctx = replace(ctx, visual_BT=longer)
            return inner(x, ctx)

        block.forward = forward


def no_experts(model: Vlm) -> None:
    for block in model.language.blocks:
        block.expert.attn, block.expert.mlp = block.attn, block.mlp


def ends_exchanged(model: Vlm) -> None:
    first, last = model.learned["boi"].data.clone(), model.learned["eoi"].data.clone()
    model.learned["boi"].data.copy_(last)
    model.learned["eoi"].data.copy_(first)


def norms_before(model: Vlm) -> None:
    for block in model.vision.blocks:
        block.norm_after = False


MISTAKES: dict[str, Callable[[Vlm], None]] = {
    "last visual token with its own kind": all_rows,
    "text's weights everywhere": no_experts,
    "begin and end exchanged": ends_exchanged,
    "norms before the branches": norms_before,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs = Original()
    ours = load_folder(saved(theirs, tmp_path)).model
    MISTAKES[mistake](ours)
    assert difference(ours, theirs) > SEEN


def test_wrong_places_are_seen(tmp_path: Path) -> None:
    theirs = Original()
    ours = load_changed(saved(theirs, tmp_path), VisualExpertSpec())
    assert difference(ours, theirs) > SEEN
