"""What this machine's CPU reaches, measured in a child process.

The plan must not import torch, and numpy has no bfloat16: so the products that a model would run
are timed by torch in a process of its own, when the user asks for hardware `cpu`. It takes about
three seconds and nothing is stored: a stale figure would be worse.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from sightline.core.errors import PlanError
from sightline.spec.hardware import HardwareSpec, PeakSpec

TIMEOUT_S = 120
# What a whole model reaches of measured peaks: on two Zen 5 cores (50.6 GB/s, 950 GFLOP/s in bf16)
# CLIP-L/14-336 encodes in 605 ms, a Qwen2-0.5B prefills 602 tokens in 703 and decodes in 26.9 ms.
COMPUTE_SHARE, BANDWIDTH_SHARE, TRAIN_SHARE = 0.65, 0.75, 0.45

_PROBE = """
import json, time, torch
from torch.nn import functional as F

def best(run, budget_s=0.25, least=3):
    run()
    times, end = [], time.perf_counter() + budget_s
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)

def flops(dtype, n):
    x, w = torch.ones(n, n, dtype=dtype), torch.ones(n, n, dtype=dtype)
    return 2 * n**3 / best(lambda: F.linear(x, w))

with torch.inference_mode():
    big = torch.ones(2**27)
    out = {
        "bandwidth": big.numel() * 4 / best(big.sum),
        "fp32": flops(torch.float32, 1024),
        "bf16": flops(torch.bfloat16, 1024),
        "fp16": flops(torch.float16, 512),
        "threads": torch.get_num_threads(),
    }
print(json.dumps(out))
"""


def measure_cpu() -> HardwareSpec:
    """Read bandwidth and matrix products of this CPU, with as many threads as torch would use.

    Raises PlanError if they cannot be measured. Other load on the machine lowers them.
    """
    found = _probe()
    threads = int(found["threads"])
    return HardwareSpec(
        name="cpu",
        title=f"this CPU, {threads} thread{'s' * (threads > 1)}",
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        bandwidth_bytes_per_s=found["bandwidth"],
        peak=PeakSpec(fp32=found["fp32"], bf16=found["bf16"], fp16=found["fp16"]),
        compute_share=COMPUTE_SHARE,
        bandwidth_share=BANDWIDTH_SHARE,
        train_share=TRAIN_SHARE,
        source="measured now: sum over 512 MiB, square products",
    )


def _probe() -> dict[str, float]:
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
        found: dict[str, float] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        problem = f"this CPU cannot be measured ({said[-1] if said else error})"
        raise PlanError("hardware", problem, "name a device, or describe one in a file") from None
    return found
