"""Rotary positions against transformers' own functions and modules."""

# B batch  T tokens  H heads  K head dim

from __future__ import annotations

import math

import pytest
import torch
from transformers import LlamaConfig, PhiConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from transformers.models.phi.modeling_phi import PhiRotaryEmbedding
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLTextConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLRotaryEmbedding
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRotaryEmbedding

from sightline.core.errors import SpecError
from sightline.nn.rope import RotaryTable, frequencies
from sightline.spec.language import RopeSpec

CONTEXT = 64
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}

# name -> theta, our scaling, their parameters; every branch of each scaling is reached.
SCALINGS = {
    "none": (1e4, None, None),
    "theta": (5e5, None, None),
    "linear": (1e4, {"factor": 2.5}, {"factor": 2.5}),
    "dynamic": (1e4, {"factor": 2.0, "original_context": CONTEXT}, {"factor": 2.0}),
    "llama3": (5e5, LLAMA3 | {"original_context": 8192}, LLAMA3),
    "llama3_short": (1e4, LLAMA3 | {"original_context": 256}, LLAMA3),
    "yarn": (1e6, {"factor": 4.0, "original_context": 4096}, {"factor": 4.0}),
    "yarn_small": (1e4, {"factor": 8.0, "original_context": 32}, {"factor": 8.0}),
    "yarn_factor": (
        1e4,
        {"factor": 4.0, "original_context": 128, "attention_factor": 1.7},
        {"factor": 4.0, "attention_factor": 1.7},
    ),
    "yarn_below_1": (1e4, {"factor": 0.5, "original_context": 512}, {"factor": 0.5}),
    "yarn_betas": (
        1e4,
        {"factor": 4.0, "original_context": 64, "beta_fast": 8.0, "beta_slow": 0.25},
        {"factor": 4.0, "beta_fast": 8.0, "beta_slow": 0.25},
    ),
}


def kind_of(name):
    return name.split("_")[0]


def ours(name, fraction=1.0):
    theta, scaling, _ = SCALINGS[name]
    scaling = None if scaling is None else {"kind": kind_of(name), **scaling}
    return RopeSpec.parse({"theta": theta, "fraction": fraction, "scaling": scaling})


def theirs(name, head_dim, cls=LlamaConfig, **extra):
    theta, scaling, parameters = SCALINGS[name]
    rope = {"rope_theta": theta, "rope_type": "default", **extra}
    if parameters is not None:
        rope |= {"rope_type": kind_of(name), **parameters}
        if "original_context" in scaling and kind_of(name) != "dynamic":
            rope["original_max_position_embeddings"] = scaling["original_context"]
    return cls(
        hidden_size=4 * head_dim,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        rope_parameters=rope,
    )


@pytest.mark.parametrize("head_dim", [8, 64, 128])
@pytest.mark.parametrize("name", [n for n, (_, scaling, _) in SCALINGS.items() if scaling])
@pytest.mark.parametrize("length", [1, CONTEXT, CONTEXT + 1, 300])
def test_frequencies_equal_those_of_transformers(name, head_dim, length):
    inv_freq, factor = ROPE_INIT_FUNCTIONS[kind_of(name)](
        theirs(name, head_dim), "cpu", seq_len=length
    )
    mine, my_factor = frequencies(ours(name), head_dim, length)
    assert my_factor == pytest.approx(factor, rel=1e-12)
    assert torch.equal(mine, inv_freq)


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("length", [40, 100])
def test_cosines_and_sines_equal_those_of_the_rotary_module(name, length):
    positions = torch.arange(length)[None]
    cos, sin = LlamaRotaryEmbedding(theirs(name, 32))(torch.zeros(1), positions)
    mine = RotaryTable(ours(name), 32).at(positions[None], length, torch.float32)
    assert torch.equal(mine.cos_BT1R[:, :, 0], cos)
    assert torch.equal(mine.sin_BT1R[:, :, 0], sin)


def test_turning_equals_transformers():
    q, k = torch.randn(2, 2, 9, 4, 16)
    positions = torch.stack((torch.arange(9), torch.arange(9) + 30))
    cos, sin = LlamaRotaryEmbedding(theirs("none", 16))(q, positions)
    expected = apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=2)
    mine = RotaryTable(ours("none"), 16).at(positions[None], 39, torch.float32)
    for turned, truth in zip((mine.turn(q), mine.turn(k)), expected, strict=True):
        torch.testing.assert_close(turned, truth, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fraction", [0.25, 0.4, 0.5])
def test_a_fraction_of_each_head_turns_and_the_rest_passes(fraction):
    q_BTHK = torch.randn(1, 7, 2, 80)
    rotated = int(80 * fraction)
    positions = torch.arange(7)[None]
    config = theirs("none", 80, PhiConfig, partial_rotary_factor=fraction)
    cos, sin = PhiRotaryEmbedding(config)(q_BTHK, positions)
    truth, _ = apply_rotary_pos_emb(
        q_BTHK[..., :rotated], q_BTHK[..., :rotated], cos, sin, unsqueeze_dim=2
    )
    turned = RotaryTable(ours("none", fraction), rotated).at(positions[None], 7, torch.float32)
    out = turned.turn(q_BTHK)
    torch.testing.assert_close(out[..., :rotated], truth, rtol=0, atol=1e-6)
    assert torch.equal(out[..., rotated:], q_BTHK[..., rotated:])


@pytest.mark.parametrize("name", [name for name in SCALINGS if name != "dynamic"])
def test_scores_depend_on_the_distance_alone(name):
    table = RotaryTable(ours(name), 16)
    q, k = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)

    def score(at_q, at_k):
        turned = [
            table.at(torch.tensor([[[at]]]), 128, torch.float64).turn(x)
            for at, x in ((at_q, q), (at_k, k))
        ]
        return (turned[0] * turned[1]).sum().item()

    assert score(9, 4) == pytest.approx(score(109, 104), abs=1e-4)
    assert abs(score(9, 4) - score(9, 5)) > 1e-3


