"""A model's folder examined without loading its weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from sightline.api import with_placeholder
from sightline.core.errors import SightlineError
from sightline.families.declared import Declared
from sightline.families.read import read_spec
from sightline.model.build import build_model
from sightline.planner.context import check
from sightline.prompt.encode import encode
from sightline.prompt.files import load_tokenizer
from sightline.prompt.messages import ImagePart, Message, TextPart
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.model import ModelSpec
from sightline.train.doctor.finding import Finding
from sightline.weights.audit import plan_sources
from sightline.weights.convert import with_safetensors
from sightline.weights.state import state_of

SAID = ("What is in the picture?", "A cat.", "Which colour?", "Red.")


def examine_model(folder: Path) -> list[Finding]:
    """Config, tensor names and shapes, context, tokenizer and template of a whole model."""
    findings: list[Finding] = []
    try:
        ready = with_safetensors(folder)
        declared = read_spec(ready)
        spec = declared.model
        findings += [Finding("warning", "config", note) for note in declared.notes]
        findings.append(_tensors(declared, spec))
        check(spec)
        findings.append(Finding("ok", "language.context", "one picture and more have room"))
        tokenizer = with_placeholder(load_tokenizer(ready), spec.prompt)
    except SightlineError as error:
        return [*findings, Finding.of(error)]
    return [*findings, *template_findings(spec, tokenizer)]


def _tensors(declared: Declared, spec: ModelSpec) -> Finding:
    with torch.device("meta"):
        targets = state_of(build_model(spec, device="meta"))
    planned = plan_sources(targets, declared.sources, declared.fresh)
    count = sum(len(step.ours) for plan in planned for step in plan.resolved.steps)
    return Finding("ok", "weights", f"all {count} tensors have a place, and every place a tensor")


def template_findings(spec: ModelSpec, tokenizer: Tokenizer) -> Iterator[Finding]:
    """Whether the template renders a talk about a picture, names what an answer is, and asks in
    serving as it was taught in training."""
    question, answer, second, last = (TextPart(text) for text in SAID)
    talk = (
        Message("user", (ImagePart(b""), question)),
        Message("assistant", (answer,)),
        Message("user", (second,)),
        Message("assistant", (last,)),
    )
    try:
        whole = encode(talk, tokenizer, spec.prompt, [3])
        asked = encode(talk[:3], tokenizer, spec.prompt, [3], add_generation_prompt=True)
    except SightlineError as error:
        yield Finding.of(error)
        return
    if not any(whole.targets):
        yield Finding("error", "chat template", "marks no token of an answer", "mend the template")
        return
    if asked.token_ids != whole.token_ids[: len(asked.token_ids)]:
        text = "asks for an answer in other tokens than the talk continues with"
        yield Finding("warning", "chat template", text, "training and serving will differ there")
    taught = [i for i, target in zip(whole.token_ids, whole.targets, strict=True) if target]
    if not set(taught) & set(spec.prompt.stop_ids):
        text = "ends no answer with a stop token"
        yield Finding("warning", "chat template", text, "the model will not learn to stop")
    yield Finding(
        "ok", "chat template", f"teaches {tokenizer.decode(taught, skip_special=False)!r}"
    )
