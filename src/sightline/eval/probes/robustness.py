"""The same questions about the same scenes, whose pictures get worse, or are turned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from sightline.data.worlds import scenes
from sightline.eval.item import Answers, Item, asked_about
from sightline.eval.probes import staging
from sightline.eval.probes.effects import Effect, FileKind, Jpeg, Noise, Oriented, Rotated
from sightline.eval.probes.judges import OneWord
from sightline.eval.probes.pictures import SIDE, ScenePicture
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Endured, Lost, Spread

KINDS = ("colour.of", "shape.of", "count.all", "exists.both", "relation.horizontal")
TURNED = ("count.all", "count.colour", "exists.colour")  # true however the picture lies
FILES: tuple[FileKind, ...] = ("PNG", "JPEG")
_LARGE = scenes.SceneDial(smallest=0.145)  # at half its size still no dot
_WHOLE_SIDE = math.ceil(SIDE * math.sqrt(2))  # of what is turned, for a picture of `SIDE`
_STREAM = 15_485_863  # apart from the series that `sightline eval scenes` asks


def compressed(seed: int, level: float, number: int) -> Sequence[Item]:
    """A JPEG of quality `level`."""
    return [_item("jpeg", seed, level, number, Jpeg(staging.whole("jpeg", level)))]


def noisy(seed: int, level: float, number: int) -> Sequence[Item]:
    """Noise of `level` values of 0..255."""
    return [_item("noise", seed, level, number, Noise(level, number))]


def rotated(seed: int, level: float, number: int) -> Sequence[Item]:
    """Turned by `level` degrees, and whole whatever these are: things are within the circle that is
    left. A turned square is a diamond, so shapes are not asked for."""
    scene, asked = scenes.heldout(seed + _STREAM, number, TURNED, _LARGE)
    picture = ScenePicture(staging.shrunk(scene, 1 / 2), Rotated(level), _WHOLE_SIDE)
    return [_asked("rotation", seed, level, number, asked, picture)]


def oriented(seed: int, level: float, number: int) -> Sequence[Item]:
    """Pixels stored as EXIF orientation `level` says, in a PNG and in a JPEG."""
    orientation = staging.whole("exif", level)
    items = [_item("exif", seed, level, number, Oriented(orientation, kind)) for kind in FILES]
    pairs = zip(items, FILES, strict=True)
    return [replace(item, key=f"{item.key}/{kind}", kind=kind) for item, kind in pairs]


def _item(name: str, seed: int, level: float, number: int, effect: Effect) -> Item:
    """Question `number`, which is the same at every level."""
    scene, asked = scenes.heldout(seed + _STREAM, number, KINDS)
    return _asked(name, seed, level, number, asked, ScenePicture(scene, effect))


def _asked(
    name: str, seed: int, level: float, number: int, asked: scenes.Question, picture: ScenePicture
) -> Item:
    return Item(
        key=f"{name}/{seed}/{level:g}/{number}",
        parts=asked_about(picture, asked.text),
        truth=Answers((asked.answer,)),
        kind=asked.kind,
        group=asked.template,
        cluster=f"{name}/{seed}/{number}",
        level=level,
    )


JPEG = Probe(
    name="jpeg",
    title="Questions about scenes saved as JPEG",
    axis="quality of the JPEG",
    levels=(1.0, 5.0, 10.0, 25.0, 50.0, 95.0),
    per_level=25,
    make=compressed,
    judge=OneWord(),
    reading=Endured("lowest quality endured", "quality", "quality {:g}", "high"),
)
NOISE = Probe(
    name="noise",
    title="Questions about scenes under noise",
    axis="standard deviation of the noise, in values of 0..255",
    levels=(0.0, 8.0, 16.0, 32.0, 64.0, 128.0),
    per_level=25,
    make=noisy,
    judge=OneWord(),
    reading=Endured("most noise endured, of 255", "of 255", "noise of {:g} in 255", "low"),
)
ROTATION = Probe(
    name="rotation",
    title="Questions about turned scenes whose answers stay",
    axis="degrees anticlockwise",
    levels=(0.0, 10.0, 30.0, 45.0, 90.0, 180.0),
    per_level=24,
    make=rotated,
    judge=OneWord(),
    reading=Lost("lost by turning, points", "Right by angle"),
)
EXIF = Probe(
    name="exif",
    title="Questions about scenes stored turned, with the EXIF tag that says so",
    axis="EXIF orientation",
    levels=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0),
    unit=2,
    per_level=10,
    make=oriented,
    judge=OneWord(),
    reading=Spread("spread of orientations, points", "Right by EXIF orientation"),
)
