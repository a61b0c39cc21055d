"""Promise 5: the cached, batched path against the slow one, for every switch of the decoder."""

# B sequences  T tokens  V vocabulary

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.helpers.tiny import DECODERS, IMAGE, PAD, STOPS, item, tiny_model, tiny_spec, words

from sightline.core.errors import ContextOverflow, PlaceholderMismatch, SamplingError
from sightline.model.generate import Decoding, generate
from sightline.model.reference import reference_greedy, reference_logits
from sightline.model.visual import VisualInput
from sightline.spec.sampling import Sampling

TOLERANCE = 1e-5
ANSWER = words(9, seed=7)
ITEMS = (
    item(words(3, 1), 1, words(4, 2), seed=1),
    item(words(2, 3), seed=2),
    item(2, words(5, 4), seed=3),
    item(words(1, 5), 1, words(9, 6), 1, words(2, 7), seed=4),
)
EACH = (
    Sampling(max_tokens=12),
    Sampling(max_tokens=10, temperature=0.9, seed=3),
    Sampling(max_tokens=7, temperature=1.5, top_k=9, top_p=0.8, seed=4, repetition_penalty=1.3),
    Sampling(max_tokens=12, temperature=0.7, min_p=0.05, seed=3),
)


def model_of(case: str):
    return tiny_model(tiny_spec(language=DECODERS[case]))


def follow(model, items, tokens=ANSWER):
    """Logits [1 + len(tokens), B, V] of a cached run that is fed `tokens` in every row."""
    with torch.inference_mode():
        decoding = Decoding(model, items, len(tokens) + 1)
        seen = [decoding.logits_BV]
        for token in tokens:
            decoding.step([token] * len(items))
            seen.append(decoding.logits_BV)
    return torch.stack(seen)


def uncached(model, one, tokens=ANSWER):
    """The same for one sequence, every step computed from nothing."""
    steps = range(len(tokens) + 1)
    return torch.stack([reference_logits(model, one, tokens[:n])[-1] for n in steps])


def run(model, items, each):
    """The answer of every sequence, and how many steps were made."""
    steps = list(generate(model, items, each))
    return [[t for t in row if t is not None] for row in zip(*steps, strict=True)], len(steps)


def farthest(a, b):
    return (a - b).abs().max().item()


@pytest.mark.parametrize("case", DECODERS)
def test_cached_equals_uncached_at_every_step(case):
    model = model_of(case)
    for one in ITEMS[:3]:
        assert farthest(follow(model, [one])[:, 0], uncached(model, one)) < TOLERANCE


@pytest.mark.parametrize("case", DECODERS)
def test_batched_equals_alone(case):
    model = model_of(case)
    together = follow(model, ITEMS)
    for row, one in enumerate(ITEMS):
        assert farthest(together[:, row], uncached(model, one)) < TOLERANCE


@pytest.mark.parametrize("case", DECODERS)
def test_greedy_equals_the_reference(case):
    model = model_of(case)
    [answer], _ = run(model, [ITEMS[0]], Sampling(max_tokens=12))
    assert answer == reference_greedy(model, ITEMS[0], 12)


@pytest.mark.parametrize("case", ["base", "everything", "dynamic", "window"])
def test_answers_do_not_depend_on_the_batch(case):
    model = model_of(case)
    together, _ = run(model, ITEMS, EACH)
    alone = [run(model, [one], how)[0][0] for one, how in zip(ITEMS, EACH, strict=True)]
    assert together == alone
    backwards, _ = run(model, ITEMS[::-1], EACH[::-1])
    assert backwards == together[::-1]
    assert [len(a) for a in alone] == [
        how.max_tokens if a[-1] not in STOPS else len(a) for a, how in zip(alone, EACH, strict=True)
    ]


def test_the_comparison_sees_a_shifted_position_and_a_wrong_mask():
    """The tests above can fail: what they compare moves far beyond their tolerance."""
    model, one = model_of("base"), ITEMS[0]
    truth = uncached(model, one)
    moved = replace(one, positions_AT=one.positions_AT + (one.positions_AT > 4))
    assert farthest(uncached(model, moved)[-1], truth[-1]) > 100 * TOLERANCE
    with torch.inference_mode():
        decoding = Decoding(model, [one], 2)
        decoding.next_position_B += 1
        decoding.step(ANSWER[:1])
        assert farthest(decoding.logits_BV[0], truth[1]) > 100 * TOLERANCE
        padded = Decoding(model, ITEMS, 2)
        padded.mask = padded.mask.with_tables(torch.zeros_like)
        padded.step([ANSWER[0]] * len(ITEMS))
        assert farthest(padded.logits_BV[0], truth[1]) > 100 * TOLERANCE


