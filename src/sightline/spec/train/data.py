"""Where training rows come from."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError

Dialect = Literal[
    "llava",  # conversations of from/value, <image> in the text
    "finevision",  # images, texts of user/assistant
    "sharegpt",  # LLaMA-Factory's sharegpt, columns and tags as named
    "alpaca",  # instruction, input, output, history
    "llamafactory",  # LLaMA-Factory's messages with typed parts (v1)
    "openai",  # messages with parts of OpenAI, Hugging Face or Anthropic
    "trl",  # messages or prompt + completion, image(s) beside them
    "swift",  # messages, objects with boxes, per-message loss
    "preference",  # chosen and rejected, of all kits
    "kto",  # one answer and whether it is desirable
    "prompt",  # a question without an answer, and columns for rewards
    "caption",  # a picture and a text
]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
_TAKE = re.compile(r"(?:all|(?:first|end|random):\d+%?)")


class ScenesSpec(Spec):
    """Generated scenes (data/worlds/scenes): row i of a run is a function of (seed, i).

    A row is a picture and a conversation about it: with probability `dense_share` it opens with
    the box of every object, with `caption_share` a caption is among its questions, and questions
    of `kinds` (one named twice is asked twice as often; a template stands for itself, as
    `relation.vertical`) follow while their words, counted with punctuation, stay within `words`.
    Pictures are drawn at one of `sides` pixels. weight: in a mixture.
    """

    kind: Literal["scenes"] = "scenes"
    seed: int = Field(default=0, ge=0)
    kinds: tuple[str, ...] = (
        "colour",
        "shape",
        "size",
        "count",
        "exists",
        "relation",
        "compare",
        "locate",
    )
    dense_share: float = Field(default=0.0, ge=0, le=1)
    caption_share: float = Field(default=0.0, ge=0, le=1)
    questions: int = Field(default=10, ge=1)
    words: int = Field(default=150, ge=16)
    sides: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(224,), min_length=1)
    min_objects: int = Field(default=1, ge=1, le=8)
    max_objects: int = Field(default=8, ge=1, le=8)
    plain: bool = Field(default=False, description="no textures, one even background")
    smallest: float = Field(default=0.08, gt=0, lt=1, description="share of the picture's side")
    weight: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _shares_fit(self) -> ScenesSpec:
        if self.dense_share + self.caption_share > 1:
            raise SpecError(
                "caption_share",
                f"{self.caption_share} and dense_share {self.dense_share} exceed 1 together",
                "lower one of them",
            )
        return self


class RowsSpec(Spec):
    """What every source of stored rows can say.

    dialect: how a row is written; None recognises it from the first rows and says so.
    media: folder that relative pictures are looked for in; None takes that of the file.
    columns: our names of fields -> the file's, where a dialect lets fields be renamed.
    media_first: pictures and clips of a row whose texts hold no placeholder stand before its first
    question, as InternVL and swift put them; otherwise such a row is refused.
    take: `all`, `first:N`, `end:N` or `random:N`; N may end in %.
    repeat: how often a row is seen in one pass; weight: share of the draws in a mixture. Without
    weights a mixture draws each source in proportion to its rows times `repeat`.
    """

    dialect: Dialect | None = None
    media: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    media_first: bool = False
    take: str = "all"
    repeat: float = Field(default=1.0, gt=0)
    weight: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _take_is_known(self) -> RowsSpec:
        if not _TAKE.fullmatch(self.take):
            problem = f"{self.take!r:.60} is unknown"
            raise SpecError("take", problem, "use all, first:N, end:N or random:N, N or N%")
        return self


class FilesSpec(RowsSpec):
    """Rows of a file or a folder.

    path: JSON, JSONL (.gz too), Parquet, Arrow, a WebDataset .tar, a folder of any of these, a
    folder of pictures (their subfolders, or texts of the same name, are the captions), a mixture
    file (LLaVA-NeXT's YAML, InternVL's meta JSON), or `dataset_info.json#name`.
    """

    kind: Literal["files"] = "files"
    path: str


class HubSpec(RowsSpec):
    """A data set of the Hugging Face hub (through `datasets`, an extra), read as a stream.

    shuffle_rows: rows are shuffled in blocks of so many.
    """

    kind: Literal["hub"] = "hub"
    name: str
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    shuffle_rows: int = Field(default=1000, ge=1)


SourceSpec = Annotated[ScenesSpec | FilesSpec | HubSpec, Field(discriminator="kind")]


class MixtureSpec(Spec):
    """Several sources, drawn in an order that `seed` fixes.

    Without `shuffle` the rows of each source come in their own order. bad_rows: how many unreadable
    rows are reported and left out before the run stops; 0 refuses the first.
    """

    kind: Literal["mixture"] = "mixture"
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0)
    shuffle: bool = True
    bad_rows: int = Field(default=0, ge=0)


DataSpec = Annotated[ScenesSpec | FilesSpec | HubSpec | MixtureSpec, Field(discriminator="kind")]