def test_the_table_grows_and_keeps_its_first_rows():
    table = RotaryTable(ours("llama3"), 16)
    positions = torch.arange(10)[None, None]
    before = table.at(positions, 10, torch.float32)
    table.at(torch.arange(1000)[None, None], 1000, torch.float32)
    after = table.at(positions, 10, torch.float32)
    assert torch.equal(before.cos_BT1R, after.cos_BT1R)
    low = table.at(positions, 10, torch.bfloat16)
    assert torch.equal(low.cos_BT1R, after.cos_BT1R.bfloat16())


def test_dynamic_angles_belong_to_each_sequence():
    table = RotaryTable(ours("dynamic"), 16)
    long, short = torch.arange(100), torch.cat((torch.zeros(90, dtype=int), torch.arange(10)))
    both = table.at(torch.stack((long, short))[None], 100, torch.float32)
    for row, positions in enumerate((long, short)):
        alone = table.at(positions[None, None], 100, torch.float32)
        assert torch.equal(both.cos_BT1R[row], alone.cos_BT1R[0])
    plain = RotaryTable(ours("none"), 16).at(short[None, None], 100, torch.float32)
    torch.testing.assert_close(both.sin_BT1R[1], plain.sin_BT1R[0], rtol=0, atol=1e-6)
    assert (both.sin_BT1R[0, -10:] - both.sin_BT1R[1, -10:]).abs().max() > 0.1


def test_the_angles_are_those_of_the_paper():
    """Pair i turns by position · theta^(-2i/d); pairs are halves, as in NeoX and Llama."""
    x = torch.zeros(1, 1, 1, 8, dtype=torch.float64)
    x[..., 1] = 1.0
    turned = RotaryTable(ours("none"), 8).at(torch.tensor([[[5]]]), 6, torch.float64).turn(x)
    angle = 5 * 1e4 ** (-2 / 8)
    expected = {1: math.cos(angle), 5: math.sin(angle)}
    for i in range(8):
        assert turned[0, 0, 0, i].item() == pytest.approx(expected.get(i, 0.0), abs=1e-6)


def by_axes(sections, interleaved, positions_ABT, dim=16):
    spec = RopeSpec(theta=50.0, sections=sections, interleaved=interleaved)
    length = int(positions_ABT.max()) + 1
    return RotaryTable(spec, dim).at(positions_ABT, length, torch.float32)


@pytest.mark.parametrize(
    ("sections", "interleaved"),
    [((4, 2, 2), False), ((2, 3, 3), False), ((4, 2, 2), True), ((3, 3, 2), True)],
)
def test_three_axes_equal_transformers(sections, interleaved):  # fmt: skip
    positions = torch.randint(0, 90, (3, 2, 7), generator=torch.Generator().manual_seed(1))
    rope = {"rope_type": "default", "rope_theta": 50.0, "mrope_section": list(sections)}
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "head_dim": 16}
    if interleaved:
        theirs = Qwen3VLTextRotaryEmbedding(Qwen3VLTextConfig(**sizes, rope_parameters=rope))
    else:
        theirs = Qwen2VLRotaryEmbedding(Qwen2VLTextConfig(**sizes, rope_parameters=rope))
    cos, sin = theirs(torch.zeros(1), positions)
    ours = by_axes(sections, interleaved, positions)
    torch.testing.assert_close(ours.cos_BT1R[:, :, 0], cos, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.sin_BT1R[:, :, 0], sin, rtol=0, atol=1e-6)


def test_equal_axes_turn_as_one():
    places = torch.randint(0, 90, (1, 2, 7), generator=torch.Generator().manual_seed(2))
    three = by_axes((4, 2, 2), True, places.expand(3, -1, -1))
    one = by_axes((4, 2, 2), True, places)
    assert torch.equal(three.cos_BT1R, one.cos_BT1R) and torch.equal(three.sin_BT1R, one.sin_BT1R)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"interleaved": True}, "without sections"),
        ({"sections": (3, -1, 2)}, "negative"),
        ({"sections": (1, 1, 2), "scaling": {"kind": "dynamic", "factor": 2.0,
                                             "original_context": 9}}, "one axis"),
    ],
)  # fmt: skip
def test_sections_that_mean_nothing_are_refused(change, said):
    with pytest.raises(SpecError, match=said):
        RopeSpec.parse(change)
