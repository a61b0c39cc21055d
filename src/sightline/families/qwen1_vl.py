"""Qwen-VL and Qwen-VL-Chat (remote code on the hub): OpenCLIP's bigG, one cross-attention, Qwen 1.

Source: Qwen/Qwen-VL visual.py, modeling_qwen.py and tokenization_qwen.py. The encoder has no class
token and exact GELU; its fused matrix holds [q, k, v] head by head. A picture is `<img>`, the
tokens of its path filled up with `<imgpad>` to 256, `</img>`; the path is never seen, so here all
256 are `<imgpad>`.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import refusing
from sightline.families.files import Checkpoint
from sightline.families.parts import decoder_rules, read_decoder
from sightline.families.prompts import read_template, read_text_prompt
from sightline.families.qwen1 import QWEN1
from sightline.spec.connector import GridResamplerSpec
from sightline.spec.prompt import ImageTokenSpec, JinjaTemplate, PromptSpec
from sightline.spec.resolution import FixedSpec, PixelSpec
from sightline.spec.rules import Drop, Fuse, Rename, Rule, Transpose, under
from sightline.spec.vision import VitSpec

VISUAL: dict[str, Any] = {
    "heads": 16,
    "image_size": 448,
    "image_start_id": 151857,
    "layers": 48,
    "mlp_ratio": 4.9231,
    "n_queries": 256,
    "output_dim": 4096,
    "patch_size": 14,
    "width": 1664,
}
ROOT = "transformer.visual."
STOPS = (151645, 151643)  # <|im_end|>, <|endoftext|>
FACTS = FamilyFacts(
    name="qwen_vl",
    part="model",
    model_types=("qwen",),
    covers="Qwen-VL and Qwen-VL-Chat",
    proof="tests/parity/test_qwen1_vl.py: parts of transformers 5.23.0 and torch joined",
    resolution=("fixed",),
    connector=("grid_resampler",),
    fusion=("interleave",),
    decoders=("qwen",),
    grounding="qwen",
)

# Qwen-VL-Chat's make_context and from_list_format; pictures count on through the conversation.
CHAT = """\
{%- set seen = namespace(pictures=0) -%}
{%- macro say(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for part in content -%}
            {%- if part.type == 'text' -%}
                {{- part.text -}}
            {%- elif part.type == 'image' -%}
                {%- set seen.pictures = seen.pictures + 1 -%}
                {{- 'Picture ' ~ seen.pictures ~ ': ' + image_token + '\\n' -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- if messages[0].role != 'system' -%}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '' if loop.first and message.role == 'system' else '\\n' -}}
    {{- '<|im_start|>' + message.role + '\\n' + say(message.content) + '<|im_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '\\n<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def with_pictures(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint of type `qwen` is Qwen-VL, and not the text model alone."""
    return "visual" in checkpoint.config


def read_qwen_vl(checkpoint: Checkpoint) -> Declared:
    """The whole model. Raises FamilyError for sizes that do not meet."""
    config = Config(checkpoint.config, defaults=QWEN1.defaults)
    visual = config.sub("visual", VISUAL)
    with refusing("qwen_vl"):
        vision = _vision(visual)
        connector = _connector(visual, config.take("hidden_size", int))
    prompt = _prompt(checkpoint, visual, config.take("vocab_size", int))
    visual.finish("qwen_vl")
    text, ignored = read_decoder(QWEN1, config, ("tokenizer_type",))
    text, text_rules, notes = decoder_rules(QWEN1, text, checkpoint, QWEN1.roots)
    rules = (
        *vision_rules(vision),
        *resampler_rules(connector, vision.width, text.width),
        *text_rules,
    )
    size = vision.position_side
    return Declared(
        family="qwen_vl",
        resolution=FixedSpec(size=size, fit="squash", pixels=PixelSpec(backend="pillow")),
        vision=vision,
        connector=connector,
        language=text,
        prompt=prompt,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        dtype=checkpoint.dtype,
        ignored=ignored,
        notes=notes,
    )


def _vision(visual: Config) -> VitSpec:
    width = visual.take("width", int)
    return VitSpec(
        width=width,
        depth=visual.take("layers", int),
        heads=visual.take("heads", int),
        mlp_width=int(width * visual.take("mlp_ratio", float)),
        patch=visual.side("patch_size"),
        image_size=visual.side("image_size"),
        class_token="absent",
        patch_bias=False,
        pre_norm=True,
        post_norm="absent",
    )


def _connector(visual: Config, language: int) -> GridResamplerSpec:
    width, queries = visual.take("output_dim", int), visual.take("n_queries", int)
    side = int(queries**0.5)
    if side**2 != queries or width != language or width % 128:
        raise FamilyError(
            visual.name("n_queries" if side**2 != queries else "output_dim"),
            f"{queries} queries of width {width} for a language width of {language}",
            "give a square number of queries, and the language width, a multiple of 128",
        )
    return GridResamplerSpec(side=side, heads=width // 128)


def vision_rules(spec: VitSpec) -> tuple[Rule, ...]:
    """OpenCLIP's names; q, k and v of a head stand together."""
    heads = ("attn.q.{p}", "attn.k.{p}", "attn.v.{p}")
    block = (
        Rename("ln_1.{p}", "norm1.{p}"),
        Rename("ln_2.{p}", "norm2.{p}"),
        Fuse("attn.in_proj.{p}", heads, (spec.head_dim,) * 3, groups=spec.heads),
        Rename("attn.out_proj.{p}", "attn.out.{p}"),
        Rename("mlp.c_fc.{p}", "mlp.up.{p}"),
        Rename("mlp.c_proj.{p}", "mlp.down.{p}"),
    )
    whole = (
        Rename("conv1.weight", "patch_embed.weight"),
        Rename("positional_embedding", "positions"),
        Rename("ln_pre.{p}", "pre_norm.{p}"),
        *under(block, disk="transformer.resblocks.{i}.", ours="blocks.{i}."),
    )
    return under(whole, disk=ROOT, ours="vision.")


def resampler_rules(spec: GridResamplerSpec, inputs: int, width: int) -> tuple[Rule, ...]:
    widen = (Rename("kv_proj.weight", "widen.weight"),) if inputs != width else ()
    pool = (
        Rename("query", "queries"),
        Drop("pos_embed", "sines and cosines are computed"),
        *widen,
        Rename("ln_q.{p}", "query_norm.{p}"),
        Rename("ln_kv.{p}", "view_norm.{p}"),
        Fuse("attn.in_proj_weight", ("q.weight", "k.weight", "v.weight"), (width,) * 3),
        Fuse("attn.in_proj_bias", ("q.bias", "k.bias", "v.bias"), (width,) * 3),
        Rename("attn.out_proj.{p}", "out.{p}"),
    )
    return (
        *under(pool, disk=f"{ROOT}attn_pool.", ours="connector."),
        Rename(f"{ROOT}ln_post.{{p}}", "connector.norm.{p}"),
        Transpose(f"{ROOT}proj", "connector.project.weight"),
    )


def _prompt(checkpoint: Checkpoint, visual: Config, vocab: int) -> PromptSpec:
    """`<img>`, `</img>` and `<imgpad>` follow each other in the vocabulary."""
    start = visual.take("image_start_id", int)
    written = read_text_prompt(checkpoint, checkpoint.config)
    stops = dict.fromkeys((*written.stop_ids, *STOPS))
    return PromptSpec(
        template=read_template(checkpoint) or JinjaTemplate(source=CHAT),
        image=ImageTokenSpec(text="<imgpad>", id=start + 2, before=(start,), after=(start + 1,)),
        stop_ids=tuple(stop for stop in stops if stop < vocab),
        pad_id=written.pad_id or 0,
        grounding="qwen",
    )
