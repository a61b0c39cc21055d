"""What a pair of towers is good for: naming pictures untaught, and finding one by the other."""

# V pictures  B texts  C classes  E width of embeddings

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.core.errors import DataError
from sightline.eval.statistics import mean_interval
from sightline.model.matcher import Matcher


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """Pictures named by the nearest class.

    Attributes:
        predicted: number of the class of each picture.
        correct: whether it is the right one.
        by_class: share of right names for each class that has pictures.
    """

    predicted: tuple[int, ...]
    correct: tuple[bool, ...]
    by_class: Mapping[str, float]

    @property
    def accuracy(self) -> float:
        return sum(self.correct) / len(self.correct)

    @property
    def confidence(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy (bootstrap over pictures)."""
        _, low, high = mean_interval([float(right) for right in self.correct])
        return low, high


def class_embeddings(
    matcher: Matcher, classes: Sequence[str], templates: Sequence[str] = ("{}",)
) -> Tensor:
    """float32[C, E]: the mean of a class's unit embeddings over all templates, made a unit again
    (prompt ensembles of Radford et al. 2021). `{}` in a template stands for the class.

    Raises DataError without classes or templates, or for a template that names no class.
    """
    if not classes or not templates:
        raise DataError("templates" if classes else "classes", "are empty", "give some")
    for template in templates:
        if template.count("{}") != 1:
            raise DataError("templates", f"{template!r} has not one {{}}", "mark the class's place")
    texts = [template.replace("{}", name) for name in classes for template in templates]
    each_NE = matcher.encode_texts(texts)
    each_CTE = each_NE.reshape(len(classes), len(templates), -1)
    return F.normalize(each_CTE.mean(1), dim=-1)


def zero_shot(
    images_VE: Tensor, classes_CE: Tensor, labels: Sequence[int], names: Sequence[str]
) -> ZeroShot:
    """Name each picture by the class of the highest cosine; the first of equal ones.

    Raises DataError where pictures and labels, or classes and names, differ in number.
    """
    _equal("labels", len(labels), len(images_VE))
    _equal("names", len(names), len(classes_CE))
    if not len(labels):
        raise DataError("labels", "are empty", "give pictures")
    if min(labels) < 0 or max(labels) >= len(names):
        raise DataError("labels", f"name no class of {len(names)}", f"use 0..{len(names) - 1}")
    predicted = (images_VE @ classes_CE.T).argmax(1).tolist()
    correct = tuple(found == label for found, label in zip(predicted, labels, strict=True))
    by_class = {
        name: sum(own) / len(own)
        for number, name in enumerate(names)
        if (own := [right for right, at in zip(correct, labels, strict=True) if at == number])
    }
    return ZeroShot(tuple(predicted), correct, by_class)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Recall at k, both ways: share of pictures with a text of theirs among the k nearest, and
    share of texts with their picture among the k nearest."""

    image_to_text: Mapping[int, float]
    text_to_image: Mapping[int, float]


def retrieval(
    images_VE: Tensor,
    texts_BE: Tensor,
    owners: Sequence[int] | None = None,
    ks: Sequence[int] = (1, 5, 10),
) -> Retrieval:
    """Recall over all pictures and texts. `owners`: the picture of each text (COCO has five texts
    a picture); None pairs them in order.

    A stranger with an equal score counts as nearer: equal embeddings find nothing.
    Raises DataError where texts and owners differ in number, or a picture has no text.
    """
    pictures = len(images_VE)
    owner_B = torch.tensor(range(pictures) if owners is None else owners, dtype=torch.int64)
    _equal("owners", len(owner_B), len(texts_BE))
    if sorted(set(owner_B.tolist())) != list(range(pictures)):
        problem = f"do not give every one of {pictures} pictures a text, and no other"
        raise DataError("owners", problem, "name each picture by its number")
    scores_VB = images_VE.cpu() @ texts_BE.cpu().T
    own_VB = owner_B[None] == torch.arange(pictures)[:, None]
    best_V1 = scores_VB.masked_fill(~own_VB, -torch.inf).amax(1, keepdim=True)
    nearer_V = ((scores_VB >= best_V1) & ~own_VB).sum(1)
    own_1B = scores_VB[owner_B, torch.arange(len(owner_B))][None]
    nearer_B = ((scores_VB >= own_1B) & ~own_VB).sum(0)
    return Retrieval(_recalls(nearer_V, ks), _recalls(nearer_B, ks))


def _recalls(nearer: Tensor, ks: Sequence[int]) -> dict[int, float]:
    return {k: float((nearer < k).double().mean()) for k in ks}


def _equal(field: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise DataError(field, f"are {found} for {wanted}", "give one for each")
