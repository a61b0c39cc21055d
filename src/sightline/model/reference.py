"""The slow path that the fast ones are compared with: one sequence, no cache, dense masks."""

# T tokens  V vocabulary

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sightline.model.batch import Sequenced, collate
from sightline.model.vlm import Vlm


@torch.inference_mode()
def reference_logits(model: Vlm, item: Sequenced, answer_ids: list[int] | None = None) -> Tensor:
    """float32 logits[T, V] at every position of one conversation and an answer after it.

    Every token is computed anew, under a mask that is written out.
    """
    batch = collate([item], model.spec.prompt.pad_id, "right").to(model.device, model.dtype)
    extra = torch.tensor([answer_ids or []], dtype=torch.int64, device=model.device)
    after = batch.positions_ABT.amax() + 1 + torch.arange(extra.shape[1], device=model.device)
    axes, latest = batch.positions_ABT.shape[0], batch.latest_BT
    token_ids_BT = torch.cat((batch.token_ids_BT, extra), 1)
    batch = replace(
        batch,
        token_ids_BT=token_ids_BT,
        visual_BT=torch.cat((batch.visual_BT, torch.zeros_like(extra, dtype=torch.bool)), 1),
        positions_ABT=torch.cat((batch.positions_ABT, after.expand(axes, 1, -1)), 2),
        mask=replace(
            batch.mask.with_room(extra.shape[1]), document_BS=torch.zeros_like(token_ids_BT)
        ),
        latest_BT=None if latest is None else torch.cat((latest, latest[:, -1:] + 0 * extra), 1),
    )
    return model.language.logits(model(batch))[0]


@torch.inference_mode()
def reference_greedy(model: Vlm, item: Sequenced, max_tokens: int) -> list[int]:
    """Greedy answer by recomputing everything for every token."""
    answer: list[int] = []
    while len(answer) < max_tokens:
        answer.append(int(reference_logits(model, item, answer)[-1].argmax()))
        if answer[-1] in model.spec.prompt.stop_ids:
            break
    return answer
