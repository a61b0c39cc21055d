"""A pair of towers, one for pictures and one for texts, whose embeddings are compared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.language import LanguageSpec, RopeSpec
from sightline.spec.layers import Activation
from sightline.spec.resolution import FixedSpec
from sightline.spec.vision import VitSpec


class ClassTokenPoolSpec(Spec):
    """The class token's row is the picture (CLIP)."""

    kind: Literal["class_token"] = "class_token"


class MeanPoolSpec(Spec):
    """The mean over the patches is the picture."""

    kind: Literal["mean"] = "mean"


class AttentionPoolSpec(Spec):
    """A learned query reads the rows, then passes norm and MLP beside a residual (SigLIP's MAP)."""

    kind: Literal["attention"] = "attention"
    heads: int = Field(ge=1)
    mlp_width: int = Field(ge=1)
    activation: Activation = "gelu_tanh"
    norm_eps: float = Field(default=1e-6, gt=0)


ImagePoolSpec = Annotated[
    ClassTokenPoolSpec | MeanPoolSpec | AttentionPoolSpec, Field(discriminator="kind")
]


class TextEncoderSpec(Spec):
    """A transformer over token ids, read at one of its places.

    | switch  | CLIP    | CLIP's first files | SigLIP        |
    |---------|---------|--------------------|---------------|
    | mask    | causal  | causal             | bidirectional |
    | pool    | end     | highest            | last          |
    | padding | longest | longest            | context       |

    `stack` is a decoder of any kind with a tied head, which is not used. A text is `bos_id` (if
    there is one), its tokens and `eos_id`, then `pad_id` up to the longest of a batch or to the
    whole context. `pool`: the row at the first `eos_id`; at the `highest` id (where that is the end
    token); or the `last` one, padding or not. Padding is seen like any token, so a bidirectional
    stack and `last` need `padding: context`: else an embedding would depend on its neighbours.
    `cleaning`: `lower` lowers letters (SigLIP 2); `canonical` also removes ASCII punctuation and
    spare white space (SigLIP). `long_text`: texts beyond the context are refused, or `cut` before
    the end token and counted.
    """

    stack: LanguageSpec
    mask: Literal["causal", "bidirectional"] = "causal"
    pool: Literal["end", "highest", "last"] = "end"
    padding: Literal["longest", "context"] = "longest"
    bos_id: int | None = Field(default=None, ge=0)
    eos_id: int = Field(ge=0)
    pad_id: int = Field(ge=0)
    cleaning: Literal["none", "lower", "canonical"] = "none"
    long_text: Literal["refuse", "cut"] = "refuse"

    @model_validator(mode="after")
    def _has_no_head(self) -> TextEncoderSpec:
        if not self.stack.tied_head or self.stack.head_bias:
            raise SpecError(
                "stack.tied_head", "gives a head that nothing reads", "use tied_head: true, no bias"
            )
        return self

    @model_validator(mode="after")
    def _stands_alone(self) -> TextEncoderSpec:
        if self.padding == "longest" and (self.mask == "bidirectional" or self.pool == "last"):
            why = "mask: bidirectional" if self.mask == "bidirectional" else "pool: last"
            raise SpecError(
                "padding", f"longest with {why} lets texts of a batch differ", "use context"
            )
        if self.pool == "highest" and max(self.pad_id, self.bos_id or 0) > self.eos_id:
            raise SpecError(
                "pool", f"highest does not find eos_id {self.eos_id}", "use end, or lower ids"
            )
        return self

    @model_validator(mode="after")
    def _knows_its_ids(self) -> TextEncoderSpec:
        for name in ("bos_id", "eos_id", "pad_id"):
            if (id_ := getattr(self, name) or 0) >= self.stack.vocab:
                raise SpecError(
                    name, f"{id_} is outside the vocabulary of {self.stack.vocab}", "mend the id"
                )
        least = 2 + (self.bos_id is not None)
        if self.stack.context < least:
            raise SpecError(
                "stack.context", f"{self.stack.context} holds no word", f"use at least {least}"
            )
        return self

    @property
    def extra_tokens(self) -> int:
        """Tokens around a text: the end, and the beginning where there is one."""
        return 1 + (self.bos_id is not None)


