"""Joining a published tower and a published text model into a model that is not yet trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from sightline.core.errors import FamilyError
from sightline.families.declared import Declared, Source, TextPrompt, only_part
from sightline.families.family import refusing
from sightline.families.prompts import Builtin, image_prompt
from sightline.prompt.templates import builtin
from sightline.spec.connector import ConnectorSpec, MlpSpec
from sightline.spec.fusion import (
    CrossAttentionSpec,
    FusionSpec,
    InSequenceSpec,
    InterleaveSpec,
    VisualExpertSpec,
)
from sightline.spec.language import LanguageSpec
from sightline.spec.prompt import BuiltinTemplate, GroundingStyle, ImageTokenSpec, PromptSpec
from sightline.spec.resolution import NativeSpec, ResolutionSpec, RowTilingSpec
from sightline.spec.rules import grow
from sightline.spec.vision import ModuleSpec, TiledVitSpec, VisionSpec, VitSpec

EMBEDDINGS = ("language.embed.weight", "language.head.weight", "language.head.bias")


def compose_spec(
    vision: Declared,
    language: Declared,
    *,
    connector: ConnectorSpec | None = None,
    resolution: ResolutionSpec | None = None,
    layer: int | None = None,
    class_token: Literal["keep", "drop"] | None = None,
    image_text: str = "<image>",
    template: Builtin | None = None,
    grounding: GroundingStyle | None = None,
    fusion: FusionSpec | None = None,
) -> Declared:
    """The tower of `vision`, a new connector (two layers, GELU) and the text model of `language`.

    A tower alone gives the rows of its last but one block without class token and final norm, as
    in LLaVA (Liu et al. 2023) and Prismatic (Karamcheti et al. 2024); one taken from a whole model
    gives what it gives there. The vocabulary grows by the image token unless a free row or the
    token is there already; `grounding` says how boxes are written. `fusion` (default: in the
    sequence, or that of a text model with weights for it) may put new blocks or experts into the
    text model. Each part keeps its weights; the connector, such weights and grown rows are new.
    Ids that another tokenizer gave to tags and timestamps of views are left out, with a note.

    Raises FamilyError where a part is missing or the choices contradict it.
    """
    if vision.vision is None or (own_views := resolution or vision.resolution) is None:
        raise FamilyError("vision", f"family {vision.family} has no vision tower", "give another")
    if language.language is None:
        raise FamilyError("language", f"family {language.family} has no text model", "give another")
    tower = _features(vision.vision, vision.is_model, layer, class_token)
    prompt, vocab, notes = _prompt(language, image_text, template)
    if grounding is not None:
        prompt = PromptSpec.parse(prompt.model_dump() | {"grounding": grounding}, field="prompt")
    joined, new_weights = _fusion(language, fusion)
    views, told = (own_views, ()) if resolution else _views(own_views, vision, language)
    if isinstance(tower, TiledVitSpec) and not isinstance(joined, CrossAttentionSpec):
        tower = tower.model_copy(update={"rows": "grid"})  # a sequence has no use for padding
    return Declared(
        family="composed",
        resolution=views,
        vision=tower,
        connector=connector or MlpSpec(),
        language=language.language.model_copy(update={"vocab": vocab}),
        fusion=joined,
        prompt=prompt,
        sources=(
            *only_part(vision.sources, "vision."),
            *_grown(only_part(language.sources, "language."), language.language, vocab),
        ),
        needs=(*vision.needs, *language.needs),
        fresh=("connector.{any}", "learned.{any}", *new_weights),
        dtype=language.dtype,
        ignored=(*vision.ignored, *language.ignored),
        notes=(*vision.notes, *language.notes, *told, *_left_behind(language, joined), *notes),
    )


def _views(
    views: ResolutionSpec, vision: Declared, language: Declared
) -> tuple[ResolutionSpec, tuple[str, ...]]:
    """The tower's views, without ids that the text model's tokenizer did not give; what to say."""
    own = vision.prompt is not None and vision.prompt == language.prompt
    if own or not views.text_ids:
        return views, ()
    match views:
        case RowTilingSpec():
            bare: ResolutionSpec = views.model_copy(update={"tags": None})
        case NativeSpec():
            bare = views.model_copy(update={"timestamps": None})
        case _:
            raise AssertionError("no other policy writes ids")
    return bare, (f"ids of {vision.family}'s tokenizer between views are left out",)


def _fusion(language: Declared, chosen: FusionSpec | None) -> tuple[FusionSpec, tuple[str, ...]]:
    """The choice, and patterns of the weights that it makes new."""
    if isinstance(language.fusion, CrossAttentionSpec | VisualExpertSpec):
        if chosen not in (None, language.fusion):
            raise FamilyError(
                "fusion",
                f"family {language.family} has weights of its own for {language.fusion.kind}",
                "leave the choice out, or give another text model",
            )
        return language.fusion, ()
    match chosen:
        case CrossAttentionSpec():
            return chosen, ("language.blocks.{i}.cross.{any}",)
        case VisualExpertSpec():
            return chosen, ("language.blocks.{i}.expert.{any}",)
        case _:
            return chosen or InterleaveSpec(), ()


def _left_behind(language: Declared, joined: FusionSpec) -> tuple[str, ...]:
    """What a whole model's fusion asked of its text model, and the new one does not."""
    own = language.fusion
    if not isinstance(own, InSequenceSpec) or not isinstance(joined, InSequenceSpec):
        return ()
    pairs = (("mask", own.mask, joined.mask), ("positions", own.positions, joined.positions))
    return tuple(
        f"{language.family} was trained with fusion.{name}: {before}, this is {after}"
        for name, before, after in pairs
        if before != after
    )


