"""The words of a clip that a model reads as pictures: a placeholder a frame, and what is around."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core.geometry import MediaSize
from sightline.prompt.messages import FramesPart
from sightline.spec.prompt import FrameTextSpec

FRAMES_PER_SECOND = 24.0  # of a clip that does not say, as transformers 5.23 takes it

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()


def clip_words(
    spec: FrameTextSpec, image_text: str, media: MediaSize, frames: Sequence[int]
) -> FramesPart:
    """What stands for the frames that are taken of a clip."""
    fps = media.fps or FRAMES_PER_SECOND
    seconds = int(media.frames / fps if media.fps else frames[-1] / fps)  # as transformers 5.23
    about = {
        "count": str(len(frames)),
        "count_words": number_words(len(frames)),
        "duration": f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
    }
    shown = [
        _filled(spec.frame, {"n": str(n), "time": _clock(frame / fps), "image": image_text})
        for n, frame in enumerate(frames, start=1)
    ]
    words = _filled(spec.intro, about) + spec.between.join(shown) + _filled(spec.outro, about)
    return FramesPart(words, len(frames))


def number_words(number: int) -> str:
    """Below a million, as the library num2words spells it: one thousand, two hundred and three."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_ONES[hundreds]} hundred" + (f" and {number_words(rest)}" if rest else "")
    thousands, rest = divmod(number, 1000)
    joint = ", " if rest >= 100 else " and "
    return f"{number_words(thousands)} thousand" + (joint + number_words(rest) if rest else "")


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):02}:{int(seconds % 60):02}"


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
