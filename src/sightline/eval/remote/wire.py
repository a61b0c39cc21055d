"""A conversation as the body of a request: OpenAI's chat completions."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.core.errors import PromptError
from sightline.core.geometry import Size
from sightline.eval.answerer import Conversation
from sightline.eval.remote.settings import RemoteSettings
from sightline.pictures.clips import ClipSource, open_clip, probe_clip
from sightline.pictures.gateway import PictureSource, open_picture
from sightline.prompt.messages import (
    DocumentPart,
    ImagePart,
    Message,
    Part,
    TextPart,
    VideoPart,
    parse_messages,
)
from sightline.resolution.frames import sampled
from sightline.spec import FramesSpec

CHARACTERS_PER_TOKEN = 4


@dataclass(slots=True)
class Request:
    """What is sent.

    Attributes:
        body: the JSON object.
        pictures: how many are in it; resized: how many of them were larger.
        seen, given: sizes of the last picture as it is sent and as it was given; None without one.
        tokens: about how many it takes at most, the answer included and pictures aside.
    """

    body: dict[str, Any] = field(default_factory=dict)
    pictures: int = 0
    resized: int = 0
    seen: Size | None = None
    given: Size | None = None
    tokens: float = 0.0


def request(conversation: Conversation, settings: RemoteSettings, max_tokens: int) -> Request:
    """The request for an answer of at most `max_tokens`.

    Pictures are decoded and encoded anew, so nothing but pixels is sent: no metadata, no name.
    Raises PromptError for a document and what is no conversation; PictureError for a picture or
    clip that cannot be opened.
    """
    made, messages = Request(), parse_messages(conversation)
    characters = sum(len(message.text) for message in messages)
    made.tokens = characters / CHARACTERS_PER_TOKEN + max_tokens
    options = {"temperature": settings.temperature, "seed": settings.seed}
    made.body = {
        "model": settings.model,
        "messages": [_message(message, settings, made) for message in messages],
        settings.limit_field: max_tokens,
        **{name: value for name, value in options.items() if value is not None},
    }
    return made


def _message(message: Message, settings: RemoteSettings, made: Request) -> Mapping[str, Any]:
    if not message.media:
        return {"role": message.role, "content": message.text}
    parts = [one for part in message.parts for one in _parts(part, settings, made)]
    return {"role": message.role, "content": parts}


def _parts(part: Part, settings: RemoteSettings, made: Request) -> Iterator[dict[str, Any]]:
    match part:
        case TextPart(text):
            yield {"type": "text", "text": text}
        case ImagePart(source):
            yield _picture(open_picture(cast(PictureSource, source)).rgb, settings, made)
        case VideoPart(source, fps):
            for rgb in _frames(cast(ClipSource, source), fps, settings.num_frames):
                yield _picture(rgb, settings, made)
        case DocumentPart():
            problem = "is a document, which chat completions do not take"
            raise PromptError("messages", problem, "ask with pictures of its pages")
        case _:
            raise AssertionError(f"parse_messages makes no {type(part).__name__}")


def _frames(source: ClipSource, fps: float | None, count: int) -> Sequence[NDArray[np.uint8]]:
    """Frames from the middles of `count` equal spans; all where there are fewer."""
    media = probe_clip(source, fps=fps)
    wanted = sampled(FramesSpec(sampling="uniform", count=count, placing="middles"), media)
    return list(open_clip(source, wanted, fps=fps).rgb)


def _picture(rgb: NDArray[np.uint8], settings: RemoteSettings, made: Request) -> dict[str, Any]:
    image = Image.fromarray(rgb)
    made.pictures += 1
    made.given = Size(*image.size)
    longer = max(image.size)
    if settings.max_side is not None and longer > settings.max_side:
        sides = [max(1, round(side * settings.max_side / longer)) for side in image.size]
        image = image.resize((sides[0], sides[1]), Image.Resampling.LANCZOS)
        made.resized += 1
    made.seen = Size(*image.size)
    return {"type": "image_url", "image_url": {"url": data_uri(image, settings)}}


def data_uri(image: Image.Image, settings: RemoteSettings) -> str:
    """The pixels of an image in the format of the settings."""
    file = BytesIO()
    if settings.picture_format == "jpeg":
        image.save(file, "JPEG", quality=settings.jpeg_quality, subsampling=0)
    else:
        image.save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/{settings.picture_format};base64,{text}"
