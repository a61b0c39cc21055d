"""Training runs whose durations were published, and what this planner makes of them.

The share of the peak that training reaches is one number for everything, so an estimate is good to
a factor of two. These runs say how good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sightline.core.config import Spec
from sightline.planner.train import train_plan
from sightline.spec.connector import ConnectorSpec, LinearSpec, MlpSpec
from sightline.spec.language import AttentionSpec, DecoderSpec, MlpBlockSpec
from sightline.spec.layers import RmsNormSpec
from sightline.spec.model import ModelSpec
from sightline.spec.prompt import BuiltinTemplate, ImageTokenSpec, PromptSpec
from sightline.spec.resolution import FixedSpec
from sightline.spec.train import Part
from sightline.spec.train.budget import StageBudget
from sightline.spec.vision import VitSpec

GPUS, PRICE = 8, 2.0
ALIGN: tuple[Part, ...] = ("connector",)
INSTRUCT: tuple[Part, ...] = ("connector", "language")
CAPTION_TOKENS, CONVERSATION_TOKENS = 40, 250  # assumed means of the data sets' text

V1 = "arXiv:2304.08485, appendix: 595k pairs 4 h, 158k conversations 3 epochs 10 h"
V15 = "github.com/haotian-liu/LLaVA README: 558k pairs 3.5 h and 5.5 h, 665k 10 h and 20 h"
LESSON = "a lesson's table for 8 A100 at $2: 4 h + 20 h = $384"


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """One stage on eight A100, and how long it took."""

    name: str
    spec: ModelSpec
    stage: StageBudget
    hours: float
    source: str


class Calibration(Spec):
    """A published duration beside the estimate of it; a ratio below 1 is too optimistic."""

    name: str
    source: str
    published_hours: float
    planned_hours: float
    published_cost: float
    planned_cost: float
    ratio: float


def calibrate(runs: tuple[PublishedRun, ...]) -> tuple[Calibration, ...]:
    """The estimate for each run, at 2 a GPU hour."""
    return tuple(_calibrated(run) for run in runs)


def _calibrated(run: PublishedRun) -> Calibration:
    planned = train_plan(run.spec, run.stage, hardware="a100", gpus=GPUS, price_per_gpu_hour=PRICE)
    return Calibration(
        name=run.name,
        source=run.source,
        published_hours=run.hours,
        planned_hours=planned.hours,
        published_cost=run.hours * GPUS * PRICE,
        planned_cost=planned.cost,
        ratio=planned.hours / run.hours,
    )


def published_runs() -> tuple[PublishedRun, ...]:
    """LLaVA (224 pixels, one matrix) and LLaVA-1.5, by their authors."""
    v1 = llava("13b", side=224, connector=LinearSpec())
    small, large = llava("7b"), llava("13b")
    return (
        PublishedRun("LLaVA-13B align", v1, _align(595_000, 224), 4, V1),
        PublishedRun("LLaVA-13B instruct", v1, _instruct(158_000, 3, 224), 10, V1),
        PublishedRun("LLaVA-1.5-7B align", small, _align(558_000), 3.5, V15),
        PublishedRun("LLaVA-1.5-7B instruct", small, _instruct(665_000), 10, V15),
        PublishedRun("LLaVA-1.5-13B align", large, _align(558_000), 5.5, V15),
        PublishedRun("LLaVA-1.5-13B instruct", large, _instruct(665_000), 20, V15),
    )


def lesson_runs() -> tuple[PublishedRun, ...]:
    """The recipe as lessons teach it: LLaVA's data, LLaVA-1.5-13B's model."""
    large = llava("13b")
    return (
        PublishedRun("align, 595k pairs", large, _align(595_000), 4, LESSON),
        PublishedRun("instruct, 158k × 3", large, _instruct(158_000, 3), 20, LESSON),
    )


def _align(samples: int, side: int = 336) -> StageBudget:
    return StageBudget(
        name="align",
        trains=ALIGN,
        samples=samples,
        text_tokens=CAPTION_TOKENS,
        images=((side, side),),
    )


def _instruct(samples: int, epochs: float = 1, side: int = 336) -> StageBudget:
    return StageBudget(
        name="instruct",
        trains=INSTRUCT,
        samples=samples,
        epochs=epochs,
        text_tokens=CONVERSATION_TOKENS,
        images=((side, side),),
    )


def llava(
    language: Literal["7b", "13b"], *, side: int = 336, connector: ConnectorSpec | None = None
) -> ModelSpec:
    """LLaVA-1.5 by its published config; v1 with side 224 and a linear connector."""
    return ModelSpec(
        resolution=FixedSpec(size=side, fit="pad"),
        vision=clip_large(side),
        connector=connector or MlpSpec(),
        language=vicuna(language),
        prompt=PromptSpec(
            template=BuiltinTemplate(name="vicuna"), image=ImageTokenSpec(id=32000), bos_id=1
        ),
    )


def clip_large(side: int = 336) -> VitSpec:
    """CLIP ViT-L/14 as LLaVA uses it: the last hidden state but one, without the class token."""
    return VitSpec(
        width=1024,
        depth=24,
        heads=16,
        mlp_width=4096,
        patch=14,
        image_size=side,
        activation="quick_gelu",
        class_token="drop",
        patch_bias=False,
        pre_norm=True,
        post_norm="unused",
        norm_eps=1e-5,
        layer=-2,
    )


def vicuna(size: Literal["7b", "13b"]) -> DecoderSpec:
    """Vicuna v1.5 (Llama 2) with the 64 added rows of LLaVA's Hugging Face folders."""
    width, depth, heads, mlp = (4096, 32, 32, 11008) if size == "7b" else (5120, 40, 40, 13824)
    return DecoderSpec(
        vocab=32064,
        width=width,
        depth=depth,
        context=4096,
        attention=AttentionSpec(heads=heads, kv_heads=heads, head_dim=128),
        mlp=MlpBlockSpec(width=mlp),
        norm=RmsNormSpec(eps=1e-5),
    )
