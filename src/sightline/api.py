"""The object that users hold."""

# T tokens  V views

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.core.errors import PromptError, SamplingError, SpecError
from sightline.families.compose import compose_spec
from sightline.families.declared import Declared
from sightline.families.read import read_spec
from sightline.hub.find import find
from sightline.model.answer import Answer
from sightline.model.build import build_model
from sightline.model.evidence import visual_evidence
from sightline.model.init import initialise
from sightline.model.prepare import Prepared
from sightline.model.reference import reference_logits
from sightline.model.speaker import Answering, Messages, Speaker
from sightline.model.vlm import Vlm
from sightline.nn.named import named_device, named_dtype
from sightline.nn.packed import pack, unpack
from sightline.pictures.sorts import sort_of
from sightline.prompt.files import load_tokenizer
from sightline.prompt.templates import builtin
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.connector import ConnectorSpec
from sightline.spec.model import ModelSpec
from sightline.spec.prompt import BuiltinTemplate, PromptSpec
from sightline.spec.resolution import FramesSpec, ResolutionSpec
from sightline.spec.sampling import Sampling
from sightline.spec.vision import ModuleSpec
from sightline.weights.convert import with_safetensors
from sightline.weights.export import export_hf
from sightline.weights.fingerprint import differences, fingerprint
from sightline.weights.load import load as load_weights
from sightline.weights.save import save as save_folder

EMBEDDED = Path(__file__).parent / "embedded"


class VisionLanguageModel:
    """A model with its tokenizer: ask it, stream from it, look inside it, save it."""

    def __init__(self, model: Vlm, tokenizer: Tokenizer, notes: tuple[str, ...] = ()) -> None:
        self.speaker, self.notes = Speaker(model, tokenizer), notes

    @property
    def model(self) -> Vlm:
        return self.speaker.model

    @property
    def tokenizer(self) -> Tokenizer:
        return self.speaker.tokenizer

    @property
    def fingerprint(self) -> dict[str, str]:
        """What must be equal for another run to see the same pixels and tokens."""
        return fingerprint(self.spec, self.tokenizer)

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    def prepare(
        self,
        messages: Messages,
        *,
        add_generation_prompt: bool = True,
        frames: FramesSpec | None = None,
        budget: int | None = None,
    ) -> Prepared:
        """What the model reads for a conversation; also the way of training and serving.

        `frames` and `budget` (visual tokens) choose which frames of clips are looked at.
        """
        return self.speaker.prepare(
            messages, add_generation_prompt=add_generation_prompt, frames=frames, budget=budget
        )

    def logits(self, prepared: Prepared) -> Tensor:
        """float32[T, vocab] at every position, by the uncached reference path."""
        return reference_logits(self.model, prepared)

    def ask(self, *given: Any, evidence: bool = False, **sampling: Any) -> Answer:
        """Answer `ask(picture, ..., question)` or `ask(messages)`.

        In place of a picture may stand a video file, a list of frames, an array of them, or a PDF.
        Keyword options are those of `Sampling` (max_tokens, temperature, top_p, ...).
        Raises PromptError, PictureError, ContextOverflow or SamplingError.
        """
        messages = conversation(given)
        answer = self.speaker.answer(messages, options(sampling))
        if not evidence:
            return answer
        found = visual_evidence(self.model, self.speaker.prepare, messages, answer.token_ids)
        return replace(answer, evidence=found)

    def stream(self, *given: Any, **sampling: Any) -> Answering:
        """Pieces of text as they become certain; afterwards `.answer` holds the whole."""
        return Answering(self.speaker, conversation(given), options(sampling))

    def answer_all(self, conversations: Sequence[Messages], **sampling: Any) -> list[Answer]:
        """Answers to several conversations, run as one batch."""
        return self.speaker.answer_all(conversations, options(sampling))

    def save(self, folder: Path | str, **about: Any) -> None:
        """Write our own folder (`card=`, `about=`, `dtype=`); `load` reads it back bit by bit."""
        with _plain(self.model):
            save_folder(self.model, folder, tokenizer=self.tokenizer, **about)

    def export(self, folder: Path | str) -> None:
        """Write the family's own Hugging Face folder, for other engines.

        Raises FamilyError naming the choice that its format cannot express.
        """
        with _plain(self.model):
            export_hf(self.model, folder, tokenizer=self.tokenizer)


@contextmanager
def _plain(model: Vlm) -> Iterator[None]:
    """The model with plain weights; afterwards laid out for inference again if it was."""
    packed = any(p.is_meta for p in model.parameters())
    unpack(model)
    try:
        yield
    finally:
        if packed:
            pack(model)


