"""Losses over target tokens."""

# B sequences  T tokens  D width  R target rows  V vocabulary

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sightline.core.errors import TrainError
from sightline.model.batch import Batch
from sightline.model.vlm import Vlm


def next_token(model: Vlm, batch: Batch, targets_BT: Tensor) -> Tensor:
    """Mean cross-entropy in nats of the tokens marked in bool `targets_BT`, each predicted from
    everything before it. Logits are made at those rows only.

    Raises TrainError if nothing is marked.
    """
    hidden_BTD = model(batch)
    predicted_BT = targets_BT[:, 1:]
    wanted_R = batch.token_ids_BT[:, 1:][predicted_BT]
    if wanted_R.numel() == 0:
        raise TrainError(
            "targets", "mark no token that has one before it", "leave such batches out of the data"
        )
    return F.cross_entropy(model.language.logits(hidden_BTD[:, :-1][predicted_BT]), wanted_R)
