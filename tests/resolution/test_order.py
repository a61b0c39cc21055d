"""The items of a layout in another order: each still shows its own views."""

from __future__ import annotations

import pytest
from tests.resolution.specs import model

from sightline.core.geometry import MediaSize
from sightline.resolution.layout import VisualLayout
from sightline.resolution.order import in_order
from sightline.resolution.policy import layout
from sightline.spec import CrossAttentionSpec, FusionSpec, InterleaveSpec, TilingSpec

MEDIA = [MediaSize(90, 28), MediaSize(28, 28), MediaSize(28, 60)]
ORDER = [2, 0, 1]


def owners(laid: VisualLayout) -> list[int]:
    """The media item of the view of each run, in the order of sequence or memory."""
    return [laid.views[run.view].media for run in laid.features()]


@pytest.mark.parametrize("fusion", [InterleaveSpec(), CrossAttentionSpec(layers=(0,))])
def test_runs_go_along_with_their_views(fusion: FusionSpec) -> None:
    spec = model(TilingSpec(tile=28, max_tiles=3)).model_copy(update={"fusion": fusion})
    laid = layout(spec, MEDIA)
    turned = in_order(laid, ORDER)
    alone = [layout(spec, [MEDIA[item]]) for item in ORDER]
    assert [view.size for view in turned.views] == [v.size for one in alone for v in one.views]
    assert owners(turned) == [i for i, one in enumerate(alone) for _ in one.features()]
    assert in_order(turned, [ORDER.index(item) for item in range(3)]) == laid
