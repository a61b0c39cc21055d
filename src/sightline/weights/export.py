"""Folders that other libraries load: reversed rules, config, processor and tokenizer files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from sightline.families.export import Published, publish_model, publish_text, publish_tower
from sightline.language.decoder import Decoder
from sightline.model.vlm import Vlm
from sightline.nn.lora import refuse_adapted
from sightline.prompt.files import save_tokenizer
from sightline.prompt.templates import template_source
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.prompt import BuiltinTemplate, PromptSpec
from sightline.spec.rules import Shape, Step, resolve
from sightline.vision.vit import VitEncoder
from sightline.weights.moves import to_disk
from sightline.weights.state import state_of
from sightline.weights.write import MAX_SHARD_BYTES, Lazy, write_folder


def export_hf(
    model: Vlm,
    folder: Path | str,
    *,
    tokenizer: Tokenizer | None = None,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> Published:
    """Write a LLaVA folder that transformers (4.x and 5.x), vLLM and SGLang load.

    Raises FamilyError naming the choice that LLaVA's format cannot express.
    """
    published = publish_model(model.spec)
    write_published(model, published, Path(folder), dtype, max_shard_bytes)
    if tokenizer is not None:
        save_tokenizer(tokenizer, Path(folder))
    _write_template(model.spec.prompt, Path(folder))
    return published


def export_part(
    part: Decoder | VitEncoder, folder: Path | str, *, dtype: torch.dtype | None = None
) -> Published:
    """Write a text model or a vision tower alone, in the format of its family."""
    if isinstance(part, Decoder):
        published, holder = publish_text(part.spec), nn.ModuleDict({"language": part})
    else:
        published, holder = publish_tower(part.spec), nn.ModuleDict({"vision": part})
    write_published(holder, published, Path(folder), dtype)
    return published


def write_published(
    module: nn.Module,
    published: Published,
    folder: Path,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Tensors under their published names and the JSON files beside them."""
    refuse_adapted(module)
    folder.mkdir(parents=True, exist_ok=True)
    ours = state_of(module)
    dtype = dtype or next(iter(ours.values())).dtype
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    tensors, disk = _on_disk(ours, shapes, published, dtype)
    sizes = {name: _count(shape) * dtype.itemsize for name, shape in disk.items()}
    write_folder(folder, tensors, sizes, max_shard_bytes)
    for name, data in published.files.items():
        stored = {**data, "torch_dtype": str(dtype).removeprefix("torch.")}
        text = json.dumps(stored if name == "config.json" else data, indent=2, sort_keys=True)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _on_disk(
    ours: dict[str, Tensor], shapes: dict[str, Shape], published: Published, dtype: torch.dtype
) -> tuple[dict[str, Lazy], dict[str, Shape]]:
    """Makers and shapes of the tensors under their published names."""
    tensors: dict[str, Lazy] = {}
    disk: dict[str, Shape] = {}
    for step in resolve(published.rules, ours).steps:
        parts = step.disk_shapes(tuple(shapes[name] for name in step.ours))
        for at, (name, shape) in enumerate(zip(step.disk, parts, strict=True)):
            disk[name] = shape
            tensors[name] = partial(_made, step, [ours[n] for n in step.ours], at, dtype)
    for name, width in published.norms.items():
        disk[f"{name}.weight"] = disk[f"{name}.bias"] = (width,)
        tensors[f"{name}.weight"] = partial(torch.ones, width, dtype=dtype)
        tensors[f"{name}.bias"] = partial(torch.zeros, width, dtype=dtype)
    return tensors, disk


def _made(step: Step, ours: list[Tensor], at: int, dtype: torch.dtype) -> Tensor:
    return to_disk(step, ours)[at].to(dtype)


def _count(shape: Shape) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


def _write_template(prompt: PromptSpec, folder: Path) -> None:
    """The chat template where both generations look; a builtin is told the placeholder's text."""
    source = template_source(prompt.template)
    if isinstance(prompt.template, BuiltinTemplate):
        source = f"{{%- set image_token = {json.dumps(prompt.image.text)} -%}}\n{source}"
        if prompt.clip_text is not None:
            source = f"{{%- set video_token = {json.dumps(prompt.clip_text)} -%}}\n{source}"
    (folder / "chat_template.jinja").write_text(source, encoding="utf-8")
    text = json.dumps({"chat_template": source}, indent=2)
    (folder / "chat_template.json").write_text(text + "\n", encoding="utf-8")
