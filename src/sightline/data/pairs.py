"""From a sample to a row of a pair of towers: one picture and the text that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sightline.core.errors import DataError, SpecError
from sightline.data.sample import Media, Places, Sample
from sightline.model.pair_prepare import PairBatch, PairPreparer, PairRow, collate_pairs
from sightline.model.prepare import Measured
from sightline.pictures.gateway import PictureSource, probe
from sightline.spec.train import BatchSpec, PadSpec


@dataclass(frozen=True, slots=True)
class PairMaker:
    """Micro-batches of pairs (see `RowMaker`)."""

    prepare: PairPreparer

    def check(self, batch: BatchSpec) -> None:
        """Raises SpecError for packs: towers read rows side by side."""
        if not isinstance(batch, PadSpec):
            raise SpecError("batch", "packs rows, which towers read side by side", "use kind: pad")

    def make(self, sample: Sample) -> PairRow:
        """Raises DataError for a sample that is no captioned picture; PictureError, PromptError or
        ContextOverflow as `prepare` does."""
        picture, text = captioned(sample)
        return self.prepare(picture, text, id=sample.id)

    def measure(self, sample: Sample) -> Measured:
        """Raises what `make` does, but for pixels that are damaged."""
        picture, text = captioned(sample)
        probe(picture, self.prepare.limits)
        return Measured(len(self.prepare.text(text).ids), self.prepare.visual_tokens, 0, 0)

    def collate(self, rows: Sequence[PairRow], batch: BatchSpec) -> PairBatch:
        del batch  # always side by side, see `check`
        return collate_pairs(self.prepare.spec, rows)

    def silent(self, micro: PairBatch) -> PairBatch:
        return micro.silent()


def captioned(sample: Sample) -> tuple[PictureSource, str]:
    """The one picture of a sample and what the assistant says of it.

    Raises DataError where there is not exactly one of each.
    """
    answers = [turn for turn in sample.turns if turn.role == "assistant"]
    if sample.kind != "conversation" or len(answers) != 1:
        problem = f"is a {sample.kind} row with {len(answers)} answers, not a captioned picture"
        raise DataError(sample.id, problem, "give one picture and one text")
    if len(sample.media) != 1 or sample.media[0].kind != "image":
        kinds = ", ".join(media.kind for media in sample.media) or "nothing"
        raise DataError(sample.id, f"shows {kinds}, not one picture", "give one picture a row")
    if any(isinstance(part, Places | Media) for part in answers[0].parts):
        problem = "has boxes, points or pictures in its text"
        raise DataError(sample.id, problem, "give plain words")
    return cast(PictureSource, sample.media[0].source), answers[0].text.strip()
