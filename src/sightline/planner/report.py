"""What will it cost me: the whole answer for one model and one kind of conversation."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core.config import Spec
from sightline.core.errors import PlanError
from sightline.planner.capacity import needed_bytes, pictures_in_context, requests, seen_at
from sightline.planner.context import check_fits, standard_picture
from sightline.planner.formats import FORMATS, WeightDtype, weight_bytes
from sightline.planner.latency import Hardware, Latency, find_hardware, latency
from sightline.planner.memory import memory_flops
from sightline.planner.pieces import count
from sightline.planner.published import Calibration, calibrate, lesson_runs
from sightline.planner.resolve import Model, spec_of
from sightline.planner.tensors import weights
from sightline.planner.train import TrainPlan, standard_stages, train_plan
from sightline.planner.work import Work, decoder_flops, kv_bytes, prompt_attention_flops
from sightline.planner.workload import Picture, Workload, workload
from sightline.spec.hardware import HARDWARE, HardwareSpec
from sightline.spec.model import ModelSpec
from sightline.spec.train import PARTS, Part

LADDER = (224, 336, 448, 672)  # pixels, rounded to whole patches
PICTURE_COUNTS = (0, 1, 3)


class PictureCost(Spec):
    """One picture of the conversation. kv_bytes: what its tokens take beyond the text's, and those
    that are read from a memory beside the sequence."""

    width: int
    height: int
    frames: int
    views: int
    tokens: int
    memory_tokens: int
    kv_bytes: int
    context_share: float
    prefill_flops: int


class PartCost(Spec):
    """Parameters of one part, and its bytes in each weight format."""

    part: Part
    parameters: int
    weight_bytes: dict[WeightDtype, int]


class Memory(Spec):
    """Bytes on the device for the batch. kv_bytes and workspace_bytes are of all of it."""

    weight_bytes: int
    kv_bytes: int
    workspace_bytes: int
    total_bytes: int
    budget_bytes: int
    fits: bool


class SideCost(Spec):
    """One square picture seen at `side` pixels: what resolution costs.

    own: the size that the model was made for. attention: multiply-adds among the picture's tokens
    in the decoder, relative to the first row.
    """

    side: int
    own: bool
    tokens: int
    kv_bytes: int
    attention: float
    ttft_s: float
    requests: int
    fits_context: bool


class Concurrency(Spec):
    """Conversations at once with this many pictures of the first kind."""

    pictures: int
    tokens: int
    kv_bytes: int
    requests: int


class Plan(Spec):
    """All figures of `plan`.

    Tokens are of one conversation (visual ones with the tags of their spans), FLOPs of the whole
    batch; a decode step is one token for each. kv_bytes_per_token: of one that every layer keeps.
    recipe: how near this planner comes to a published training run.
    """

    hardware: HardwareSpec
    dtype: WeightDtype
    batch: int
    context: int
    text_tokens: int
    visual_tokens: int
    answer_tokens: int
    tokens: int
    pictures_in_context: int | None
    kv_bytes_per_token: int
    pictures: tuple[PictureCost, ...]
    parts: tuple[PartCost, ...]
    memory: Memory
    encode: Work
    prefill: Work
    decode: Work
    latency: Latency
    on_hardware: tuple[Latency, ...]
    sides: tuple[SideCost, ...]
    concurrency: tuple[Concurrency, ...]
    training: tuple[TrainPlan, ...]
    recipe: tuple[Calibration, ...]


def plan(
    model: Model,
    images: Sequence[Picture] = ((1344, 896),),
    *,
    text_tokens: int = 100,
    answer_tokens: int = 100,
    hardware: Hardware = "h100",
    dtype: WeightDtype = "bf16",
    batch: int = 1,
    memory_bytes: int | None = None,
    train_samples: int = 100_000,
    gpus: int = 8,
    price_per_gpu_hour: float = 2.0,
) -> Plan:
    """Tokens, memory, concurrency, latency and training cost. Reads no weights, imports no torch.

    model: a spec, `tiny`, a folder, a hub id, or a YAML file with a spec. images: width and height
    in pixels. hardware: a name of the table, `cpu` (measured now) or a HardwareSpec. memory_bytes:
    a budget in place of 90 % of the device's. Training is planned on the same hardware, on samples
    like this conversation.

    Raises ContextOverflow if the conversation does not fit, PlanError for impossible numbers,
    FolderError, FamilyError or SpecError for a model that cannot be read.
    """
    spec = spec_of(model)
    work = workload(
        spec,
        images,
        text_tokens=text_tokens,
        answer_tokens=answer_tokens,
        batch=batch,
        dtype=dtype,
    )
    if work.prompt_tokens == 0:
        raise PlanError("text_tokens", "there is neither text nor picture", "give one of them")
    check_fits(work)
    device = find_hardware(hardware)
    times = latency(work, device, memory_bytes)
    return Plan(
        hardware=device,
        dtype=dtype,
        batch=batch,
        context=spec.language.context,
        text_tokens=text_tokens,
        visual_tokens=work.visual_tokens,
        answer_tokens=answer_tokens,
        tokens=work.tokens,
        pictures_in_context=pictures_in_context(work),
        kv_bytes_per_token=kv_bytes(spec, 1, dtype),
        pictures=_pictures(work),
        parts=_parts(spec),
        memory=_memory(work, times.memory_bytes),
        encode=work.encode(),
        prefill=work.prefill(),
        decode=work.decode(),
        latency=times,
        on_hardware=tuple(latency(work, other) for other in _others(device)),
        sides=tuple(_sides(work, device, times.memory_bytes)),
        concurrency=tuple(_concurrency(work, times.memory_bytes)),
        training=_training(work, device, train_samples, gpus, price_per_gpu_hour),
        recipe=calibrate(lesson_runs()),
    )


def _others(device: HardwareSpec) -> list[HardwareSpec]:
    """The chosen device and the table, each once."""
    return [device, *(known for known in HARDWARE if known.name != device.name)]


def _pictures(work: Workload) -> tuple[PictureCost, ...]:
    return tuple(_picture(work, index) for index in range(len(work.media)))


def _picture(work: Workload, index: int) -> PictureCost:
    """One of the conversation's pictures, its cost as the difference that it alone makes."""
    spec, media, tokens = work.spec, work.media[index], work.span_tokens[index]
    with_it, text = work.text_tokens + tokens, work.text_tokens
    attention = prompt_attention_flops(spec, with_it) - prompt_attention_flops(spec, text)
    memory = work.layout.media[index].memory_tokens
    return PictureCost(
        width=media.width,
        height=media.height,
        frames=media.frames,
        views=sum(view.media == index for view in work.layout.views),
        tokens=tokens,
        memory_tokens=memory,
        kv_bytes=kv_bytes(spec, with_it, work.dtype, memory) - kv_bytes(spec, text, work.dtype),
        context_share=tokens / spec.language.context,
        prefill_flops=decoder_flops(spec, tokens)
        + attention
        + memory_flops(spec, with_it, memory)
        - memory_flops(spec, text, 0),
    )


