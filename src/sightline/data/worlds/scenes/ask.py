"""Questions with exact answers about scenes, balanced so that the words alone tell nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sightline.core.errors import DataError
from sightline.core.geometry import Box
from sightline.data.worlds.scenes.balance import WEIGHTS
from sightline.data.worlds.scenes.facts import BOX_MARK, Facts, Found
from sightline.data.worlds.scenes.scene import SIZES, Scene, SceneDial, sample_scene, scene
from sightline.data.worlds.scenes.templates import TEMPLATES, Template

KINDS: tuple[str, ...] = tuple(dict.fromkeys(template.kind for template in TEMPLATES))

_TRIES, _TRIES_EVEN = 3, 10  # outcomes tried per template with and without weights
Weights = Mapping[str, Mapping[str, float]]  # template -> outcome -> relative weight


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one scene and its only right answer.

    `answer` is lower case; where it shows `{box}`, the next of `boxes` belongs there
    (`answer_text` writes it). Boxes are fractions of the picture's side. `box` is the answer of
    a 'locate' question. `key` is the balanced outcome, `slots` what was filled into the words.
    """

    kind: str
    template: str
    text: str
    answer: str
    key: str
    slots: tuple[tuple[str, str], ...] = ()
    box: Box | None = None
    boxes: tuple[Box, ...] = ()


def answer_text(question: Question, write_box: Callable[[Box], str]) -> str:
    """The answer with its boxes written by `write_box`, which is given fractions 0..1."""
    pieces = question.answer.split(BOX_MARK)
    written = [write_box(box) for box in question.boxes] + [""]
    return "".join(piece + box for piece, box in zip(pieces, written, strict=True))


def questions(
    scene: Scene,
    rng: random.Random,
    count: int,
    kinds: Sequence[str] = KINDS,
    *,
    weights: Weights = WEIGHTS,
) -> list[Question]:
    """Up to `count` different questions about `scene`; a kind named twice is asked twice as often.

    Fewer come back only if the scene has no more to ask of these kinds. Answers are balanced
    over many scenes of the default dial by `weights`, best when several kinds are mixed.
    """
    by_kind = _by_kind(kinds)
    facts = Facts(scene)
    result: dict[tuple[str, tuple[tuple[str, str], ...]], Question] = {}
    for _ in range(12 * count):
        if len(result) == count:
            break
        template = rng.choice(by_kind[rng.choice(kinds)])
        question = _attempt(facts, template, rng, weights.get(template.name))
        if question is not None:
            result.setdefault((template.name, question.slots), question)
    return list(result.values())


def heldout(
    seed: int, index: int, kinds: Sequence[str] = KINDS, dial: SceneDial | None = None
) -> tuple[Scene, Question]:
    """One scene and one question; the outcome is settled first, then a scene with it is drawn.

    Consecutive indices take turns through kinds, templates and outcomes, so that any long run of
    them is even. The series is independent of `scene(seed, index)`. Raises DataError for a dial
    under which this kind cannot be asked.
    """
    dial = dial or SceneDial()
    turn, kind = divmod(index, max(1, len(kinds)))
    templates = _by_kind(kinds)[kinds[kind]]
    for skip in range(len(templates)):  # a template that the dial excludes gives way to the next
        template = templates[(turn + skip) % len(templates)]
        key = _outcome(template, seed, turn // len(templates), dial)
        rng = random.Random(f"heldout/{seed}/{index}/{template.name}")
        asked = None if key is None else _with_outcome(template, key, rng, dial)
        if asked is not None:
            return asked
    raise DataError("dial", f"no scene allows a {kinds[kind]!r} question", "widen the dial")


def example(
    seed: int,
    index: int,
    count: int,
    kinds: Sequence[str] = KINDS,
    dial: SceneDial | None = None,
) -> tuple[Scene, list[Question]]:
    """`scene(seed, index)` with up to `count` questions, from (seed, index) alone."""
    made = scene(seed, index, dial)
    return made, questions(made, random.Random(f"questions/{seed}/{index}"), count, kinds)


def _by_kind(kinds: Sequence[str]) -> dict[str, list[Template]]:
    """The templates of each kind; a template may stand for itself (`relation.vertical`)."""
    asked = {kind: [t for t in TEMPLATES if kind in (t.kind, t.name)] for kind in kinds}
    unknown = sorted(kind for kind, found in asked.items() if not found)
    if unknown or not kinds:
        raise DataError("kinds", f"{unknown or 'empty'}", f"choose among {', '.join(KINDS)}")
    return asked


def _attempt(
    facts: Facts, template: Template, rng: random.Random, weights: Mapping[str, float] | None
) -> Question | None:
    """A question of this template with an outcome drawn by weight, if the scene allows it.

    Many tries keep even outcomes even; with weights they would favour the common ones."""
    shares = [weights[key] for key in template.keys] if weights else None
    for key in rng.choices(template.keys, shares, k=_TRIES if weights else _TRIES_EVEN):
        found = template.find(facts, key, rng)
        if found is not None:
            return _question(template, key, found, rng)
    return None


def _question(template: Template, key: str, found: Found, rng: random.Random) -> Question:
    return Question(
        kind=template.kind,
        template=template.name,
        text=rng.choice(template.phrases).format(**found.slots),
        answer=found.answer,
        key=key,
        slots=tuple(found.slots.items()),
        box=found.boxes[0] if template.kind == "locate" else None,
        boxes=found.boxes,
    )


def _outcome(template: Template, seed: int, turn: int, dial: SceneDial) -> str | None:
    """All possible outcomes in a random order, then again in another; None if there is none."""
    possible = [key for key in template.keys if _possible(template, key, dial)]
    if not possible:
        return None
    lap, position = divmod(turn, len(possible))
    random.Random(f"outcome/{seed}/{template.name}/{lap}").shuffle(possible)
    return possible[position]


def _with_outcome(
    template: Template, key: str, rng: random.Random, dial: SceneDial
) -> tuple[Scene, Question] | None:
    """Scenes are drawn until one allows the outcome; None after 2000."""
    for _ in range(2000):
        made = sample_scene(rng, dial)
        found = template.find(Facts(made), key, rng)
        if found is not None:
            return made, _question(template, key, found, rng)
    return None


def _possible(template: Template, key: str, dial: SceneDial) -> bool:
    """Whether the dial leaves room for the outcome: counts and size names in range."""
    parts = key.split("/")
    low = dial.min_objects if template.name == "count.all" else 0
    counts = all(low <= int(part) <= dial.max_objects for part in parts if part.isdigit())
    return counts and all(part in dial.bands() for part in parts if part in SIZES)
