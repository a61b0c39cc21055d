"""One tree of errors; each says what, what is wrong, and what to do."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core import errors
from sightline.core.errors import SightlineError

ALL = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, SightlineError)
]


TEXT = st.text(min_size=1, max_size=20)


@given(st.sampled_from(ALL), TEXT, TEXT, TEXT)
def test_every_error_keeps_and_prints_its_three_parts(kind, field, problem, fix):
    error = kind(field, problem, fix)
    assert (error.field, error.problem, error.fix) == (field, problem, fix)
    assert str(error) == f"{field}: {problem}; {fix}"
    assert isinstance(error, ValueError)


def test_every_error_says_what_it_is_for():
    assert len(ALL) >= 10 and all(kind.__doc__ for kind in ALL)


def test_errors_cross_processes():
    """Workers raise them; the parent must see the same."""
    error = pickle.loads(pickle.dumps(errors.PictureError("a.png", "is empty", "save it again")))
    assert isinstance(error, errors.PictureError) and str(error) == "a.png: is empty; save it again"


def test_a_part_cannot_be_left_out():
    with pytest.raises(TypeError):
        SightlineError("field", "problem")
