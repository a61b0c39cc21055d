"""What CLIP and SigLIP share as pairs of towers, and what a table of such a family offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.clip import BLOCK, NOT_COMPUTED
from sightline.families.config import Config
from sightline.families.family import TowerFamily, activation, activation_name
from sightline.families.tokens import TokenFacts
from sightline.spec.language import (
    AttentionSpec,
    DecoderSpec,
    LearnedPositionsSpec,
    MlpBlockSpec,
)
from sightline.spec.layers import LayerNormSpec
from sightline.spec.pair import PairSpec
from sightline.spec.resolution import FixedSpec
from sightline.spec.rules import Drop, Rename, Rule, under
from sightline.spec.vision import VitSpec


@dataclass(frozen=True, slots=True)
class PairConfig:
    """What a family reads a pair from: the top of the config, its text side, the vision tower and
    the views that were read before, and what the tokenizer files say."""

    top: Config
    text: Config
    vision: VitSpec
    views: FixedSpec
    tokens: TokenFacts


@dataclass(frozen=True, slots=True)
class PairFamily:
    """Whole checkpoints of two towers. `top` and `text` are the reference's values for keys left
    out; `write` makes a config.json that reads back as the same pair."""

    name: str
    model_types: tuple[str, ...]
    tower: TowerFamily
    top: Mapping[str, Any]
    text: Mapping[str, Any]
    read: Callable[[PairConfig], PairSpec]
    rules: Callable[[PairSpec], tuple[Rule, ...]]
    write: Callable[[PairSpec], dict[str, Any]]
    architecture: str
    image_processor: str
    proof: str


def read_stack(config: Config) -> DecoderSpec:
    """The text tower's transformer: biases everywhere, learned positions, norms before branches."""
    width, heads = config.take("hidden_size", int), config.take("num_attention_heads", int)
    if width % heads:
        raise FamilyError(
            config.name("num_attention_heads"), f"{heads} does not divide {width}", "mend it"
        )
    return DecoderSpec(
        vocab=config.take("vocab_size", int),
        width=width,
        depth=config.take("num_hidden_layers", int),
        context=config.take("max_position_embeddings", int),
        attention=AttentionSpec(
            heads=heads, kv_heads=heads, head_dim=width // heads, qkv_bias=True, out_bias=True
        ),
        mlp=MlpBlockSpec(
            kind="plain",
            width=config.take("intermediate_size", int),
            activation=activation(config, "hidden_act"),
            bias=True,
        ),
        norm=LayerNormSpec(eps=config.take("layer_norm_eps", float)),
        positions=LearnedPositionsSpec(),
        tied_head=True,
    )


def write_stack(spec: DecoderSpec) -> dict[str, Any]:
    return {
        "vocab_size": spec.vocab,
        "hidden_size": spec.width,
        "num_hidden_layers": spec.depth,
        "num_attention_heads": spec.attention.heads,
        "intermediate_size": spec.mlp.width,
        "max_position_embeddings": spec.context,
        "hidden_act": activation_name(spec.mlp.activation),
        "layer_norm_eps": spec.norm.eps,
    }


def stack_rules() -> tuple[Rule, ...]:
    """Names of the text tower, which both families share."""
    block = [Rename(f"{disk}.{{p}}", f"{ours}.{{p}}") for ours, disk in BLOCK.items()]
    rules = (
        Rename("embeddings.token_embedding.weight", "embed.weight"),
        Rename("embeddings.position_embedding.weight", "positions.weight"),
        *under(block, disk="encoder.layers.{i}.", ours="blocks.{i}."),
        Rename("final_layer_norm.{p}", "norm.{p}"),
    )
    named = under(rules, disk="text_model.", ours="language.")
    return (*named, Drop("text_model.embeddings.position_ids", NOT_COMPUTED))


def one_id(config: Config, key: str) -> int:
    """A token id; a list of one counts as one."""
    value = config.data.get(key)
    if isinstance(value, list) and len(value) == 1:
        config.data[key] = value[0]
    return config.take(key, int)