class SoftmaxLossSpec(Spec):
    """CLIP's loss (Radford et al. 2021): each picture picks its text among all, and the reverse.

    `scale` multiplies cosines at first; training keeps it at most `most_scale`.
    """

    kind: Literal["softmax"] = "softmax"
    scale: float = Field(default=1 / 0.07, gt=0)
    most_scale: float = Field(default=100.0, gt=0)

    @model_validator(mode="after")
    def _begins_below(self) -> SoftmaxLossSpec:
        if self.scale > self.most_scale:
            raise SpecError("scale", f"{self.scale} exceeds most_scale", "lower it")
        return self


class SigmoidLossSpec(Spec):
    """SigLIP's loss (Zhai et al. 2023): every combination is a yes or no of its own.

    `scale` and `bias` are those of the first step.
    """

    kind: Literal["sigmoid"] = "sigmoid"
    scale: float = Field(default=10.0, gt=0)
    bias: float = -10.0


PairLossSpec = Annotated[SoftmaxLossSpec | SigmoidLossSpec, Field(discriminator="kind")]


class PairSpec(Spec):
    """Two towers with embeddings of one `width`, and the loss that they are trained with.

    | switch           | CLIP        | SigLIP    |
    |------------------|-------------|-----------|
    | image_pool       | class_token | attention |
    | image_projection | linear      | none      |
    | text_projection  | linear      | affine    |
    | loss             | softmax     | sigmoid   |

    Projections: `linear` without bias, `affine` with one, `none` where the width is right already.
    Raises SpecError where widths do not meet.
    """

    kind: Literal["pair"] = "pair"
    resolution: Annotated[FixedSpec, Field(discriminator=None)]
    vision: Annotated[VitSpec, Field(discriminator=None)]
    image_pool: ImagePoolSpec
    image_projection: Literal["none", "linear", "affine"] = "linear"
    text: TextEncoderSpec
    text_projection: Literal["none", "linear", "affine"] = "linear"
    width: int = Field(ge=1)
    loss: PairLossSpec = SoftmaxLossSpec()

    @model_validator(mode="after")
    def _widths_meet(self) -> PairSpec:
        towers = (("image", self.vision.out_width), ("text", self.text.stack.width))
        for name, found in towers:
            if getattr(self, f"{name}_projection") == "none" and found != self.width:
                raise SpecError(
                    f"{name}_projection",
                    f"none leaves {found} channels, embeddings have {self.width}",
                    "use linear, or equal widths",
                )
        pool = self.image_pool
        if isinstance(pool, AttentionPoolSpec) and self.vision.out_width % pool.heads:
            raise SpecError(
                "image_pool.heads",
                f"{pool.heads} does not divide {self.vision.out_width}",
                "choose a divisor",
            )
        return self

    @model_validator(mode="after")
    def _pools_what_leaves(self) -> PairSpec:
        token = self.vision.class_token
        if isinstance(self.image_pool, ClassTokenPoolSpec) and token != "keep":
            raise SpecError(
                "image_pool", f"reads a class token, which is {token}", "use class_token: keep"
            )
        if isinstance(self.image_pool, MeanPoolSpec) and token == "keep":
            raise SpecError(
                "image_pool", "would mix the class token with patches", "use class_token: drop"
            )
        return self

    @model_validator(mode="after")
    def _sees_patches(self) -> PairSpec:
        if self.resolution.size < self.vision.patch:
            raise SpecError(
                "resolution.size",
                f"{self.resolution.size} pixels hold no patch of {self.vision.patch}",
                "use a larger size or a smaller patch",
            )
        if self.resolution.ends is not None:
            raise SpecError("resolution.ends", "have no place in a pair", "leave them out")
        if self.vision.frames_per_view != 1:
            raise SpecError("vision.frames_per_view", "is not 1", "a pair reads pictures: use 1")
        return self

    @model_validator(mode="after")
    def _counts_on_one_axis(self) -> PairSpec:
        rope = self.text.stack.positions
        if isinstance(rope, RopeSpec) and rope.sections is not None:
            raise SpecError(
                "text.stack.positions.sections", "turn with rows and columns", "leave them out"
            )
        return self
