"""From a sample to a training row: the model's own `prepare`, and a weight for every token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from sightline.core.errors import DataError, SpecError
from sightline.data.collate import TrainBatch, packed, padded
from sightline.data.dialects.turns import joined
from sightline.data.places import PlaceWriter
from sightline.data.sample import Media, Part, Places, Sample, Text, Turn
from sightline.model.prepare import Measured, Prepared, Preparer
from sightline.spec.packing import packing_refusal
from sightline.spec.train import BatchSpec, PackSpec, PadSpec


@dataclass(frozen=True, slots=True)
class TrainRow:
    """A conversation ready to be trained on.

    weights: per token, what its loss counts; 0 where it is no target, and for the first.
    """

    id: str
    prepared: Prepared
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ConversationMaker:
    """Micro-batches of conversations (see `RowMaker`)."""

    prepare: Preparer

    def check(self, batch: BatchSpec) -> None:
        """Raises SpecError for packs of a model that cannot be packed."""
        if not isinstance(batch, PackSpec):
            return
        if (reason := packing_refusal(self.prepare.spec)) is not None:
            problem = f"cannot be packs for this model: {reason}"
            raise SpecError("batch", problem, "use kind: pad")

    def make(self, sample: Sample) -> TrainRow:
        """Raises what `training_row` does."""
        return training_row(sample, self.prepare)

    def measure(self, sample: Sample) -> Measured:
        """Raises what `make` does, but for pixels that are damaged."""
        return measured_row(sample, self.prepare)

    def collate(self, rows: Sequence[TrainRow], batch: BatchSpec) -> TrainBatch:
        match batch:
            case PadSpec():
                return padded(rows, self.prepare.spec.prompt.pad_id)
            case PackSpec(tokens=tokens):
                return packed(rows, tokens)
            case _:
                assert_never(batch)

    def silent(self, micro: TrainBatch) -> TrainBatch:
        return micro.silent()


def training_row(sample: Sample, prepare: Preparer) -> TrainRow:
    """Prepare a conversation. Raises DataError for a sample of another kind, or without a target;
    PromptError, PictureError, GroundingError or ContextOverflow as `prepare` does."""
    prepared = prepare(trainable(sample, prepare), add_generation_prompt=False)
    weighed = zip(prepared.targets, prepared.message_of, strict=True)
    _, *weights = (
        sample.turns[owner].weight if target and owner is not None else 0.0
        for target, owner in weighed
    )
    if not any(weights):
        raise _unlearnable(sample)
    return TrainRow(sample.id, prepared, (0.0, *weights))


def measured_row(sample: Sample, prepare: Preparer) -> Measured:
    """How many tokens the row will take, without decoding a picture."""
    measured = prepare.measure(trainable(sample, prepare), add_generation_prompt=False)
    if not measured.target_tokens:
        raise _unlearnable(sample)
    return measured


def trainable(sample: Sample, prepare: Preparer) -> list[dict[str, Any]]:
    """Messages of a conversation. Raises DataError for rows of another kind, and for tools."""
    if sample.kind != "conversation":
        problem = f"is a {sample.kind} row, not a conversation"
        fix = "preferences and prompts are for other stages; leave them out of this one"
        raise DataError(sample.id, problem, fix)
    if sample.tools is not None:
        raise DataError(sample.id, "declares tools", "rows with tools are not trained on yet")
    if not any(turn.role == "assistant" and turn.weight for turn in sample.turns):
        raise _unlearnable(sample)
    return messages_of(sample.turns, prepare)


def messages_of(turns: Sequence[Turn], prepare: Preparer) -> list[dict[str, Any]]:
    """Turns as `prepare` takes them, places written in the model's style by what it sees."""
    return [
        {"role": turn.role, "content": _content([_part(part) for part in turn.parts])}
        for turn in spelled(turns, prepare)
    ]


def spelled(turns: Sequence[Turn], prepare: Preparer) -> tuple[Turn, ...]:
    """Turns with their places as the words that the model reads, one part with those around:
    templates may put spaces or newlines between parts."""
    write = _writer(turns, prepare)
    return tuple(
        replace(
            turn,
            parts=joined(Text(write(p)) if isinstance(p, Places) else p for p in turn.parts),
        )
        for turn in turns
    )


def _writer(turns: Sequence[Turn], prepare: Preparer) -> Callable[[Places], str]:
    """Pictures are only laid out where there are places."""
    if not any(isinstance(part, Places) for turn in turns for part in turn.parts):
        return _no_places
    media = [_shown(part) for turn in turns for part in turn.media]
    if not media:
        raise DataError("places", "stand in a row without pictures", "give their picture")
    survey = prepare.survey([{"role": "user", "content": media}])
    return PlaceWriter(survey, prepare.spec.prompt.grounding)


def _no_places(places: Places) -> str:
    raise AssertionError(f"{places} were looked for")


def _content(parts: list[dict[str, Any]]) -> Any:
    """A string where there are only words, as most templates like it."""
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Places():
            raise AssertionError("places are spelled out before")
        case Media():
            return _shown(part)
        case _:
            assert_never(part)


def _shown(media: Media) -> dict[str, Any]:
    rate: Mapping[str, Any] = {} if media.fps is None else {"fps": media.fps}
    return {"type": media.kind, media.kind: media.source, **rate}


def _unlearnable(sample: Sample) -> DataError:
    fix = "give it an answer with a weight above 0"
    return DataError(sample.id, "has no token to learn", fix)
