"""The words: questions by template, plurals, articles, enumerations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

PHRASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "colour.of": (
            "What colour is the {ref}?",
            "Which colour does the {ref} have?",
            "The {ref} is which colour?",
            "Name the colour of the {ref}.",
            "What is the colour of the {ref}?",
        ),
        "colour.extreme": (
            "What colour is the {word} object?",
            "Which colour does the {word} object have?",
            "Name the colour of the {word} object.",
            "What is the colour of the {word} object in the picture?",
        ),
        "shape.of": (
            "What shape is the {ref}?",
            "Which shape does the {ref} have?",
            "Name the shape of the {ref}.",
            "What is the shape of the {ref}?",
        ),
        "shape.extreme": (
            "What shape is the {word} object?",
            "Which shape does the {word} object have?",
            "Name the shape of the {word} object.",
            "What is the shape of the {word} object in the picture?",
        ),
        "size.of": (
            "What size is the {ref}?",
            "How big is the {ref}?",
            "Is the {ref} small, medium or large?",
            "Name the size of the {ref}.",
        ),
        "count.all": (
            "How many objects are there?",
            "How many objects are in the picture?",
            "Count the objects.",
            "What is the number of objects?",
        ),
        "count.some": (
            "How many {plural} are there?",
            "How many {plural} are in the picture?",
            "Count the {plural}.",
            "What is the number of {plural}?",
            "How many {plural} can you see?",
        ),
        "exists": (
            "Is there {noun}?",
            "Is there {noun} in the picture?",
            "Does the picture show {noun}?",
            "Can you see {noun}?",
        ),
        "relation.is": (
            "Is the {a} {word} the {b}?",
            "Is it true that the {a} is {word} the {b}?",
            "In the picture, is the {a} {word} the {b}?",
            "Can the {a} be found {word} the {b}?",
        ),
        "relation.horizontal": (
            "Is the {a} left or right of the {b}?",
            "Is the {a} to the left or to the right of the {b}?",
            "On which side of the {b} is the {a}, left or right?",
            "Left or right of the {b}: where is the {a}?",
        ),
        "relation.vertical": (
            "Is the {a} above or below the {b}?",
            "Above or below the {b}: where is the {a}?",
            "Can the {a} be found above or below the {b}?",
            "In the picture, is the {a} above or below the {b}?",
        ),
        "relation.four": (
            "Is the {a} left of, right of, above or below the {b}?",
            "In which direction from the {b} is the {a}: left, right, above or below?",
            "Where is the {a} relative to the {b}: left, right, above or below?",
            "Seen from the {b}, is the {a} left, right, above or below?",
        ),
        "relation.which": (
            "Which is further {word}, the {a} or the {b}?",
            "Which one is further {word}: the {a} or the {b}?",
            "The {a} or the {b}: which is further {word}?",
            "Of the {a} and the {b}, which is further {word}?",
        ),
        "compare.more": (
            "Are there more {a} than {b}?",
            "Does the picture show more {a} than {b}?",
            "Do the {a} outnumber the {b}?",
            "Is the number of {a} greater than the number of {b}?",
        ),
        "compare.which": (
            "Which is {word}, the {a} or the {b}?",
            "Which one is {word}: the {a} or the {b}?",
            "The {a} or the {b}: which is {word}?",
            "Of the {a} and the {b}, which is {word}?",
        ),
        "compare.is": (
            "Is the {a} {word} than the {b}?",
            "Is it true that the {a} is {word} than the {b}?",
            "In the picture, is the {a} {word} than the {b}?",
            "Compared with the {b}, is the {a} {word}?",
        ),
        "caption.all": (
            "Describe the picture.",
            "What is in the picture?",
            "List all objects from left to right.",
            "What does the picture show?",
            "Write a caption for the picture.",
        ),
        "locate.ref": (
            "Where is the {ref}?",
            "Find the {ref}.",
            "Locate the {ref}.",
            "Give the box of the {ref}.",
            "Where in the picture is the {ref}?",
        ),
        "dense.all": (
            "Describe every object with its box.",
            "List all objects with their boxes, from left to right.",
            "What is in the picture, and where?",
            "Name and locate every object.",
            "Detect all objects.",
        ),
    }
)


def plural(shape: str) -> str:
    return shape + ("es" if shape.endswith("s") else "s")


def article(noun: str) -> str:
    """'red circle' -> 'a red circle'; 'orange star' -> 'an orange star'."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def enumeration(items: Sequence[str]) -> str:
    """['a', 'b', 'c'] -> 'a, b and c'."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
