"""Token after token: prefill once, then one column a step."""

# B sequences  T tokens  V vocabulary  D width  A position axes

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sightline.core.errors import ContextOverflow
from sightline.model.batch import Batch, Sequenced, collate
from sightline.model.vlm import Vlm
from sightline.nn.kv_cache import KvCache
from sightline.nn.masks import Mask
from sightline.nn.sampling import Sampler
from sightline.spec.sampling import Sampling


class Decoding:
    """A batch of conversations in progress: logits for the next token of each, one step a time.

    Sequences are padded on the left and share the columns of one contiguous cache.
    """

    def __init__(
        self,
        model: Vlm,
        items: Sequence[Sequenced],
        max_tokens: int,
        visual_ND: Tensor | None = None,
    ) -> None:
        self.model = model
        batch = collate(items, model.spec.prompt.pad_id, "left").to(model.device, model.dtype)
        columns = batch.token_ids_BT.shape[1]
        _check_room(model, items, max_tokens)
        self.cache: KvCache = model.language.new_cache(len(items), columns + max_tokens)
        self.mask = _with_room(batch.mask, max_tokens)
        self.next_position_B = batch.positions_ABT.amax((0, 2)) + 1
        self.axes = batch.positions_ABT.shape[0]
        hidden_BTD = model(_masked(batch, self.mask), cache=self.cache, visual_ND=visual_ND)
        self.logits_BV = model.language.logits(hidden_BTD[:, -1])

    def step(self, tokens: Sequence[int]) -> None:
        """Feed the chosen token of each sequence; afterwards `logits_BV` are those that follow."""
        token_ids_B1 = torch.tensor(tokens, device=self.model.device)[:, None]
        positions = self.next_position_B[None, :, None].expand(self.axes, -1, 1)
        x_B1D = self.model.language.embed_tokens(token_ids_B1)
        hidden_B1D = self.model.language(x_B1D, positions, self.mask, cache=self.cache)
        self.next_position_B = self.next_position_B + 1
        self.logits_BV = self.model.language.logits(hidden_B1D[:, -1])

    def select(self, rows: Tensor) -> None:
        """Keep (and repeat) sequences by row."""
        self.cache.select(rows)
        self.next_position_B = self.next_position_B[rows]
        self.logits_BV = self.logits_BV[rows]
        if self.mask.document_BS is not None:
            self.mask = Mask(self.mask.causal, self.mask.document_BS[rows])


def _masked(batch: Batch, mask: Mask) -> Batch:
    return Batch(batch.token_ids_BT, batch.visual_BT, batch.positions_ABT, mask, batch.pixels_V3HW)


def _with_room(mask: Mask, extra: int) -> Mask:
    """Columns that will be generated belong to the one document of their row."""
    if mask.document_BS is None:
        return mask
    room = mask.document_BS.new_zeros(mask.document_BS.shape[0], extra)
    return Mask(mask.causal, torch.cat((mask.document_BS, room), dim=1))


def _check_room(model: Vlm, items: Sequence[Sequenced], max_tokens: int) -> None:
    context = model.spec.language.context
    for item in items:
        total, visual = len(item.token_ids), int(item.visual_T.sum())
        if total + max_tokens > context:
            raise ContextOverflow(
                "max_tokens",
                f"{total - visual} text + {visual} visual tokens + {max_tokens} "
                f"answer tokens exceed the context of {context}",
                "shorten the text, use fewer or smaller pictures, or lower max_tokens",
            )


@torch.inference_mode()
def generate(
    model: Vlm, items: Sequence[Sequenced], sampling: Sampling | Sequence[Sampling]
) -> Iterator[tuple[int | None, ...]]:
    """Yield the next token of every sequence, step by step; None once a sequence has ended.

    A sequence ends with one of the prompt's stop ids (which is yielded) or after its max_tokens.
    One Sampling for all, or one each. Raises ContextOverflow.
    """
    each = [sampling] * len(items) if isinstance(sampling, Sampling) else list(sampling)
    vocab, stops = model.spec.language.vocab, set(model.spec.prompt.stop_ids)
    samplers = [Sampler(s, list(i.token_ids), vocab) for s, i in zip(each, items, strict=True)]
    longest = max(s.max_tokens for s in each)
    decoding = Decoding(model, items, longest)
    open_B = [True] * len(items)
    for count in range(1, longest + 1):
        logits_BV = decoding.logits_BV.cpu()
        chosen = tuple(
            s.choose(logits_BV[row]) if open_B[row] else None for row, s in enumerate(samplers)
        )
        yield chosen
        open_B = [
            token is not None and token not in stops and count < s.sampling.max_tokens
            for token, s in zip(chosen, samplers, strict=True)
        ]
        if not any(open_B):
            return
        decoding.step([model.spec.prompt.pad_id if token is None else token for token in chosen])
