"""The recipes of architectures: each trains on generated scenes, all of it, and parts exchange."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.timm_parts import timm_module
from torch import Tensor

from sightline.core.config import load_yaml
from sightline.model.vlm import Vlm
from sightline.spec import VitSpec
from sightline.train.recipe import read_recipe
from sightline.train.run import Run

FOLDER = Path(__file__).parents[2] / "recipes"
DATA = ("contrastive", "easy-vqa", "vqa-rad")  # recipes of a data set
QUICK = ("train.stages.0.steps=3", "train.stages.0.schedule.warmup_steps=0", "train.log_every=1")
# What each recipe is there for: kinds of resolution, vision, connector, fusion.
KINDS: dict[str, tuple[str, str, str, str]] = {
    "blip2": ("fixed", "vit", "qformer", "interleave"),
    "cogvlm": ("fixed", "vit", "glu", "visual_expert"),
    "flamingo": ("fixed", "vit", "resampler", "cross_attention"),
    "gemma3": ("fixed", "vit", "pooled", "interleave"),
    "honeybee": ("fixed", "vit", "c_abstractor", "interleave"),
    "idefics3": ("rows", "vit", "pixel_shuffle", "interleave"),
    "internvl": ("tiling", "vit", "pixel_shuffle", "interleave"),
    "llava": ("fixed", "vit", "mlp", "interleave"),
    "llava-next": ("anyres", "vit", "mlp", "interleave"),
    "llava-onevision": ("anyres", "vit", "mlp", "interleave"),
    "mistral3": ("longest_edge", "vit", "patch_merger", "interleave"),
    "mllama": ("canvas", "tiled_vit", "linear", "cross_attention"),
    "paligemma": ("fixed", "vit", "linear", "interleave"),
    "qwen-vl": ("fixed", "vit", "grid_resampler", "interleave"),
    "qwen2-vl": ("native", "vit", "merger", "interleave"),
    "qwen2.5-vl": ("native", "vit", "merger", "interleave"),
    "qwen3-vl": ("native", "vit", "merger", "deep_stack"),
}
RECIPES = [FOLDER / f"{name}.yaml" for name in KINDS]


def trained(path: Path, folder: Path, *changes: str) -> tuple[Vlm, list[float], set[str]]:
    """The model after a short run, its losses, and the parameters that got a gradient."""
    recipe = read_recipe(path, (*QUICK, *changes))
    made = recipe.make()
    model = made.model
    moved: set[str] = set()
    for name, p in model.named_parameters():
        p.register_post_accumulate_grad_hook(noting(name, moved))
    Run(model, made.tokenizer, recipe.train, folder, told=lambda _: None)()
    lines = (folder / "log.jsonl").read_text().splitlines()
    return model, [json.loads(line)["loss"] for line in lines], moved


def noting(name: str, moved: set[str]) -> Any:
    def note(p: Tensor) -> None:
        if p.grad is not None and p.grad.any():
            moved.add(name)

    return note


def unread(model: Vlm) -> set[str]:
    """Parameters whose results nothing reads: blocks behind the hidden state that leaves, and what
    the last visual expert makes of rows that predict nothing."""
    spec, idle = model.spec, []
    if isinstance(vision := spec.vision, VitSpec):
        idle += [f"vision.blocks.{i}." for i in range(vision.blocks_used, vision.depth)]
        idle += ["vision.post_norm."] if vision.post_norm == "unused" else []
    if spec.fusion.kind == "visual_expert":
        last = f"language.blocks.{spec.language.depth - 1}.expert"
        idle += [f"{last}.mlp.", f"{last}.attn.q.", f"{last}.attn.out."]
    return {name for name, _ in model.named_parameters() if name.startswith(tuple(idle))}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_trains_all_of_its_parts(path: Path, tmp_path: Path) -> None:
    model, losses, moved = trained(path, tmp_path)
    spec = model.spec
    kinds = (spec.resolution.kind, spec.vision.kind, spec.connector.kind, spec.fusion.kind)
    assert kinds == KINDS[path.stem]
    assert len(losses) == 3 and losses[-1] < losses[0]
    names = {name for name, _ in model.named_parameters()}
    assert names - moved == unread(model)


def test_the_parts_of_llava_are_changed_in_a_few_lines(tmp_path: Path) -> None:
    """The change that docs/recombination.md shows: at most five lines of YAML."""
    page = (FOLDER.parent / "docs" / "recombination.md").read_text(encoding="utf-8")
    before, after = (load_yaml(text) for text in shown_change(page))
    assert before == {k: load_yaml((FOLDER / "llava.yaml").read_text())["model"][k] for k in before}
    changes = [f"model.{part}={json.dumps(fields)}" for part, fields in after.items()]
    model, losses, _ = trained(FOLDER / "llava.yaml", tmp_path, *changes)
    assert (model.spec.resolution.kind, model.spec.connector.kind) == ("tiling", "qformer")
    assert losses[-1] < losses[0]


def test_flamingos_own_kind_of_encoder(tmp_path: Path) -> None:
    """An NFNet of timm in place of CLIP; the ends of its branches start at zero."""
    timm_module("timm")
    facts = {"kind": "cnn", "backbone": "test_nfnet", "width": 192, "patch": 32,
             "parameters": 190_080, "cell_macs": 11_394_048, "view_macs": 15_360,
             "cell_numbers": 48_064}  # fmt: skip
    change = f"model.vision={json.dumps(facts)}"
    model, losses, moved = trained(FOLDER / "flamingo.yaml", tmp_path, change)
    assert losses[-1] < losses[0]
    assert {name for name, _ in model.named_parameters()} == moved


def shown_change(page: str) -> tuple[str, str]:
    """The fields that the page takes away, and those that it puts in their place."""
    [diff] = [block.split("```")[0] for block in page.split("```diff\n")[1:]]
    taken, put = ([line[1:] for line in diff.splitlines() if line[0] == sign] for sign in "-+")
    assert 0 < len(put) <= 5
    return "\n".join(taken), "\n".join(put)
