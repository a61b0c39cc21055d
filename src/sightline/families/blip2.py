"""BLIP-2 and InstructBLIP with a decoder-only language model, in Hugging Face's format.

Source: transformers 5.23.0 models/blip_2 and models/instructblip; the ways to ask are those of
salesforce/LAVIS. Both put the visual tokens before the first text token, bos included. FLAN-T5
needs an encoder and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.blip_prompt import QUESTIONS
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.eva import EVA
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily, activation, refusing
from sightline.families.files import Checkpoint
from sightline.families.parts import decoder_rules, read_decoder, read_tower, tower_rules
from sightline.families.prompts import image_text, read_template, read_text_prompt
from sightline.families.tables import text_family
from sightline.families.tokens import read_tokens
from sightline.families.views import read_views
from sightline.spec.connector import InstructionSpec, QFormerSpec
from sightline.spec.language import DecoderSpec
from sightline.spec.prompt import ImageTokenSpec, JinjaTemplate, PromptSpec
from sightline.spec.rules import Drop, Rename, Reshape, Rule, grow, under

DECODERS = ("opt", "llama")
QFORMER: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "layer_norm_eps": 1e-12,
    "cross_attention_frequency": 2,
}
HARMLESS = ("image_text_hidden_size", "initializer_factor", "tie_word_embeddings")
QFORMER_HARMLESS = ("attention_probs_dropout_prob", "classifier_dropout")
FACTS = FamilyFacts(
    name="blip2",
    part="model",
    model_types=("blip-2",),
    covers="BLIP-2 with OPT",
    proof="tests/parity/test_blip2.py: logits and 32 greedy tokens of transformers 5.23.0",
    resolution=("fixed",),
    connector=("qformer",),
    fusion=("interleave",),
    decoders=DECODERS,
)


def read_blip2(checkpoint: Checkpoint) -> Declared:
    """Raises FamilyError for parts or choices that cannot be reproduced."""
    return read_blip(checkpoint, "blip2", QUESTIONS)


def read_blip(checkpoint: Checkpoint, name: str, template: str) -> Declared:
    """The whole model; `template` writes the prompt where the folder has none."""
    config = Config(checkpoint.config)
    config.expect("use_decoder_only_language_model", True, why="encoder-decoders are not built")
    vision, ignored_vision = read_tower(EVA, config.sub("vision_config", EVA.defaults))
    connector, ignored_qformer = _connector(config, name, vision.width)
    family = _text_family(config)
    nested = {**family.defaults, **config.take("text_config", dict, {})}
    text, ignored_text = read_decoder(family, Config(nested, where="text_config"))
    roots = tuple((f"language_model.{b}", f"language_model.{h}") for b, h in family.roots)
    text, text_rules, tie_notes = decoder_rules(family, text, checkpoint, roots)
    prompt = _prompt(checkpoint, config, nested, text, template)
    if prompt.image.id >= text.vocab:
        text_rules = grow(text_rules, text.vocab, "language.embed.weight", "language.head.weight")
        text = text.model_copy(update={"vocab": prompt.image.id + 1})
    rules = (
        *tower_rules(EVA, vision, checkpoint, ("vision_model.",)),
        *qformer_rules(connector),
        *text_rules,
    )
    views, view_notes = read_views(checkpoint, EVA.views(vision.position_side), name)
    ignored = (*config.finish(name, HARMLESS), *ignored_vision, *ignored_qformer, *ignored_text)
    return Declared(
        family=name,
        resolution=views,
        vision=vision,
        connector=connector,
        language=text,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=(*view_notes, *tie_notes),
    )


def _connector(config: Config, name: str, features: int) -> tuple[QFormerSpec, tuple[str, ...]]:
    """InstructBLIP's queries read the instruction, BLIP-2's do not."""
    sub = config.sub("qformer_config", QFORMER)
    sub.expect("encoder_hidden_size", features, why="it is the width of the encoder")
    sub.expect("use_qformer_text_input", False, why="that is for retrieval")
    sub.expect("position_embedding_type", "absolute", why="relative positions are not built")
    vocab, context = sub.take("vocab_size", int), sub.take("max_position_embeddings", int)
    reads = name == "instructblip"
    with refusing(name):
        spec = QFormerSpec(
            queries=config.take("num_query_tokens", int, 32),
            width=sub.take("hidden_size", int),
            depth=sub.take("num_hidden_layers", int),
            heads=sub.take("num_attention_heads", int),
            mlp_width=sub.take("intermediate_size", int),
            activation=activation(sub, "hidden_act"),
            cross_every=sub.take("cross_attention_frequency", int),
            norm_eps=sub.take("layer_norm_eps", float),
            instruction=InstructionSpec(vocab=vocab, context=context) if reads else None,
        )
    return spec, sub.finish(name, QFORMER_HARMLESS)


def qformer_rules(spec: QFormerSpec) -> tuple[Rule, ...]:
    """BERT's names; the feed-forward of queries beside that of words."""
    reads = spec.instruction is not None
    root = "qformer.embeddings.layernorm" if reads else "qformer.layernorm"
    block = (
        *_attention("attention", "attn"),
        *_attention("crossattention", "cross"),
        *_mlp("intermediate_query", "output_query", "query_mlp"),
        *(_mlp("intermediate", "output", "word_mlp") if reads else ()),
    )
    return (
        Reshape("query_tokens", "connector.queries", lead=1),
        Rename(f"{root}.{{p}}", "connector.norm.{p}"),
        Rename("qformer.embeddings.word_embeddings.weight", "connector.words.embed"),
        Rename("qformer.embeddings.position_embeddings.weight", "connector.words.positions"),
        Drop("qformer.embeddings.position_ids", "positions are counted, not stored"),
        *under(block, disk="qformer.encoder.layer.{i}.", ours="connector.blocks.{i}."),
        Rename("language_projection.{p}", "connector.project.{p}"),
    )


