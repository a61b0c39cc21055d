"""The encoder of Llama 3.2 Vision, and how its pictures enter.

Source: transformers 5.23.0 models/mllama.
"""

from __future__ import annotations

from typing import Any

from sightline.families.config import Config
from sightline.families.family import activation, refusing
from sightline.families.files import Checkpoint, root_of
from sightline.families.views import HARMLESS as VIEW_KEYS
from sightline.families.views import processor_config, read_pixels
from sightline.spec.resolution import CanvasSpec, PixelSpec
from sightline.spec.rules import Rename, Rule, under
from sightline.spec.vision import TiledVitSpec

VISION_DEFAULTS: dict[str, Any] = {
    "hidden_size": 1280,
    "hidden_act": "gelu",
    "num_hidden_layers": 32,
    "num_global_layers": 8,
    "attention_heads": 16,
    "num_channels": 3,
    "intermediate_size": 5120,
    "vision_output_dim": 7680,
    "image_size": 448,
    "patch_size": 14,
    "norm_eps": 1e-5,
    "max_num_tiles": 4,
    "intermediate_layers_indices": [3, 7, 15, 23, 30],
}
HALF = (0.5, 0.5, 0.5)
VISION_ROOTS = ("vision_model.", "model.vision_model.")
TILED = {
    "patch_embed": "patch_embedding.weight",
    "class_token": "class_embedding",
    "positions.weight": "gated_positional_embedding.embedding",
    "positions.tiles": "gated_positional_embedding.tile_embedding.weight",
    "positions.gate": "gated_positional_embedding.gate",
    "tile_before.weight": "pre_tile_positional_embedding.embedding.weight",
    "tile_before.gate": "pre_tile_positional_embedding.gate",
    "tile_after.weight": "post_tile_positional_embedding.embedding.weight",
    "tile_after.gate": "post_tile_positional_embedding.gate",
    "pre_norm.{p}": "layernorm_pre.{p}",
    "post_norm.{p}": "layernorm_post.{p}",
}
TILED_BLOCK = {
    "norm1.{p}": "input_layernorm.{p}",
    "norm2.{p}": "post_attention_layernorm.{p}",
    **{f"{n}.{{p}}": f"self_attn.{n}_proj.{{p}}" for n in "qkv"},
    "out.{p}": "self_attn.o_proj.{p}",
    "mlp.up.{p}": "mlp.fc1.{p}",
    "mlp.down.{p}": "mlp.fc2.{p}",
}
GATES = {"attn_gate": "gate_attn", "mlp_gate": "gate_ffn"}


def read_tiled(config: Config) -> tuple[TiledVitSpec, tuple[str, ...]]:
    """The encoder of `vision_config`, and the keys ignored."""
    given = config.take("vision_config", dict, {})
    sub = Config(given, where="vision_config", defaults=VISION_DEFAULTS)
    sub.expect("num_channels", 3, why="pictures have three channels")
    with refusing("mllama.vision_config"):
        spec = TiledVitSpec(
            width=sub.take("hidden_size", int),
            depth=sub.take("num_hidden_layers", int),
            global_depth=sub.take("num_global_layers", int),
            heads=sub.take("attention_heads", int),
            mlp_width=sub.take("intermediate_size", int),
            patch=sub.side("patch_size"),
            image_size=sub.side("image_size"),
            tiles=sub.take("max_num_tiles", int),
            taps=tuple(sub.take("intermediate_layers_indices", list)),
            rows="all",
            activation=activation(sub, "hidden_act"),
            norm_eps=sub.take("norm_eps", float),
        )
    shapes = [[grid.rows, grid.cols] for grid in spec.arrangements]
    sub.expect("supported_aspect_ratios", shapes, None, why="every arrangement has its embedding")
    sub.expect("vision_output_dim", spec.out_width, why="last and intermediate layers are joined")
    return spec, sub.finish("mllama")


def tiled_rules(checkpoint: Checkpoint) -> tuple[Rule, ...]:
    """Rules at the prefix under which the checkpoint has the encoder."""
    root = root_of(checkpoint, "class_embedding", VISION_ROOTS, "mllama")
    local = under(renamed(TILED_BLOCK), disk="transformer.layers.{i}.", ours="blocks.{i}.")
    block = renamed(TILED_BLOCK | GATES)
    last = under(block, disk="global_transformer.layers.{i}.", ours="global_blocks.{i}.")
    return under((*renamed(TILED), *local, *last), disk=root, ours="vision.")


def read_canvas(checkpoint: Checkpoint, vision: TiledVitSpec) -> tuple[CanvasSpec, tuple[str, ...]]:
    """MllamaImageProcessor's keys; without a file, the values of the published folders."""
    data = processor_config(checkpoint)
    if not data:
        spec = CanvasSpec(size=vision.image_size, tiles=vision.tiles)
        return spec, (f"no processor file: a canvas of {spec.tiles} tiles of {spec.size} px",)
    config = Config(data, where="preprocessor_config")
    for key in ("do_resize", "do_pad"):
        config.expect(key, True, why="the reference has no other way")
    size = config.sub("size", defaults={"height": 224, "width": 224})
    side = size.take("height", int)
    size.expect("width", side, why="tiles are square")
    size.finish("mllama")
    pixels = read_pixels(config, PixelSpec(resample="bilinear", mean=HALF, std=HALF))
    with refusing("mllama.preprocessor_config"):
        tiles = config.take("max_image_tiles", int, 4)
        spec = CanvasSpec(size=side, tiles=tiles, pixels=pixels)
    config.finish("mllama", VIEW_KEYS)
    return spec, ()


def renamed(names: dict[str, str]) -> list[Rename]:
    """Rules from our names to theirs."""
    return [Rename(disk, ours) for ours, disk in names.items()]
