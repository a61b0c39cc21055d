"""Updates of one model by transformers and by Sightline, from the same rows and weights.

`python -m bench.train_engines NAME FOLDER ...` waits for lines of JSON; `bench.train` starts it.
"""

# B sequences  T tokens

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, assert_never, get_args

import torch
from torch import Tensor, nn

from bench.train_rows import MIXTURES, PAD, Row
from sightline.data.collate import TrainBatch, packed, padded
from sightline.families.read import read_spec
from sightline.nn.packed import keep_freed_memory
from sightline.spec.train import StageSpec
from sightline.train.loop import Updater
from sightline.train.losses.next_token import next_token
from sightline.train.optim import MasterOptimizer
from sightline.train.parts import groups, prepare_parts
from sightline.weights.load import load_folder

Name = Literal["transformers", "sightline"]
LR, CLIP, DECAY = 3e-4, 1.0, 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """What is trained on: a mixture, rows of one update, and how they are joined and run."""

    mixture: str
    rows: int
    updates: int
    packs: bool
    compiles: bool
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """Seconds of each update of a round, and the loss before it."""

    seconds: tuple[float, ...]
    losses: tuple[float, ...]


class Engine(Protocol):
    """Something that trains."""

    def batch(self, rows: Sequence[Row]) -> Any:
        """What `update` takes; made outside the measured time."""

    def update(self, batch: Any) -> float:
        """One update; returns the loss before it."""

    def compile(self) -> None:
        """Run through torch.compile from now on."""


class Transformers:
    """A plain loop over the library's model: padded rows, float32 weights under bfloat16 autocast,
    fused AdamW and clipping, as its Trainer does."""

    def __init__(self, folder: Path) -> None:
        from transformers import LlavaForConditionalGeneration

        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.model.train()
        self.run: Any = self.model
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=LR, weight_decay=DECAY, fused=True
        )

    def compile(self) -> None:
        self.run = torch.compile(self.model)

    def batch(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        longest = max(len(row.token_ids) for row in rows)
        ids, mask = (torch.full((len(rows), longest), PAD) for _ in range(2))
        labels = torch.full((len(rows), longest), -100)
        for i, row in enumerate(rows):
            length = len(row.token_ids)
            ids[i, :length] = torch.tensor(row.token_ids)
            mask[i, :length] = 1
            labels[i, length - row.answer : length] = ids[i, length - row.answer : length]
        pixels = [view for row in rows for view in row.visual.pixels]
        out = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return out | ({"pixel_values": torch.stack(pixels)} if pixels else {})

    def update(self, batch: dict[str, Tensor]) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.run(**batch).loss
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.item())


class Sightline:
    """The update of `sightline train`: bfloat16 weights with float32 masters, logits of target
    rows."""

    def __init__(self, folder: Path, *, packs: bool) -> None:
        keep_freed_memory()
        self.model, self.packs = load_folder(folder, dtype=torch.bfloat16).model.train(), packs
        stage = StageSpec.parse(
            {
                "kind": "instruct",
                "data": {"kind": "scenes"},  # not read: the rows are given
                "steps": 10**9,
                "lr": LR,
                "betas": (0.9, 0.999),
                "weight_decay": DECAY,
                "clip": CLIP,
                "schedule": {"warmup_steps": 0},
            }
        )
        prepare_parts(self.model, stage, 0)
        optim = MasterOptimizer(groups(self.model, stage), stage)
        self.step = Updater(
            self.model, optim, stage, next_token, self.model.device, self.model.dtype
        )

    def compile(self) -> None:
        vision: Any = self.model.vision
        for block in (*vision.blocks, *self.model.language.blocks):
            block.compile()

    def batch(self, rows: Sequence[Row]) -> TrainBatch:
        tokens = sum(len(row.token_ids) for row in rows)
        return packed(rows, tokens) if self.packs else padded(rows, PAD)

    def update(self, batch: TrainBatch) -> float:
        loss, _, _ = self.step([batch], 0)
        return loss


def open_engine(name: Name, folder: Path, case: Case) -> Engine:
    match name:
        case "transformers":
            return Transformers(folder)
        case "sightline":
            return Sightline(folder, packs=case.packs)
        case _:
            assert_never(name)


def rows_of(folder: Path, case: Case) -> list[list[Row]]:
    """The rows of each update, the same for every engine."""
    spec = read_spec(folder).model
    assert spec is not None
    endless = MIXTURES[case.mixture].rows(spec, case.seed)
    return [list(itertools.islice(endless, case.rows)) for _ in range(case.updates)]


def round_of(engine: Engine, batches: Sequence[Any]) -> Reply:
    seconds, losses = [], []
    for batch in batches:
        began = time.perf_counter()
        losses.append(engine.update(batch))
        seconds.append(time.perf_counter() - began)
    return Reply(tuple(seconds), tuple(losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=get_args(Name))
    parser.add_argument("folder", type=Path)
    parser.add_argument("case")
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    replies, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no reply
    torch.set_num_threads(args.threads)
    case = Case(**json.loads(args.case))
    engine = open_engine(args.name, args.folder, case)
    batches = [engine.batch(rows) for rows in rows_of(args.folder, case)]
    if case.compiles:
        engine.compile()
    print("{}", file=replies, flush=True)
    for _ in sys.stdin:
        print(json.dumps(asdict(round_of(engine, batches))), file=replies, flush=True)


if __name__ == "__main__":
    main()