def _attention(disk: str, ours: str) -> tuple[Rule, ...]:
    theirs = (("query", "q"), ("key", "k"), ("value", "v"))
    return (
        *(Rename(f"{disk}.attention.{name}.{{p}}", f"{ours}.{n}.{{p}}") for name, n in theirs),
        Rename(f"{disk}.output.dense.{{p}}", f"{ours}.out.{{p}}"),
        Rename(f"{disk}.output.LayerNorm.{{p}}", f"{ours}.norm.{{p}}"),
    )


def _mlp(up: str, down: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rename(f"{up}.dense.{{p}}", f"{ours}.mlp.up.{{p}}"),
        Rename(f"{down}.dense.{{p}}", f"{ours}.mlp.down.{{p}}"),
        Rename(f"{down}.LayerNorm.{{p}}", f"{ours}.norm.{{p}}"),
    )


def _text_family(config: Config) -> TextFamily:
    given = config.take("text_config", dict, {})
    kind = given.get("model_type", "opt")
    if kind in ("t5", "flan-t5"):
        raise FamilyError(
            "text_config.model_type", f"{kind!r} is an encoder-decoder", f"known: {DECODERS}"
        )
    family = text_family(kind, "text_config.model_type")
    if family.name not in DECODERS:
        raise FamilyError(
            "text_config.model_type", f"{family.name!r} in BLIP-2", f"known: {', '.join(DECODERS)}"
        )
    return family


def _prompt(
    checkpoint: Checkpoint,
    config: Config,
    nested: Mapping[str, Any],
    text: DecoderSpec,
    template: str,
) -> PromptSpec:
    """The placeholder is the config's, else the tokenizer's <image>, else a new row."""
    tokens = read_tokens(checkpoint)
    stated = config.maybe("image_token_index", int)
    stated = config.maybe("image_token_id", int) if stated is None else stated
    known = tokens.id_of("<image>") if stated is None else stated
    free = text.vocab if tokens.first_free is None else tokens.first_free
    image = free if known is None else known
    written = read_text_prompt(checkpoint, checkpoint.config, nested)
    bos = "bos_token" if written.bos_id is not None else "''"
    return PromptSpec(
        template=read_template(checkpoint) or JinjaTemplate(source=template.replace("BOS", bos)),
        image=ImageTokenSpec(text=image_text(checkpoint, tokens, image), id=image),
        stop_ids=tuple(stop for stop in written.stop_ids if stop < text.vocab),
        pad_id=written.pad_id or 0,
    )
