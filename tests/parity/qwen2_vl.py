"""Tiny random Qwen-VLs of three generations, conversations for them, both sides' answers."""

# C channels of a view  h, w rows and columns of pixels  N patches  P numbers of a patch
# T tokens  A axes  V vocabulary

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tests.helpers.tiny import Item
from tests.parity import reference as ref
from tests.parity.reference import TEXT, words
from torch import Tensor

from sightline.core.geometry import MediaSize
from sightline.model.visual import VisualInput
from sightline.model.vlm import Vlm
from sightline.resolution.layout import Text
from sightline.resolution.policy import layout
from sightline.resolution.positions import positions
from sightline.spec import ModelSpec
from sightline.spec.resolution import FramesSpec, PixelRange, TimestampSpec
from sightline.weights import load_folder

IMAGE, VIDEO, START, END = 299, 298, 297, 296
IDS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}
LONG = {**TEXT, "max_position_embeddings": 4096}
ROPE = {"rope_type": "default", "rope_theta": 50.0, "mrope_section": [2, 1, 1]}
TINY_STAMPS = TimestampSpec(
    digits=tuple(range(10, 20)), point=(20,), open=(21,), close=(22, 23), start=(START,), end=(END,)
)


def qwen2(ids: Mapping[str, int] = IDS, **changes: Any) -> Any:
    vision = {"depth": 3, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 4}
    config = hf.Qwen2VLConfig(
        text_config={**LONG, "rope_parameters": ROPE, **changes}, vision_config=vision, **ids
    )
    return hf.Qwen2VLForConditionalGeneration(config)


def qwen25(ids: Mapping[str, int] = IDS, **changes: Any) -> Any:
    """Windows of 4 × 4 patches in the first and the last block."""
    vision = {
        "depth": 3,
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 40,
        "num_heads": 4,
        "fullatt_block_indexes": [1],
        "window_size": 56,
        "tokens_per_second": 3,
    }
    config = hf.Qwen2_5_VLConfig(
        text_config={**LONG, "rope_parameters": ROPE, **changes}, vision_config=vision, **ids
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config)


def qwen3(ids: Mapping[str, int] = IDS, **changes: Any) -> Any:
    """Deeper features after every block of the encoder; three layers of text for two of them."""
    vision = {
        "depth": 3,
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 40,
        "num_heads": 4,
        "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 25,
    }
    text = {**LONG, "head_dim": 16, "rope_parameters": ROPE | {"mrope_section": [4, 2, 2]}}
    config = hf.Qwen3VLConfig(text_config={**text, **changes}, vision_config=vision, **ids)
    return hf.Qwen3VLForConditionalGeneration(config)


KINDS = {"qwen2_vl": qwen2, "qwen2_5_vl": qwen25, "qwen3_vl": qwen3}


def reference_config(kind: str) -> Any:
    return KINDS[kind]().config


def with_words(kind: str, vocab: int, ids: dict[str, int]) -> Any:
    """The same model for a tokenizer of `vocab` words; `ids` are its special tokens."""
    top = {k: v for k, v in ids.items() if k != "eos_token_id"}
    return KINDS[kind](top, vocab_size=vocab, eos_token_id=ids["eos_token_id"])


def reference_of(kind: str, seed: int = 0, **changes: Any) -> Any:
    return ref.randomise(KINDS[kind](**changes), seed)


@dataclass(frozen=True)
class Pair:
    """A reference and the folder that it was saved in."""

    theirs: Any
    folder: Path


def pair(kind: str, folder: Path) -> Pair:
    theirs = reference_of(kind)
    return Pair(theirs, ref.saved(theirs, folder))


def ours_of(folder: Path) -> Vlm:
    """The loaded model, for small pictures."""
    model = load_folder(folder).model
    model.spec = small(model.spec)
    return model


def small(spec: ModelSpec) -> ModelSpec:
    """The spec with few pixels, all frames, and times in the tiny vocabulary."""
    square, native = spec.resolution.multiple**2, spec.resolution
    of_clip = native.clips.of
    most = 48 if of_clip == "clip" else 6
    changed = {
        "pictures": PixelRange(min_pixels=2 * square, max_pixels=20 * square),
        "clips": PixelRange(min_pixels=square, max_pixels=most * square, of=of_clip),
        "video": FramesSpec(),
        "timestamps": TINY_STAMPS if spec.fusion.kind == "deep_stack" else None,
    }
    return spec.model_copy(update={"resolution": native.model_copy(update=changed)})


Part = list[int] | MediaSize


@dataclass(frozen=True, slots=True)
class Shown(Item):
    """A prepared conversation and the sizes of its media."""

    media: tuple[MediaSize, ...] = ()


