"""Tiny random models of transformers, and the comparison that every parity test makes."""

# B sequences  T tokens  V vocabulary

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from tests.helpers.tiny import Item, shown
from torch import Tensor, nn

from sightline.language.decoder import Decoder
from sightline.model.generate import generate
from sightline.model.reference import reference_logits
from sightline.model.vlm import Vlm
from sightline.nn.masks import Mask
from sightline.spec.sampling import Sampling

TOLERANCE = 1e-4
WIDTH, VOCAB, IMAGE = 32, 300, 299
STD = 0.2

TEXT: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOWER: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}


@torch.no_grad()
def randomise(model: nn.Module, seed: int = 0) -> Any:
    """Every matrix from N(0, 0.2²), norms and layer scales around 1, everything else N(0, 0.2²).

    Default initialisation hides wrong positions and wrong layers; these weights do not.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = STD * torch.randn(p.shape, generator=generator)
        norm = name.endswith("weight") and ("norm" in name or ".ln_" in name)
        p.copy_(1 + noise if (norm and p.ndim == 1) or "lambda" in name else noise)
    if hasattr(model, "tie_weights"):
        model.tie_weights()
    return model.eval()


def saved(model: Any, folder: Path) -> Path:
    """The folder that transformers writes for a model."""
    model.save_pretrained(folder)
    return folder


def edit_config(folder: Path, change: Mapping[str, Any] = (), drop: tuple[str, ...] = ()) -> None:
    """Set and remove keys of config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | dict(change)
    path.write_text(json.dumps({k: v for k, v in config.items() if k not in drop}))


def edit_tensors(folder: Path, edit: Any) -> None:
    """Replace the tensors of model.safetensors by `edit(tensors)`."""
    path = folder / "model.safetensors"
    tensors = edit(load_file(path))
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, path, {"format": "pt"})


def renamed(*pairs: tuple[str, str]) -> Any:
    """An edit that replaces the first prefix that a name has."""

    def rename(name: str) -> str:
        for old, new in pairs:
            if name.startswith(old):
                return new + name.removeprefix(old)
        return name

    return lambda tensors: {rename(name): tensor for name, tensor in tensors.items()}


def hub_dialect(config: dict[str, Any]) -> dict[str, Any]:
    """A 5.x config (with nested ones) as 4.x and the hub spell it."""
    rope = config.get("rope_parameters")
    old = {k: v for k, v in config.items() if k not in ("rope_parameters", "dtype")}
    old = {k: hub_dialect(v) if isinstance(v, dict) else v for k, v in old.items()}
    if "dtype" in config:
        old["torch_dtype"] = config["dtype"]
    if rope and "full_attention" in rope:  # by the kind of layer (Gemma 3)
        whole, local = rope["full_attention"], rope["sliding_attention"]
        old["rope_theta"], old["rope_local_base_freq"] = whole["rope_theta"], local["rope_theta"]
        scaled = {k: v for k, v in whole.items() if k != "rope_theta"}
        old["rope_scaling"] = None if whole["rope_type"] == "default" else scaled
    elif rope:
        kind = {k: v for k, v in rope.items() if k not in ("rope_theta", "partial_rotary_factor")}
        old["rope_theta"] = rope["rope_theta"]
        old["rope_scaling"] = None if rope["rope_type"] == "default" else kind
        if "partial_rotary_factor" in rope:
            old["partial_rotary_factor"] = rope["partial_rotary_factor"]
    return old


def to_hub_dialect(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(hub_dialect(json.loads(path.read_text()))))


