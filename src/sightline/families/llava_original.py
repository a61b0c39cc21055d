"""LLaVA v1, 1.5 and 1.6 as first released (liuhaotian): a flat Llama config with `mm_` keys.

Source: haotian-liu/LLaVA llava_arch.py, mm_utils.py and builder.py (recalled). The placeholder
there is the number -200, outside the vocabulary: here the vocabulary grows by one row. The tower
may be missing from the folder; then `mm_vision_tower` names another folder or a hub id. Pinpoints
are (width, height) there; what shows padding is counted with the roundings of transformers, which
differ where a product of floats misses a whole number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import TextFamily
from sightline.families.files import Checkpoint
from sightline.families.llava import PROOF
from sightline.families.llava_like import newline_rules
from sightline.families.llava_prompt import TEMPLATES
from sightline.families.original_tower import Tower, choose_features, find_tower
from sightline.families.original_views import read_ratio
from sightline.families.parts import decoder_rules, read_decoder
from sightline.families.prompts import image_prompt, read_text_prompt
from sightline.families.tables import text_family
from sightline.families.tokens import TokenFacts, read_tokens
from sightline.spec.connector import ConnectorSpec, LinearSpec, MlpSpec
from sightline.spec.prompt import ImageTokenSpec, PromptSpec, TemplateSpec
from sightline.spec.resolution import ResolutionSpec
from sightline.spec.rules import Rename, Rule, grow
from sightline.spec.vision import VitSpec

TEXT_TYPES = {
    "llava": "llama",
    "llava_llama": "llama",
    "llava_mistral": "mistral",
    "shikra": "llama",
}
HARMLESS = (
    "freeze_mm_mlp_adapter freeze_mm_vision_resampler image_grid_pinpoints mm_projector_lr "
    "mm_use_im_patch_token mm_vision_tower_lr pretrain_mm_mlp_adapter sep_image_conv_front "
    "tokenizer_model_max_length tokenizer_padding_side tune_mm_mlp_adapter "
    "tune_mm_vision_resampler unfreeze_mm_vision_tower"
).split()
PROJECTOR, NORMED = "model.mm_projector", "_Norm"
FACTS = FamilyFacts(
    name="llava_original",
    part="model",
    model_types=("llava", "llava_llama", "llava_mistral"),
    covers="LLaVA v1, 1.5 and 1.6 as first released",
    proof=f"{PROOF}, renamed; v1 against its parts joined in the test",
    resolution=("fixed", "anyres"),
    connector=("linear", "mlp"),
    fusion=("interleave",),
    decoders=("llama", "mistral"),
)


@dataclass(frozen=True, slots=True)
class Release:
    """One release in this format: how it shows pictures and writes conversations."""

    family: str
    views: Callable[[Config, Tower, VitSpec], ResolutionSpec]
    prompt: Callable[[Checkpoint, Config, TextFamily], tuple[PromptSpec, tuple[str, ...]]]


def read_llava_original(checkpoint: Checkpoint, tower: Path | None = None) -> Declared:
    """The whole model; see `read_release`."""
    return read_release(checkpoint, tower, LLAVA_ORIGINAL)


def read_release(checkpoint: Checkpoint, tower: Path | None, release: Release) -> Declared:
    """The whole model; `tower` is the folder of its vision tower if the checkpoint has none.

    `needs` names the tower where neither the checkpoint nor a folder holds its weights.
    """
    text = text_family(TEXT_TYPES.get(str(checkpoint.config.get("model_type"))), "model_type")
    config = Config(checkpoint.config, defaults=text.defaults)
    found = find_tower(config.take("mm_vision_tower", str), checkpoint, tower)
    vision = choose_features(config, found.spec)
    connector = _read_connector(config)
    views = release.views(config, found, vision)
    prompt, prompt_notes = release.prompt(checkpoint, config, text)
    _refuse_more(config)
    language, ignored = read_decoder(text, config, HARMLESS)
    language, rules, tie_notes = decoder_rules(
        text, language, checkpoint, (("model.", "lm_head."),)
    )
    if prompt.image.id >= language.vocab:
        rules = grow(rules, language.vocab, "language.embed.weight", "language.head.weight")
        language = language.model_copy(update={"vocab": prompt.image.id + 1})
    newline = newline_rules(checkpoint, release.family) if views.learned else ()
    rules = (*rules, *_connector_rules(connector), *newline, *found.rules)
    here = (Source(checkpoint.folder, rules),) if checkpoint.folder else ()
    return Declared(
        family=release.family,
        resolution=views,
        vision=vision,
        connector=connector,
        language=language,
        prompt=prompt,
        sources=(*here, *((found.source,) if found.source else ())),
        needs=found.needs,
        dtype=checkpoint.dtype,
        ignored=(*ignored, *found.ignored),
        notes=(*prompt_notes, *tie_notes),
    )


def _read_connector(config: Config) -> ConnectorSpec:
    kind = config.take("mm_projector_type", str, "linear")
    if kind == "linear":
        return LinearSpec()
    depths = {f"mlp{depth}x_gelu": depth for depth in (1, 2, 3)}
    plain = kind.removesuffix(NORMED)
    if plain not in depths:
        known = f"known: linear, {', '.join(depths)}, each with {NORMED}"
        raise FamilyError("mm_projector_type", f"{kind!r} is not supported", known)
    return MlpSpec(depth=depths[plain], norms=kind.endswith(NORMED))


def _connector_rules(spec: ConnectorSpec) -> tuple[Rule, ...]:
    """Layers of an nn.Sequential that repeats linear, norm (if any) and activation."""
    if not isinstance(spec, MlpSpec):
        return (Rename(f"{PROJECTOR}.{{p}}", "connector.layers.0.{p}"),)
    parts, step = ("layers", "norms")[: 1 + spec.norms], 2 + spec.norms
    return tuple(
        Rename(f"{PROJECTOR}.{step * layer + i}.{{p}}", f"connector.{part}.{layer}.{{p}}")
        for layer in range(spec.depth)
        for i, part in enumerate(parts)
    )


def read_words(
    checkpoint: Checkpoint,
    config: Config,
    text: TextFamily,
    placeholder: str = "<image>",
    template: TemplateSpec | None = None,
) -> tuple[PromptSpec, tuple[str, ...]]:
    """The placeholder is the tokenizer's, or the first id that no token has; `template` is the
    release's own where the folder has none."""
    tokens, vocab = read_tokens(checkpoint), config.take("vocab_size", int)
    known = tokens.id_of(placeholder)
    first_free = vocab if tokens.first_free is None else tokens.first_free
    before, after = _wrapping(config, tokens)
    token_id = first_free if known is None else known
    image = ImageTokenSpec(text=placeholder, id=token_id, before=before, after=after)
    written = read_text_prompt(checkpoint, {**text.defaults, **checkpoint.config})
    written = replace(written, template=written.template or template)
    return image_prompt(
        written, image=image, vocab=max(vocab, image.id + 1), fallback=TEMPLATES[text.name]
    )


def _wrapping(config: Config, tokens: TokenFacts) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if not config.take("mm_use_im_start_end", bool, False):
        return (), ()
    start, end = tokens.id_of("<im_start>"), tokens.id_of("<im_end>")
    if start is None or end is None:
        fix = "add the tokenizer's files to the folder"
        raise FamilyError("mm_use_im_start_end", "the tokens <im_start>, <im_end> are absent", fix)
    return (start,), (end,)


def _refuse_more(config: Config) -> None:
    """What later releases added to the same format, and would change the numbers."""
    config.expect("use_mm_proj", True, why="there is always a connector")
    config.expect("mm_resampler_type", None, why="visual tokens are not resampled")


LLAVA_ORIGINAL = Release("llava_original", read_ratio, read_words)
