"""Options of `sightline eval` and `sightline compare`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from sightline.cli.asking import AskOptions

Media = Annotated[
    str | None, typer.Option(help="Folder of the file's pictures; default: the file's own.")
]
Count = Annotated[
    int | None, typer.Option(help="Number of questions; default: all of a file, 500 scenes.")
]
Seed = Annotated[int, typer.Option(help="Which questions are drawn.")]
Controls = Annotated[
    str,
    typer.Option(help="blind, swapped, shuffled:8, blurred:0.05, with commas; or all, or none."),
]
Batch = Annotated[int, typer.Option(help="Questions answered together.")]
MaxTokens = Annotated[
    int | None, typer.Option(help="Longest answer, in tokens; default: the task's.")
]
Evidence = Annotated[
    bool, typer.Option("--evidence", help="Also how much each answer rests on its picture.")
]
Choose = Annotated[
    Literal["generate", "likelihood"],
    typer.Option(help="How options are chosen: by the letter said, or by the likeliest letter."),
]
Timed = Annotated[
    int, typer.Option(help="Questions asked alone to measure the time to the first token.")
]
Processes = Annotated[int, typer.Option(help="Processes that share the questions; wants --out.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads of each; default: all cores.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Dtype = Annotated[str, typer.Option(help="float32 or bfloat16; auto keeps the folder's own.")]
Allow = Annotated[
    bool, typer.Option("--allow-remote", help="Send words and pixels to the address of NAME@URL.")
]
KeyEnv = Annotated[
    str | None,
    typer.Option(help="Environment variable with the server's key; default: OpenAI's for OpenAI."),
]
Concurrency = Annotated[int, typer.Option(help="Requests under way at once.")]
Timeout = Annotated[float, typer.Option(help="Seconds for one request.")]
Retries = Annotated[int, typer.Option(help="Further attempts at what may pass.")]
PerMinute = Annotated[float | None, typer.Option(help="Requests a minute; default: no limit.")]
MaxSide = Annotated[
    int | None, typer.Option(help="Larger pictures are resized to this before they are sent.")
]
Grounding = Annotated[
    str, typer.Option(help="How a remote model writes boxes; with none, no place is asked for.")
]
LimitField = Annotated[
    str, typer.Option(help="max_tokens, or max_completion_tokens where the server wants that.")
]
PriceIn = Annotated[float | None, typer.Option(help="Price of a million tokens given.")]
PriceOut = Annotated[float | None, typer.Option(help="Price of a million tokens said.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def evaluate(
    model: Annotated[str, typer.Argument(help="tiny, a folder, a hub id, or NAME@URL.")],
    tasks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TASK]...",
            help="scenes, probes, a probe's name, BENCHMARK=FOLDER, or a file of questions.",
        ),
    ] = None,
    media: Media = None,
    count: Count = None,
    seed: Seed = 0,
    controls: Controls = "blind,swapped",
    batch: Batch = 32,
    max_tokens: MaxTokens = None,
    evidence: Evidence = False,
    choose: Choose = "generate",
    timed: Timed = 8,
    processes: Processes = 1,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    allow_remote: Allow = False,
    key_env: KeyEnv = None,
    concurrency: Concurrency = 4,
    timeout_s: Timeout = 120.0,
    retries: Retries = 5,
    requests_per_minute: PerMinute = None,
    max_side: MaxSide = None,
    grounding: Grounding = "none",
    limit_field: LimitField = "max_tokens",
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report and all answers; resumes.")
    ] = None,
    fail_under: Annotated[
        float | None, typer.Option(help="Exit with 1 where the figure is worse than this.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a model, with the controls that say whether it looks."""
    from sightline.cli.evaluate import EvalOptions, eval_command

    asking, named = _asking(locals()), tasks or ["scenes"]
    eval_command(EvalOptions(model, named, asking, out, fail_under, as_json))


def compare(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL MODEL...", help="As eval takes them.")
    ],
    task: Annotated[
        list[str] | None, typer.Option(help="As eval takes it; several may be given.")
    ] = None,
    media: Media = None,
    count: Count = None,
    seed: Seed = 0,
    controls: Controls = "blind",
    batch: Batch = 32,
    max_tokens: MaxTokens = None,
    choose: Choose = "generate",
    timed: Timed = 16,
    processes: Processes = 1,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    allow_remote: Allow = False,
    key_env: KeyEnv = None,
    concurrency: Concurrency = 4,
    timeout_s: Timeout = 120.0,
    retries: Retries = 5,
    requests_per_minute: PerMinute = None,
    max_side: MaxSide = None,
    grounding: Grounding = "none",
    limit_field: LimitField = "max_tokens",
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the comparison and all answers; resumes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Set models side by side: quality with intervals, tokens, cache and time."""
    from sightline.cli.compare import CompareOptions, compare_command

    asking = _asking(locals())
    compare_command(CompareOptions(models, task or ["scenes"], asking, out, as_json))


def _asking(given: Mapping[str, Any]) -> AskOptions:
    """What both commands say of how a model is asked, by the names of its fields."""
    from sightline.cli.asking import AskOptions
    from sightline.cli.models_asked import RemoteOptions, prices

    paid = prices(given["price_in"], given["price_out"])
    named = {**given, "prices": paid}
    remote = RemoteOptions(**{f.name: named[f.name] for f in fields(RemoteOptions)})
    own = {f.name: given[f.name] for f in fields(AskOptions) if f.name in given}
    return AskOptions(**own, remote=remote)
