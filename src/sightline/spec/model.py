"""The declared object: six choices that must fit together."""

from __future__ import annotations

from pydantic import Field, model_validator

from sightline.core.config import Spec
from sightline.core.errors import SpecError
from sightline.spec.connector import ConnectorSpec, MergerSpec
from sightline.spec.fusion import (
    CrossAttentionSpec,
    DeepStackSpec,
    FusionSpec,
    InSequenceSpec,
    InterleaveSpec,
    VisualExpertSpec,
)
from sightline.spec.language import LanguageSpec, RopeSpec
from sightline.spec.prompt import PromptSpec
from sightline.spec.resolution import (
    AnyresSpec,
    CanvasSpec,
    FixedSpec,
    LongestEdgeSpec,
    NativeSpec,
    ResolutionSpec,
    TilingSpec,
)
from sightline.spec.vision import TiledVitSpec, VisionSpec


class ModelSpec(Spec):
    """A vision-language model as six independent choices.

    Raises SpecError where parts contradict each other: a view too small for one patch, a
    placeholder id outside the vocabulary.
    """

    resolution: ResolutionSpec
    vision: VisionSpec
    connector: ConnectorSpec
    fusion: FusionSpec = Field(default_factory=InterleaveSpec)
    language: LanguageSpec
    prompt: PromptSpec

    @model_validator(mode="after")
    def _parts_meet(self) -> ModelSpec:
        self._check_view()
        if isinstance(self.resolution, AnyresSpec):
            self._check_sheets(self.resolution)
        if isinstance(self.resolution, NativeSpec | LongestEdgeSpec):
            self._check_native(self.resolution)
        self._check_axes()
        self._check_levels()
        self._check_ids()
        self._check_tiles()
        self._check_memory()
        return self

    def _check_view(self) -> None:
        if self.resolution.least_side < self.vision.patch:
            raise SpecError(
                "resolution.size",
                f"{self.resolution.least_side} pixels hold no patch of {self.vision.patch}",
                "use a larger size or a smaller patch",
            )
        if isinstance(self.resolution, FixedSpec | TilingSpec):  # all views are alike: ask for one
            cells = self.vision.grid(self.resolution.least_side, self.resolution.least_side)
            self.connector.tokens(self.vision.tokens(cells), cells)

    def _check_sheets(self, resolution: AnyresSpec) -> None:
        """Rows and columns can be cut and pooled only where the tokens form them."""
        cells = self.vision.grid(resolution.size, resolution.size)
        rows, pool = self.vision.tokens(cells), resolution.clip.pool
        if pool is not None and pool.at == "features" and rows != cells.area:
            raise SpecError(
                "resolution.clip.pool",
                f"{rows} encoder rows are not the {cells.area} patches",
                "use class_token: drop, or pool at tokens",
            )
        tokens, grid = self.connector.tokens(rows, cells), self.connector.grid(cells)
        pools = pool is not None and pool.at == "tokens"
        if (resolution.merge == "unpad" or pools) and (
            grid.area != tokens or min(grid.rows, grid.cols) < min(tokens, 2)
        ):
            raise SpecError(
                "resolution.clip.pool" if pools else "resolution.merge",
                f"needs rows and columns, which the {tokens} tokens of a view do not form",
                "use another connector, class_token: drop, or merge: flat without pooled tokens",
            )

    def _check_native(self, resolution: NativeSpec | LongestEdgeSpec) -> None:
        """Views of any shape hold whole patches, and what the connector joins of them."""
        if resolution.multiple % self.vision.patch:
            raise SpecError(
                "resolution.multiple",
                f"{resolution.multiple} is no multiple of the patch of {self.vision.patch}",
                "use patch × the side of what the connector joins",
            )
        cells = self.vision.grid(resolution.multiple, resolution.multiple)
        self.connector.tokens(self.vision.tokens(cells), cells)

    def _check_axes(self) -> None:
        """Places on three axes need rotations that read them."""
        rope = self.language.positions
        read = isinstance(rope, RopeSpec) and rope.sections is not None
        if isinstance(self.fusion, InSequenceSpec) and self.fusion.positions == "grid" and not read:
            raise SpecError(
                "fusion.positions",
                "grid places tokens on three axes, the language model turns with one",
                "state language.positions.sections, or use sequential",
            )

    def _check_levels(self) -> None:
        """Deeper features come from the connector and are added by the fusion, or by neither."""
        made = self.connector.levels if isinstance(self.connector, MergerSpec) else 0
        used = self.fusion.levels if isinstance(self.fusion, DeepStackSpec) else 0
        if self.vision.out_width % (1 + made):
            raise SpecError(
                "connector.levels",
                f"{made} levels beside the last do not divide {self.vision.out_width} channels",
                "let vision.deep_layers name as many",
            )
        if made != used:
            raise SpecError(
                "fusion",
                f"adds {used} levels, the connector makes {made}",
                "use kind: deep_stack and equal levels, or neither",
            )
        if used > self.language.depth:
            raise SpecError(
                "fusion.levels", f"{used} exceeds {self.language.depth} layers", "use fewer"
            )
        if used and self.resolution.learned:
            raise SpecError(
                "fusion",
                f"deep_stack has no features for the learned {self.resolution.learned[0]}",
                "use another resolution",
            )

    def _check_tiles(self) -> None:
        """An encoder of tiles takes views that are whole tiles."""
        vision, resolution = self.vision, self.resolution
        if not isinstance(vision, TiledVitSpec):
            return
        tiled = isinstance(resolution, CanvasSpec) and resolution.tiles <= vision.tiles
        if not tiled and not isinstance(resolution, FixedSpec):
            raise SpecError(
                "resolution",
                f"{resolution.kind} gives views that are not up to {vision.tiles} tiles",
                f"use kind: canvas with tiles: {vision.tiles}",
            )
        if resolution.least_side != vision.image_size:
            raise SpecError(
                "resolution.size",
                f"{resolution.least_side} is not the encoder's tile of {vision.image_size}",
                "use equal sizes",
            )

    def _check_memory(self) -> None:
        fusion, language = self.fusion, self.language
        if isinstance(fusion, VisualExpertSpec):
            fusion.check(language)
        if not isinstance(fusion, CrossAttentionSpec):
            return
        fusion.attention(language)
        if fusion.layers[-1] >= language.depth:
            raise SpecError(
                "fusion.layers",
                f"{fusion.layers[-1]} is not one of {language.depth} blocks",
                f"use 0..{language.depth - 1}",
            )

    @property
    def visual_width(self) -> int:
        """Channels of a row that leaves the connector."""
        match self.fusion:
            case CrossAttentionSpec() as fusion:
                return fusion.width(self.language)
            case _:
                return self.language.width

    def _check_ids(self) -> None:
        prompt, vocab = self.prompt, self.language.vocab + self.language.unspoken
        named = {
            "prompt.image.id": prompt.image.id,
            "prompt.video.id": prompt.video.id if prompt.video else 0,
            "prompt.pad_id": prompt.pad_id,
            "prompt.bos_id": prompt.bos_id or 0,
        }
        for field, ids in (
            ("stop_ids", prompt.stop_ids),
            ("image.before", prompt.image.before),
            ("image.after", prompt.image.after),
            ("video.before", prompt.video.before if prompt.video else ()),
            ("video.after", prompt.video.after if prompt.video else ()),
        ):
            named |= {f"prompt.{field}.{i}": id_ for i, id_ in enumerate(ids)}
        named |= {f"resolution.text_ids.{i}": id_ for i, id_ in enumerate(self.resolution.text_ids)}
        for field, value in named.items():
            if value >= vocab:
                raise SpecError(
                    field,
                    f"{value} is outside the vocabulary of {vocab}",
                    "grow language.vocab or choose an id inside",
                )
