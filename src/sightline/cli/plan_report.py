"""What `sightline plan` prints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from sightline.core.log import output
from sightline.planner.capacity import MAX_SIDE, Fit, fit
from sightline.planner.formats import as_dtype
from sightline.planner.latency import Hardware
from sightline.planner.report import Plan, plan
from sightline.planner.resolve import spec_of
from sightline.planner.train import TrainPlan
from sightline.planner.units import (
    parse_bytes,
    parse_size,
    show_bytes,
    show_count,
    show_seconds,
)
from sightline.planner.workload import Picture
from sightline.spec.hardware import HardwareSpec
from sightline.spec.model import ModelSpec

DEFAULT_IMAGES: tuple[Picture, ...] = ((1344, 896),)


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the command line was given."""

    model: str
    images: tuple[str, ...] | None
    text_tokens: int
    answer_tokens: int
    batch: int
    hardware: str
    dtype: str
    memory: str | None
    fit: str | None
    samples: int
    gpus: int
    price: float
    as_json: bool


def plan_command(options: PlanOptions) -> None:
    """Plan and print; with --fit the largest that a memory holds as well."""
    spec, pictures = spec_of(options.model), read_pictures(options.images)
    found = _fit(spec, pictures, options) if options.fit else None
    made = _plan(spec, pictures, options)
    if options.as_json:
        held = None if found is None else found.model_dump(mode="json")
        everything = {"model": options.model, "plan": made.model_dump(mode="json"), "fit": held}
        output().print_json(json.dumps(everything))
    else:
        show(output(), options.model, made, found)


def read_pictures(given: tuple[str, ...] | None) -> tuple[Picture, ...]:
    """Sizes, sizes of picture files, or nothing for `none`. Raises PlanError or PictureError."""
    if given is None:
        return DEFAULT_IMAGES
    return () if given == ("none",) else tuple(_picture(text) for text in given)


def _picture(text: str) -> Picture:
    if not Path(text).is_file():
        return parse_size(text)
    from sightline.pictures import probe

    return probe(text)


def _hardware(name: str) -> Hardware:
    path = Path(name)
    return HardwareSpec.from_file(path) if path.suffix in (".yaml", ".yml") else name


def _plan(spec: ModelSpec, pictures: tuple[Picture, ...], options: PlanOptions) -> Plan:
    memory = options.memory or options.fit
    return plan(
        spec,
        pictures,
        text_tokens=options.text_tokens,
        answer_tokens=options.answer_tokens,
        hardware=_hardware(options.hardware),
        dtype=as_dtype(options.dtype),
        batch=options.batch,
        memory_bytes=None if memory is None else parse_bytes(memory),
        train_samples=options.samples,
        gpus=options.gpus,
        price_per_gpu_hour=options.price,
    )


def _fit(spec: ModelSpec, pictures: tuple[Picture, ...], options: PlanOptions) -> Fit:
    return fit(
        spec,
        parse_bytes(options.fit or "", "fit"),
        images=pictures,
        text_tokens=options.text_tokens,
        answer_tokens=options.answer_tokens,
        dtype=as_dtype(options.dtype),
    )


def show(console: Console, model: str, made: Plan, found: Fit | None = None) -> None:
    """All tables, for people."""
    blocks: list[RenderableType] = [_headline(model, made)]
    blocks += [] if found is None else [_fit_table(found)]
    blocks += [_pictures(made)] if made.pictures else []
    blocks += [_sides(made), _memory(made), _concurrency(made), _latency(made), _training(made)]
    for block in (*blocks, _recipe(made)):
        console.print(block)
        console.print()


def _headline(model: str, made: Plan) -> str:
    parameters = show_count(sum(part.parameters for part in made.parts))
    many = f"{made.batch} conversations at once, each " if made.batch > 1 else ""
    lines = [
        f"[bold]{escape(model)}[/]",
        f"{parameters} parameters in {made.dtype} on {made.hardware.title}.",
        f"{many}{made.text_tokens:,} text + {made.visual_tokens:,} visual + "
        f"{made.answer_tokens:,} answer = {made.tokens:,} of {made.context:,} tokens.",
    ]
    if made.pictures_in_context is not None:
        lines.append(f"The context has room for {made.pictures_in_context:,} such pictures.")
    return "\n".join(lines)


def _table(title: str, columns: str, caption: str | None = None) -> Table:
    """A left column and right-aligned figures; `columns` are separated by |."""
    table = Table(
        title=title,
        caption=caption,
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        show_edge=False,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
    )
    first, *others = columns.split("|")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _fit_table(found: Fit) -> Table:
    table = _table(f"What fits into {show_bytes(found.memory_bytes)}", "|largest")
    side = f"{found.max_side:,} px a side" if found.max_side else "none"
    if found.max_side > MAX_SIDE * 0.99:
        side = f"{MAX_SIDE:,} px a side or more"
    table.add_row("weights", show_bytes(found.weight_bytes))
    table.add_row("workspace (estimate)", show_bytes(found.workspace_bytes))
    table.add_row("left for keys and values", show_bytes(found.kv_memory_bytes))
    table.add_row("conversations at once", f"{found.max_batch:,}")
    table.add_row("context of one conversation", f"{found.max_context:,} tokens")
    table.add_row("pictures in one conversation", f"{found.max_pictures:,}")
    table.add_row("picture seen in full (square)", side)
    return table


