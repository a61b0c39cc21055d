"""`sightline plan`: its options. What it does is in `plan_report`, imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer


def plan(
    model: Annotated[str, typer.Argument(help="tiny, a folder, a hub id, or a YAML spec.")],
    image: Annotated[
        list[str] | None,
        typer.Option(help="1344x896, or a picture file; repeat for several; none: text only."),
    ] = None,
    text_tokens: Annotated[int, typer.Option(help="Text tokens of the prompt.")] = 100,
    answer_tokens: Annotated[int, typer.Option(help="Tokens of the answer.")] = 100,
    batch: Annotated[int, typer.Option(help="Conversations at once.")] = 1,
    hardware: Annotated[
        str,
        typer.Option(help="h100, h200, a100, l4, rtx4090, cpu (measured now), or a YAML file."),
    ] = "h100",
    dtype: Annotated[str, typer.Option(help="fp32, bf16, fp16, int8, int4 or nf4.")] = "bf16",
    memory: Annotated[
        str | None, typer.Option(help="Memory to plan for, as 24GB; default: 90 % of the device's.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="Largest picture, batch and context in this memory.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Training samples.")] = 100_000,
    gpus: Annotated[int, typer.Option(help="Devices to train on.")] = 8,
    price: Annotated[float, typer.Option(help="Price of one device for an hour.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """What it will cost: tokens, memory, concurrency, latency, training. Reads no weights."""
    from sightline.cli.plan_report import PlanOptions, plan_command

    plan_command(
        PlanOptions(
            model=model,
            images=None if image is None else tuple(image),
            text_tokens=text_tokens,
            answer_tokens=answer_tokens,
            batch=batch,
            hardware=hardware,
            dtype=dtype,
            memory=memory,
            fit=fit,
            samples=samples,
            gpus=gpus,
            price=price,
            as_json=as_json,
        )
    )
