"""Yi-VL against CLIP, a projector with norms and Llama of transformers, joined here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.speaking import user
from tests.helpers.waves import picture
from tests.parity import joined
from tests.parity import reference as ref
from tests.parity.joined import NUM_WORDS, Joined
from tests.parity.reference import TOLERANCE, VOCAB
from tests.prompt.conversations import Chat
from torch import nn

import sightline
from sightline.families import read_spec
from sightline.families.yi_vl import SYSTEM, TEMPLATE
from sightline.spec import JinjaTemplate
from sightline.weights import load_folder

SEEN = 5 * TOLERANCE
KEYS = {
    "model_type": "llava",
    "architectures": ["LlavaLlamaForCausalLM"],
    "image_aspect_ratio": "pad",
    "mm_projector_type": "mlp2x_gelu_Norm",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
}


def yi_vl(**text: Any) -> Joined:
    """Exact GELU in the tower as in OpenCLIP's H/14; three by three patches."""
    projector = nn.Sequential(
        nn.Linear(32, 48), nn.LayerNorm(48), nn.GELU(), nn.Linear(48, 48), nn.LayerNorm(48)
    )
    return Joined(projector, {"image_size": 42, "hidden_act": "gelu"}, {"hidden_size": 48, **text})


def items_of(side: int = 42) -> dict[str, ref.Item]:
    """As for LLaVA, with larger pictures and the placeholder on the first row of its own."""
    items = ref.conversations(9, VOCAB)
    return {
        name: with_pictures(item, side, seed) for seed, (name, item) in enumerate(items.items())
    }


def with_pictures(item: ref.Item, side: int, seed: int) -> ref.Item:
    count = len(item.visual.pixels)
    return ref.Item(
        item.token_ids, item.visual_T, item.positions_AT,
        ref.shown(ref.pictures(count, seed, side) if count else None, 9),
    )  # fmt: skip


def test_same_logits_and_answers(tmp_path: Path) -> None:
    theirs = yi_vl()
    loaded = load_folder(theirs.save(tmp_path, KEYS))
    assert joined.difference(loaded.model, theirs, items_of()) <= TOLERANCE
    joined.assert_same_greedy(loaded.model, theirs, items_of())


def test_what_it_declares(tmp_path: Path) -> None:
    spec = read_spec(yi_vl().save(tmp_path, KEYS)).model
    assert (spec.resolution.fit, spec.resolution.size) == ("pad", 42)
    assert spec.connector.norms and spec.connector.depth == 2
    assert spec.prompt.image.text == "<image_placeholder>"


@pytest.mark.parametrize("mistake", ["no norms", "norms exchanged", "norm after the activation"])
def test_wrong_norms_are_seen(mistake: str, tmp_path: Path) -> None:
    theirs = yi_vl()
    ours = load_folder(theirs.save(tmp_path, KEYS)).model
    connector = ours.connector
    match mistake:
        case "no norms":
            connector.norms = nn.ModuleList()
        case "norms exchanged":
            connector.norms = nn.ModuleList([connector.norms[1], connector.norms[0]])
        case _:
            first, second = connector.layers
            a, b = connector.norms
            gelu = nn.functional.gelu
            connector.forward = lambda x, ctx: b(second(a(gelu(first(x)))))
    assert joined.difference(ours, theirs, {"one": items_of()["one"]}) > SEEN


def by_hand(chat: Chat, ask: bool) -> str:
    """As conversation.py writes a conversation, with a line for each picture."""
    told = chat[0]["role"] == "system"
    text = (say(chat[0]) if told else SYSTEM) + "\n\n### "
    for message in chat[1:] if told else chat:
        role = "Assistant" if message["role"] == "assistant" else "Human"
        text += f"{role}: {say(message)}\n### "
    return text + "Assistant:" * ask


def say(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "<image_placeholder>\n") for part in content)


def test_ids_of_conversations() -> None:
    """30 of them, with and without a system message, pictures and an answer."""
    joined.assert_same_ids(by_hand, JinjaTemplate(source=TEMPLATE), "<image_placeholder>")


def test_through_the_doors(tmp_path: Path) -> None:
    """The folder's tokenizer lacks the placeholder; saved in our format, it has it."""
    theirs = yi_vl(vocab_size=NUM_WORDS, max_position_embeddings=1024)
    vlm = sightline.load(joined.speaking(theirs, tmp_path / "theirs", KEYS))
    prepared = vlm.prepare([user(picture(90, 40), "What colour is the fox?")])
    assert prepared.token_ids.count(NUM_WORDS) == prepared.visual_tokens == 9
    item = ref.Item(
        tuple(prepared.token_ids), prepared.visual_T, prepared.positions_AT, prepared.visual
    )
    gap = vlm.logits(prepared)[:, :NUM_WORDS] - theirs.logits(item)
    assert float(gap.abs().max()) <= TOLERANCE
    vlm.save(tmp_path / "ours")
    assert sightline.load(tmp_path / "ours").ask(picture(90, 40), "Why?", max_tokens=2).token_ids
