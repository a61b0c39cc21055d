"""Token after token: prefill once, then one column a step."""

# B sequences  T tokens  V vocabulary  D width  A position axes

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sightline.core.errors import ContextOverflow, SamplingError
from sightline.model.batch import Sequenced, collate
from sightline.model.vlm import Vlm
from sightline.nn.kv_cache import KvCache
from sightline.nn.sampling import Sampler
from sightline.spec.language import DecoderSpec, DynamicScaling, RopeSpec
from sightline.spec.sampling import Sampling


class Decoding:
    """A batch of conversations in progress: logits for the next token of each, one step a time.

    Sequences are padded on the left and share the columns of one contiguous cache.
    """

    def __init__(
        self,
        model: Vlm,
        items: Sequence[Sequenced],
        max_tokens: int | Sequence[int],
        visual_ND: Tensor | None = None,
    ) -> None:
        each = [max_tokens] * len(items) if isinstance(max_tokens, int) else max_tokens
        for item, room in zip(items, each, strict=True):
            _check_room(model, item, room)
        self.model = model
        batch = collate(items, model.spec.prompt.pad_id, "left").to(model.device, model.dtype)
        columns = batch.token_ids_BT.shape[1]
        self.cache: KvCache = model.language.new_cache(len(items), columns + max(each))
        self.mask = batch.mask.with_room(max(each))
        self.next_position_B = batch.positions_ABT.amax((0, 2)) + 1
        self.axes = batch.positions_ABT.shape[0]
        seen = replace(batch, mask=self.mask)
        hidden_B1D = model(seen, cache=self.cache, visual_ND=visual_ND, last_only=True)
        self.logits_BV = model.language.logits(hidden_B1D[:, -1])

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
        self.mask = self.mask.with_tables(lambda table: table[rows])


def _check_room(model: Vlm, item: Sequenced, max_tokens: int) -> None:
    total, visual = len(item.token_ids), int(item.visual_T.sum())
    limit, named = _limit(model.spec.language, max_tokens)
    if total + max_tokens > limit:
        raise ContextOverflow(
            "max_tokens",
            f"{total - visual} text + {visual} visual tokens + {max_tokens} "
            f"answer tokens exceed {named}",
            "shorten the text, use fewer or smaller pictures, or lower max_tokens",
        )


def _limit(spec: DecoderSpec, max_tokens: int) -> tuple[int, str]:
    """Tokens that prompt and answer may have together, and what sets that limit."""
    scaling = spec.positions.scaling if isinstance(spec.positions, RopeSpec) else None
    if max_tokens > 1 and isinstance(scaling, DynamicScaling):
        cached = scaling.original_context + 1  # the last token of an answer is never fed back
        if cached < spec.context:
            return cached, f"the {cached} up to which dynamic scaling can be cached"
    return spec.context, f"the context of {spec.context}"


@torch.inference_mode()
def generate(
    model: Vlm,
    items: Sequence[Sequenced],
    sampling: Sampling | Sequence[Sampling],
    *,
    visual_ND: Tensor | None = None,
) -> Iterator[tuple[int | None, ...]]:
    """Yield the next token of every sequence, step by step; None once a sequence has ended.

    A sequence ends with one of the prompt's stop ids (which is yielded) or after its max_tokens.
    One Sampling for all, or one each. `visual_ND` are the visual tokens of the batch if they were
    encoded before. Raises ContextOverflow, and SamplingError for beams, which
    `beam_search` follows.
    """
    each = [sampling] * len(items) if isinstance(sampling, Sampling) else list(sampling)
    if any(s.beams > 1 for s in each):
        raise SamplingError("beams", "cannot be followed token by token", "use beam_search")
    vocab, stops = model.spec.language.vocab, set(model.spec.prompt.stop_ids)
    samplers = [Sampler(s, list(i.token_ids), vocab) for s, i in zip(each, items, strict=True)]
    longest = max(s.max_tokens for s in each)
    decoding = Decoding(model, items, [s.max_tokens for s in each], visual_ND)
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
