"""What machines can do: peaks from data sheets, and the share of them that real runs reach."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.core.config import Spec

ComputeDtype = Literal["fp32", "bf16", "fp16"]

GB, TB, TERA = 10**9, 10**12, 10**12


class PeakSpec(Spec):
    """Dense matrix products a second, in FLOP/s (a multiply-add is two), sums in float32."""

    fp32: float = Field(gt=0)
    bf16: float = Field(gt=0)
    fp16: float = Field(gt=0)

    def of(self, dtype: ComputeDtype) -> float:
        """The peak for arithmetic on `dtype`."""
        return {"fp32": self.fp32, "bf16": self.bf16, "fp16": self.fp16}[dtype]


class HardwareSpec(Spec):
    """One device. Sizes are decimal, as makers print them; drivers report slightly more.

    The shares say how much of a peak a whole model reaches, and are what a roofline needs besides
    the peaks. Defaults are for data-sheet peaks of GPUs:
    `compute_share` 0.6: prefill and encoding, where good engines reach 50 to 70 %;
    `bandwidth_share` 0.8: decoding, where they reach 70 to 85 %;
    `train_share` 0.4: training, recomputed activations counted as work. With it six published LLaVA
    runs come out at 0.7 to 1.4 times their durations (`sightline.planner.published`).
    Time between kernels is not modelled: small models on large GPUs are slower than planned.
    """

    name: str = Field(min_length=1)
    title: str
    memory_bytes: int = Field(gt=0)
    bandwidth_bytes_per_s: float = Field(gt=0)
    peak: PeakSpec
    compute_share: float = Field(default=0.6, gt=0, le=1)
    bandwidth_share: float = Field(default=0.8, gt=0, le=1)
    train_share: float = Field(default=0.4, gt=0, le=1)
    source: str

    def compute_s(self, flops: float, dtype: ComputeDtype) -> float:
        """Seconds for `flops` at the share that inference reaches."""
        return flops / (self.peak.of(dtype) * self.compute_share)

    def transfer_s(self, num_bytes: float) -> float:
        """Seconds to read `num_bytes` once from the device's memory."""
        return num_bytes / (self.bandwidth_bytes_per_s * self.bandwidth_share)

    def train_s(self, flops: float, dtype: ComputeDtype = "bf16") -> float:
        """Seconds for `flops` at the share that training reaches."""
        return flops / (self.peak.of(dtype) * self.train_share)


H100 = HardwareSpec(
    name="h100",
    title="NVIDIA H100 SXM 80 GB",
    memory_bytes=80 * GB,
    bandwidth_bytes_per_s=3.35 * TB,
    peak=PeakSpec(fp32=66.9 * TERA, bf16=989.4 * TERA, fp16=989.4 * TERA),
    source="NVIDIA H100 Tensor Core GPU data sheet and Hopper whitepaper, without sparsity",
)
H200 = HardwareSpec(
    name="h200",
    title="NVIDIA H200 SXM 141 GB",
    memory_bytes=141 * GB,
    bandwidth_bytes_per_s=4.8 * TB,
    peak=H100.peak,
    source="NVIDIA H200 Tensor Core GPU data sheet, without sparsity",
)
A100 = HardwareSpec(
    name="a100",
    title="NVIDIA A100 SXM 80 GB",
    memory_bytes=80 * GB,
    bandwidth_bytes_per_s=2.039 * TB,
    peak=PeakSpec(fp32=19.5 * TERA, bf16=312 * TERA, fp16=312 * TERA),
    source="NVIDIA A100 Tensor Core GPU data sheet, without sparsity",
)
L4 = HardwareSpec(
    name="l4",
    title="NVIDIA L4 24 GB",
    memory_bytes=24 * GB,
    bandwidth_bytes_per_s=0.3 * TB,
    peak=PeakSpec(fp32=30.3 * TERA, bf16=121 * TERA, fp16=121 * TERA),
    source="NVIDIA L4 Tensor Core GPU data sheet; half of its figures with sparsity",
)
RTX4090 = HardwareSpec(
    name="rtx4090",
    title="NVIDIA GeForce RTX 4090 24 GB",
    memory_bytes=24 * GB,
    bandwidth_bytes_per_s=1.008 * TB,
    peak=PeakSpec(fp32=82.6 * TERA, bf16=165.2 * TERA, fp16=165.2 * TERA),
    source="NVIDIA Ada GPU architecture whitepaper, float32 accumulation, without sparsity",
)

HARDWARE: tuple[HardwareSpec, ...] = (H100, H200, A100, L4, RTX4090)
