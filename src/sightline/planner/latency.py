"""Time to the first token and between tokens on named hardware, by the roofline.

A step takes the longer of computing its FLOPs and reading its bytes (Williams et al. 2009), each at
the share of the peak that `HardwareSpec` states. Decoding images, resizing, tokenising and queueing
come on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sightline.core.config import Spec
from sightline.core.errors import PlanError
from sightline.planner.capacity import needed_bytes, requests
from sightline.planner.formats import FORMATS, WeightDtype
from sightline.planner.measure import measure_cpu
from sightline.planner.work import Work
from sightline.planner.workload import Workload
from sightline.spec.hardware import HARDWARE, HardwareSpec

USABLE_SHARE = 0.9  # of a device's memory: the rest is for its driver and fragments

Hardware = HardwareSpec | str


class Latency(Spec):
    """One batch on one device. All times in seconds.

    ttft_s: encoding and prefill of the whole batch; inter_token_s: one token for each conversation,
    halfway through the answer. decode_bound: what limits decoding. fits: weights, cache and
    workspace of the batch have room at once. requests: conversations that have room when they are
    prefilled one by one, and loaded_tokens_per_s: what decoding them all together yields.
    """

    hardware: str
    title: str
    memory_bytes: int
    fits: bool
    encode_s: float
    prefill_s: float
    ttft_s: float
    inter_token_s: float
    answer_s: float
    decode_bound: Literal["memory", "compute"]
    requests: int
    loaded_tokens_per_s: float


def latency(work: Workload, hardware: HardwareSpec, memory_bytes: int | None = None) -> Latency:
    """The times of this workload; memory defaults to what is usable of the device's."""
    memory = usable_bytes(hardware) if memory_bytes is None else memory_bytes
    encode = step_s(work.encode(), hardware, work.dtype)
    prefill = step_s(work.prefill(), hardware, work.dtype) if work.prompt_tokens else 0.0
    token = step_s(work.decode(), hardware, work.dtype)
    held = requests(work, memory)
    return Latency(
        hardware=hardware.name,
        title=hardware.title,
        memory_bytes=memory,
        fits=needed_bytes(work) <= memory,
        encode_s=encode,
        prefill_s=prefill,
        ttft_s=encode + prefill,
        inter_token_s=token,
        answer_s=encode + prefill + max(0, work.answer_tokens - 1) * token,
        decode_bound=bound(work.decode(), hardware, work.dtype),
        requests=held,
        loaded_tokens_per_s=_loaded(work, hardware, held),
    )


def step_s(work: Work, hardware: HardwareSpec, dtype: WeightDtype) -> float:
    """Seconds of one step: the longer of computing and reading."""
    compute = hardware.compute_s(work.flops, FORMATS[dtype].compute)
    return max(compute, hardware.transfer_s(work.read_bytes))


def bound(work: Work, hardware: HardwareSpec, dtype: WeightDtype) -> Literal["memory", "compute"]:
    """Which of the two is longer."""
    compute = hardware.compute_s(work.flops, FORMATS[dtype].compute)
    return "compute" if compute > hardware.transfer_s(work.read_bytes) else "memory"


def usable_bytes(hardware: HardwareSpec) -> int:
    """Memory of the device that weights, cache and workspace may take."""
    return int(hardware.memory_bytes * USABLE_SHARE)


def find_hardware(named: Hardware, table: Sequence[HardwareSpec] = HARDWARE) -> HardwareSpec:
    """A device by name; `cpu` measures this machine. Raises PlanError for unknown names."""
    if isinstance(named, HardwareSpec):
        return named
    if named == "cpu":
        return measure_cpu()
    for known in table:
        if known.name == named:
            return known
    names = ", ".join([*(known.name for known in table), "cpu"])
    raise PlanError("hardware", f"{named!r} is not known", f"use one of {names}, or a HardwareSpec")


def _loaded(work: Workload, hardware: HardwareSpec, held: int) -> float:
    if held == 0:
        return 0.0
    return held / step_s(work.with_batch(held).decode(), hardware, work.dtype)