def conversation(spec: ModelSpec, parts: Sequence[Part], seed: int = 0) -> Shown:
    """Runs of ids and media, each between the marks of vision, laid out and with random pixels."""
    media = [part for part in parts if isinstance(part, MediaSize)]
    visual = layout(spec, media)
    ids: list[int] = []
    marks: list[bool] = []
    starts: list[int] = []
    for part in parts:
        if not isinstance(part, MediaSize):
            ids, marks = ids + part, marks + [False] * len(part)
            continue
        ids, marks = [*ids, START], [*marks, False]
        item = visual.media[len(starts)]
        starts.append(len(ids))
        for segment in item.segments:
            text = isinstance(segment, Text)
            pad = VIDEO if part.video else IMAGE
            ids += segment.ids if text else [pad] * segment.tokens
            marks += [not text] * segment.tokens
        ids, marks = [*ids, END], [*marks, False]
    places = torch.tensor(positions(spec, len(ids), visual, starts))
    shown = VisualInput(visual, pixels(visual, seed))
    return Shown(tuple(ids), torch.tensor(marks), places, shown, media=tuple(media))


def pixels(visual: Any, seed: int) -> tuple[Tensor, ...]:
    """A still picture is its own next frame."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for view in visual.views:
        height, width = view.size.height, view.size.width
        frames = [torch.randn(3, height, width, generator=generator) for _ in set(view.frames)]
        made.append(torch.cat([frames[0], frames[-1]]))
    return tuple(made)


def conversations(spec: ModelSpec) -> dict[str, Shown]:
    """No picture, one, several of different sizes, one in the second turn, with nothing around."""
    parts: dict[str, list[Part]] = {
        "text": [words(9, 1)],
        "one": [words(3, 2), MediaSize(150, 100), words(6, 3)],
        "sizes": [
            MediaSize(90, 170),
            words(4, 4),
            MediaSize(260, 60),
            MediaSize(40, 40),
            words(3, 5),
        ],
        "second turn": [words(12, 6), MediaSize(130, 130), words(2, 7)],
        "last": [words(2, 8), MediaSize(60, 200)],
    }
    return {name: conversation(spec, some, seed) for seed, (name, some) in enumerate(parts.items())}


def clips(spec: ModelSpec) -> dict[str, Shown]:
    """A clip of an odd number of frames, clips beside a picture, a long one that text follows."""

    def clip(width: int, height: int, frames: int, fps: float) -> MediaSize:
        return MediaSize(width, height, frames, fps, video=True)

    parts: dict[str, list[Part]] = {
        "odd": [words(3, 1), clip(100, 60, 5, 2.0), words(4, 2)],
        "two": [clip(60, 60, 4, 1.5), words(3, 3), MediaSize(90, 70), clip(70, 110, 2, 4.0)],
        "long": [clip(56, 56, 14, 3.0), words(5, 4)],
    }
    return {
        name: conversation(spec, some, 10 + seed) for seed, (name, some) in enumerate(parts.items())
    }


def patches_of(view_Chw: Tensor, patch: int, merge: int = 2) -> Tensor:
    """[N, P] in the order of the reference's processors: squares of `merge` × `merge` together."""
    x = view_Chw.unflatten(0, (-1, 3)).transpose(0, 1)
    x = x.unflatten(3, (-1, merge, patch)).unflatten(2, (-1, merge, patch))
    return x.permute(2, 5, 3, 6, 0, 1, 4, 7).flatten(4).flatten(0, 3)


