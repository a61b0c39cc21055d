"""Cross-entropy over target tokens."""

# B sequences  T tokens  D width  R target rows  V vocabulary

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sightline.core.errors import TrainError
from sightline.data.collate import TrainBatch
from sightline.model.vlm import Vlm


def next_token(model: Vlm, batch: TrainBatch) -> Tensor:
    """Sum of weight · cross-entropy (float32, nats) over target tokens, each predicted from
    everything before it. Logits are made at those rows only.

    Divided by `batch.weight` it is the mean. A micro-batch of no row (`TrainBatch.silent`, which
    keeps several processes in step) runs through the whole model and gives zero. Raises TrainError
    if rows have no target.
    """
    if not batch.rows:
        return 0 * model.language.logits(model(batch.batch)[:, :1]).sum()
    weights_BT = batch.weights_BT[:, 1:]
    wanted_BT = weights_BT > 0
    ids_R = batch.batch.token_ids_BT[:, 1:][wanted_BT]
    if ids_R.numel() == 0:
        raise TrainError(
            "targets", "mark no token that has one before it", "leave such batches out of the data"
        )
    hidden_BTD = model(batch.batch)
    logits_RV = model.language.logits(hidden_BTD[:, :-1][wanted_BT])
    losses_R = F.cross_entropy(logits_RV.float(), ids_R, reduction="none")
    return losses_R @ weights_BT[wanted_BT]
