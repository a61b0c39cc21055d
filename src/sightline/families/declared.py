"""What reading a folder yields: specs of its parts, the rules of its tensors, and what to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sightline.core.errors import FamilyError
from sightline.spec.connector import ConnectorSpec
from sightline.spec.fusion import FusionSpec, InterleaveSpec
from sightline.spec.language import LanguageSpec
from sightline.spec.model import ModelSpec
from sightline.spec.pair import PairSpec
from sightline.spec.prompt import PromptSpec, TemplateSpec
from sightline.spec.resolution import ResolutionSpec
from sightline.spec.rules import Drop, Rule
from sightline.spec.vision import VisionSpec


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """What a text model alone knows of prompts; it has no image token.

    `template` None: the folder has none. `tokens` is the first id that no token has, or None
    where the folder has no tokenizer; `added` are the ids of added tokens by text.
    """

    template: TemplateSpec | None = None
    bos_id: int | None = None
    stop_ids: tuple[int, ...] = ()
    pad_id: int | None = None
    tokens: int | None = None
    added: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """Tensors of one folder, and the rules that make them ours."""

    folder: Path
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """A published model or part, declared. Parts that a folder does not have are None.

    Attributes:
        family: its family in `catalogue()`.
        sources: where the weights are; empty for a config without a folder.
        needs: hub ids of folders that hold the rest of the weights.
        fresh: patterns of our parameters that no source holds and that are initialised.
        dtype: the checkpoint's own dtype (`bfloat16`), if it says so.
        ignored: keys of the config that are known to have no effect here.
        notes: what was assumed, for the user.
        fingerprint: what the folder was made with, if it says so.
        pair: the declaration of both towers, where a folder was read as one; `vision` is then its
            vision tower.
    """

    family: str
    resolution: ResolutionSpec | None = None
    vision: VisionSpec | None = None
    connector: ConnectorSpec | None = None
    language: LanguageSpec | None = None
    prompt: PromptSpec | None = None
    text_prompt: TextPrompt | None = None
    fusion: FusionSpec = field(default_factory=InterleaveSpec)
    sources: tuple[Source, ...] = ()
    needs: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    dtype: str | None = None
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    pair: PairSpec | None = None

    @property
    def is_model(self) -> bool:
        parts = (self.resolution, self.vision, self.connector, self.language, self.prompt)
        return all(part is not None for part in parts)

    @property
    def model(self) -> ModelSpec:
        """The whole model. Raises FamilyError for a tower or a text model alone."""
        if not (self.resolution and self.vision and self.connector and self.language
                and self.prompt):  # fmt: skip
            if self.pair is not None:
                raise FamilyError(self.family, "is a pair of towers", "open it with load_pair")
            have = [n for n in ("vision", "language") if getattr(self, n) is not None]
            raise FamilyError(self.family, f"is only a {' and a '.join(have)} part",
                              "join a tower and a text model with compose")  # fmt: skip
        return ModelSpec(
            resolution=self.resolution,
            vision=self.vision,
            connector=self.connector,
            fusion=self.fusion,
            language=self.language,
            prompt=self.prompt,
        )

    def noting(self, *notes: str) -> Declared:
        return replace(self, notes=(*self.notes, *notes))


def only_part(sources: tuple[Source, ...], prefix: str) -> tuple[Source, ...]:
    """The sources with the rules of one part (`vision.`); tensors of other parts are dropped."""
    return _kept(sources, lambda ours: ours.startswith(prefix))


def text_alone(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """The sources with the rules of the text model, without what a fusion has put into it: blocks
    that read a memory, experts of visual rows."""
    return _kept(
        sources,
        lambda ours: (
            ours.startswith("language.")
            and not any(f".{part}." in ours for part in ("cross", "expert"))
        ),
    )


def _kept(sources: tuple[Source, ...], wanted: Callable[[str], bool]) -> tuple[Source, ...]:
    return tuple(
        replace(s, rules=tuple(kept for rule in s.rules for kept in _keep(rule, wanted)))
        for s in sources
    )


def _keep(rule: Rule, wanted: Callable[[str], bool]) -> tuple[Rule, ...]:
    if isinstance(rule, Drop):
        return (rule,)
    first = rule.ours if isinstance(rule.ours, str) else rule.ours[0]
    if wanted(first):
        return (rule,)
    names = (rule.disk,) if isinstance(rule.disk, str) else rule.disk
    return tuple(Drop(name, "belongs to a part that is not taken") for name in names)