def words(count: int, seed: int) -> list[int]:
    """Ids of ordinary tokens."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, IMAGE, (count,), generator=generator).tolist()


def pictures(count: int, seed: int, side: int = 28) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=generator)


def conversation(*parts: list[int] | int, tokens: int, seed: int = 0, image: int = IMAGE) -> Item:
    """Runs of ids, and an int for each run of pictures of `tokens` placeholders."""
    ids: list[int] = []
    count = 0
    for part in parts:
        ids += [image] * (tokens * part) if isinstance(part, int) else part
        count += part if isinstance(part, int) else 0
    t = torch.tensor(ids)
    views = pictures(count, seed) if count else None
    return Item(tuple(ids), t == image, torch.arange(len(ids))[None], shown(views, tokens))


def conversations(tokens: int, image: int = IMAGE) -> dict[str, Item]:
    """No picture, one, two apart, two together, of unequal lengths; `image` is the placeholder."""
    parts: dict[str, tuple[list[int] | int, ...]] = {
        "text": (words(9, 1),),
        "one": (words(3, 2), 1, words(6, 3)),
        "two": (1, words(4, 4), 1, words(3, 5)),
        "pair": (words(2, 6), 2, words(12, 7)),
    }
    return {
        name: conversation(*some, tokens=tokens, seed=seed, image=image)
        for seed, (name, some) in enumerate(parts.items())
    }


@torch.no_grad()
def their_logits(model: Any, item: Item) -> Tensor:
    """float32 [T, V] of the reference."""
    inputs: dict[str, Tensor] = {"input_ids": torch.tensor([item.token_ids])}
    if item.pixels_V3HW is not None:
        inputs["pixel_values"] = item.pixels_V3HW
    return model(**inputs).logits[0].float()


@torch.no_grad()
def their_greedy(model: Any, item: Item, count: int) -> tuple[list[int], Tensor]:
    """The reference's own cached greedy answer, and its scores [count, V]."""
    ids = torch.tensor([item.token_ids])
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if item.pixels_V3HW is not None:
        inputs["pixel_values"] = item.pixels_V3HW
    model.generation_config.eos_token_id = None
    out = model.generate(
        **inputs,
        max_new_tokens=count,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )
    return out.sequences[0, ids.shape[1] :].tolist(), torch.cat(out.scores).float()


def our_logits(model: Vlm | Decoder, item: Item) -> Tensor:
    """float32 [T, V] of the slow path."""
    if isinstance(model, Vlm):
        return reference_logits(model, item)
    return decoder_logits(model, torch.tensor([item.token_ids]))[0]


@torch.no_grad()
def decoder_logits(decoder: Decoder, ids_BT: Tensor, cache: Any = None, start: int = 0) -> Tensor:
    """float32 [B, T, V] of a text model alone."""
    positions = torch.arange(start, start + ids_BT.shape[1])[None, None]
    x_BTD = decoder.embed_tokens(ids_BT)
    return decoder.logits(decoder(x_BTD, positions, Mask(), cache=cache))


def our_greedy(model: Vlm | Decoder, items: list[Item], count: int) -> list[list[int]]:
    """Cached greedy answers; a Vlm answers all in one batch."""
    if isinstance(model, Vlm):
        prompt = model.spec.prompt.model_copy(update={"stop_ids": ()})
        model.spec = model.spec.model_copy(update={"prompt": prompt})
        steps = list(generate(model, items, Sampling(max_tokens=count)))
        return [[token for token in row if token is not None] for row in zip(*steps, strict=True)]
    return [_decoder_greedy(model, item, count) for item in items]


def _decoder_greedy(decoder: Decoder, item: Item, count: int) -> list[int]:
    cache = decoder.new_cache(1, len(item.token_ids) + count)
    ids, start, answer = torch.tensor([item.token_ids]), 0, []
    while len(answer) < count:
        logits = decoder_logits(decoder, ids, cache, start)[0, -1]
        start += ids.shape[1]
        answer.append(int(logits.argmax()))
        ids = torch.tensor([answer[-1:]])
    return answer


def difference(ours: Vlm | Decoder, theirs: Any, items: Mapping[str, Item]) -> float:
    """The largest absolute difference of logits over all positions of all conversations."""
    gaps = [(our_logits(ours, i) - their_logits(theirs, i)).abs().max() for i in items.values()]
    return float(torch.stack(gaps).max())


def assert_same_greedy(
    ours: Vlm | Decoder, theirs: Any, items: Mapping[str, Item], count: int = 32
) -> None:
    """The same tokens for `count` steps, in one batch of unequal prompts on our side.

    A step may differ only where the reference's two best logits are closer than the tolerance;
    more than one such tie per model fails.
    """
    answers = our_greedy(ours, list(items.values()), count)
    ties = 0
    for (name, item), answer in zip(items.items(), answers, strict=True):
        wanted, scores_NV = their_greedy(theirs, item, count)
        if answer == wanted:
            continue
        step = next(i for i, (a, b) in enumerate(zip(answer, wanted, strict=True)) if a != b)
        best = scores_NV[step].topk(2).values
        assert best[0] - best[1] <= TOLERANCE, f"{name} differs at step {step}"
        ties += 1
    assert ties <= 1, f"{ties} ties"


def llava(tower: Any, text: Any, seed: int = 0, **changes: Any) -> Any:
    """A tiny random LLaVA of transformers."""
    config = hf.LlavaConfig(
        vision_config=tower, text_config=text, image_token_index=IMAGE, **changes
    )
    return randomise(hf.LlavaForConditionalGeneration(config), seed)
