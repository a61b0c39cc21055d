"""What can be trained, a model that answers or a pair of towers, and what each is trained with."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch

from sightline.core.errors import TrainError
from sightline.data.maker import RowMaker
from sightline.data.pairs import PairMaker
from sightline.data.rows import ConversationMaker
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.model.pair import Pair, build_pair
from sightline.model.pair_prepare import PairPreparer
from sightline.model.prepare import Preparer
from sightline.model.vlm import Vlm
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.model import ModelSpec
from sightline.spec.pair import PairSpec
from sightline.spec.train import Part, StageSpec, TrainSpec
from sightline.train.loop import Loss
from sightline.train.losses.contrastive import contrastive
from sightline.train.losses.next_token import next_token
from sightline.train.work import batch_flops, pair_flops
from sightline.train.world import ALONE, World

Trainee = Vlm | Pair


def new_model(spec: ModelSpec | PairSpec, train: TrainSpec) -> Trainee:
    """A model drawn from the run's seed, in the run's dtype."""
    model = build_pair(spec) if isinstance(spec, PairSpec) else build_model(spec)
    initialise(model, train.seed)
    return model.to(dtype_of(train))


def dtype_of(train: TrainSpec) -> torch.dtype:
    """What the model computes in."""
    return torch.bfloat16 if train.dtype == "bfloat16" else torch.float32


def maker_of(stage: StageSpec, model: Trainee, tokenizer: Tokenizer) -> RowMaker[Any]:
    """What makes the micro-batches of a stage. Raises TrainError for a model of the other kind."""
    match stage.kind, model:
        case "contrastive", Pair():
            return PairMaker(PairPreparer(model.spec, tokenizer))
        case "align" | "instruct", Vlm():
            return ConversationMaker(Preparer(model.spec, tokenizer))
        case "contrastive", _:
            problem = "contrastive needs a pair of towers, not a model that answers"
            raise TrainError("kind", problem, "give a model of kind: pair")
        case _:
            problem = f"{stage.kind} needs a model that answers, not a pair of towers"
            raise TrainError("kind", problem, "use kind: contrastive")


def loss_of(stage: StageSpec, world: World = ALONE) -> Loss:
    """The loss of a stage; pairs are compared over all processes of `world`."""
    match stage.kind:
        case "align" | "instruct":
            return next_token
        case "contrastive":
            return partial(contrastive, world=world)


def flops_of(
    model: Trainee, trains: Collection[Part], adapts: Collection[Part]
) -> Callable[[Any], int]:
    """What counts the model FLOPs of its micro-batches: of parts trained in full, and adapted."""
    if isinstance(model, Pair):
        return partial(pair_flops, model.spec, trains, adapts)
    return partial(batch_flops, model.spec, trains, adapts)