def _parts(spec: ModelSpec) -> tuple[PartCost, ...]:
    found = {part: weights(spec, part) for part in PARTS}
    return tuple(
        PartCost(
            part=part,
            parameters=count(own),
            weight_bytes={dtype: weight_bytes(own, dtype) for dtype in FORMATS},
        )
        for part, own in found.items()
        if own
    )


def _memory(work: Workload, budget: int) -> Memory:
    total = needed_bytes(work)
    return Memory(
        weight_bytes=work.weight_bytes,
        kv_bytes=work.kv_bytes * work.batch,
        workspace_bytes=work.workspace_bytes * work.batch,
        total_bytes=total,
        budget_bytes=budget,
        fits=total <= budget,
    )


def _sides(work: Workload, device: HardwareSpec, budget: int) -> list[SideCost]:
    patch, own = work.spec.vision.patch, standard_picture(work.spec).width
    sides = sorted({max(patch, side // patch * patch) for side in LADDER} | {own})
    seen = {side: seen_at(work.with_batch(1), side) for side in sides}
    least = seen[sides[0]].visual_tokens
    return [
        _side(at, latency(at, device, budget), least, own=side == own) for side, at in seen.items()
    ]


def _side(work: Workload, times: Latency, least: int, *, own: bool) -> SideCost:
    tokens, text = work.visual_tokens, work.text_tokens
    memory = work.layout.memory_tokens
    with_it = kv_bytes(work.spec, text + tokens, work.dtype, memory)
    return SideCost(
        side=work.media[0].width,
        own=own,
        tokens=tokens,
        kv_bytes=with_it - kv_bytes(work.spec, text, work.dtype),
        attention=(tokens / least) ** 2,
        ttft_s=times.ttft_s,
        requests=times.requests,
        fits_context=work.tokens <= work.spec.language.context,
    )


def _concurrency(work: Workload, budget: int) -> list[Concurrency]:
    """None, one and three of the conversation's first picture (or of the standard one)."""
    kind = work.media[:1] or (standard_picture(work.spec),)
    return [_held(work, kind * times, budget) for times in PICTURE_COUNTS]


def _held(work: Workload, media: Sequence[Picture], budget: int) -> Concurrency:
    own = workload(
        work.spec,
        media,
        text_tokens=work.text_tokens,
        answer_tokens=work.answer_tokens,
        dtype=work.dtype,
    )
    return Concurrency(
        pictures=len(media),
        tokens=own.tokens,
        kv_bytes=own.kv_bytes,
        requests=requests(own, budget),
    )


def _training(
    work: Workload, device: HardwareSpec, samples: int, gpus: int, price: float
) -> tuple[TrainPlan, ...]:
    """The four usual ways, on conversations like this one: its prompt and answer as text."""
    images = tuple((media.width, media.height) for media in work.media)
    text = max(1, work.text_tokens + work.answer_tokens)
    stages = standard_stages(samples, text_tokens=text, images=images)
    return tuple(
        train_plan(work.spec, stage, hardware=device, gpus=gpus, price_per_gpu_hour=price)
        for stage in stages
    )
