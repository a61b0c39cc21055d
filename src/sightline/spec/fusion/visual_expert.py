"""Visual tokens in the sequence, with weights of their own in every block."""

from __future__ import annotations

from typing import Literal

from sightline.core.errors import SpecError
from sightline.spec.fusion.interleave import InSequenceSpec
from sightline.spec.language import DecoderSpec


class VisualExpertSpec(InSequenceSpec):
    """CogVLM (Wang et al. 2023): visual rows have their own q, k, v, output and feed-forward.

    All rows attend to each other as before; norms are shared. The last visual token of a run goes
    through the weights of text, as in the published code. With equal weights the model is its
    text model.
    """

    kind: Literal["visual_expert"] = "visual_expert"

    def check(self, language: DecoderSpec) -> None:
        """Raises SpecError for blocks that have no second set of weights here."""
        a = language.attention
        if language.block != "sequential" or a.qk_norm != "none" or a.soft_cap is not None:
            raise SpecError(
                "fusion",
                "visual_expert is built for sequential blocks without norms or caps of queries",
                "use interleave, or another text model",
            )
