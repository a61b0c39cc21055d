"""The engines, each in a process of its own: JSON lines in, JSON lines out.

python -m bench.engines NAME FOLDER --threads N
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, assert_never

Name = Literal["transformers", "sightline"]


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer. Times in milliseconds; `ttft_ms` begins with a path and a question.

    `step_ms` is the median time of a token after the first. `first_ids` show whether two engines
    agree.
    """

    prompt_tokens: int
    prepare_ms: float
    encode_ms: float
    prefill_ms: float
    ttft_ms: float
    step_ms: float
    first_ids: list[int]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one process in MB (10⁶).

    `peak` is the most that was resident since it began, mapped weights included; `anonymous` is
    what is resident now and belongs to no file.
    """

    peak_mb: float
    anonymous_mb: float


class Engine(Protocol):
    def answer(self, picture: str, question: str, tokens: int) -> Timed: ...


class Clock:
    """Moments of one answer."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.prepared = self.encoding = self.encoded = self.began
        self.tokens: list[float] = []

    def timed(self, prompt_tokens: int, ids: list[int]) -> Timed:
        steps = sorted(b - a for a, b in zip(self.tokens, self.tokens[1:], strict=False))
        encode, first = self.encoded - self.encoding, self.tokens[0]
        return Timed(
            prompt_tokens=prompt_tokens,
            prepare_ms=1e3 * (self.prepared - self.began),
            encode_ms=1e3 * encode,
            prefill_ms=1e3 * (first - self.prepared - encode),
            ttft_ms=1e3 * (first - self.began),
            step_ms=1e3 * steps[len(steps) // 2],
            first_ids=ids[:8],
        )


class Encoding:
    """Takes the time between the encoder's first operation and the connector's last."""

    clock: Clock

    def watch(self, encoder: Any, connector: Any) -> None:
        self.clock = Clock()
        encoder.register_forward_pre_hook(self._begins)
        connector.register_forward_hook(self._ends)

    def _begins(self, *_: object) -> None:
        self.clock.encoding = time.perf_counter()

    def _ends(self, *_: object) -> None:
        self.clock.encoded = time.perf_counter()


def messages(picture: str | None, question: str) -> list[dict[str, Any]]:
    image = {"type": "image"} if picture is None else {"type": "image", "image": picture}
    return [{"role": "user", "content": [image, {"type": "text", "text": question}]}]


class Transformers(Encoding):
    """The library as its documentation uses it: processor, `generate`, a streamer."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import LlavaForConditionalGeneration, LlavaProcessor

        self.torch = torch
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16)
        self.model.eval().generation_config.eos_token_id = None  # every answer has full length
        self.processor = LlavaProcessor.from_pretrained(folder)
        self.watch(self.model.model.vision_tower, self.model.model.multi_modal_projector)

    def put(self, ids: Any) -> None:
        """The streamer: it is given the prompt first, then token after token."""
        self.clock.tokens.append(time.perf_counter())

    def end(self) -> None:
        """Part of a streamer."""

    def answer(self, picture: str, question: str, tokens: int) -> Timed:
        from PIL import Image

        clock = self.clock = Clock()
        text = self.processor.apply_chat_template(
            messages(None, question), add_generation_prompt=True
        )
        inputs = self.processor(images=Image.open(picture), text=text, return_tensors="pt")
        inputs = inputs.to(self.torch.bfloat16)
        clock.prepared = time.perf_counter()
        ids = self.model.generate(**inputs, max_new_tokens=tokens, do_sample=False, streamer=self)
        prompt = inputs["input_ids"].shape[1]
        clock.tokens = clock.tokens[1:]
        return clock.timed(prompt, ids[0, prompt:].tolist())


class Sightline(Encoding):
    """This library as a user has it."""

    def __init__(self, folder: Path) -> None:
        import sightline
        from sightline.model.generate import generate
        from sightline.spec.sampling import Sampling

        self.generate, self.sampling = generate, Sampling
        self.vlm = sightline.load(folder, dtype="bfloat16")
        self.watch(self.vlm.model.vision, self.vlm.model.connector)

    def answer(self, picture: str, question: str, tokens: int) -> Timed:
        clock = self.clock = Clock()
        prepared = self.vlm.prepare(messages(picture, question))
        clock.prepared = time.perf_counter()
        ids: list[int] = []
        sampling = self.sampling(max_tokens=tokens, temperature=0)
        for chosen in self.generate(self.vlm.model, [prepared], sampling):
            clock.tokens.append(time.perf_counter())
            ids += [token for token in chosen if token is not None]
        if len(ids) < tokens:
            raise RuntimeError(f"the answer ended after {len(ids)} tokens: make another folder")
        return clock.timed(len(prepared.token_ids), ids)


def open_engine(name: Name, folder: Path) -> Engine:
    match name:
        case "transformers":
            return Transformers(folder)
        case "sightline":
            return Sightline(folder)
        case _:
            assert_never(name)


def memory() -> Memory:
    status = Path("/proc/self/status").read_text()
    anonymous = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("RssAnon"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Memory(peak_mb=peak * 1024 / 1e6, anonymous_mb=anonymous * 1024 / 1e6)


class Process:
    """An engine in a process of its own, asked over pipes."""

    def __init__(self, name: Name, folder: Path, threads: int) -> None:
        command = [sys.executable, "-m", __spec__.name, name, str(folder)]
        quiet = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        one = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.name: Name = name
        self.process = subprocess.Popen(
            [*command, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | quiet | one,
        )
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def answer(self, picture: Path, question: str, tokens: int) -> Timed:
        asked = {"picture": str(picture), "question": question, "tokens": tokens}
        return Timed(**self._ask(asked))

    def memory(self) -> Memory:
        return Memory(**self._ask({}))

    def _ask(self, request: dict[str, Any]) -> Any:
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        if not (line := self.process.stdout.readline()):
            raise RuntimeError(f"{self.name} ended with exit code {self.process.wait()}")
        return json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["transformers", "sightline"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    replies, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no reply

    import torch

    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        engine = open_engine(args.name, args.folder)
        print("{}", file=replies, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            reply = engine.answer(**request) if request else memory()
            print(json.dumps(asdict(reply)), file=replies, flush=True)


if __name__ == "__main__":
    main()
