"""A pair of towers with its tokenizer: embed pictures and texts, and compare them."""

# V pictures  B texts  E width of embeddings

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sightline.model.pair import Pair
from sightline.model.pair_prepare import PairPreparer, padded
from sightline.pictures.gateway import PictureSource
from sightline.prompt.tokenizer import Tokenizer

BATCH = 64


class Matcher:
    """What a user holds of a pair. `notes` are what was assumed when it was loaded."""

    def __init__(self, model: Pair, tokenizer: Tokenizer, notes: tuple[str, ...] = ()) -> None:
        self.model, self.tokenizer, self.notes = model, tokenizer, notes
        self.prepare = PairPreparer(model.spec, tokenizer)

    @torch.no_grad()
    def encode_images(self, pictures: Sequence[PictureSource], *, batch: int = BATCH) -> Tensor:
        """Unit embeddings, float32[V, E]; `batch` pictures at once. Raises PictureError."""
        found = [torch.zeros(0, self.model.spec.width, device=self.model.device)]
        for start in range(0, len(pictures), batch):
            views = [self.prepare.pixels(picture) for picture in pictures[start : start + batch]]
            pixels_V3HW = torch.stack(views).to(self.model.device, self.model.dtype)
            found.append(self.model.encode_images(pixels_V3HW))
        return torch.cat(found)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str], *, batch: int = BATCH) -> Tensor:
        """Unit embeddings, float32[B, E]. Raises PromptError or ContextOverflow."""
        found = [torch.zeros(0, self.model.spec.width, device=self.model.device)]
        for start in range(0, len(texts), batch):
            ids = [self.prepare.text(text) for text in texts[start : start + batch]]
            token_ids_BT = padded(self.model.spec.text, ids).to(self.model.device)
            found.append(self.model.encode_texts(token_ids_BT))
        return torch.cat(found)

    @torch.no_grad()
    def logits(self, pictures: Sequence[PictureSource], texts: Sequence[str]) -> Tensor:
        """float32[V, B]: how well each picture goes with each text. A softmax over texts, or the
        sigmoid of each for a pair that was trained with it, makes probabilities of them."""
        return self.model.logits(self.encode_images(pictures), self.encode_texts(texts))
