"""Shikra against CLIP, one matrix and Llama of transformers, joined here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.helpers.speaking import parrot
from tests.helpers.waves import picture
from tests.parity import joined
from tests.parity import reference as ref
from tests.parity.joined import Joined
from tests.parity.reference import TOLERANCE, VOCAB
from tests.prompt.conversations import Chat
from torch import nn
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from sightline.api import VisionLanguageModel
from sightline.core.geometry import MediaSize
from sightline.families import read_spec
from sightline.families.shikra import TEMPLATE
from sightline.resolution.policy import layout
from sightline.spec import FixedSpec, JinjaTemplate
from sightline.vision.pixels import render_all
from sightline.weights import load_folder

KEYS = {
    "model_type": "shikra",
    "architectures": ["ShikraLlamaForCausalLM"],
    "mm_use_im_start_end": True,
}
PATCH = VOCAB - 3
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)


def shikra() -> Joined:
    return Joined(nn.Linear(32, 32))


def test_same_logits_and_answers(tmp_path: Path) -> None:
    theirs = shikra()
    ours = load_folder(theirs.save(tmp_path, KEYS)).model
    items = ref.conversations(4, PATCH)
    assert joined.difference(ours, theirs, items) <= TOLERANCE
    joined.assert_same_greedy(ours, theirs, items)


def test_what_it_declares(tmp_path: Path) -> None:
    spec = read_spec(shikra().save(tmp_path, KEYS)).model
    image = spec.prompt.image
    assert (image.text, image.id, image.before, image.after) == ("<im_patch>", 297, (298,), (299,))
    assert spec.prompt.grounding == "shikra"
    assert spec.language.vocab == VOCAB


def by_hand(chat: Chat, ask: bool) -> str:
    """FastChat's vicuna_v1.1, pictures where they stand."""
    told = chat[0]["role"] == "system"
    text = (say(chat[0]) if told else SYSTEM) + " "
    for message in chat[1:] if told else chat:
        answer = message["role"] == "assistant"
        text += f"ASSISTANT: {say(message)}</s>" if answer else f"USER: {say(message)} "
    return text + "ASSISTANT:" * ask


def say(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "<im_patch>") for part in content)


def test_ids_of_conversations() -> None:
    template = JinjaTemplate(source=TEMPLATE)
    joined.assert_same_ids(by_hand, template, "<im_patch>", ("<im_start>", "<im_end>"))


@pytest.mark.parametrize("size", [(40, 40), (90, 33), (33, 90), (1, 1), (3, 200), (641, 480)])
def test_pixels_are_bit_equal(size: tuple[int, int], tmp_path: Path) -> None:
    """Expand2square on white, then CLIP's processor."""
    spec = read_spec(shikra().save(tmp_path, KEYS)).model
    pixels = spec.resolution.pixels.model_copy(update={"backend": "pillow"})
    rgb = picture(*size)
    side = max(size)
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(Image.fromarray(rgb), ((side - size[0]) // 2, (side - size[1]) // 2))
    theirs = CLIPImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    )
    wanted = theirs(square, return_tensors="pt")["pixel_values"][0]
    [ours] = render_all([rgb], layout(spec, [MediaSize(*size)]), pixels)
    assert torch.equal(ours, wanted)
    mean = pixels.model_copy(update={"around": None})
    [other] = render_all([rgb], layout(spec, [MediaSize(*size)]), mean)
    assert torch.equal(other, wanted) is (size[0] == size[1])


@pytest.mark.parametrize(("width", "height", "said"), [
    (40, 80, "[0.250,0.000,0.750,1.000]"),
    (80, 41, "[0.000,0.237,1.000,0.750]"),
])  # fmt: skip
def test_boxes_are_fractions_of_the_square(width: int, height: int, said: str) -> None:
    """The whole picture, as box_xyxy_expand2square would write it, read in its own pixels."""
    speaker = parrot(said)
    spec = speaker.spec
    square = FixedSpec(size=spec.resolution.size, fit="pad")
    prompt = spec.prompt.model_copy(update={"grounding": "shikra"})
    speaker.model.spec = spec.model_copy(update={"resolution": square, "prompt": prompt})
    vlm = VisionLanguageModel(speaker.model, speaker.tokenizer)
    [box] = vlm.ask(picture(width, height), "Where?").boxes
    found = (box.x0, box.y0, box.x1, box.y1)
    assert found == pytest.approx((0, 0, width, height), abs=0.05)
