"""Verbs and their options; what they do lives in the file of each verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.evaluation import compare, evaluate
from sightline.cli.plan import plan

app = typer.Typer(
    help="Compose, train, evaluate, plan and serve vision-language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[str, typer.Option(help="tiny (embedded), a folder, or a hub id.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MaxTokens = Annotated[int, typer.Option(help="Longest answer, in tokens.")]
Temperature = Annotated[float, typer.Option(help="0 is greedy.")]
TopP = Annotated[float, typer.Option(help="Nucleus share, above 0 up to 1.")]
Seed = Annotated[int, typer.Option(help="Seed of sampling.")]
Dtype = Annotated[str, typer.Option(help="float32 or bfloat16; auto keeps the folder's own.")]
Video = Annotated[bool, typer.Option("--video", help="Read animated GIF and WebP as videos.")]
Pages = Annotated[str | None, typer.Option(help="Pages of a PDF: 3, 2-5 or 2-; default: all.")]


@app.command()
def ask(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... QUESTION", help="Pictures, videos or PDFs, then the question."
        ),
    ],
    model: Model = "tiny",
    max_tokens: MaxTokens = 128,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    seed: Seed = 0,
    beams: Annotated[int, typer.Option(help="Beam search with this many beams.")] = 1,
    dtype: Dtype = "auto",
    draw: Annotated[
        Path | None, typer.Option(help="Save the picture with boxes and points.")
    ] = None,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence", help="How much the answer rests on the picture, in nats a token."
        ),
    ] = False,
    video: Video = False,
    pages: Pages = None,
    as_json: Json = False,
) -> None:
    """Ask a question about pictures, videos and documents."""
    from sightline.cli.ask import AskOptions, ask_command
    from sightline.cli.pictures import Reading
    from sightline.spec.sampling import Sampling

    sampling = Sampling(
        max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed, beams=beams
    )
    reading = Reading(video, pages)
    ask_command(words, AskOptions(model, dtype, sampling, draw, evidence, as_json, reading))


@app.command()
def chat(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Pictures shown with the first question."),
    ] = None,
    model: Model = "tiny",
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    seed: Seed = 0,
    dtype: Dtype = "auto",
) -> None:
    """Talk about pictures, turn after turn."""
    from sightline.cli.chat import chat_command
    from sightline.spec.sampling import Sampling

    sampling = Sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
    chat_command(files or [], model, dtype, sampling)


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="tiny, a folder, or a hub id.")],
    file: Annotated[str, typer.Argument(help="A picture, a video or a PDF.")],
    question: Annotated[
        str, typer.Option(help="The question asked about it.")
    ] = "What is in the picture?",
    out: Annotated[
        Path | None, typer.Option(help="Save what the encoder sees as a picture.")
    ] = None,
    video: Video = False,
    pages: Pages = None,
    as_json: Json = False,
) -> None:
    """Show what the model is given: views, patches, tokens and the rendered prompt."""
    from sightline.cli.inspect import inspect_command
    from sightline.cli.pictures import Reading

    inspect_command(model, file, question, out, as_json, Reading(video, pages))


@app.command()
def models(as_json: Json = False) -> None:
    """List the families that load, what each supports and how it is proved."""
    from sightline.cli.models import models_command

    models_command(as_json)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML recipe.")],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[FIELD=VALUE]...", help="Changes to the recipe.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; resumes what it holds.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: all.")] = None,
    device: Annotated[
        str, typer.Option(help="cpu or cuda; auto takes an accelerator where there is one.")
    ] = "auto",
) -> None:
    """Run all stages of a recipe; resumes where it stopped."""
    from sightline.cli.train import train_command

    train_command(recipe, changes or [], out, threads, device)


@app.command()
def doctor(
    subject: Annotated[
        str, typer.Argument(metavar="RECIPE|MODEL", help="A YAML recipe, or a model's folder.")
    ],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[FIELD=VALUE]...", help="Changes to the recipe.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows read of each stage; 0 reads all.")] = 1000,
    show: Annotated[int, typer.Option(help="Rows shown with what they teach.")] = 2,
    hardware: Annotated[
        str, typer.Option(help="Forecast for: cpu (this machine), h100, h200, a100, l4, rtx4090.")
    ] = "cpu",
    gpus: Annotated[int, typer.Option(help="Devices to train on.")] = 1,
    price: Annotated[float, typer.Option(help="Price of one device for an hour.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Look for everything that can go wrong with a recipe or a model, before compute is spent."""
    from sightline.cli.doctor import DoctorOptions, doctor_command

    options = DoctorOptions(subject, changes or [], rows, show, hardware, gpus, price, as_json)
    doctor_command(options)


app.command(name="eval")(evaluate)
app.command()(compare)
app.command()(plan)
