"""Learned newlines, norms in the connector and pooled clips, planned as they are built."""

from __future__ import annotations

from tests.planner.specs import decoder, model, vit
from tests.planner.test_allocation import assert_same

from sightline.core.geometry import MediaSize
from sightline.planner.context import at_side, standard_picture
from sightline.planner.work import encode_work, parameters
from sightline.resolution.policy import layout
from sightline.spec import AnyresSpec, MlpSpec, ModelSpec
from sightline.spec.resolution import ClipSpec, PoolSpec


def seeing(**choices: object) -> ModelSpec:
    tiles = AnyresSpec(size=28, pinpoints=((28, 56), (56, 56)), **choices)
    spec = model(decoder(), vit(), MlpSpec(norms=True))
    return spec.model_copy(update={"resolution": tiles})


def test_newlines_and_norms_are_counted() -> None:
    assert_same(seeing())
    assert_same(seeing(merge="flat"))
    width = seeing().language.width
    assert parameters(seeing())[1] - parameters(seeing(merge="flat"))[1] == width


def test_pooling_before_the_connector_saves_its_work() -> None:
    clip = [MediaSize(90, 40, frames=2, video=True)]
    early, late = (
        seeing(clip=ClipSpec(pool=PoolSpec(at=at, mode="average"))) for at in ("features", "tokens")
    )
    work = [encode_work(spec, layout(spec, clip), "fp32").flops for spec in (early, late)]
    rows, width = 16 - 4, early.language.width
    matrices = early.vision.width * width + width * width
    assert work[1] - work[0] == 2 * 2 * rows * matrices


def test_the_picture_it_was_made_for() -> None:
    spec = seeing()
    assert standard_picture(spec) == MediaSize(56, 56)
    seen, picture = at_side(spec, 100)
    assert picture == MediaSize(100, 100)
    assert seen.resolution.pinpoints == ((112, 112),)
