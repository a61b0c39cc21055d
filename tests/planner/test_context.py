"""A conversation that the context cannot hold is refused with its numbers."""

from __future__ import annotations

import pytest
from tests.planner.specs import decoder, model, vit

from sightline.core.errors import ContextOverflow, SightlineError
from sightline.core.geometry import MediaSize
from sightline.planner import check
from sightline.planner.published import llava
from sightline.spec.prompt import ImageTokenSpec


def small(context, **changes):
    """A picture is 16 tokens."""
    return model(decoder(context=context), vit(), **changes)


def test_what_fits_exactly_passes():
    check(small(16))
    check(small(48), [MediaSize(9, 9)] * 2, text_tokens=10, answer_tokens=6)
    check(llava("7b"))


def test_a_context_too_short_for_one_picture():
    with pytest.raises(ContextOverflow) as error:
        check(small(15))
    assert isinstance(error.value, SightlineError)
    assert error.value.field == "language.context"
    assert "15 tokens cannot hold picture 1 (28×28), which is 16" in error.value.problem
    assert error.value.fix


def test_the_sum_and_the_first_picture_without_room_are_named():
    with pytest.raises(ContextOverflow) as error:
        check(small(47), [(10, 20), (30, 40), (5, 5)], text_tokens=10, answer_tokens=6)
    assert str(error.value).startswith(
        "language.context: 10 text + 48 visual + 6 answer = 64 tokens exceed 47; "
        "picture 2 of 3 (30×40, 16 tokens) is the first without room"
    )


def test_text_alone_can_be_too_long():
    with pytest.raises(ContextOverflow, match="48 text \\+ 0 visual = 48 tokens exceed 47;"):
        check(small(47), [], text_tokens=48)


def test_tags_around_a_picture_count():
    tags = ImageTokenSpec(id=3, before=(4,), after=(5, 6))
    check(small(19, image=tags))
    with pytest.raises(ContextOverflow, match="which is 19"):
        check(small(18, image=tags))


def test_frames_count():
    check(small(64), [MediaSize(28, 28, frames=4)])
    with pytest.raises(ContextOverflow):
        check(small(63), [MediaSize(28, 28, frames=4)])
