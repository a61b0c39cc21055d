"""Options of an answer: each range is kept, each value outside it refused by name."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import SamplingError
from sightline.spec.sampling import Sampling

INTEGERS = ("max_tokens", "top_k", "seed", "beams")
FLOATS = ("temperature", "top_p", "min_p", "repetition_penalty", "length_penalty")
RANGES = {
    "max_tokens": (1, math.inf),
    "top_k": (1, math.inf),
    "seed": (0, 2**63 - 1),
    "beams": (1, 64),
    "temperature": (0, 100),
    "top_p": (math.ulp(0.0), 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "length_penalty": (-10, 10),
}


def refused(**options):
    [field] = options
    with pytest.raises(SamplingError) as caught:
        Sampling(**options)
    error = caught.value
    assert error.field == field and error.problem and error.fix


@given(st.sampled_from(list(RANGES)), st.integers() | st.integers(-(10**400), 10**400))
def test_integers_outside_a_range_are_refused_and_inside_accepted(field, value):
    low, high = RANGES[field]
    if low <= value <= high:
        assert getattr(Sampling(**{field: value}), field) == value
    else:
        refused(**{field: value})


@given(st.sampled_from(FLOATS), st.floats())
def test_floats_outside_a_range_are_refused_and_inside_accepted(field, value):
    low, high = RANGES[field]
    if low <= value <= high:
        assert getattr(Sampling(**{field: value}), field) == value
    else:
        refused(**{field: value})


@pytest.mark.parametrize("field", RANGES)
@pytest.mark.parametrize("value", ["1", True, [1], (1,), b"1", 1j, math.nan, math.inf])
def test_values_of_another_type_are_refused(field, value):
    refused(**{field: value})


@pytest.mark.parametrize("field", INTEGERS)
def test_floats_are_not_taken_for_integers(field):
    refused(**{field: 2.0})


@pytest.mark.parametrize("field", [field for field in RANGES if field != "top_k"])
def test_only_top_k_may_be_left_open(field):
    refused(**{field: None})
    assert Sampling(top_k=None).top_k is None


@pytest.mark.parametrize("stop", ["a", ["a"], ("a", ""), ("a", 1), None])
def test_stop_strings_that_are_not_a_tuple_of_text_are_refused(stop):
    refused(stop=stop)


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.5}, {"min_p": 0.1}, {"repetition_penalty": 2}],
)
def test_beams_exclude_what_changes_the_distribution(options):
    with pytest.raises(SamplingError) as caught:
        Sampling(beams=2, **options)
    assert caught.value.field == "beams"
    Sampling(beams=1, **options)


def test_options_cannot_be_changed_or_misspelt():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sampling().seed = 1
    with pytest.raises(TypeError, match="temprature"):
        Sampling(temprature=1)