def test_a_stop_id_is_yielded_and_ends_only_its_own_sequence():
    model = tiny_model(tiny_spec(language={"head_bias": True}))
    with torch.no_grad():
        model.language.head.bias[STOPS[1]] += 1.5
    answers, steps = run(model, ITEMS, Sampling(max_tokens=20, temperature=1.0, seed=5))
    ended = [answer[-1] in STOPS for answer in answers]
    lengths = [len(answer) for answer in answers]
    assert any(ended) and len(set(lengths)) > 1
    assert steps == max(lengths)
    assert all(not set(answer[:-1]) & set(STOPS) for answer in answers)
    assert all(end or length == 20 for end, length in zip(ended, lengths, strict=True))


def test_nothing_is_yielded_after_the_end_of_a_sequence():
    model = model_of("base")
    steps = list(generate(model, ITEMS[:2], [Sampling(max_tokens=2), Sampling(max_tokens=5)]))
    assert [first is None for first, _ in steps] == [False, False, True, True, True]


def test_what_follows_the_end_of_a_neighbour_is_not_touched_by_it():
    """Ended rows are fed padding; those columns must not reach the others."""
    model = model_of("base")
    [[*_], long], _ = run(model, ITEMS[:2], [Sampling(max_tokens=1), Sampling(max_tokens=12)])
    assert [long] == run(model, [ITEMS[1]], Sampling(max_tokens=12))[0]


def test_one_seed_gives_one_answer_and_another_seed_another():
    model = model_of("base")
    how = [Sampling(max_tokens=12, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
    (first, again, other), _ = run(model, [ITEMS[0]] * 3, how)
    assert first == again != other


def test_encodings_made_before_give_the_same_logits():
    model = model_of("base")
    with torch.inference_mode():
        visual_ND = model.encode([ITEMS[2].visual])
        blind = replace(ITEMS[2], visual=VisualInput())
        given = Decoding(model, [blind], 1, visual_ND)
        assert torch.equal(given.logits_BV, Decoding(model, [ITEMS[2]], 1).logits_BV)


def test_rows_kept_by_select_continue_like_their_originals():
    model = model_of("everything")
    with torch.inference_mode():
        decoding = Decoding(model, ITEMS, 4)
        decoding.select(torch.tensor([2, 0, 2]))
        decoding.step(ANSWER[:3])
    for row, (origin, token) in enumerate(zip((2, 0, 2), ANSWER[:3], strict=True)):
        expected = reference_logits(model, ITEMS[origin], [token])[-1]
        assert farthest(decoding.logits_BV[row], expected) < TOLERANCE


def test_overflow_says_how_many_tokens_are_text_and_visual():
    model = model_of("base")
    with pytest.raises(ContextOverflow) as caught:
        next(generate(model, [ITEMS[2]], Sampling(max_tokens=90)))
    assert "5 text + 8 visual tokens + 90 answer tokens" in caught.value.problem
    assert "96" in caught.value.problem


DYNAMIC = {"positions": {"scaling": {"kind": "dynamic", "factor": 2.0, "original_context": 12}}}


def test_dynamic_scaling_is_refused_where_a_cache_cannot_be_exact():
    """Beyond its original context every new token turns all earlier ones anew."""
    model = tiny_model(tiny_spec(language=DYNAMIC))
    seven = item(words(7))
    assert len(run(model, [seven], Sampling(max_tokens=6))[0][0]) <= 6
    with pytest.raises(ContextOverflow, match="the 13 up to which dynamic scaling can be cached"):
        next(generate(model, [seven], Sampling(max_tokens=7)))


def test_dynamic_scaling_follows_each_sequence_of_a_batch_by_its_own_length():
    model = tiny_model(tiny_spec(language=DYNAMIC))
    together = follow(model, ITEMS, ())
    for row, one in enumerate(ITEMS):
        assert farthest(together[0, row], reference_logits(model, one)[-1]) < TOLERANCE


def test_room_is_counted_for_each_sequence_by_itself():
    """A long prompt with a short answer is not refused for its neighbour's long answer."""
    model = model_of("base")
    long, short = item(words(60)), item(words(3))
    answers, _ = run(model, [long, short], [Sampling(max_tokens=5), Sampling(max_tokens=60)])
    assert [answers[0]] == run(model, [long], Sampling(max_tokens=5))[0]
    assert [answers[1]] == run(model, [short], Sampling(max_tokens=60))[0]


def test_beams_are_refused_token_by_token():
    with pytest.raises(SamplingError) as caught:
        next(generate(model_of("base"), ITEMS[:1], Sampling(beams=2)))
    assert caught.value.field == "beams"


def test_a_prompt_that_reserves_too_few_places_is_refused():
    one = item([IMAGE, 5])
    wrong = replace(one, visual=ITEMS[0].visual)
    with pytest.raises(PlaceholderMismatch, match=r"reserves 1 .* emits 4"):
        next(generate(model_of("base"), [wrong], Sampling(max_tokens=2)))


def test_padding_is_not_an_answer():
    assert PAD not in STOPS  # the cases above would pass by accident if padding ended an answer