def _features(
    tower: VisionSpec,
    chosen_before: bool,
    layer: int | None,
    class_token: Literal["keep", "drop"] | None,
) -> VisionSpec:
    if not isinstance(tower, VitSpec):
        if layer is not None or class_token is not None:
            name = tower.name if isinstance(tower, ModuleSpec) else tower.kind
            raise FamilyError("layer", f"{name} gives what it gives", "leave the choice out")
        return tower
    has_class = tower.class_token != "absent"
    if class_token == "keep" and not has_class:
        raise FamilyError("class_token", "the tower has none to keep", "leave it out")
    changes: dict[str, object] = {}
    if not chosen_before:
        changes = {"layer": -2, "class_token": "drop" if has_class else "absent"}
        changes["post_norm"] = "absent" if tower.post_norm == "absent" else "unused"
    if layer is not None:
        changes["layer"] = layer
    if class_token is not None and has_class:
        changes["class_token"] = class_token
    with refusing("vision"):
        return VitSpec(**(tower.model_dump() | changes))


def _prompt(
    language: Declared, image_text: str, template: Builtin | None
) -> tuple[PromptSpec, int, tuple[str, ...]]:
    """The text model's prompt with an image token, its own or on the first free id; the vocabulary
    that this takes; what to say."""
    assert language.language is not None
    if (own := language.prompt) is not None:
        if template is not None or image_text not in ("<image>", own.image.text):
            raise FamilyError(
                "language",
                f"has its own prompt with {own.image.text}, another was chosen",
                "leave out template and image_text, or give a text model alone",
            )
        return own, language.language.vocab, ()
    written = language.text_prompt or TextPrompt()
    if template is not None:
        written = replace(written, template=None)
    vocab = language.language.vocab
    chosen = None if template is None else builtin(BuiltinTemplate(name=template))
    ids = _token_ids(written, vocab, (image_text, *(chosen.tokens if chosen else ())))
    image = ImageTokenSpec(text=image_text, id=ids[image_text])
    if chosen is not None and chosen.stop is not None:
        written = replace(written, stop_ids=(ids[chosen.stop], *written.stop_ids))
    grown = max(vocab, *(id_ + 1 for id_ in ids.values()))
    prompt, notes = image_prompt(written, image=image, vocab=grown, fallback=template or "plain")
    notes = () if template else notes
    return prompt, grown, (*notes, *(_told(text, id_, vocab) for text, id_ in ids.items()))


def _token_ids(written: TextPrompt, vocab: int, texts: tuple[str, ...]) -> dict[str, int]:
    """The id of each control token: its own, or the next free one, in this order."""
    free = vocab if written.tokens is None else written.tokens
    ids: dict[str, int] = {}
    for text in texts:
        ids[text] = written.added.get(text, free)
        free += ids[text] == free
    return ids


def _told(text: str, id_: int, vocab: int) -> str:
    row = "a new row of the vocabulary" if id_ >= vocab else "a row the vocabulary has"
    return f"{text} is token {id_}, {row}"


def _grown(sources: tuple[Source, ...], language: LanguageSpec, vocab: int) -> tuple[Source, ...]:
    if vocab == language.vocab:
        return sources
    return tuple(replace(s, rules=grow(s.rules, language.vocab, *EMBEDDINGS)) for s in sources)
