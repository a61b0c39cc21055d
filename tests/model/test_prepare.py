"""One path and one count: what is prepared, what is trained on, and what is answered from."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.helpers.scenes import scene_row
from tests.helpers.speaking import (
    ASSISTANT,
    IMAGE,
    assistant,
    decoded,
    picture,
    speaking,
    user,
)
from tests.helpers.tiny import VISUAL

from sightline.core.errors import ContextOverflow, PictureError
from sightline.core.geometry import MediaSize
from sightline.data.rows import training_row
from sightline.data.sources import Scenes
from sightline.model.batch import collate
from sightline.model.prepare import Prepared
from sightline.resolution.policy import layout
from sightline.spec.train import StageSpec

VLM = speaking()
PADDED = speaking(
    resolution={"size": 10, "fit": "pad"},
    vision={"class_token": "keep", "patch": 4, "image_size": 8},
    prompt={"image": {"text": "<image>", "id": IMAGE, "before": (5,), "after": (6, 7)}},
)
SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))
PARTS = st.lists(st.one_of(SIDES, st.sampled_from(["Is it red?", "<image>", "日本 x"])), max_size=4)


def same(a: Prepared, b: Prepared) -> None:
    assert a.token_ids == b.token_ids and a.targets == b.targets
    assert a.spans == b.spans and a.layout == b.layout and a.media == b.media
    assert all(torch.equal(x, y) for x, y in zip(a.pixels, b.pixels, strict=True))


def conversation(turns: list[list[Any]]) -> list[dict[str, Any]]:
    messages = []
    for seed, turn in enumerate(turns):
        parts = [p if isinstance(p, str) else picture(*p, seed=seed) for p in turn]
        messages += [user(*parts, "What?"), assistant("yes")]
    return messages[:-1]


@pytest.mark.parametrize("vlm", [VLM, PADDED], ids=["plain", "padded, class token, marks"])
@given(turns=st.lists(PARTS, min_size=1, max_size=3))
@settings(max_examples=40)
def test_layout_placeholders_and_rows_are_one_number(vlm: Any, turns: list[list[Any]]) -> None:
    """A typed `<image>` is a word; every picture has as many placeholders as the connector rows."""
    prepared = vlm.prepare(conversation(turns))
    sides = [part for turn in turns for part in turn if not isinstance(part, str)]
    assert prepared.media == tuple(MediaSize(*side) for side in sides)
    assert prepared.layout == layout(vlm.spec, prepared.media)
    assert int(prepared.visual_T.sum()) == prepared.layout.visual_tokens == prepared.visual_tokens
    assert prepared.token_ids.count(IMAGE) == prepared.visual_tokens
    assert prepared.text_tokens + prepared.visual_tokens == len(prepared.token_ids)
    assert prepared.positions_AT.tolist() == [list(range(len(prepared.token_ids)))]
    spans = prepared.spans
    assert [s.stop - s.start for s in spans] == [m.tokens for m in prepared.layout.media]
    assert all(bool(prepared.visual_T[s.start : s.stop].all()) for s in spans)
    if sides:
        with torch.no_grad():
            assert len(vlm.model.encode([prepared.visual])) == prepared.visual_tokens
    else:
        assert prepared.pixels == () and not spans
    assert vlm.logits(prepared).shape == (len(prepared.token_ids), vlm.spec.language.vocab)


def test_pictures_of_two_sizes_and_in_the_second_turn() -> None:
    wide, tall = picture(30, 8, seed=1), picture(5, 40, seed=2)
    messages = [user(wide, "What?"), assistant("a ring"), user("And", tall, "this?")]
    both = VLM.prepare(messages)
    assert decoded(VLM, both.token_ids) == (
        "<|user|>" + "<image>" * VISUAL + "What?<|assistant|>a ring<|end|><|user|>And"
        + "<image>" * VISUAL + "this?<|assistant|>"
    )  # fmt: skip
    for view, one in zip(both.pixels, (wide, tall), strict=True):
        (alone,) = VLM.prepare([user(one, "x")]).pixels
        assert torch.equal(view, alone)
    assert [s.media for s in both.spans] == [0, 1]
    swapped = [user(tall, "What?"), assistant("a ring"), user("And", wide, "this?")]
    assert VLM.prepare(swapped).token_ids == both.token_ids
    assert not torch.allclose(VLM.logits(VLM.prepare(swapped))[-1], VLM.logits(both)[-1])


def test_targets_are_the_answers_and_their_ends() -> None:
    messages = [user(picture(), "What?"), assistant("a ring"), user("And?"), assistant("no")]
    prepared = VLM.prepare(messages, add_generation_prompt=False)
    marked = [i for i, t in zip(prepared.token_ids, prepared.targets, strict=True) if t]
    assert decoded(VLM, marked) == "a ring<|end|>no<|end|>"
    assert not any(VLM.prepare(messages[:-1]).targets[-1:])
    assert VLM.prepare(messages[:-1]).token_ids[-1] == ASSISTANT


def test_training_rows_and_answers_read_what_prepare_gives(monkeypatch: Any) -> None:
    stage = StageSpec.parse(
        {"kind": "instruct", "steps": 9, "schedule": {"warmup_steps": 0},
         "data": {"kind": "scenes", "seed": 3, "words": 40, "sides": (20, 31)}}
    )  # fmt: skip
    prepare = VLM.speaker.prepare
    for index in (0, 5):
        messages = scene_row(stage.data, index, prepare)
        row = training_row(Scenes(stage.data).sample(index), prepare)
        same(row.prepared, VLM.prepare(messages, add_generation_prompt=False))
    asked = [scene_row(stage.data, index, prepare)[:1] for index in range(3)]
    join, fed = VLM.model.join, []
    monkeypatch.setattr(
        VLM.model, "join", lambda batch, *rest: fed.append(batch) or join(batch, *rest)
    )
    VLM.answer_all(asked, max_tokens=2)
    answered, wanted = fed[0], [VLM.prepare(m) for m in asked]
    left = collate(wanted, VLM.spec.prompt.pad_id, "left")
    assert torch.equal(answered.token_ids_BT, left.token_ids_BT)
    assert torch.equal(answered.visual_BT, left.visual_BT)
    assert all(torch.equal(a, b) for a, b in zip(answered.pixels, left.pixels, strict=True))
    VLM.ask(asked[1], max_tokens=1)
    assert fed[1].token_ids_BT[0].tolist() == wanted[1].token_ids


def encoded(rgb: Any, kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.fromarray(rgb).save(file, kind)
    return file.getvalue()


def test_every_source_of_a_picture_is_the_same_picture(tmp_path: Any) -> None:
    rgb = picture()
    (tmp_path / "p.png").write_bytes(encoded(rgb))
    sources = [rgb, encoded(rgb), Image.fromarray(rgb), tmp_path / "p.png"]
    first, *others = [VLM.prepare([user(source, "What?")]) for source in sources]
    for other in others:
        same(other, first)


def test_the_models_own_background_lies_under_transparency() -> None:
    dark = speaking(resolution={"pixels": {"over": (0, 0, 0)}})
    clear = np.zeros((9, 9, 4), dtype=np.uint8)
    (black,), (white,) = (v.prepare([user(clear, "x")]).pixels for v in (dark, VLM))
    assert bool((black < white).all())


@pytest.mark.parametrize("generating", [False, True])
def test_an_overflow_names_text_visual_tokens_and_the_picture(generating: bool) -> None:
    short = speaking(language={"context": 30})
    shown = [user("Is it red?", picture(), picture(3, 4))]
    if not generating:
        shown[0]["content"].insert(0, {"type": "text", "text": "large green " * 20})
    text = len(VLM.prepare(shown).token_ids) - 2 * VISUAL
    with pytest.raises(ContextOverflow) as caught:
        short.ask(shown, max_tokens=20)
    said = str(caught.value)
    assert f"{text} of text, {2 * VISUAL} visual" in said and "context holds 30" in said
    assert f"picture 0 is the largest with {VISUAL}" in said
    assert ("20 to answer" in said) == generating


def test_a_picture_that_cannot_be_read_is_named() -> None:
    with pytest.raises(PictureError, match="nothing-here"):
        VLM.ask("nothing-here.png", "What?")