def _pictures(made: Plan) -> Table:
    columns = "picture|views|tokens|of context|keys, values|prefill"
    table = _table("What each picture costs", columns)
    for item in made.pictures:
        frames = f" × {item.frames} frames" if item.frames > 1 else ""
        beside = f" + {item.memory_tokens:,} beside" if item.memory_tokens else ""
        table.add_row(
            f"{item.width}×{item.height}{frames}",
            f"{item.views}",
            f"{item.tokens:,}{beside}",
            f"{item.context_share:.1%}",
            show_bytes(item.kv_bytes),
            f"{show_count(item.prefill_flops)}FLOP",
        )
    return table


def _sides(made: Plan) -> Table:
    columns = "seen at|tokens|keys, values|attention|first token|at once"
    caption = "Attention among the picture's own tokens grows with their square."
    table = _table("What resolution costs: one square picture", columns, caption)
    for row in made.sides:
        held = f"{row.requests:,}" if row.fits_context else "beyond the context"
        table.add_row(
            f"[bold]{row.side} px (own)[/]" if row.own else f"{row.side} px",
            f"{row.tokens:,}",
            show_bytes(row.kv_bytes),
            f"{row.attention:,.0f} ×",
            show_seconds(row.ttft_s),
            held,
        )
    return table


def _memory(made: Plan) -> Table:
    formats = ("fp32", "bf16", "int8", "int4")
    caption = "int8, int4: linear layers, a scale for each 64 inputs; the rest has 16 bits."
    table = _table("Weights", "part|parameters|" + "|".join(formats), caption)
    for part in made.parts:
        sizes = (show_bytes(part.weight_bytes[as_dtype(name)]) for name in formats)
        table.add_row(part.part, show_count(part.parameters), *sizes)
    table.add_section()
    sums = (sum(part.weight_bytes[as_dtype(name)] for part in made.parts) for name in formats)
    total = show_count(sum(part.parameters for part in made.parts))
    table.add_row("all", total, *(show_bytes(size) for size in sums))
    return table


def _concurrency(made: Plan) -> Table:
    memory = made.memory
    verdict = "fits" if memory.fits else "[bold red]does not fit[/]"
    caption = (
        f"Weights {show_bytes(memory.weight_bytes)} + keys and values "
        f"{show_bytes(memory.kv_bytes)} + workspace {show_bytes(memory.workspace_bytes)} = "
        f"{show_bytes(memory.total_bytes)} for {made.batch} at once: {verdict} into "
        f"{show_bytes(memory.budget_bytes)}."
    )
    title = f"Conversations at once in {show_bytes(memory.budget_bytes)}"
    table = _table(title, "pictures in each|tokens|keys, values|at once", caption)
    for row in made.concurrency:
        size = show_bytes(row.kv_bytes)
        table.add_row(f"{row.pictures}", f"{row.tokens:,}", size, f"{row.requests:,}")
    return table


def _latency(made: Plan) -> Table:
    caption = (
        "Estimates by the roofline: opening pictures and queueing come on top. "
        "tokens/s: with as many at once as have room."
    )
    columns = "hardware|encode|prefill|1st token|per token|answer|at once|tokens/s"
    table = _table("How fast it answers", columns, caption)
    for row in made.on_hardware:
        times = (row.encode_s, row.prefill_s, row.ttft_s, row.inter_token_s, row.answer_s)
        shown = [show_seconds(t) for t in times] if row.fits else ["–"] * 5
        held = f"{row.requests:,}" if row.fits else "does not fit"
        loaded = f"{row.loaded_tokens_per_s:,.0f}" if row.fits else "–"
        table.add_row(row.hardware, *shown, held, loaded)
    return table


def _training(made: Plan) -> Table:
    first = made.training[0]
    title = (
        f"Training on {first.stage.samples:,} such conversations, "
        f"{first.gpus} × {first.hardware} at ${first.price_per_gpu_hour:.2f} an hour"
    )
    caption = (
        "full: connector and language model; LoRA and QLoRA train the connector besides. States: a "
        "device's share of weights, gradients and AdamW; activations of "
        f"{first.stage.micro_batch} samples, checkpointed. Times are good to a factor of two."
    )
    columns = "what trains|trained|share|states|activations|all|time|cost"
    table = _table(title, columns, caption)
    for row in made.training:
        table.add_row(*_stage(row))
    return table


def _stage(row: TrainPlan) -> tuple[str, ...]:
    memory = row.memory
    total = show_bytes(memory.total)
    return (
        row.stage.name,
        show_count(row.trained),
        f"{row.share:.2%}",
        show_bytes(memory.total - memory.activations),
        show_bytes(memory.activations),
        total if row.fits else f"[red]{total}[/]",
        show_seconds(row.hours * 3600),
        f"${row.cost:,.2f}",
    )


def _recipe(made: Plan) -> str:
    hours = " + ".join(f"{run.planned_hours:.1f}" for run in made.recipe)
    taught = " + ".join(f"{run.published_hours:.0f}" for run in made.recipe)
    cost = sum(run.planned_cost for run in made.recipe)
    known = sum(run.published_cost for run in made.recipe)
    return (
        "How near such estimates come: LLaVA-1.5-13B's recipe on 8 × a100 at $2 is planned as "
        f"{hours} h = ${cost:.0f}; lessons give {taught} h = ${known:.0f}."
    )
