"""Qwen-VL against its parts joined: CLIP's blocks, torch's attention, Qwen2 without groups."""

# V views  N cells  C vision width  Q queries  D language width  T tokens

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import TEXT, TOLERANCE
from tests.parity.test_language import QWEN1_CONFIG, as_qwen1
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.connectors.grid_resampler import waves_2d
from sightline.core.errors import FamilyError
from sightline.families import read_spec
from sightline.model.vlm import Vlm
from sightline.prompt.convert import QWEN_PATTERN
from sightline.prompt.files import load_tokenizer
from sightline.weights import load_folder

SEEN = 5 * TOLERANCE
WIDTH, HEADS, SIDE, CELLS = 128, 1, 2, 4  # Qwen-VL's heads are 128 wide
START = 297
IMAGE = START + 2
VISION: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 14 * CELLS,
    "patch_size": 14,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
}
VISUAL = {
    "heads": 4, "image_size": 14 * CELLS, "image_start_id": START, "layers": 2,
    "mlp_ratio": 40 / 24 + 1e-9, "n_queries": SIDE**2, "output_dim": WIDTH, "patch_size": 14,
    "width": 24,
}  # fmt: skip


def waves(side: int, width: int) -> np.ndarray:
    """MAE's table as Qwen-VL builds it: the column first."""
    omega = 1 / 10000 ** (np.arange(width // 4, dtype=np.float32) / (width / 4))
    x, y = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    halves = []
    for place in (x, y):
        out = np.einsum("m,d->md", place.reshape(-1), omega)
        halves += [np.sin(out), np.cos(out)]
    return np.concatenate(halves, axis=1)


class Original(nn.Module):
    """Its visual.py in parts of others: CLIP's patches and blocks, MultiheadAttention."""

    def __init__(self, seed: int = 0, vocab: int = 300) -> None:
        super().__init__()
        config = TEXT | {"vocab_size": vocab}
        config |= {"hidden_size": WIDTH, "num_attention_heads": 4, "num_key_value_heads": 4}
        self.text = ref.randomise(hf.Qwen2ForCausalLM(hf.Qwen2Config(**config)), seed)
        self.tower = ref.randomise(hf.CLIPVisionModel(hf.CLIPVisionConfig(**VISION)), seed + 1)
        self.places = nn.Parameter(torch.empty(CELLS**2, 24))
        self.query = nn.Parameter(torch.empty(SIDE**2, WIDTH))
        self.kv_proj = nn.Linear(24, WIDTH, bias=False)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS)
        self.ln_q, self.ln_kv = nn.LayerNorm(WIDTH, 1e-6), nn.LayerNorm(WIDTH, 1e-6)
        self.ln_post = nn.LayerNorm(WIDTH, 1e-6)
        self.proj = nn.Parameter(torch.empty(WIDTH, WIDTH))
        generator = torch.Generator().manual_seed(seed + 2)
        with torch.no_grad():
            for name, p in self.named_parameters():
                if not name.startswith(("text.", "tower.")):
                    noise = 0.2 * torch.randn(p.shape, generator=generator)
                    p.copy_(1 + noise if name.startswith("ln_") and name.endswith("weight")
                            else noise)  # fmt: skip
        self.eval()

    def visual(self, pixels_V3HW: Tensor) -> Tensor:
        patches = self.tower.embeddings.patch_embedding(pixels_V3HW).flatten(2).transpose(1, 2)
        x = self.tower.pre_layrnorm(patches + self.places)
        x = self.tower.encoder(inputs_embeds=x).last_hidden_state
        table = torch.from_numpy(waves(SIDE, WIDTH)).float()
        square = table.reshape(1, SIDE, SIDE, -1).permute(0, 3, 1, 2)
        keys = F.interpolate(square, size=(CELLS, CELLS), mode="bicubic", align_corners=False)
        keys = keys.permute(0, 2, 3, 1).flatten(0, 2)
        x = self.ln_kv(self.kv_proj(x)).permute(1, 0, 2)
        q = (self.ln_q(self.query) + table).unsqueeze(1).repeat(1, x.shape[1], 1)
        out = self.attn(q, x + keys.unsqueeze(1), x)[0].permute(1, 0, 2)
        return self.ln_post(out) @ self.proj

    @torch.no_grad()
    def __call__(self, *, input_ids: Tensor, pixel_values: Tensor | None = None) -> Any:
        return self.text(inputs_embeds=self._embedded(input_ids, pixel_values))

    def generate(
        self, *, input_ids: Tensor, pixel_values: Tensor | None = None, **more: Any
    ) -> Any:
        embedded = self._embedded(input_ids, pixel_values)
        return self.text.generate(input_ids=input_ids, inputs_embeds=embedded, **more)

    @property
    def generation_config(self) -> Any:
        return self.text.generation_config

    def _embedded(self, ids_BT: Tensor, pixels_V3HW: Tensor | None) -> Tensor:
        x_BTD = self.text.get_input_embeddings()(ids_BT)
        if pixels_V3HW is None:
            return x_BTD
        return x_BTD.masked_scatter((ids_BT == IMAGE)[..., None], self.visual(pixels_V3HW))

    def tensors(self) -> dict[str, Tensor]:
        """All weights under the names of the hub."""
        made = as_qwen1(self.text.state_dict())
        root, tower = "transformer.visual.", self.tower
        made |= {
            f"{root}conv1.weight": tower.embeddings.patch_embedding.weight,
            f"{root}positional_embedding": self.places,
            f"{root}attn_pool.query": self.query,
            f"{root}attn_pool.pos_embed": torch.from_numpy(waves(SIDE, WIDTH)).float(),
            f"{root}attn_pool.kv_proj.weight": self.kv_proj.weight,
            f"{root}attn_pool.attn.in_proj_weight": self.attn.in_proj_weight,
            f"{root}attn_pool.attn.in_proj_bias": self.attn.in_proj_bias,
            f"{root}proj": self.proj,
        }
        for kind in ("weight", "bias"):
            made |= {
                f"{root}ln_pre.{kind}": getattr(tower.pre_layrnorm, kind),
                f"{root}attn_pool.attn.out_proj.{kind}": getattr(self.attn.out_proj, kind),
                f"{root}attn_pool.ln_q.{kind}": getattr(self.ln_q, kind),
                f"{root}attn_pool.ln_kv.{kind}": getattr(self.ln_kv, kind),
                f"{root}ln_post.{kind}": getattr(self.ln_post, kind),
            }
            for i, layer in enumerate(tower.encoder.layers):
                block = f"{root}transformer.resblocks.{i}."
                qkv = [getattr(getattr(layer.self_attn, f"{n}_proj"), kind) for n in "qkv"]
                made |= {
                    f"{block}ln_1.{kind}": getattr(layer.layer_norm1, kind),
                    f"{block}ln_2.{kind}": getattr(layer.layer_norm2, kind),
                    f"{block}attn.in_proj.{kind}": by_heads(qkv, 4),
                    f"{block}attn.out_proj.{kind}": getattr(layer.self_attn.out_proj, kind),
                    f"{block}mlp.c_fc.{kind}": getattr(layer.mlp.fc1, kind),
                    f"{block}mlp.c_proj.{kind}": getattr(layer.mlp.fc2, kind),
                }
        return {name: tensor.detach() for name, tensor in made.items()}


def by_heads(qkv: list[Tensor], heads: int) -> Tensor:
    """[q, k, v] of the first head, then of the second (Megatron's order)."""
    return torch.stack([x.unflatten(0, (heads, -1)) for x in qkv], 1).flatten(0, 2)


def saved(theirs: Original, folder: Path, **changes: Any) -> Path:
    theirs.text.save_pretrained(folder)
    ref.edit_tensors(folder, lambda _: theirs.tensors())
    sizes = {"hidden_size": WIDTH, "kv_channels": 32, "intermediate_size": 96, "seq_length": 256}
    code = {"AutoModelForCausalLM": "modeling_qwen.QWenLMHeadModel"}
    config = json.loads(QWEN1_CONFIG) | sizes | {"visual": VISUAL, "auto_map": code} | changes
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def items() -> dict[str, Item]:
    """Pictures of 4 × 4 patches, each four tokens."""
    made = {}
    for seed, (name, parts) in enumerate(PARTS.items()):
        ids = [i for part in parts for i in ([IMAGE] * SIDE**2 if part is None else part)]
        count = parts.count(None)
        pixels = ref.pictures(count, seed, 14 * CELLS) if count else None
        t = torch.tensor(ids)
        made[name] = Item(tuple(ids), t == IMAGE, torch.arange(len(ids))[None],
                          ref.shown(pixels, SIDE**2))  # fmt: skip
    return made


def words(count: int, seed: int) -> list[int]:
    return [i % START for i in ref.words(count, seed)]


PARTS: dict[str, tuple[list[int] | None, ...]] = {
    "text": (words(9, 1),),
    "one": (words(3, 2), None, words(6, 3)),
    "two": (None, words(4, 4), None, words(3, 5)),
    "pair": (words(2, 6), None, None, words(12, 7)),
}


def test_same_logits_and_answers(tmp_path: Path) -> None:
    theirs = Original()
    loaded = load_folder(saved(theirs, tmp_path))
    assert loaded.declared.family == "qwen_vl"
    assert any("not run" in note for note in loaded.declared.notes)
    assert ref.difference(loaded.model, theirs, items()) <= TOLERANCE
    ref.assert_same_greedy(loaded.model, theirs, items())


def test_the_table_of_waves() -> None:
    for side, width in ((16, 4096), (2, 8), (3, 20)):
        table = torch.from_numpy(waves(side, width))
        assert float((waves_2d(side, width) - table).abs().max()) <= 2e-6


def test_the_text_model_alone_is_still_qwen(tmp_path: Path) -> None:
    theirs = Original()
    saved(theirs, tmp_path)
    ref.edit_config(tmp_path, drop=("visual",))
    ref.edit_tensors(
        tmp_path, lambda t: {n: x for n, x in t.items() if not n.startswith("transformer.visual")}
    )
    assert read_spec(tmp_path).family == "qwen"


def test_the_published_config() -> None:
    config = json.loads(QWEN1_CONFIG) | {
        "hidden_size": 4096, "num_attention_heads": 32, "kv_channels": 128, "vocab_size": 151936,
        "intermediate_size": 22016, "num_hidden_layers": 32, "seq_length": 2048, "visual": {
            "heads": 16, "image_size": 448, "image_start_id": 151857, "layers": 48,
            "mlp_ratio": 4.9231, "output_dim": 4096, "patch_size": 14, "width": 1664,
        },
    }  # fmt: skip
    spec = read_spec(config).model
    assert spec.vision.mlp_width == 8192
    assert (spec.connector.side, spec.connector.heads) == (16, 32)
    image = spec.prompt.image
    assert (image.before, image.id, image.after) == ((151857,), 151859, (151858,))
    assert (spec.resolution.size, spec.resolution.pixels.backend) == (448, "pillow")
    assert spec.prompt.stop_ids == (151645, 151643)


@pytest.mark.parametrize("change", [{"output_dim": 96}, {"n_queries": 5}, {"positions": 3}])
def test_sizes_that_do_not_meet_are_refused(change: dict[str, int]) -> None:
    config = json.loads(QWEN1_CONFIG) | {"hidden_size": WIDTH, "kv_channels": 32}
    with pytest.raises(FamilyError) as error:
        read_spec(config | {"visual": VISUAL | change})
    assert next(iter(change)) in error.value.field


# Each mistake must be seen by the comparison above, by a margin.


def in_thirds(theirs: Original) -> None:
    """q, k and v of the fused matrix in plain thirds."""
    inner = theirs.tensors

    def tensors() -> dict[str, Tensor]:
        made = inner()
        for i, layer in enumerate(theirs.tower.encoder.layers):
            name = f"transformer.visual.transformer.resblocks.{i}.attn.in_proj.weight"
            thirds = [getattr(layer.self_attn, f"{n}_proj").weight for n in "qkv"]
            made[name] = torch.cat(thirds).detach()
        return made

    theirs.tensors = tensors  # type: ignore[method-assign]


def test_another_order_of_the_fused_matrix_is_seen(tmp_path: Path) -> None:
    theirs = Original()
    in_thirds(theirs)
    ours = load_folder(saved(theirs, tmp_path)).model
    assert ref.difference(ours, theirs, items()) > SEEN


def rows_first(model: Vlm) -> None:
    """Queries in column order."""
    order = torch.arange(SIDE**2).unflatten(0, (SIDE, SIDE)).T.flatten()
    queries = model.connector.queries.data
    queries.copy_(queries[order])


def untransposed(model: Vlm) -> None:
    weight = model.connector.project.weight.data
    weight.copy_(weight.T.clone())


def wrong_norm(model: Vlm) -> None:
    model.connector.query_norm, model.connector.view_norm = (
        model.connector.view_norm,
        model.connector.query_norm,
    )


def class_like_tower(model: Vlm) -> None:
    model.vision.pre_norm = None


MISTAKES: dict[str, Callable[[Vlm], None]] = {
    "queries in column order": rows_first,
    "projection not transposed": untransposed,
    "norms exchanged": wrong_norm,
    "no norm before the blocks": class_like_tower,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_model_is_seen(mistake: str, tmp_path: Path) -> None:
    theirs = Original()
    ours = load_folder(saved(theirs, tmp_path)).model
    MISTAKES[mistake](ours)
    assert ref.difference(ours, theirs, items()) > SEEN


@pytest.mark.parametrize("wrong", ["none", "rows before columns"])
def test_wrong_places_are_seen(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Original()
    ours = load_folder(saved(theirs, tmp_path)).model

    def table(side: int, width: int) -> Tensor:
        right = waves_2d(side, width)
        return 0 * right if wrong == "none" else right.roll(width // 2, 1)

    monkeypatch.setattr("sightline.connectors.grid_resampler.waves_2d", table)
    assert ref.difference(ours, theirs, items()) > SEEN


def test_its_tokenizer(tmp_path: Path) -> None:
    """`qwen.tiktoken` against tiktoken itself, with the control tokens of tokenization_qwen.py."""
    pieces = [bytes([i]) for i in range(256)] + [b"th", b"the", b" th", b" the"]
    lines = [b"%s %d" % (base64.b64encode(piece), rank) for rank, piece in enumerate(pieces)]
    (tmp_path / "qwen.tiktoken").write_bytes(b"\n".join(lines))
    ours = load_tokenizer(tmp_path)
    ranks = {piece: rank for rank, piece in enumerate(pieces)}
    theirs = tiktoken.Encoding(
        "qwen", pat_str=QWEN_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    for text in ("the other 123 the", "Où est-il?\n\n  them", "日本 it's"):
        assert ours.encode_text(text) == theirs.encode_ordinary(text)
    first = len(pieces)  # 151643 of the published file
    wanted = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<|extra_204|>": 207}
    wanted |= {"<ref>": 208, "<box>": 210, "<quad>": 212, "<img>": 214, "<imgpad>": 216}
    assert {name: ours.id_of(name) - first for name in wanted} == wanted
    assert ours.id_of("<img>") - first == 151857 - 151643
