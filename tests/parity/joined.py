"""LLaVA's first format: transformers' CLIP, a projector and its Llama, joined here."""

# B sequences  T tokens  D width  V views or vocabulary

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import tokenizers
import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import TEXT, TOLERANCE, TOWER
from tests.prompt import conversations
from tests.prompt.conversations import Chat
from tests.prompt.tokenizers import trained_bytes
from torch import Tensor, nn

from sightline.model.vlm import Vlm
from sightline.prompt.encode import encode
from sightline.prompt.messages import parse_messages
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig
from sightline.spec import ImageTokenSpec, JinjaTemplate, PromptSpec


class Joined:
    """The parts, joined as llava_arch.py and Shikra join them: features take the place of ids."""

    def __init__(
        self, projector: nn.Module, tower: Mapping[str, Any] = {}, text: Mapping[str, Any] = {}
    ) -> None:
        vision, llama = hf.CLIPVisionConfig(**TOWER | tower), hf.LlamaConfig(**TEXT | text)
        self.tower = ref.randomise(hf.CLIPVisionModel(vision), 1)
        self.text = ref.randomise(hf.LlamaForCausalLM(llama), 2)
        self.projector = ref.randomise(projector, 3)
        for module in self.projector.modules():
            if isinstance(module, nn.LayerNorm):  # in a Sequential it has no name to be known by
                module.weight.data += 1

    @torch.no_grad()
    def embeddings(self, item: Item) -> Tensor:
        ids_BT = torch.tensor([item.token_ids])
        visual_BT = item.visual_T[None]
        x_BTD = self.text.get_input_embeddings()(ids_BT.masked_fill(visual_BT, 0))
        if item.pixels_V3HW is None:
            return x_BTD
        hidden = self.tower(item.pixels_V3HW, output_hidden_states=True).hidden_states[-2]
        return x_BTD.masked_scatter(visual_BT[..., None], self.projector(hidden[:, 1:]))

    @torch.no_grad()
    def logits(self, item: Item) -> Tensor:
        """float32 [T, V]."""
        return self.text(inputs_embeds=self.embeddings(item)).logits[0]

    @torch.no_grad()
    def greedy(self, item: Item, count: int) -> tuple[list[int], Tensor]:
        """The reference's own cached greedy answer, and its scores [count, V]."""
        self.text.generation_config.eos_token_id = None
        x_BTD = self.embeddings(item)
        out = self.text.generate(
            inputs_embeds=x_BTD,
            attention_mask=torch.ones(x_BTD.shape[:2], dtype=torch.int64),
            max_new_tokens=count,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
        return out.sequences[0].tolist(), torch.cat(out.scores).float()

    def save(self, folder: Path, keys: Mapping[str, Any]) -> Path:
        """A folder of the model with its tower in a folder inside, under the names of the first
        release."""
        self.tower.save_pretrained(folder / "tower")
        self.text.save_pretrained(folder)
        projector = {f"model.mm_projector.{n}": t for n, t in self.projector.state_dict().items()}
        ref.edit_tensors(folder, lambda _: dict(self.text.state_dict()) | projector)
        common = {
            "mm_vision_tower": "./tower",
            "mm_hidden_size": self.tower.config.hidden_size,
            "mm_vision_select_layer": -2,
            "use_mm_proj": True,
            "tune_mm_mlp_adapter": False,
            "freeze_mm_mlp_adapter": False,
        }
        ref.edit_config(folder, common | dict(keys))
        return folder


def difference(ours: Vlm, theirs: Joined, items: Mapping[str, Item]) -> float:
    """The largest absolute difference of logits; rows that only we have are left out."""
    vocab = theirs.text.config.vocab_size
    gaps = [
        (ref.our_logits(ours, item)[:, :vocab] - theirs.logits(item)).abs().max()
        for item in items.values()
    ]
    return float(torch.stack(gaps).max())


def assert_same_greedy(
    ours: Vlm, theirs: Joined, items: Mapping[str, Item], count: int = 32
) -> None:
    """The same tokens in one batch of unequal prompts, but for one tie. New rows are silenced."""
    vocab = theirs.text.config.vocab_size
    ours.language.head.weight.data[vocab:] = 0
    answers = ref.our_greedy(ours, list(items.values()), count)
    ties = 0
    for (name, item), answer in zip(items.items(), answers, strict=True):
        wanted, scores_NV = theirs.greedy(item, count)
        if answer == wanted:
            continue
        step = next(i for i, (a, b) in enumerate(zip(answer, wanted, strict=True)) if a != b)
        best = scores_NV[step].topk(2).values
        assert best[0] - best[1] <= TOLERANCE, f"{name} differs at step {step}"
        ties += 1
    assert ties <= 1, f"{ties} ties"


def assert_same_ids(
    by_hand: Callable[[Chat, bool], str],
    template: JinjaTemplate,
    placeholder: str,
    around: tuple[str, str] = ("", ""),
) -> None:
    """The text of 30 conversations as written by hand, and ids as the reference tokenises it."""
    backend = tokenizers.Tokenizer.from_str(trained_bytes())
    marks = [mark for mark in around if mark]
    backend.add_special_tokens([placeholder, *marks])
    theirs = hf.PreTrainedTokenizerFast(tokenizer_object=backend)
    ours = Tokenizer(backend.to_str(), TokenizerConfig(named={"eos_token": "</s>"}))
    before, after = (tuple(ours.id_of(mark) for mark in [m] if m) for m in around)
    image = ImageTokenSpec(text=placeholder, id=ours.id_of(placeholder), before=before, after=after)
    spec = PromptSpec(template=template, image=image)
    draw = Random(placeholder)
    for i in range(30):
        ask = i % 3 == 0
        chat = conversations.chat(draw, system=i % 2 == 0, answered=not ask)
        spans = [draw.randrange(1, 5) for _ in range(conversations.num_pictures(chat))]
        text, counts = by_hand(chat, ask), iter(spans)
        start, *rest = text.split(placeholder)
        expanded = start + "".join(
            around[0] + placeholder * next(counts) + around[1] + piece for piece in rest
        )
        found = encode(parse_messages(chat), ours, spec, spans, add_generation_prompt=ask)
        assert found.token_ids == theirs(expanded, add_special_tokens=False)["input_ids"]


def speaking(theirs: Joined, folder: Path, keys: Mapping[str, Any]) -> Path:
    """The folder with a small tokenizer of `NUM_WORDS` tokens that knows no placeholder."""
    backend = tokenizers.Tokenizer.from_str(trained_bytes())
    words = hf.PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    theirs.save(folder, keys)
    words.save_pretrained(folder)
    return folder


NUM_WORDS = tokenizers.Tokenizer.from_str(trained_bytes()).get_vocab_size()
