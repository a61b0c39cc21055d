"""Which frames of a clip are taken: the references' indices, and what holds of any rule."""

from __future__ import annotations

import ast
import math
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.resolution.specs import model

from sightline.core.errors import ContextOverflow, SpecError
from sightline.core.geometry import MediaSize
from sightline.resolution.frames import groups, sampled
from sightline.resolution.layout import VisualLayout
from sightline.resolution.policy import layout
from sightline.spec import FixedSpec, FramesSpec, FrameTextSpec, ModelSpec

PLACINGS = ["starts", "middles", "nearest", "below"]
counts = st.integers(1, 2000)
rates = st.none() | st.floats(0.5, 240)
caps = st.none() | st.integers(1, 300)


@st.composite
def rules(draw: st.DrawFn) -> FramesSpec:
    sampling = draw(st.sampled_from(["all", "uniform", "fps", "keyframes"]))
    return FramesSpec(
        sampling=sampling,
        count=draw(st.integers(1, 300)) if sampling == "uniform" else None,
        fps=draw(st.floats(0.1, 60)) if sampling == "fps" else None,
        min_frames=draw(st.integers(1, 8)),
        max_frames=draw(caps),
        multiple=draw(st.integers(1, 4)),
        placing=draw(st.sampled_from(PLACINGS)),
        rounding=draw(st.sampled_from(["down", "nearest"])),
        skip_s=draw(st.sampled_from([0.0, 1.0])),
    )


@st.composite
def clips(draw: st.DrawFn) -> MediaSize:
    frames = draw(counts)
    keys = draw(st.lists(st.integers(0, frames - 1), max_size=20, unique=True))
    return MediaSize(64, 48, frames, draw(rates), video=True, keyframes=tuple(sorted(keys)))


@given(rules(), clips())
@settings(max_examples=400)
def test_frames_are_in_the_clip_ascending_and_each_once(rule: FramesSpec, clip: MediaSize) -> None:
    taken = sampled(rule, clip)
    assert taken and set(taken) <= set(range(clip.frames))
    assert list(taken) == sorted(set(taken))
    assert len(taken) <= (rule.max_frames or clip.frames)
    if rule.sampling == "keyframes" and clip.keyframes:
        assert set(taken) <= set(clip.keyframes)
    if rule.sampling == "uniform" and rule.multiple == 1:
        assert len(taken) == min(rule.count or 0, clip.frames, rule.max_frames or clip.frames)


@given(rules(), clips(), st.integers(1, 5))
def test_groups_hold_the_frames_and_repeat_the_last(
    rule: FramesSpec, clip: MediaSize, per_view: int
) -> None:
    made = groups(rule, clip, per_view)
    assert {len(group) for group in made} == {per_view}
    flat = [frame for group in made for frame in group]
    taken = list(sampled(rule, clip))
    assert flat == taken + taken[-1:] * (len(flat) - len(taken))


def spec_of(rule: FramesSpec, *, split: bool = False) -> ModelSpec:
    spec = model(FixedSpec(size=28, video=rule))
    prompt = spec.prompt.model_copy(update={"frames": FrameTextSpec() if split else None})
    return spec.model_copy(update={"prompt": prompt})


def frames_in(laid: VisualLayout) -> int:
    return len({(view.media, view.frames) for view in laid.views})


@given(rules(), st.lists(clips(), min_size=1, max_size=3), st.booleans(), st.integers(12, 400))
def test_a_budget_is_kept_with_as_many_frames_as_it_allows(
    rule: FramesSpec, media: list[MediaSize], split: bool, budget: int
) -> None:
    """Each frame takes 4 tokens here, so the frames are monotone in the budget and never wasted."""
    rule = rule.model_copy(update={"skip_s": 0.0})
    spec = spec_of(rule, split=split)
    whole, kept, more = (layout(spec, media, b) for b in (None, budget, budget + 4))
    assert kept.visual_tokens <= budget
    assert frames_in(kept) <= frames_in(more) <= frames_in(whole)
    if whole.visual_tokens <= budget:
        assert kept == whole
    elif rule.multiple == 1:
        assert kept.visual_tokens > budget - 4 * len(media)


def test_a_budget_below_one_frame_of_each_is_refused() -> None:
    media = [MediaSize(9, 9, 5, video=True)] * 3
    assert layout(spec_of(FramesSpec()), media, 12).visual_tokens == 12
    with pytest.raises(ContextOverflow, match="12 visual tokens, the budget is 11"):
        layout(spec_of(FramesSpec()), media, 11)
    with pytest.raises(ContextOverflow):
        layout(spec_of(FramesSpec()), [MediaSize(9, 9, 5)], 11)  # no clip: nothing is left out


