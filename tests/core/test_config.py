"""The base of every declaration: how bad input is named, and that nothing is dropped in silence."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from sightline.core.config import Spec, load_yaml, read_text
from sightline.core.errors import SpecError


class Wheel(Spec):
    kind: Literal["wheel"] = "wheel"
    spokes: int = Field(default=8, ge=3)


class Track(Spec):
    kind: Literal["track"] = "track"
    links: int = Field(ge=1)


class Cart(Spec):
    runs_on: Annotated[Wheel | Track, Field(discriminator="kind")]
    spares: tuple[Wheel, ...] = ()
    load_kg: float = 0.0

    @model_validator(mode="after")
    def _bears(self) -> Cart:
        if self.load_kg > 100:
            raise SpecError("load_kg", f"{self.load_kg} breaks the axle", "carry less")
        return self


class Yard(Spec):
    cart: Cart


# data, the field that the error names, a word of the problem
BAD = [
    ({}, "cart", "required"),
    ({"cart": {}}, "cart.runs_on", "required"),
    ({"cart": {"runs_on": {"kind": "track"}}}, "cart.runs_on.links", "required"),
    ({"cart": {"runs_on": {"kind": "wheel", "spokes": 2}}}, "cart.runs_on.spokes", "2"),
    ({"cart": {"runs_on": {"kind": "wheel", "spokes": "x"}}}, "cart.runs_on.spokes", "'x'"),
    ({"cart": {"runs_on": {"kind": "ski"}}}, "cart.runs_on", "'ski'"),
    ({"cart": {"runs_on": {"links": 3}}}, "cart.runs_on", "kind"),
    (
        {"cart": {"runs_on": {"kind": "wheel"}, "spares": [{}, {"spokes": 1}]}},
        "cart.spares.1.spokes",
        "1",
    ),
    ({"cart": {"runs_on": {"kind": "wheel"}, "horn": 1}}, "cart.horn", "not permitted"),
    ({"cart": {"runs_on": {"kind": "wheel"}, "load_kg": 101}}, "cart.load_kg", "101"),
    ({"cart": {"runs_on": {"kind": "wheel"}, "load_kg": float("nan")}}, "cart.load_kg", "finite"),
    ({"cart": {"runs_on": {"kind": "wheel"}, "load_kg": float("inf")}}, "cart.load_kg", "finite"),
    ({"cart": 3}, "cart", "3"),
    ({"cart": {1: 2}}, "Yard", "not text"),
]


@pytest.mark.parametrize(("data", "field", "says"), BAD)
def test_errors_name_the_field_as_the_user_wrote_it(data, field, says):
    with pytest.raises(SpecError) as caught:
        Yard.parse(data)
    error = caught.value
    assert error.field == field and says in error.problem and error.fix
    assert str(error).startswith(f"{field}: ") and str(error).endswith(f"; {error.fix}")


def test_a_prefix_stands_before_the_field():
    with pytest.raises(SpecError) as caught:
        Yard.parse({"cart": {"runs_on": {"kind": "wheel"}, "load_kg": 200}}, field="recipe.yaml")
    assert caught.value.field == "recipe.yaml.cart.load_kg"


def test_an_unknown_key_is_answered_with_the_known_ones():
    with pytest.raises(SpecError) as caught:
        Wheel.parse({"spoke": 4})
    assert caught.value.field == "spoke" and "kind, spokes" in caught.value.fix


def test_direct_construction_raises_the_same_error():
    with pytest.raises(SpecError) as caught:
        Wheel(spokes=1)
    assert caught.value.field == "spokes"
    with pytest.raises(SpecError) as caught:
        Cart(runs_on=Wheel(), load_kg=1000)
    assert caught.value.field == "load_kg" and caught.value.fix == "carry less"


def test_specs_are_frozen_hashable_and_compared_by_value():
    cart = Cart(runs_on=Wheel())
    with pytest.raises(ValueError, match="frozen"):
        cart.load_kg = 3.0
    assert cart == Cart(runs_on=Wheel()) and hash(cart) == hash(Cart(runs_on=Wheel()))
    assert cart != Cart(runs_on=Wheel(spokes=9))


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("", "yaml", "NoneType"),
        ("- 1", "yaml", "list"),
        ("5", "yaml", "int"),
        ("a: [", "yaml", "line 1"),
        ("a: 1\n\tb: 2", "yaml", "line 2"),
        ("a: !!python/object/apply:os.getcwd []", "yaml", "python/object"),
        ("a: 1\nb: 2\na: 3", "a", "twice (line 3)"),
        ("x: {b: 2, b: 3}", "b", "twice"),
        ('{"x": {"b": 2, "b": 3}}', "b", "twice"),
        ('{"x": 1', "yaml", "line 1"),
        ("on: 1", "on", "not text"),
        ("1: 2", "1", "not text"),
    ],
)
def test_yaml_that_loses_or_hides_something_is_refused(text, field, says):
    with pytest.raises(SpecError) as caught:
        load_yaml(text)
    assert caught.value.field == field and says in caught.value.problem


def test_yaml_anchors_and_json_are_read():
    assert load_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}
    assert Wheel.from_yaml('{"kind": "wheel", "spokes": 5}') == Wheel(spokes=5)


def test_files_are_read_or_named(tmp_path):
    path = tmp_path / "wheel.yaml"
    path.write_text("spokes: 5", encoding="utf-8")
    assert Wheel.from_file(path) == Wheel(spokes=5)
    for bad, says in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "directory")):
        with pytest.raises(SpecError) as caught:
            read_text(bad)
        assert caught.value.field == str(bad) and says in caught.value.problem
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="not UTF-8"):
        Wheel.from_file(path)


def test_consoles_keep_answers_apart_from_messages(capsys):
    from sightline.core.log import messages, output

    output().print("answer 42")
    messages().print("loading")
    out, err = capsys.readouterr()
    assert (out, err) == ("answer 42\n", "loading\n")
