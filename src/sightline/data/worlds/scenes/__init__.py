"""Pictures of coloured shapes with exact answers: endless, seeded, random access, no torch.

    picture = scene(seed=0, index=7)                        # depends on nothing else
    pixels = draw(picture, side=112)                        # uint8[112, 112, 3]
    asked = questions(picture, random.Random(7), count=10)  # several about one picture (training)
    picture, question = heldout(seed=1, index=7)            # one, its answer balanced (evaluation)

All geometry is in fractions of the picture's side; `box.scaled(side, side)` gives pixels.
"""

from sightline.data.worlds.scenes.ask import (
    KINDS,
    Question,
    answer_text,
    example,
    heldout,
    questions,
)
from sightline.data.worlds.scenes.draw import draw
from sightline.data.worlds.scenes.facts import BOX_MARK
from sightline.data.worlds.scenes.scene import (
    COLOURS,
    SHAPES,
    SIZES,
    Backdrop,
    Scene,
    SceneDial,
    Thing,
    scene,
)

__all__ = [
    "BOX_MARK",
    "COLOURS",
    "KINDS",
    "SHAPES",
    "SIZES",
    "Backdrop",
    "Question",
    "Scene",
    "SceneDial",
    "Thing",
    "answer_text",
    "draw",
    "example",
    "heldout",
    "questions",
    "scene",
]
