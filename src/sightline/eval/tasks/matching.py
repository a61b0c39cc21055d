"""What pairs of towers are judged by: naming pictures untaught, finding one by the other, and
telling captions of the same words apart."""

# V pictures  B texts  E width of embeddings  U examples  C captions of an example

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from sightline.core.errors import DataError, PictureError
from sightline.eval.item import StoredPicture
from sightline.eval.metrics.winoground import match_tallies
from sightline.eval.pairs import class_embeddings, retrieval_tallies, zero_shot, zero_shot_tallies
from sightline.eval.statistics import Tally
from sightline.eval.tasks.class_pictures import (
    ClassPicture,
    class_pictures,
    read_prompts,
    stored_names,
)
from sightline.eval.tasks.published import picture_id, split
from sightline.eval.tasks.table import rows
from sightline.eval.tasks.winoground import FILES, picture
from sightline.model.matcher import Matcher
from sightline.pictures import open_picture
from sightline.pictures.gateway import PictureSource

PICTURES = 256  # opened at once
_WORDNET_ID = re.compile(r"n\d{8}")
TEMPLATE = "a photo of a {}."  # Radford et al. 2021
Named = tuple[str, PictureSource | StoredPicture]


class MatchingTask(Protocol):
    """Judges a pair on files."""

    @property
    def name(self) -> str: ...
    def tallies(self, matcher: Matcher) -> list[Tally]:
        """Figures, the first of which it is known by. Raises DataError naming file and row."""


@dataclass(frozen=True, slots=True)
class ZeroShotTask:
    """Pictures named by the nearest class: see `class_pictures` for what `path` may hold, and
    `read_prompts` for its classes and templates. Classes are else those that a Parquet file names,
    or the names of folders. Folders named by WordNet ids (ImageNet) need words: a mapping, or a
    list in the order of the ids, one for each folder.

    files: patterns of tables in a folder; fields: of the picture and the class in them.
    """

    path: Path
    name: str = "zero-shot"
    files: tuple[str, ...] = (*split("test"), *split("validation"))
    fields: tuple[str, str] = ("image", "label")

    def tallies(self, matcher: Matcher) -> list[Tally]:
        found = class_pictures(self.path, self.files, self.fields)
        prompts = read_prompts(self.path, TEMPLATE)
        classes = prompts.classes or stored_names(self.path, self.files, self.fields[1])
        names = classes or _named(found)
        _check_words(names, self.path)
        labels = _numbers(found, names, prompts.labels)
        images_VE = embedded(matcher, [(one.where, one.source) for one in found])
        classes_CE = class_embeddings(matcher, names, prompts.templates)
        result = zero_shot(images_VE, classes_CE, labels, names)
        return zero_shot_tallies(result, labels, names, [one.where for one in found])


def _named(found: Sequence[ClassPicture]) -> tuple[str, ...]:
    for one in found:
        if not isinstance(one.label, str):
            fix = 'write them into prompts.json: {"classes": [...]}'
            raise DataError(one.where, f"has class {one.label}, and no file names classes", fix)
    return tuple(sorted({str(one.label) for one in found}))


def _check_words(names: Sequence[str], path: Path) -> None:
    """A text tower knows no ids. Raises DataError."""
    for name in filter(_WORDNET_ID.fullmatch, names):
        fix = f'write its words into prompts.json: {{"classes": {{"{name}": "tench", ...}}}}'
        raise DataError(str(path), f"has the class {name}, which is no word", fix)


def _numbers(
    found: Sequence[ClassPicture], names: Sequence[str], called: Sequence[str] | None
) -> list[int]:
    """The number of each picture's class: what the prompts say it is called; else the number in
    its row, its name, or the place of its WordNet id among those of as many classes."""
    ids = sorted({str(one.label) for one in found})
    by_id = len(ids) == len(names) and all(map(_WORDNET_ID.fullmatch, ids))
    places = {name: at for at, name in enumerate(called or (ids if by_id else names))}
    numbers: list[int] = []
    for one in found:
        numbered = isinstance(one.label, int) and called is None
        place = one.label if numbered else places.get(str(one.label))
        if not isinstance(place, int) or place >= len(names):
            problem = f"is of class {one.label!r:.60}, and {len(names)} others are named"
            raise DataError(one.where, problem, "name every class in prompts.json")
        numbers.append(place)
    return numbers