def inputs_of(model: Any, item: Shown, patch: int, *, ours: bool = False) -> dict[str, Tensor]:
    """What the reference is given; with `ours` also the positions, on which it errs after clips."""
    ids = torch.tensor([item.token_ids])
    inputs: dict[str, Tensor] = {"input_ids": ids}
    grids: dict[bool, list[list[int]]] = {False: [], True: []}
    rows: dict[bool, list[Tensor]] = {False: [], True: []}
    layout_ = item.visual.layout
    first = 0
    for number in range(len(layout_.media)):
        own = [i for i, view in enumerate(layout_.views) if view.media == number]
        at = first = item.token_ids.index(START, first) + 1
        clip = _is_clip(item, at)
        size = layout_.views[own[0]].size
        grids[clip].append([len(own), size.height // patch, size.width // patch])
        rows[clip] += [patches_of(item.visual.pixels[i], patch) for i in own]
        first += layout_.media[number].tokens
    for clip, pixel_key, grid_key in (
        (False, "pixel_values", "image_grid_thw"),
        (True, "pixel_values_videos", "video_grid_thw"),
    ):
        if grids[clip]:
            inputs[pixel_key] = torch.cat(rows[clip])
            inputs[grid_key] = torch.tensor(grids[clip])
    inputs["mm_token_type_ids"] = (ids == IMAGE).int() + 2 * (ids == VIDEO).int()
    if ours:
        inputs["position_ids"] = item.positions_AT[:, None]
    return inputs


def seconds_of(item: Shown) -> list[float]:
    """Seconds that one view of each clip lasts, all of whose frames are seen."""
    return [2 / media.fps for media in item.media if media.video and media.fps]


def _is_clip(item: Shown, start: int) -> bool:
    """Of the two kinds of placeholder, which comes first from `start` on."""
    return next(i for i in item.token_ids[start:] if i in (IMAGE, VIDEO)) == VIDEO


@torch.no_grad()
def their_logits(model: Any, item: Shown, patch: int, *, ours: bool = False) -> Tensor:
    """float32 [T, V]."""
    model.model.rope_deltas = None
    return model(**inputs_of(model, item, patch, ours=ours)).logits[0].float()


def difference(ours: Vlm, theirs: Any, items: dict[str, Shown], *, clips: bool = False) -> float:
    patch = ours.spec.vision.patch
    gaps = [
        (ref.our_logits(ours, item) - their_logits(theirs, item, patch, ours=clips)).abs().max()
        for item in items.values()
    ]
    return float(torch.stack(gaps).max())


@torch.no_grad()
def their_greedy(model: Any, item: Shown, patch: int, count: int) -> tuple[list[int], Tensor]:
    """The reference's own cached answer and its scores."""
    model.model.rope_deltas = None
    model.generation_config.eos_token_id = None
    inputs = inputs_of(model, item, patch)
    out = model.generate(
        **inputs,
        attention_mask=torch.ones_like(inputs["input_ids"]),
        max_new_tokens=count,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )
    return out.sequences[0, len(item.token_ids) :].tolist(), torch.cat(out.scores).float()


@torch.no_grad()
def their_clip_greedy(model: Any, item: Shown, patch: int, count: int) -> tuple[list[int], Tensor]:
    """An answer recomputed for every token: generate would place clips by itself."""
    inputs = inputs_of(model, item, patch, ours=True)
    answer: list[int] = []
    scores = []
    for _ in range(count):
        scores.append(model(**inputs).logits[:, -1].float())
        answer.append(int(scores[-1].argmax()))
        new = torch.tensor([[answer[-1]]])
        kinds, places = inputs["mm_token_type_ids"], inputs["position_ids"]
        inputs["input_ids"] = torch.cat((inputs["input_ids"], new), 1)
        inputs["mm_token_type_ids"] = torch.cat((kinds, torch.zeros_like(kinds[:, :1])), 1)
        after = (places.max() + 1).expand(3, 1, 1)
        inputs["position_ids"] = torch.cat((places, after), 2)
    return answer, torch.cat(scores)


def assert_same_greedy(
    ours: Vlm, theirs: Any, items: dict[str, Shown], *, clips: bool = False, count: int = 32
) -> None:
    """All conversations in one batch on our side, one by one on theirs; one tie at most."""
    answers = ref.our_greedy(ours, list(items.values()), count)
    answer_of = their_clip_greedy if clips else their_greedy
    ties = 0
    for (name, item), answer in zip(items.items(), answers, strict=True):
        wanted, scores_NV = answer_of(theirs, item, ours.spec.vision.patch, count)
        if answer == wanted:
            continue
        step = next(i for i, (a, b) in enumerate(zip(answer, wanted, strict=True)) if a != b)
        best = scores_NV[step].topk(2).values
        assert best[0] - best[1] <= ref.TOLERANCE, f"{name} differs at step {step}"
        ties += 1
    assert ties <= 1, f"{ties} ties"


def old_dialect(folder: Path) -> dict[str, Any]:
    """config.json as transformers 4.x writes it; encoders say nothing of rotations there."""
    path = folder / "config.json"
    rope = json.loads(path.read_text())["text_config"]["rope_parameters"]
    ref.to_hub_dialect(folder)
    config: dict[str, Any] = json.loads(path.read_text())
    sections = {k: v for k, v in rope.items() if k.startswith("mrope_")}
    config["text_config"]["rope_scaling"] = {"rope_type": "default", "type": "mrope", **sections}
    for key in ("rope_theta", "rope_scaling"):
        config["vision_config"].pop(key)
    path.write_text(json.dumps(config))
    return config


def flat(folder: Path) -> None:
    """The keys of the text model at the top of config.json, as on the hub."""
    config = old_dialect(folder)
    text, vision = config.pop("text_config"), config["vision_config"]
    config |= {k: v for k, v in text.items() if k not in ("model_type", "torch_dtype")}
    kept = {k: v for k, v in vision.items() if k not in ("model_type", "in_channels")}
    config["vision_config"] = kept | {"in_chans": 3, "spatial_patch_size": 14}
    (folder / "config.json").write_text(json.dumps(config | {"vision_token_id": 295}))
