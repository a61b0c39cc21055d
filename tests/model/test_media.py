"""Clips and documents on their way in: the frames and pages of the layout, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.speaking import TEMPLATE, assistant, chat_spec, decoded, picture, tokenizer, user
from tests.helpers.tiny import VISUAL, tiny_model
from tests.pictures.media_samples import animation, document, frame, video

from sightline.api import VisionLanguageModel, conversation
from sightline.core.errors import ContextOverflow, PictureError, PromptError
from sightline.core.geometry import MediaSize
from sightline.model.media import MediaLimits
from sightline.model.prepare import Prepared, Preparer
from sightline.pictures import ClipLimits, open_clip, open_pages
from sightline.resolution.policy import layout
from sightline.spec import FramesSpec, NativeSpec
from sightline.spec.resolution import PixelRange

BOTH = TEMPLATE.replace(
    "else part['text']", "else '<video>' if part['type'] == 'video' else part['text']"
)
SORTED = BOTH.replace(
    "{%- for part in message['content'] -%}",
    "{%- for kind in ['image', 'video', 'text'] -%}"
    "{%- for part in message['content'] if part['type'] == kind -%}",
).replace("{%- endfor -%}{%- endif -%}", "{%- endfor -%}{%- endfor -%}{%- endif -%}", 1)
NATIVE = NativeSpec(multiple=4, pictures=PixelRange(min_pixels=16, max_pixels=100_000))


def reading(template: str = BOTH, **prompt: Any) -> VisionLanguageModel:
    """A tiny model that takes four frames of a clip and reads them by a placeholder of their own,
    unless `frames` is given."""
    words = tokenizer().add_token("<video>")
    if "frames" not in prompt:
        prompt["video"] = {"text": "<video>", "id": words.id_of("<video>")}
    prompt["template"] = {"kind": "jinja", "source": template}
    video_rule = {"sampling": "uniform", "count": 4}
    spec = chat_spec(prompt=prompt, resolution={"video": video_rule}, language={"context": 1024})
    return VisionLanguageModel(tiny_model(spec), words)


VLM = reading()
SPLIT = reading(frames={"text": "<video>", "frame": "Frame{n}: {image}", "between": "\n"})


def clip(source: Any, **options: Any) -> dict[str, Any]:
    return {"type": "video", "video": source, **options}


def pdf(source: Any, **options: Any) -> dict[str, Any]:
    return {"type": "document", "document": source, **options}


def said(*parts: Any) -> list[dict[str, Any]]:
    """One user message of texts, parts and pictures."""
    content = [p if isinstance(p, dict) else user(p)["content"][0] for p in parts]
    return [{"role": "user", "content": content}]


def shown(prepared: Prepared, vlm: VisionLanguageModel = VLM) -> str:
    return decoded(vlm, prepared.token_ids)


def runs(vlm: VisionLanguageModel, prepared: Prepared) -> None:
    """The model takes it, and cached answers agree with the reference."""
    assert torch.isfinite(vlm.logits(prepared)).all()


@pytest.mark.parametrize(
    "source",
    [video(23), animation(23), animation(23, "WEBP"), [frame(i) for i in range(23)],
     np.stack([frame(i) for i in range(23)])],
    ids=["mp4", "gif", "webp", "pictures", "array"],
)  # fmt: skip
def test_a_clip_is_the_frames_of_its_layout(source: Any) -> None:
    prepared = VLM.prepare(said("See", clip(source), "What?"))
    video_id = VLM.spec.prompt.video.id  # type: ignore[union-attr]
    assert prepared.layout.frames(0) == (0, 5, 11, 17)
    assert prepared.token_ids.count(video_id) == prepared.visual_tokens == 4 * VISUAL
    assert shown(prepared) == f"<|user|>See{'<video>' * 4 * VISUAL}What?<|assistant|>"
    (media,) = prepared.media
    assert media.video and media.frames == 23
    assert prepared.notes == ("4 of 23 frames are looked at",)
    pictures = open_clip(source, [0, 5, 11, 17]).rgb
    alone = VLM.prepare(said(*pictures, "What?"))
    assert all(torch.equal(a, b) for a, b in zip(prepared.pixels, alone.pixels, strict=True))
    runs(VLM, prepared)


def test_pictures_clips_and_pages_in_two_turns() -> None:
    moving, paper = video(9), document((40, 30), (30, 40), (20, 20))
    messages = [
        *said(picture(7, 5), clip(moving), "What?"),
        assistant("a ring"),
        *said(pdf(paper, first=2), "And", clip([frame(1), frame(2)]), picture(9, 9), "<video>"),
    ]
    prepared = VLM.prepare(messages)
    image, seen = "<image>" * VISUAL, "<video>" * VISUAL
    assert shown(prepared) == (
        f"<|user|>{image}{seen * 4}What?<|assistant|>a ring<|end|><|user|>{image * 2}And{seen * 2}"
        f"{image}<video><|assistant|>"
    )
    assert [m.video for m in prepared.media] == [False, True, False, False, True, False]
    assert [m.size for m in prepared.media[2:4]] == [
        p.size.size for p in open_pages(paper, first=2)
    ]
    assert prepared.notes == (
        "4 of 9 frames are looked at", "page 2 of 3", "page 3 of 3",
    )  # fmt: skip
    assert [s.media for s in prepared.spans] == list(range(6))
    assert prepared.layout == layout(VLM.spec, prepared.media)
    runs(VLM, prepared)


def test_a_clip_that_is_read_as_pictures_equals_those_pictures() -> None:
    """The same ids, pixels and logits as the pictures between the same words, typed by hand."""
    moving = video(23)
    prepared = SPLIT.prepare(said(picture(), clip(moving), "What?"))
    frames = open_clip(moving, [0, 5, 11, 17]).rgb
    by_hand: list[Any] = [picture()]
    for n, rgb in enumerate(frames, start=1):
        by_hand += [f"Frame{n}: ", rgb, *(["\n"] if n < 4 else [])]
    typed = SPLIT.prepare(said(*by_hand, "What?"))
    assert prepared.token_ids == typed.token_ids
    assert all(torch.equal(a, b) for a, b in zip(prepared.pixels, typed.pixels, strict=True))
    assert torch.equal(SPLIT.logits(prepared), SPLIT.logits(typed))
    assert prepared.layout.sources == (0, 1, 1, 1, 1)
    assert [media.video for media in prepared.media] == [False] + [True] * 4
    assert prepared.media[1] == MediaSize(64, 48, 1, 10.0, video=True)


@pytest.mark.parametrize("split", [False, True])
def test_templates_that_set_pictures_first_take_the_pixels_along(split: bool) -> None:
    how: Any = {"frames": {"text": "<video>", "frame": "{image}"}} if split else {}
    vlm = reading(SORTED, **how)
    a, b, moving = picture(7, 5, seed=1), picture(9, 4, seed=2), video(5)
    prepared = vlm.prepare(said(clip(moving), "x", a, clip([frame(9)]), b))
    count = 4 if split else 1
    sizes = [m.size for m in prepared.media]
    assert [(s.width, s.height) for s in sizes] == [(7, 5), (9, 4)] + [(64, 48)] * (count + 1)
    assert [s.media for s in prepared.spans] == list(range(count + 3))
    parts = [vlm.prepare(said(p, "x")).pixels for p in (a, b, clip(moving), clip([frame(9)]))]
    expected = [view for views in parts for view in views]
    assert all(torch.equal(x, y) for x, y in zip(prepared.pixels, expected, strict=True))
    assert [view.media for view in prepared.layout.views] == sorted(
        view.media for view in prepared.layout.views
    )
    runs(vlm, prepared)


@pytest.mark.parametrize("vlm", [VLM, SPLIT], ids=["clip", "pictures"])
def test_a_budget_leaves_out_frames_and_says_so(vlm: VisionLanguageModel) -> None:
    messages = said(picture(), clip(video(23)), clip([frame(1)]), "What?")
    prepared = vlm.prepare(messages, budget=4 * VISUAL)
    assert prepared.visual_tokens == 4 * VISUAL
    assert prepared.notes == ("2 of 23 frames are looked at, 4 without the budget",)
    with pytest.raises(ContextOverflow, match="the budget is 11"):
        vlm.prepare(messages, budget=3 * VISUAL - 1)
    runs(vlm, prepared)


def test_the_request_may_choose_its_frames() -> None:
    every = VLM.prepare(said(clip(video(9)), "What?"), frames=FramesSpec())
    assert every.layout.frames(0) == tuple(range(9)) and every.notes == ()
    slow = FramesSpec(sampling="fps", fps=2.0)
    assert VLM.prepare(said(clip(video(20)), "x"), frames=slow).layout.frames(0) == (0, 5, 10, 15)
    rated = said(clip([frame(i) for i in range(8)], fps=4), "x")
    assert VLM.prepare(rated, frames=slow).layout.frames(0) == (0, 2, 4, 6)
    unrated = VLM.prepare(said(clip([frame(i) for i in range(8)]), "x"), frames=slow)
    assert unrated.notes == ("a clip of no known rate is taken to have 2 frames a second",)


def test_pages_stay_within_their_budget() -> None:
    """At 36 dpi a page of 72 points is 9 × 9 patches."""
    spec = VLM.spec.model_copy(update={"resolution": NATIVE})
    vlm = VisionLanguageModel(tiny_model(spec), VLM.tokenizer)
    paper = document((72, 72), (72, 72))
    full = vlm.prepare(said(pdf(paper, dpi=72), "x"))
    assert full.visual_tokens == 2 * 18 * 18
    fewer = vlm.prepare(said(pdf(paper, dpi=72, budget=400), "x"))
    assert 300 < fewer.visual_tokens <= 400
    assert fewer.notes[1] == "pages drawn at 52 dpi to take at most 400 visual tokens"
    with pytest.raises(ContextOverflow, match="2 pages take 200 visual tokens even at 36 dpi"):
        vlm.prepare(said(pdf(paper, dpi=72, budget=100), "x"))


def test_only_the_frames_of_the_layout_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def spy(source: Any, frames: Any, *rest: Any, **options: Any) -> Any:
        asked.append(frames)
        return open_clip(source, frames, *rest, **options)

    monkeypatch.setattr("sightline.model.media.open_clip", spy)
    VLM.prepare(said(clip(video(23)), clip(video(5)), "What?"))
    assert asked == [(0, 5, 11, 17), (0, 1, 2, 3)]
    asked.clear()
    long = said(clip(video(23)), "large green " * 600)
    with pytest.raises(ContextOverflow):
        VLM.prepare(long)
    assert asked == []


def test_media_told_from_their_content_may_be_asked_about(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(video(5))
    (tmp_path / "b").write_bytes(document((20, 20)))
    (tmp_path / "c").write_bytes(animation(3))
    (message,) = conversation([*(tmp_path / name for name in "abc"), [frame(1)], "What?"])
    kinds = [part["type"] for part in message["content"]]
    assert kinds == ["video", "document", "image", "video", "text"]
    answer = VLM.ask(*(tmp_path / name for name in "abc"), "What?", max_tokens=3)
    assert answer.notes == ("4 of 5 frames are looked at", "page 1 of 1", "first of 3 frames")
    assert answer.usage.visual_tokens == 6 * VISUAL


BLIND = VisionLanguageModel(tiny_model(chat_spec()), tokenizer())
BAD: list[tuple[VisionLanguageModel, Any, type[Exception], str]] = [
    (BLIND, clip("nowhere.mp4"), PromptError, "a video is not read by this model"),
    (VLM, clip("nowhere.mp4"), PictureError, "nowhere.mp4: cannot be read"),
    (VLM, clip([]), PictureError, "has no frames"),
    (VLM, clip(video(9)[:-40]), PictureError, "truncated|damaged"),
    (VLM, clip(document((9, 9))), PictureError, "is a PDF document, not a clip"),
    (VLM, pdf(video(2)), PictureError, "is not a PDF document"),
    (VLM, pdf(document((9, 9)), first=2), PictureError, "has 1 pages, not 2 to 1"),
    (VLM, clip([frame(0)], fps=0), PromptError, "fps: is 0"),
    (VLM, pdf(document((9, 9)), dpi="high"), PromptError, "dpi: is 'high'"),
    (VLM, pdf(document((9, 9)), first=1.5), PromptError, "first: is 1.5"),
    (VLM, pdf(document((9, 9)), budget=True), PromptError, "budget: is True"),
    (VLM, clip(video(2), dpi=3), PromptError, "unknown key 'dpi'"),
]


@pytest.mark.parametrize(("vlm", "part", "error", "problem"), BAD, ids=range(len(BAD)))
def test_bad_media_are_refused(
    vlm: VisionLanguageModel, part: Any, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        vlm.prepare(said(part, "What?"))


def test_limits_are_the_preparers() -> None:
    prepare = Preparer(VLM.spec, VLM.tokenizer, MediaLimits(clips=ClipLimits(max_frames=3)))
    with pytest.raises(PictureError, match="has 4 frames, the limit is 3"):
        prepare(said(clip([frame(i) for i in range(4)]), "x"))


def test_a_damaged_frame_is_named() -> None:
    data = bytearray(animation(5))
    data[-60:-10] = b"\xff" * 50  # inside the last frame
    with pytest.raises(PictureError, match="is damaged at frame 4"):
        VLM.prepare(said(clip(bytes(data)), "x"), frames=FramesSpec())
    assert VLM.prepare(said(clip(bytes(data)), "x")).layout.frames(0) == (0, 1, 2, 3)


def test_training_rows_take_clips() -> None:
    messages = [*said(clip(video(9)), "What?"), assistant("a ring")]
    prepared = VLM.prepare(messages, add_generation_prompt=False)
    taught = [i for i, t in zip(prepared.token_ids, prepared.targets, strict=True) if t]
    assert decoded(VLM, taught) == "a ring<|end|>"