@dataclass(frozen=True, slots=True)
class RetrievalTask:
    """Pictures with texts, each found by the other among all rows. Rows of one picture are not
    joined. Published figures of Flickr30k and COCO are over the rows of a test split alone.

    fields: of the picture and of its texts.
    """

    path: Path
    name: str = "retrieval"
    files: tuple[str, ...] = split("test")
    fields: tuple[str, str] = ("image", "caption")

    def tallies(self, matcher: Matcher) -> list[Tally]:
        pictures: list[Named] = []
        texts: list[str] = []
        owners: list[int] = []
        clusters: list[str] = []
        image, caption = self.fields
        for number, row in enumerate(rows(self.path, *self.files)):
            pictures.append((row.where, row.picture(image)))
            clusters.append(picture_id(row))
            for text in row.texts(caption):
                if not text.strip():
                    raise row.wrong(caption, "has an empty text", "leave it out")
                texts.append(text.strip())
                owners.append(number)
        images_VE, texts_BE = embedded(matcher, pictures), matcher.encode_texts(texts)
        return retrieval_tallies(images_VE, texts_BE, owners, clusters)


@dataclass(frozen=True, slots=True)
class WinogroundTask:
    """Group, text and image score from the cosine of each picture and caption."""

    path: Path
    name: str = "winoground"

    def tallies(self, matcher: Matcher) -> list[Tally]:
        examples = list(rows(self.path, *FILES))
        texts = [row.text(field) for row in examples for field in ("caption_0", "caption_1")]
        pictures = [
            (f"{row.where} {field}", picture(row, field))
            for row in examples
            for field in ("image_0", "image_1")
        ]
        images_UVE = embedded(matcher, pictures).reshape(len(examples), 2, -1)
        texts_UCE = matcher.encode_texts(texts).reshape(len(examples), 2, -1)
        scores_UCV = torch.einsum("uce,uve->ucv", texts_UCE, images_UVE)
        return match_tallies(scores_UCV.double().cpu().numpy(), [row.where for row in examples])


def embedded(matcher: Matcher, pictures: Sequence[Named]) -> Tensor:
    """float32[V, E] of pictures with their names for people, `PICTURES` of them opened at once.
    Raises DataError naming the picture that cannot be opened."""
    blocks = [
        matcher.encode_images([_opened(*one) for one in pictures[at : at + PICTURES]])
        for at in range(0, len(pictures), PICTURES)
    ]
    return torch.cat(blocks)


def _opened(where: str, source: PictureSource | StoredPicture) -> PictureSource:
    held = source.read() if isinstance(source, StoredPicture) else source
    try:
        return open_picture(held).rgb
    except PictureError as error:
        raise DataError(where, f"{error.field}: {error.problem}", error.fix) from None


@dataclass(frozen=True, slots=True)
class MatchingBenchmark:
    """A published benchmark of pairs; `open` makes a task of its files. See `Benchmark`."""

    name: str
    title: str
    open: Callable[[Path], MatchingTask]
    source: str


CIFAR10 = MatchingBenchmark(
    "cifar10",
    "CIFAR-10",
    partial(
        ZeroShotTask, name="cifar10", files=split("test", "plain_text"), fields=("img", "label")
    ),
    "uoft-cs/cifar10: plain_text/test-*.parquet, fields img and label, names of classes in the "
    "features (tensorflow.org/datasets/community_catalog/huggingface/cifar10). Or class folders, "
    "also in test.zip. Templates: Radford et al. 2021, arXiv:2103.00020; its ensembles go into "
    "prompts.json",
)
IMAGENET = MatchingBenchmark(
    "imagenet",
    "ImageNet",
    partial(ZeroShotTask, name="imagenet", files=split("validation")),
    "imagenet-1k: data/validation-*.parquet, fields image and label (-1 where it is kept back), "
    "names of classes in the features, as its loading script imagenet-1k.py has them (read at "
    "github.com/HaoranTang/sharp-unlearn). CLIP's shorter names and 80 templates go into "
    "prompts.json",
)
FLICKR30K_RETRIEVAL = MatchingBenchmark(
    "flickr30k_retrieval",
    "Flickr30k retrieval",
    partial(RetrievalTask, name="flickr30k_retrieval"),
    "lmms_eval/tasks/flickr30k/utils.py and flickr30k_test.yaml (0.7.3): fields image and caption, "
    "five texts a picture; lmms-eval has captioning alone. Its file holds all 31,783 pictures: "
    "give the 1,000 rows of the usual test split to compare with published recall",
)
WINOGROUND_MATCHING = MatchingBenchmark(
    "winoground",
    "Winoground",
    WinogroundTask,
    "Fields: see sightline.eval.tasks.winoground. Scores: Thrush et al. 2022, arXiv:2204.03162",
)
MATCHING = (CIFAR10, IMAGENET, FLICKR30K_RETRIEVAL, WINOGROUND_MATCHING)