def load(
    model: Path | str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    vision: nn.Module | None = None,
    revision: str | None = None,
) -> VisionLanguageModel:
    """`tiny` (embedded), a folder, or a hub id; ours or a published family's.

    `dtype` auto keeps the checkpoint's own. On a CPU the weights are laid out for inference
    (`sightline.nn.packed.unpack` undoes it). `vision` is the module of a model composed with one
    of yours. Raises FolderError, FamilyError, SpecError, WeightError or PromptError.
    """
    folder = EMBEDDED / "tiny" if model == "tiny" else find(model, revision=revision)
    declared = read_spec(with_safetensors(folder))
    loaded = load_weights(
        declared, device=named_device(device), dtype=named_dtype(dtype), vision=vision
    )
    if torch.device(device).type == "cpu":
        pack(loaded.model)
    tokenizer = with_placeholder(load_tokenizer(folder), loaded.model.spec.prompt)
    now = fingerprint(loaded.model.spec, tokenizer)
    notes = (*declared.notes, *differences(declared.fingerprint, now))
    return VisionLanguageModel(loaded.model, tokenizer, notes)


def build(
    spec: ModelSpec,
    *,
    tokenizer: Tokenizer | Path | str,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
    vision: nn.Module | None = None,
) -> VisionLanguageModel:
    """A new model of `spec`, its parameters drawn from `seed`.

    `tokenizer` is one in memory or the folder of one. Raises SpecError or PromptError.
    """
    model = build_model(spec, vision=vision)
    initialise(model, seed)
    words = tokenizer if isinstance(tokenizer, Tokenizer) else load_tokenizer(Path(tokenizer))
    model = model.to(named_device(device), named_dtype(dtype)).eval()
    return VisionLanguageModel(model, words)


def compose(
    *,
    vision: Path | str | nn.Module,
    language: Path | str,
    connector: ConnectorSpec | None = None,
    resolution: ResolutionSpec | None = None,
    device: str = "cpu",
    dtype: str = "auto",
    seed: int = 0,
    **choices: Any,
) -> VisionLanguageModel:
    """Join any published tower (or a module of yours) with any published text model.

    The connector (default: two layers, GELU) and the rows by which the vocabulary grows are new,
    drawn from `seed`; everything else keeps its published weights. A module needs `width` and
    `patch`, maps float[V, 3, height, width] to [V, rows · cols, width], and wants a `resolution`.
    `choices` are those of `families.compose.compose_spec` (layer, class_token, template, ...).
    """
    own = vision if isinstance(vision, nn.Module) else None
    tower = (
        _declared_module(vision, resolution)
        if isinstance(vision, nn.Module)
        else (read_spec(with_safetensors(find(vision))))
    )
    folder = find(language)
    text = read_spec(with_safetensors(folder))
    declared = compose_spec(tower, text, connector=connector, resolution=resolution, **choices)
    loaded = load_weights(
        declared, device=named_device(device), dtype=named_dtype(dtype), seed=seed, vision=own
    )
    tokenizer = with_control_tokens(load_tokenizer(folder), declared.model.prompt)
    return VisionLanguageModel(loaded.model, tokenizer, declared.notes)


def with_placeholder(tokenizer: Tokenizer, prompt: PromptSpec) -> Tokenizer:
    """The tokenizer with the placeholder of pictures, where the folder has no such token and its id
    is the first that no token has: LLaVA's first release writes the number -200 in its place."""
    absent = prompt.image.text not in tokenizer
    free = absent and tokenizer.vocab_size == prompt.image.id
    return tokenizer.add_token(prompt.image.text) if free else tokenizer


def with_control_tokens(tokenizer: Tokenizer, prompt: PromptSpec) -> Tokenizer:
    """The tokenizer with the image token and those of a built-in template, as `compose` counts."""
    tokenizer = tokenizer.add_token(prompt.image.text)
    if isinstance(prompt.template, BuiltinTemplate):
        for text in builtin(prompt.template).tokens:
            tokenizer = tokenizer.add_token(text)
    return tokenizer


def _declared_module(module: nn.Module, resolution: ResolutionSpec | None) -> Declared:
    width, patch = getattr(module, "width", None), getattr(module, "patch", None)
    if not isinstance(width, int) or not isinstance(patch, int):
        raise SpecError("vision", "has no width or patch", "give the module both, as integers")
    if resolution is None:
        raise SpecError("resolution", "is missing", "say which views the module reads")
    parameters = sum(p.numel() for p in module.parameters())
    name = type(module).__name__
    spec = ModuleSpec(name=name, width=width, patch=patch, parameters=parameters)
    return Declared(family=name, vision=spec, resolution=resolution)


def conversation(given: Sequence[Any]) -> Messages:
    """`(messages,)` as it is; `(picture, ..., question)` as one user message, with videos and
    documents told from their first bytes."""
    if len(given) == 1 and isinstance(given[0], list | tuple):
        return given[0]
    if not given or not isinstance(given[-1], str) or not given[-1].strip():
        raise PromptError("question", "is missing or empty", "write it last")
    *media, question = given
    parts: list[dict[str, Any]] = [{"type": (sort := sort_of(item)), sort: item} for item in media]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]


def options(given: Mapping[str, Any]) -> Sampling:
    """Sampling options. Raises SamplingError for a wrong value or a name that is none."""
    names = Sampling.__dataclass_fields__
    for name in given:
        if name not in names:
            raise SamplingError(name, "is no option", f"use {', '.join(names)}")
    return Sampling(**given)
