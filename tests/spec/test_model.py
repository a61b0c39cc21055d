"""The declared object: YAML and JSON both ways, closed, frozen, refused where parts clash."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import specs
from tests.helpers.tiny import BASE, merged, tiny_spec

from sightline import spec as spec_package
from sightline.core.errors import SpecError
from sightline.spec import DecoderSpec, ModelSpec, VitSpec


@settings(max_examples=200)
@given(specs.models())
def test_yaml_and_json_give_back_the_same_model(spec):
    assert ModelSpec.from_yaml(spec.to_yaml()) == spec
    assert ModelSpec.from_yaml(spec.to_json()) == spec
    assert ModelSpec.parse(json.loads(spec.to_json())) == spec
    assert hash(ModelSpec.from_yaml(spec.to_yaml())) == hash(spec)


def paths(data: Any, at: tuple[Any, ...] = ()):
    """The path of every mapping inside."""
    if isinstance(data, dict):
        yield at
        for key, value in data.items():
            yield from paths(value, (*at, key))


def changed(data: Any, path: tuple[Any, ...], key: str, value: Any) -> Any:
    """A copy with data[path][key] set."""
    if not path:
        return {**data, key: value}
    return {**data, path[0]: changed(data[path[0]], path[1:], key, value)}


@settings(max_examples=30)
@given(specs.models(), st.data())
def test_an_unknown_key_is_refused_wherever_it_stands(spec, data):
    plain = spec.model_dump(mode="json")
    path = data.draw(st.sampled_from(list(paths(plain))))
    with pytest.raises(SpecError) as caught:
        ModelSpec.parse(changed(plain, path, "hidden_size", 1))
    assert caught.value.field == ".".join((*path, "hidden_size"))
    assert "not permitted" in caught.value.problem and "remove it" in caught.value.fix


def test_ids_between_views_are_inside_the_vocabulary():
    ids = [BASE["language"]["vocab"]]
    digits, patches = ids * 10, {"min_pixels": 64, "max_pixels": 640}
    times = {"digits": digits, "point": ids, "open": ids, "close": ids}
    views = {"kind": "native", "multiple": 8, "pictures": patches, "timestamps": times}
    with pytest.raises(SpecError) as caught:
        ModelSpec.parse(BASE | {"resolution": views})
    assert caught.value.field == "resolution.text_ids.0"


def test_the_package_names_every_kind_of_every_choice():
    for field in ("resolution", "vision", "connector", "fusion", "language"):
        union = ModelSpec.model_fields[field].annotation
        for kind in get_args(union) or (union,):
            assert getattr(spec_package, kind.__name__) is kind
            assert kind.__name__ in spec_package.__all__


def test_specs_are_frozen():
    spec = tiny_spec()
    with pytest.raises(ValueError, match="frozen"):
        spec.vision = spec.vision
    with pytest.raises(ValueError, match="frozen"):
        spec.language.attention.heads = 3


def test_a_schema_for_editors_names_every_choice():
    text = json.dumps(ModelSpec.model_json_schema())
    for word in (
        "shortest_edge",
        "quick_gelu",
        "windowed_layers",
        "llama3",
        "additionalProperties",
    ):
        assert word in text


# what changes in the tiny spec, the field that is named, a part of the problem
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"resolution": {"size": 3}}, "resolution.size", "no patch of 4"),
    ({"resolution": {"size": 0}}, "resolution.size", "greater than or equal to 1"),
    (
        {"resolution": {"shortest_edge": 9}},
        "resolution.shortest_edge",
        "no meaning with fit",
    ),
    ({"resolution": {"pixels": {"std": [1, 0, 1]}}}, "resolution.pixels.std", "not positive"),
    ({"resolution": {"kind": "any"}}, "resolution", "fixed"),
    ({"vision": {"heads": 5}}, "vision.heads", "5 does not divide width 12"),
    ({"vision": {"patch": 9}}, "vision.patch", "exceeds image_size 8"),
    ({"vision": {"layer": 3}}, "vision.layer", "not a hidden state of 2 blocks"),
    ({"vision": {"layer": -4}}, "vision.layer", "not a hidden state of 2 blocks"),
    ({"vision": {"activation": "swish"}}, "vision.activation", "swish"),
    ({"connector": {"depth": 4}}, "connector.depth", "less than or equal to 3"),
    ({"connector": {"kind": "linear"}}, "connector.depth", "not permitted"),
    ({"connector": {"kind": "wires"}}, "connector", "wires"),
    (
        {"language": {"attention": {"kv_heads": 3}}},
        "language.attention.kv_heads",
        "does not divide",
    ),
    (
        {"language": {"attention": {"windowed_layers": [0]}}},
        "language.attention.windowed_layers",
        "without a window",
    ),
    (
        {"language": {"attention": {"window": 4, "windowed_layers": [0, 3]}}},
        "language.attention.windowed_layers",
        "3 is not one of 3 layers",
    ),
    (
        {"language": {"attention": {"window": 4, "windowed_layers": [-1]}}},
        "language.attention.windowed_layers",
        "-1 is not one of 3 layers",
    ),
    ({"language": {"attention": {"window": 0}}}, "language.attention.window", "greater than"),
    (
        {"language": {"positions": {"fraction": 0.4}}},
        "language.positions.fraction",
        "rotates 3",
    ),
    (
        {"language": {"positions": {"fraction": 0.1}}},
        "language.positions.fraction",
        "rotates 0",
    ),
    ({"language": {"positions": {"fraction": 1.5}}}, "language.positions.fraction", "less than"),
    ({"language": {"positions": {"theta": 1}}}, "language.positions.theta", "greater than 1"),
    (
        {
            "language": {
                "positions": {
                    "fraction": 0.25,
                    "scaling": {"kind": "dynamic", "factor": 2, "original_context": 8},
                }
            }
        },
        "language.positions.scaling",
        "two pairs",
    ),
    (
        {
            "language": {
                "positions": {
                    "scaling": {
                        "kind": "llama3",
                        "factor": 2,
                        "low_freq_factor": 4,
                        "high_freq_factor": 4,
                        "original_context": 8,
                    }
                }
            }
        },
        "language.positions.scaling.high_freq_factor",
        "not above low_freq_factor",
    ),
    (
        {
            "language": {
                "positions": {
                    "scaling": {
                        "kind": "yarn",
                        "factor": 2,
                        "original_context": 8,
                        "beta_fast": 0.5,
                    }
                }
            }
        },
        "language.positions.scaling.beta_fast",
        "below beta_slow",
    ),
    ({"language": {"embedding_scale": 0}}, "language.embedding_scale", "greater than 0"),
    ({"language": {"norm": {"kind": "rms", "eps": 0}}}, "language.norm.eps", "greater than 0"),
    ({"language": {"norm": {"kind": "batch"}}}, "language.norm", "batch"),
    ({"prompt": {"image": {"id": 48}}}, "prompt.image.id", "48 is outside the vocabulary of 48"),
    ({"prompt": {"image": {"before": [5, 99]}}}, "prompt.image.before.1", "99 is outside"),
    ({"prompt": {"image": {"after": [-1]}}}, "prompt.image.after.0", "greater than or equal to 0"),
    ({"prompt": {"image": {"text": ""}}}, "prompt.image.text", "at least 1"),
    ({"prompt": {"pad_id": 48}}, "prompt.pad_id", "outside"),
    ({"prompt": {"bos_id": 50}}, "prompt.bos_id", "outside"),
    ({"prompt": {"stop_ids": [1, 48]}}, "prompt.stop_ids.1", "outside"),
    ({"prompt": {"stop_ids": [-1]}}, "prompt.stop_ids.0", "greater than or equal to 0"),
    ({"prompt": {"template": {"kind": "builtin", "name": "x"}}}, "prompt.template.name", "'x'"),
    (
        {"prompt": {"template": {"kind": "jinja", "source": ""}}},
        "prompt.template.source",
        "at least",
    ),
]


@pytest.mark.parametrize(("change", "field", "says"), BAD, ids=str)
def test_contradictions_are_refused_with_field_problem_and_fix(change, field, says):
    with pytest.raises(SpecError) as caught:
        ModelSpec.parse(merged(BASE, change))
    error = caught.value
    assert error.field == field and says in error.problem and error.fix


@pytest.mark.parametrize("section", ["resolution", "vision", "connector", "language", "prompt"])
def test_each_of_the_choices_must_be_made(section):
    with pytest.raises(SpecError) as caught:
        ModelSpec.parse({k: v for k, v in BASE.items() if k != section})
    assert caught.value.field == section and "required" in caught.value.problem


def test_interleaving_is_the_fusion_unless_another_is_named():
    assert tiny_spec().fusion.kind == "interleave"


@given(specs.encoders())
def test_blocks_used_reach_the_chosen_state(spec):
    states = range(spec.depth + 1)
    assert spec.blocks_used == states[spec.layer]


@pytest.mark.parametrize(
    ("size", "tokens"), [(224, 256), (336, 576), (448, 1024), (672, 2304), (384, 729)]
)
def test_tokens_of_published_sizes(size, tokens):
    vit = {"width": 8, "depth": 1, "heads": 1, "mlp_width": 8, "patch": 14, "image_size": 336}
    spec = VitSpec.parse(vit)
    assert spec.tokens(spec.grid(size, size)) == tokens
    kept = VitSpec.parse(vit | {"class_token": "keep"})
    assert kept.tokens(kept.grid(size, size)) == tokens + 1
    assert kept.head_dim == 8 and kept.position_grid.area == 576


def decoder(depth, kv_heads, **attention) -> DecoderSpec:
    heads = {"heads": 32, "kv_heads": kv_heads, "head_dim": 128, **attention}
    sizes = {"vocab": 32000, "width": 4096, "depth": depth, "context": 8192}
    return DecoderSpec.parse({**sizes, "attention": heads, "mlp": {"width": 11008}})


def test_kv_bytes_of_published_models():
    assert decoder(32, 8).kv_bytes(1) == 131_072  # Llama-3.1-8B, fp16
    assert decoder(32, 32).kv_bytes(1) == 524_288  # Llama-2-7B
    assert decoder(32, 8).kv_bytes(2304) == 288 * 2**20
    assert decoder(32, 8).kv_bytes(7, bytes_per_value=1) == 7 * 65_536


@given(st.integers(1, 500), st.integers(1, 300), st.integers(1, 12), st.data())
def test_windowed_layers_keep_only_their_window(tokens, window, depth, data):
    layers = data.draw(st.none() | st.sets(st.integers(0, depth - 1)).map(tuple))
    spec = decoder(depth, 4, window=window, windowed_layers=layers)
    inside = depth if layers is None else len(layers)
    kept = inside * min(tokens, window) + (depth - inside) * tokens
    assert spec.kv_bytes(tokens) == kept * 2 * 4 * 128 * 2
    windowed = [i for i in range(depth) if spec.attention.window_of(i) == window]
    assert windowed == (list(range(depth)) if layers is None else sorted(layers))


def test_derived_numbers_of_the_decoder():
    spec = decoder(2, 8)
    assert spec.attention_scale == pytest.approx(128**-0.5) and spec.rotated_dim == 128
    phi = decoder(1, 32, head_dim=80).model_dump() | {"positions": {"fraction": 0.4}}
    assert DecoderSpec.parse(phi).rotated_dim == 32
