"""What a run leaves: a model that loads anywhere, and its adapters for other tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sightline.core.errors import WeightError
from sightline.model.vlm import Vlm
from sightline.nn.lora import adapters_of
from sightline.train.ema import exchanged
from sightline.train.recipe import Made
from sightline.train.run import Run
from sightline.train.written import write_model
from sightline.weights.adapters import save_adapters


def finish(made: Made, run: Run) -> Iterator[Path]:
    """Write what the run has made, and give each folder.

    `model`: all weights, adapters merged into them. `adapter`: the adapters of the last stage and
    what the run trained in full, in PEFT's format under the family's names (ours where the model
    has no family). `model-ema`: the running means, if the last stage kept them.
    """
    if not run.world.leads:
        return
    if isinstance(run.model, Vlm) and any(True for _ in adapters_of(run.model)):
        yield from _write_adapters(run.model, made, run)
    yield write_model(run.model, run.tokenizer, run.folder / "model")
    ema = None if run.last is None else run.last.ema
    if ema is not None:
        with exchanged(dict(run.model.named_parameters()), ema.tensors()):
            yield write_model(run.model, run.tokenizer, run.folder / "model-ema")


def _write_adapters(model: Vlm, made: Made, run: Run) -> Iterator[Path]:
    """None where an earlier stage has changed a matrix under an adapter: the base is another."""
    adapters = list(adapters_of(model))
    if under := {f"{name}.weight" for name, _, _ in adapters} & run.touched:
        run.told(f"no adapter folder: {min(under)} was changed by an earlier stage; use `model`")
        return
    inside = {id(p) for _, _, adapter in adapters for p in adapter.parameters()}
    trained = (n for n, p in model.named_parameters() if n in run.touched and id(p) not in inside)
    full, folder = tuple(sorted(trained)), run.folder / "adapter"
    try:
        yield save_adapters(model, folder, made.declared, full=full)
    except WeightError as error:
        run.told(f"adapter under our own names, other tools do not read it: {error}")
        yield save_adapters(model, folder, made.declared, names="own", full=full)
