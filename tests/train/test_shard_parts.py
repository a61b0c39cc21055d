"""What keeps processes alike, seen in one: what is run for no row, what is told, what is refused.

tests/train/test_shard.py runs it in several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from tests.helpers.shard_cases import CASES, model_spec
from tests.helpers.speaking import assistant, picture, tokenizer, user

from sightline.core.errors import DataError, TrainError
from sightline.data.collate import TrainBatch
from sightline.data.loader import StepData
from sightline.model.batch import Batch, collate, pack
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.model.prepare import Preparer
from sightline.model.visual import Idle, passes
from sightline.model.vlm import Vlm
from sightline.nn.nf4 import quantise
from sightline.spec.model import ModelSpec
from sightline.spec.packing import packing_refusal
from sightline.spec.train import ScenesSpec, StageSpec
from sightline.train.even import WORD, Evener, Use, blank_view, idle_of
from sightline.train.joint import joint
from sightline.train.shard import refuse_unsharded
from sightline.train.world import World, _is_lost

MODELS = ("interleave", "deep_stack", "visual_expert", "cross_everything", "cross_nothing",
          "native", "anyres", "qformer")  # fmt: skip
WIDE, TALL = (30, 14), (12, 20)


def model(name: str) -> Vlm:
    made = build_model(model_spec(CASES[name]))
    initialise(made, 0)
    return made


def batch(made: Vlm, *shown: tuple[int, int] | None, packed: bool = False) -> Batch:
    """A row for each picture of a size, or for text alone."""
    prepare = Preparer(made.spec, tokenizer())
    asked = [
        user(picture(*size), "Where is it?") if size is not None else user("Where is it?")
        for size in shown
    ]
    rows = [prepare([one, assistant("left")], add_generation_prompt=False) for one in asked]
    return pack(rows) if packed else collate(rows, made.spec.prompt.pad_id, "right")


def gradients(made: Vlm, given: Batch) -> dict[str, torch.Tensor | None]:
    made.zero_grad()
    (made(given) ** 2).sum().backward()
    return {name: p.grad for name, p in made.named_parameters()}


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("name", MODELS)
def test_idle_text_uses_every_tensor_that_pictures_use(name: str, packed: bool) -> None:
    """So processes reduce the same tensors; hidden states and other gradients stay as they are."""
    made = model(name)
    if packed and packing_refusal(made.spec) is not None:
        pytest.skip("cannot be packed")
    seen, text = batch(made, WIDE, TALL, packed=packed), batch(made, None, None, packed=packed)
    idle = idle_of(made.spec, [Use.of(text), Use.of(seen)], rank=0)
    beside = replace(text, idle=idle)
    assert torch.equal(made(beside), made(text))
    wanted, without, found = (gradients(made, given) for given in (seen, text, beside))
    missing = {n for n, g in wanted.items() if g is not None and without[n] is None}
    assert any(n.startswith("vision.") for n in missing), "what the blank view is for"
    assert {n for n, g in found.items() if g is not None} == {
        n for n, g in wanted.items() if g is not None
    } | {n for n, g in without.items() if g is not None}
    for n, gradient in found.items():
        if n in missing:
            assert gradient is not None and not gradient.any(), n
        elif gradient is not None:
            torch.testing.assert_close(gradient, without[n])


def test_words_of_the_user_are_read_for_no_row() -> None:
    reads = {"instruction": {"vocab": 30, "context": 9}}
    base = model_spec(CASES["qformer"]).model_dump()
    spec = ModelSpec.parse({**base, "connector": {**base["connector"], **reads}})
    made = build_model(spec)
    initialise(made, 0)
    silent = batch(model("qformer"), WIDE)  # the tokenizer of the tests reads no words
    told = replace(silent, visuals=(replace(silent.visuals[0], instruction_ids=(3, 5)),))
    idle = idle_of(spec, [Use.of(silent), Use.of(told)], rank=0)
    wanted, without, found = (
        {n for n, g in gradients(made, given).items() if g is not None}
        for given in (told, silent, replace(silent, idle=idle))
    )
    assert {"connector.words.embed", "connector.words.positions"} <= wanted - without
    assert found == wanted


@pytest.mark.parametrize("name", MODELS)
def test_idle_pictures_stay_as_they_are(name: str) -> None:
    made = model(name)
    seen = batch(made, WIDE, None)
    beside = replace(seen, idle=Idle((blank_view(made.spec, WORD),) * 2, tuple(made.learned)))
    wanted, found = gradients(made, seen), gradients(made, beside)
    torch.testing.assert_close(made(beside), made(seen))
    for n, gradient in wanted.items():
        if gradient is not None:
            torch.testing.assert_close(found[n], gradient, rtol=1e-5, atol=1e-6)


def test_processes_run_the_encoder_equally_often() -> None:
    spec = model("native").spec
    uses = [Use(2), Use(0), Use(1)]
    found = [idle_of(spec, uses, rank) for rank in range(3)]
    assert [len(idle.blanks) for idle in found if idle is not None] == [0, 2, 1]
    assert idle_of(spec, [Use(), Use()], 0) is None


def test_sizes_of_views_are_passes() -> None:
    made = model("native")
    assert Use.of(batch(made, WIDE, WIDE)).passes == 1
    assert Use.of(batch(made, WIDE, TALL, None)).passes == 2
    assert Use.of(batch(made, None)) == Use()
    assert Use.of(batch(model("anyres"), WIDE)).learned == {"newline"}


def test_words_are_read_where_another_process_reads_some() -> None:
    spec = model("qformer").spec
    silent, told = (idle_of(spec, [Use(1), Use(1, told=True)], rank) for rank in (0, 1))
    assert silent is not None and told is not None
    for idle in (silent, told):  # both run two passes
        assert [blank.instruction_ids for blank in idle.blanks] == [WORD]


@pytest.mark.parametrize("name", MODELS)
def test_a_blank_view_is_one_pass_of_the_smallest_size(name: str) -> None:
    made = model(name)
    blank = blank_view(made.spec)
    assert len(passes([blank])) == 1
    smallest = min(p.numel() for p in batch(made, WIDE, TALL, (1, 1)).pixels)
    assert blank.pixels[0].numel() == smallest


@dataclass(frozen=True)
class Told(World):
    """A process that hears what the others are made to say."""

    others: tuple[Any, ...] = ()
    size: int = 2
    said: list[Any] = field(default_factory=list)

    def gathered(self, value: Any) -> list[Any]:
        self.said.append(value)
        return [value, *self.others]


def step(*ids: str, bad: tuple[DataError, ...] = ()) -> StepData[int]:
    return StepData((0,), {"draw": 4, "bad": len(bad)}, ids, bad)


def errors(*rows: int) -> tuple[DataError, ...]:
    return tuple(DataError(f"rows.jsonl:{row}", "is no object", "mend it") for row in rows)


def said_by(*ids: str, bad: tuple[DataError, ...] = ()) -> Any:
    """What another process gives for such a step."""
    other = Told()
    next(joint([step(*ids, bad=bad)], other, 9, None))
    return other.said[0]


def test_a_step_has_the_rows_of_all_processes() -> None:
    """A row that both met (measured in each) is bad once; counts go on from the state."""
    other = said_by("c", bad=errors(3, 7))
    world = Told(others=(other,))
    [found] = joint([step("a", "b", bad=errors(3))], world, 4, {"bad": 2})
    assert list(found.ids) == ["a", "b", "c"]
    assert [str(error) for error in found.bad] == [str(error) for error in errors(3, 7)]
    assert found.state == {"draw": 4, "bad": 4}


def test_bad_rows_are_counted_over_all_processes() -> None:
    world = Told(others=(said_by("c", bad=errors(7)),))
    with pytest.raises(DataError, match=r"2 rows are bad.*1 are allowed.*rows\.jsonl:7"):
        next(joint([step("a", bad=errors(3))], world, 1, None))


def test_an_error_of_one_is_raised_in_all() -> None:
    def fails() -> Iterator[StepData[int]]:
        raise errors(5)[0]
        yield

    failing = Told(others=(said_by("b"),))
    with pytest.raises(DataError, match=r"rows\.jsonl:5"):
        next(joint(fails(), failing, 0, None))
    with pytest.raises(DataError, match=r"rows\.jsonl:5"):
        next(joint([step("a")], Told(others=(failing.said[0],)), 0, None))


def test_alone_nothing_is_asked() -> None:
    steps = [step("a"), step("b")]
    assert list(joint(steps, World(), 0, None)) == steps


def stage(**changes: Any) -> StageSpec:
    return StageSpec(kind="instruct", data=ScenesSpec(), steps=200, **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"optimizer": "muon"}, "muon needs whole matrices"),
        ({"optimizer": "adamw8bit"}, "blocks of whole tensors"),
    ],
)
def test_what_needs_whole_tensors_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(TrainError, match=reason):
        refuse_unsharded(model("interleave"), stage(**changes))


def test_nf4_and_batch_norm_are_refused() -> None:
    made = model("interleave")
    refuse_unsharded(made, stage())
    made.vision.norm = torch.nn.BatchNorm2d(3)
    with pytest.raises(TrainError, match=r"means of what each process sees.*vision\.norm"):
        refuse_unsharded(made, stage())
    del made.vision.norm
    quantise([made.language.blocks[0].mlp.up])
    with pytest.raises(TrainError, match=r"NF4.*language\.blocks\.0\.mlp\.up"):
        refuse_unsharded(made, stage())


def test_losing_a_process_is_told_from_other_errors() -> None:
    assert _is_lost(RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer"))
    assert _is_lost(torch.distributed.DistBackendError("NCCL error"))
    assert not _is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_evening_is_per_micro_batch() -> None:
    made = model("native")
    shown = [batch(made, WIDE, TALL), batch(made, None)]
    micro = [TrainBatch(b, torch.zeros(b.token_ids_BT.shape), (), 0, 0) for b in shown]
    world = Told(others=([Use(1), Use(1)],))
    first, second = Evener(made.spec, world)(micro)
    assert first.batch.idle == Idle()
    assert second.batch.idle is not None and len(second.batch.idle.blanks) == 1
