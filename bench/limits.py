"""What this machine can do at best: `python -m bench.limits` prints it as JSON."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable


def best_s(run: Callable[[], object], times: int = 7) -> float:
    """The shortest of several runs after one to warm up, in seconds."""
    run()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--read-mb", type=int, default=1024)
    parser.add_argument("--side", type=int, default=2048)
    args = parser.parse_args()

    import torch

    torch.set_num_threads(args.threads)
    memory = torch.ones(args.read_mb << 18)  # float32
    read_s = best_s(memory.sum)
    a, b = (torch.ones(args.side, args.side, dtype=torch.bfloat16) for _ in range(2))
    product_s = best_s(lambda: torch.nn.functional.linear(a, b))
    limits = {"bytes_per_s": memory.nbytes / read_s, "flops": 2 * args.side**3 / product_s}
    print(json.dumps(limits))


if __name__ == "__main__":
    main()
