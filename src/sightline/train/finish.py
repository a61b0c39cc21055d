"""What a run leaves: a model that loads anywhere, and its adapters for other tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sightline.core.errors import WeightError
from sightline.model.vlm import Vlm
from sightline.nn.lora import adapters_of
from sightline.spec.train import FullSpec
from sightline.train.ema import exchanged
from sightline.train.parts import parameters_of
from sightline.train.recipe import Made
from sightline.train.run import Run
from sightline.train.written import write_model
from sightline.weights.adapters import save_adapters


def finish(made: Made, run: Run) -> Iterator[Path]:
    """Write what the run has made, and give each folder.

    `model`: all weights, adapters merged into them. `adapter`: the adapters of the last stage and
    what it trained in full, in PEFT's format under the family's names (ours where the model has no
    family). `model-ema`: the running means, if the last stage kept them.
    """
    if not run.world.leads:
        return
    if isinstance(run.model, Vlm) and any(True for _ in adapters_of(run.model)):
        yield _write_adapters(run.model, made, run)
    yield write_model(run.model, run.tokenizer, run.folder / "model")
    ema = None if run.last is None else run.last.ema
    if ema is not None:
        with exchanged(dict(run.model.named_parameters()), ema.tensors()):
            yield write_model(run.model, run.tokenizer, run.folder / "model-ema")


def _write_adapters(model: Vlm, made: Made, run: Run) -> Path:
    last = run.train.stages[-1]
    in_full = {part for part, way in last.trains.items() if isinstance(way, FullSpec)}
    full = tuple(
        sorted(n for part, own in parameters_of(model).items() if part in in_full for n in own)
    )
    folder = run.folder / "adapter"
    try:
        return save_adapters(model, folder, made.declared, full=full)
    except WeightError as error:
        run.told(f"adapter under our own names, other tools do not read it: {error}")
        return save_adapters(model, folder, made.declared, names="own", full=full)