def test_a_clip_that_is_read_as_pictures_is_an_item_a_frame() -> None:
    spec = spec_of(FramesSpec(sampling="uniform", count=3), split=True)
    laid = layout(spec, [MediaSize(9, 9), MediaSize(9, 9, 10, video=True), MediaSize(8, 8)])
    assert laid.sources == (0, 1, 1, 1, 2)
    assert [laid.frames(item) for item in range(5)] == [(0,), (0,), (3,), (6,), (0,)]
    assert len(laid.media) == 5 and {item.tokens for item in laid.media} == {4}
    whole = layout(
        spec_of(FramesSpec(sampling="uniform", count=3)), [MediaSize(9, 9, 10, video=True)]
    )
    assert whole.sources == () and whole.frames(0) == (0, 3, 6)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"sampling": "uniform"}, "count: is missing"),
        ({"sampling": "fps"}, "fps: is missing"),
        ({"sampling": "all", "count": 3}, "count: has no meaning"),
        ({"sampling": "uniform", "count": 3, "fps": 2.0}, "fps: has no meaning"),
    ],
)
def test_rules_without_their_number_are_refused(rule: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        FramesSpec(**rule)


def test_worked_examples() -> None:
    ten = MediaSize(8, 8, 10, 5.0, video=True)
    for placing, taken in zip(
        PLACINGS, [(0, 2, 5, 7), (1, 3, 6, 8), (0, 3, 6, 9), (0, 3, 6, 9)], strict=True
    ):
        assert sampled(FramesSpec(sampling="uniform", count=4, placing=placing), ten) == taken
    assert sampled(FramesSpec(sampling="fps", fps=1.0), ten) == (0, 5)
    assert sampled(FramesSpec(sampling="fps", fps=2.0, multiple=2), ten) == (0, 2, 5, 7)
    assert sampled(FramesSpec(sampling="fps", fps=1.0, min_frames=5), ten) == (0, 2, 4, 6, 8)
    assert sampled(FramesSpec(sampling="fps", fps=1.0), MediaSize(8, 8, 4, video=True)) == (
        0, 1, 2, 3,
    )  # fmt: skip
    keyed = MediaSize(8, 8, 10, video=True, keyframes=(0, 3, 4, 9))
    assert sampled(FramesSpec(sampling="keyframes"), keyed) == (0, 3, 4, 9)
    assert sampled(FramesSpec(sampling="keyframes", max_frames=2), keyed) == (0, 4)
    assert sampled(FramesSpec(sampling="keyframes"), ten) == tuple(range(10))


def reference(name: str) -> Any:
    """A video processor's `sample_frames`, cut out of its file, which needs torchvision whole."""
    folder = Path(find_spec("transformers").origin).parent / "models" / name
    tree = ast.parse((folder / f"video_processing_{name}.py").read_text(encoding="utf-8"))
    (function,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "sample_frames"
    )
    known: dict[str, Any] = {"np": np, "torch": torch, "math": math, "VideoMetadata": object}
    exec(compile(ast.Module([function], []), name, "exec"), known)
    return known["sample_frames"]


def metadata(frames: int, fps: float) -> Any:
    class Metadata(SimpleNamespace):
        def __getitem__(self, name: str) -> Any:
            return getattr(self, name)

    return Metadata(total_num_frames=frames, fps=fps, duration=frames / fps)


CLIPS = [(n, fps) for n in (8, 9, 31, 64, 100, 299, 750, 1801) for fps in (5.0, 24.0, 29.97, 60.0)]


@pytest.mark.parametrize(("frames", "fps"), CLIPS)
def test_indices_are_those_of_the_references(frames: int, fps: float) -> None:
    """transformers 5.23, the functions themselves."""
    from transformers.video_utils import default_sample_indices_fn

    clip, about = MediaSize(8, 8, frames, fps, video=True), metadata(frames, fps)
    n = min(8, frames)

    def ours(**rule: Any) -> list[int]:
        return list(sampled(FramesSpec(**rule), clip))

    assert ours(sampling="uniform", count=n) == list(default_sample_indices_fn(about, num_frames=n))
    assert ours(sampling="fps", fps=2.0) == list(default_sample_indices_fn(about, fps=2.0))
    qwen3 = SimpleNamespace(fps=2, min_frames=4, max_frames=768)
    theirs = reference("qwen3_vl")(qwen3, about)
    rule = {"sampling": "fps", "fps": 2.0, "min_frames": 4, "max_frames": 768, "placing": "nearest"}
    assert ours(**rule) == theirs.tolist()
    qwen2 = SimpleNamespace(
        fps=2, num_frames=None, min_frames=4, max_frames=768, temporal_patch_size=2
    )
    theirs = reference("qwen2_vl")(qwen2, about)
    assert ours(**rule | {"placing": "starts", "multiple": 2}) == theirs.tolist()
    internvl = SimpleNamespace(num_frames=n, initial_shift=True)
    theirs = reference("internvl")(internvl, about)
    assert ours(sampling="uniform", count=n, placing="middles") == theirs.tolist()
    smolvlm = SimpleNamespace(num_frames=64, fps=1)
    theirs = reference("smolvlm")(smolvlm, about)
    rule = {"sampling": "fps", "fps": 1.0, "max_frames": 64, "placing": "below", "skip_s": 1.0}
    assert ours(**rule, rounding="nearest") == theirs.tolist()


@given(st.integers(0, 3000), st.integers(1, 3000), st.integers(2, 400))
def test_even_places_are_those_of_linspace(first: int, length: int, count: int) -> None:
    from sightline.resolution.frames import _evenly

    expected = np.linspace(first, first + length, count)
    assert list(_evenly(first, first + length, count)) == expected.tolist()


@given(rules())
def test_rules_survive_yaml(rule: FramesSpec) -> None:
    assert FramesSpec.from_yaml(rule.to_yaml()) == rule
