"""One count: what is measured from headers is what is prepared from pixels."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.helpers.speaking import assistant, chat_spec, picture, speaking, tokenizer, user
from tests.model.combinations import RESOLUTIONS, Combination
from tests.model.test_media import BOTH, SPLIT, VLM, clip, pdf
from tests.pictures.media_samples import animation, document, frame, video

from sightline.core.errors import ContextOverflow, PromptError, SightlineError
from sightline.model import media
from sightline.model.prepare import Measured, Preparer
from sightline.spec import ModelSpec

WORDS = tokenizer().add_token("<video>")
READS_CLIPS: dict[str, Any] = {
    "prompt": {
        "template": {"kind": "jinja", "source": BOTH},
        "video": {"text": "<video>", "id": WORDS.id_of("<video>")},
    },
    "language": {"context": 4096},
}
FUSIONS = ("interleave", "cross_attention")
SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))
TEXTS = st.sampled_from(["Is it red?", "<image>", "日本 x", " "])
CLIPS = st.tuples(st.integers(1, 5), SIDES)


def policy(resolution: str, fusion: str) -> Preparer:
    spec = Combination(resolution, "linear", fusion, "llama").spec()
    sections = spec.model_dump()
    changed = {name: sections[name] | change for name, change in READS_CLIPS.items()}
    return Preparer(ModelSpec.parse(sections | changed), WORDS)


def photo(width: int, height: int, orientation: int = 1, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    Image.fromarray(picture(width, height)).save(file, kind, exif=exif)
    return file.getvalue()


def frames(number: int, sides: tuple[int, int]) -> list[Any]:
    return [frame(i, *sides) for i in range(number)]


def both(prepare: Preparer, messages: list[dict[str, Any]], **options: Any) -> Measured:
    """The measure of a conversation, which is that of the prepared one."""
    prepared = prepare(messages, **options)
    measured = prepare.measure(messages, **options)
    assert measured == Measured(
        len(prepared.token_ids),
        prepared.layout.visual_tokens,
        prepared.layout.memory_tokens,
        sum(prepared.targets),
    )
    return measured


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("resolution", RESOLUTIONS)
@given(
    turns=st.lists(
        st.lists(st.one_of(SIDES, TEXTS, CLIPS), max_size=3), min_size=1, max_size=2
    ),
    answered=st.booleans(),
)  # fmt: skip
@settings(max_examples=12)
def test_measured_is_prepared(
    resolution: str, fusion: str, turns: list[list[Any]], answered: bool
) -> None:
    messages: list[dict[str, Any]] = []
    for seed, turn in enumerate(turns):
        message = user("What?")
        for part in turn:
            if isinstance(part, tuple) and isinstance(part[1], tuple):
                message["content"].append(clip(frames(*part)))
            else:
                shown = part if isinstance(part, str) else picture(*part, seed=seed)
                message["content"] += user(shown)["content"]
        messages += [message, assistant("yes, a red one")]
    prepare = policy(resolution, fusion)
    if any(isinstance(p, tuple) and isinstance(p[1], tuple) for turn in turns for p in turn):
        try:
            prepare(messages[:-1])
        except SightlineError as refused:  # a policy that lays out no clips
            with pytest.raises(type(refused), match=str(refused)[:40].split("(")[0]):
                prepare.measure(messages[:-1])
            return
    both(prepare, messages if answered else messages[:-1], add_generation_prompt=not answered)


@pytest.mark.parametrize(
    "prepare",
    [VLM.speaker.prepare, SPLIT.speaker.prepare, policy("native", "interleave")],
    ids=["fixed", "split", "native"],
)
@pytest.mark.parametrize(
    "part",
    [
        clip(video(23)),
        clip(animation(9)),
        clip(np.stack(frames(5, (20, 10))), fps=2.0),
        pdf(document((40, 30), (30, 40), (20, 20)), first=2),
        pdf(document((40, 30)), budget=28),
        pdf(document((40, 30)), dpi=30.0),
        {"type": "image", "image": photo(31, 12, orientation=6)},
        {"type": "image", "image": photo(31, 12, kind="PNG")},
        {"type": "image", "image": Image.fromarray(picture(9, 30))},
    ],
    ids=["mp4", "gif", "array", "pages", "budget", "dpi", "turned", "png", "pil"],
)
def test_files_are_measured_by_their_headers(
    prepare: Preparer, part: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What decodes is taken away before the measuring."""
    message = user("See", picture(7, 5), "What?")
    message["content"].append(part)
    messages = [message, assistant("a ring")]
    wanted = both(prepare, messages, add_generation_prompt=False)
    for name in ("open_picture", "open_clip", "open_pages"):
        monkeypatch.setattr(media, name, None)
    assert prepare.measure(messages, add_generation_prompt=False) == wanted
    with pytest.raises(TypeError):
        prepare(messages, add_generation_prompt=False)


def test_a_turned_photo_is_measured_upright() -> None:
    prepare = policy("native", "interleave")
    tall, wide = ({"role": "user", "content": [{"type": "image", "image": photo(48, 8, turned)},
                                               {"type": "text", "text": "x"}]}
                  for turned in (6, 1))  # fmt: skip
    seen = [prepare([one]).layout.media[0] for one in (tall, wide)]
    assert both(prepare, [tall]) and both(prepare, [wide]) and seen[0] != seen[1]


def test_what_is_refused_is_refused_by_both() -> None:
    short = speaking(language={"context": 30}).speaker.prepare
    blind = Preparer(chat_spec(), tokenizer())
    for prepare, messages, error in (
        (short, [user("large green " * 20, picture(), picture(3, 4))], ContextOverflow),
        (blind, [{"role": "user", "content": [clip(frames(2, (9, 9)))]}], PromptError),
        (VLM.speaker.prepare, [{"role": "user", "content": [pdf(document((99, 99)), budget=1)]}],
         ContextOverflow),
    ):  # fmt: skip
        said = []
        for way in (prepare, prepare.measure):
            with pytest.raises(error) as caught:
                way(messages)
            said.append(str(caught.value))
        assert said[0] == said[1]


def test_every_token_knows_its_message() -> None:
    messages = [user(picture(), "What?"), assistant("a ring"), user("And?"), assistant("no")]
    prepared = VLM.prepare(messages, add_generation_prompt=False)
    owned = list(zip(prepared.message_of, prepared.targets, strict=True))
    assert len(owned) == len(prepared.token_ids)
    assert {owner for owner, target in owned if target} == {1, 3}
    [span] = prepared.spans
    assert set(prepared.message_of[span.start : span.stop]) == {0}
