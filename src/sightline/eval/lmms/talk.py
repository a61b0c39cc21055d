"""lmms-eval's messages and generation options, as Sightline understands them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core.errors import PromptError, SamplingError
from sightline.pictures.sorts import sort_of
from sightline.spec.sampling import Sampling

MAX_TOKENS = 1024  # where a task does not say; as most models of the kit
PLACEHOLDER = "<image>"  # where the words of a simple task say so, a picture stands
_KNOWN = frozenset(
    {
        "max_new_tokens",
        "until",
        "num_beams",
        "do_sample",
        "temperature",
        "top_p",
        "top_k",
        "repetition_penalty",
    }
)


@dataclass(frozen=True, slots=True)
class How:
    """Options of an answer; `unused` are names of a task's options that have no meaning here."""

    sampling: Sampling
    unused: tuple[str, ...] = ()


def how(given: Mapping[str, Any], most: int | None = None) -> How:
    """Generation options of a task. `most` bounds the length of answers, if the user says so.

    As in transformers an answer is sampled only where `do_sample` is not false and the temperature
    is above 0; `do_sample` alone means temperature 1. Raises SamplingError for wrong values.
    """
    length = given.get("max_new_tokens", MAX_TOKENS)
    if type(length) is not int or length < 1:
        raise SamplingError("max_new_tokens", f"is {length!r}", "give a whole number over 0")
    options: dict[str, Any] = {
        "max_tokens": length if most is None else min(length, most),
        "stop": _stops(given.get("until")),
        "beams": given.get("num_beams") or 1,
        "repetition_penalty": given.get("repetition_penalty") or 1.0,
        **_sampled(given),
    }
    return How(Sampling(**options), tuple(sorted(set(given) - _KNOWN)))


def _stops(until: object) -> tuple[str, ...]:
    found = [until] if isinstance(until, str) else until or ()
    if not isinstance(found, list | tuple) or not all(isinstance(text, str) for text in found):
        raise SamplingError("until", f"is {until!r:.80}", "give words, or a list of them")
    return tuple(text for text in found if text)


def _sampled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Temperature, top-p and top-k; greedy answers have none of them."""
    temperature = given.get("temperature")
    if temperature is None:
        temperature = 1.0 if given.get("do_sample") else 0.0
    if given.get("do_sample") is False or not temperature:
        return {}
    top_p, top_k = given.get("top_p"), given.get("top_k")
    return {
        "temperature": temperature,
        **({} if top_p is None else {"top_p": top_p}),
        **({} if not top_k else {"top_k": top_k}),
    }


def from_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages of a task: parts of text, image and video. Raises PromptError for others."""
    return [
        {"role": message["role"], "content": [_part(part) for part in message["content"]]}
        for message in messages
    ]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "text":
            return {"type": "text", "text": part["text"]}
        case "image":
            return {"type": "image", "image": part["url"]}
        case "video":
            if part.get("start_time") is not None or part.get("end_time") is not None:
                raise _no_cut()
            return {"type": "video", "video": _whole_clip(part["url"])}
        case kind:
            raise _not_read(str(kind))


def from_words(words: str, visuals: Sequence[Any]) -> list[dict[str, Any]]:
    """One user message of a simple task. Pictures and clips stand where the words say `<image>`,
    if they say it as often as there are any; otherwise before the words, which stay as they are.

    Raises PromptError for audio.
    """
    media = [_medium(visual) for visual in visuals]
    pieces = words.split(PLACEHOLDER)
    if not media or len(pieces) != len(media) + 1:
        return [{"role": "user", "content": [*media, {"type": "text", "text": words}]}]
    content = [{"type": "text", "text": pieces[0]}]
    for medium, piece in zip(media, pieces[1:], strict=True):
        content += [medium, {"type": "text", "text": piece}]
    said = [part for part in content if part["type"] != "text" or part["text"]]
    return [{"role": "user", "content": said}]


def _medium(visual: Any) -> dict[str, Any]:
    if isinstance(visual, Mapping):
        if "array" in visual or visual.get("type") == "audio":
            raise _not_read("audio")
        visual = _whole_clip(visual)
    kind = sort_of(visual)
    return {"type": kind, kind: visual}


def _whole_clip(source: Any) -> Any:
    """A clip's file, or its frames. Raises PromptError for a part of one."""
    if not isinstance(source, Mapping):
        return source
    if "video_start" in source or "video_end" in source:
        raise _no_cut()
    found = next((source[key] for key in ("url", "path") if source.get(key) is not None), None)
    if found is None:
        problem = f"is a mapping of {', '.join(map(str, source))}"
        raise PromptError("video", problem, "choose a task with files of clips")
    return found


def _no_cut() -> PromptError:
    problem = "is asked about from one time to another"
    return PromptError("video", problem, "cut the files of the task beforehand")


def _not_read(kind: str) -> PromptError:
    return PromptError(kind, "is not read", "choose tasks of pictures, clips and words")
