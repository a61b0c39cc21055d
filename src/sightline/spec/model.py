"""The declared object: six choices that must fit together."""

from __future__ import annotations

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.connector import ConnectorSpec
from sightline.spec.fusion import FusionSpec, InterleaveSpec
from sightline.spec.language import LanguageSpec
from sightline.spec.prompt import PromptSpec
from sightline.spec.resolution import ResolutionSpec
from sightline.spec.vision import VisionSpec


class ModelSpec(Spec):
    """A vision-language model as six independent choices.

    Raises SpecError where parts contradict each other: a view too small for one patch, a
    placeholder id outside the vocabulary.
    """

    resolution: ResolutionSpec
    vision: VisionSpec
    connector: ConnectorSpec
    fusion: FusionSpec = Field(default_factory=InterleaveSpec)
    language: LanguageSpec
    prompt: PromptSpec

    @model_validator(mode="after")
    def _parts_meet(self) -> ModelSpec:
        self._check_view()
        self._check_ids()
        return self

    def _check_view(self) -> None:
        if self.resolution.least_side < self.vision.patch:
            raise SpecError(
                "resolution.size",
                f"{self.resolution.least_side} pixels hold no patch of {self.vision.patch}",
                "use a larger size or a smaller patch",
            )

    def _check_ids(self) -> None:
        prompt, vocab = self.prompt, self.language.vocab
        named = {
            "prompt.image.id": prompt.image.id,
            "prompt.pad_id": prompt.pad_id,
            "prompt.bos_id": prompt.bos_id or 0,
        }
        for field, ids in (
            ("stop_ids", prompt.stop_ids),
            ("image.before", prompt.image.before),
            ("image.after", prompt.image.after),
        ):
            named |= {f"prompt.{field}.{i}": id_ for i, id_ in enumerate(ids)}
        for field, value in named.items():
            if value >= vocab:
                raise SpecError(
                    field,
                    f"{value} is outside the vocabulary of {vocab}",
                    "grow language.vocab or choose an id inside",
                )
