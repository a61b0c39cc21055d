"""What a pair of towers is good for: naming pictures untaught, and finding one by the other."""

# V pictures  B texts  C classes  E width of embeddings  M pictures of a block

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.core.errors import DataError
from sightline.eval.statistics import Tally, mean_interval, mean_tally
from sightline.model.matcher import Matcher

BLOCK = 1024


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
    nearer = strangers_nearer(images_VE, texts_BE, owners)
    return Retrieval(_recalls(nearer.of_images_V, ks), _recalls(nearer.of_texts_B, ks))


def _recalls(nearer: Tensor, ks: Sequence[int]) -> dict[int, float]:
    return {k: float((nearer < k).double().mean()) for k in ks}


@dataclass(frozen=True, slots=True)
class Nearer:
    """int64[V] and int64[B]: how many texts of others are as near to a picture as its best own
    text, or nearer; and how many other pictures are as near to a text as its own."""

    of_images_V: Tensor
    of_texts_B: Tensor


def strangers_nearer(
    images_VE: Tensor, texts_BE: Tensor, owners: Sequence[int] | None = None
) -> Nearer:
    """What recall is counted from; raises as `retrieval` does. Scores are held for `BLOCK` pictures
    at once."""
    pictures = len(images_VE)
    owner_B = torch.tensor(range(pictures) if owners is None else owners, dtype=torch.int64)
    _equal("owners", len(owner_B), len(texts_BE))
    if sorted(set(owner_B.tolist())) != list(range(pictures)):
        problem = f"do not give every one of {pictures} pictures a text, and no other"
        raise DataError("owners", problem, "name each picture by its number")
    images_VE, texts_EB = images_VE.cpu(), texts_BE.cpu().T
    of_images: list[Tensor] = []
    own_B = torch.empty(len(owner_B))
    for at, scores_MB, own_MB in _blocks(images_VE, texts_EB, owner_B):
        best_M1 = scores_MB.masked_fill(~own_MB, -torch.inf).amax(1, keepdim=True)
        of_images.append(((scores_MB >= best_M1) & ~own_MB).sum(1))
        here_B = own_MB.any(0)
        own_B[here_B] = scores_MB[owner_B[here_B] - at, here_B.nonzero()[:, 0]]
    of_texts_B = torch.zeros(len(owner_B), dtype=torch.int64)
    for _, scores_MB, own_MB in _blocks(images_VE, texts_EB, owner_B):
        of_texts_B += ((scores_MB >= own_B) & ~own_MB).sum(0)
    return Nearer(torch.cat(of_images), of_texts_B)


def _blocks(
    images_VE: Tensor, texts_EB: Tensor, owner_B: Tensor
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Number of the first picture, its scores and those after it, and which texts are theirs."""
    for at in range(0, len(images_VE), BLOCK):
        scores_MB = images_VE[at : at + BLOCK] @ texts_EB
        own_MB = owner_B[None] == torch.arange(at, at + len(scores_MB))[:, None]
        yield at, scores_MB, own_MB


def zero_shot_tallies(
    found: ZeroShot, labels: Sequence[int], names: Sequence[str], pictures: Sequence[str]
) -> list[Tally]:
    """Accuracy over all pictures, and of each class that has some. `pictures`: what each picture is
    called; those called alike are one cluster."""
    right = [float(right) for right in found.correct]
    tallies = [mean_tally("accuracy", right, pictures)]
    for number, name in enumerate(names):
        if at := [n for n, label in enumerate(labels) if label == number]:
            tallies.append(mean_tally(name, [right[n] for n in at], [pictures[n] for n in at]))
    return tallies


def retrieval_tallies(
    images_VE: Tensor,
    texts_BE: Tensor,
    owners: Sequence[int],
    pictures: Sequence[str],
    ks: Sequence[int] = (1, 5, 10),
) -> list[Tally]:
    """Recall at each k, of pictures' texts and of texts' pictures; see `retrieval`. The texts of a
    picture are one cluster."""
    nearer = strangers_nearer(images_VE, texts_BE, owners)
    ways = {
        "image to text": (nearer.of_images_V, list(pictures)),
        "text to image": (nearer.of_texts_B, [pictures[owner] for owner in owners]),
    }
    return [
        mean_tally(f"{way} R@{k}", (nearer_N < k).double().tolist(), clusters)
        for way, (nearer_N, clusters) in ways.items()
        for k in ks
    ]


def _equal(field: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise DataError(field, f"are {found} for {wanted}", "give one for each")
