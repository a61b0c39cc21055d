"""Recipes: YAML files that say which model, which tokenizer and which training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from sightline import api
from sightline.core.config import Spec, load_yaml, read_text
from sightline.core.errors import SpecError
from sightline.model.vlm import Vlm
from sightline.prompt.files import load_tokenizer
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.connector import ConnectorSpec
from sightline.spec.fusion import FusionSpec
from sightline.spec.model import ModelSpec
from sightline.spec.resolution import ResolutionSpec
from sightline.spec.train import TrainSpec
from sightline.train.run import new_model

FIELDS = ("model", "tokenizer", "train")
FROM = {  # what the parts of a composed model say beside specs of their own
    "vision": ("from", "layer", "class_token"),
    "language": ("from",),
    "prompt": ("template", "image_text", "grounding"),
}


class Between(Spec):
    """What a composed model may declare anew."""

    resolution: ResolutionSpec | None = None
    connector: ConnectorSpec | None = None
    fusion: FusionSpec | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe with its changes applied; `folder` is where relative paths begin."""

    data: Mapping[str, Any]
    folder: Path

    @property
    def train(self) -> TrainSpec:
        return TrainSpec.parse(self._mapping("train"), field="train")

    def model(self) -> tuple[Vlm, Tokenizer]:
        """The model to train and its tokenizer.

        Parts that say `from:` come from published folders and are joined as `compose` does; a
        model without one is new, with the tokenizer that the recipe names.
        """
        data, train = self._mapping("model"), self.train
        if any("from" in part for part in data.values() if isinstance(part, Mapping)):
            joined = self._composed(data, train)
            return joined.model, joined.tokenizer
        spec = ModelSpec.parse(data, field="model")
        return new_model(spec, train), load_tokenizer(self._path(self.data.get("tokenizer")))

    def _composed(self, data: Mapping[str, Any], train: TrainSpec) -> api.VisionLanguageModel:
        self._check_composed(data)
        vision, language, prompt = (dict(data.get(name, {})) for name in FROM)
        own = {name: data[name] for name in Between.model_fields if name in data}
        between = Between.parse(own, field="model")
        return api.compose(
            vision=self._source(vision.pop("from")),
            language=self._source(language.pop("from")),
            connector=between.connector,
            resolution=between.resolution,
            fusion=between.fusion,
            dtype=train.dtype,
            seed=train.seed,
            **vision,
            **prompt,
        )

    def _check_composed(self, data: Mapping[str, Any]) -> None:
        if "tokenizer" in self.data:
            raise SpecError("tokenizer", "comes with model.language.from", "remove it")
        refuse_unknown(data, "model", (*FROM, *Between.model_fields))
        for name, known in FROM.items():
            part = data.get(name, {})
            if not isinstance(part, Mapping):
                raise SpecError(f"model.{name}", f"is {part!r:.60}", "write a mapping of fields")
            if "from" in known and not isinstance(part.get("from"), str):
                raise SpecError(f"model.{name}.from", "is missing", "name a folder or a hub id")
            refuse_unknown(part, f"model.{name}", known)

    def _source(self, name: str) -> str:
        """A folder beside the recipe, or the name as it stands."""
        beside = self.folder / name
        return str(beside) if beside.is_dir() else name

    def _path(self, value: object) -> Path:
        if not isinstance(value, str):
            raise SpecError("tokenizer", f"is {value!r}", "name the folder of a tokenizer")
        return self.folder / value

    def _mapping(self, name: str) -> Mapping[str, Any]:
        value = self.data.get(name)
        if not isinstance(value, Mapping):
            raise SpecError(name, f"is {value!r:.60}", "write a mapping of fields")
        return value


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `field.field=value` changes. Raises SpecError."""
    data = load_yaml(read_text(path))
    for change in changes:
        _apply(data, change)
    refuse_unknown(data, "", FIELDS)
    return Recipe(data, path.parent)


def refuse_unknown(data: Mapping[str, Any], field: str, known: Sequence[str]) -> None:
    """Raises SpecError for a key that is none of `known`."""
    if unknown := sorted(set(data) - set(known)):
        where = f"{field}.{unknown[0]}" if field else unknown[0]
        raise SpecError(where, "is unknown", f"use {', '.join(known)}")


def _apply(data: Any, change: str) -> None:
    name, found, text = change.partition("=")
    if not found:
        raise SpecError(change, "is no change", "write field=value")
    *outer, last = name.split(".")
    for key in outer:
        data = _step(data, key, name)
    value = _value(name, text)
    if isinstance(data, list):
        data[_index(data, last, name)] = value
    elif isinstance(data, dict):
        data[last] = value
    else:
        raise SpecError(name, f"goes into {data!r:.60}, which has no fields", "mend the name")


def _value(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise SpecError(name, f"{text!r:.60} is not YAML", "quote it") from None


def _step(data: Any, key: str, name: str) -> Any:
    if isinstance(data, list):
        return data[_index(data, key, name)]
    if not isinstance(data, dict) or key not in data:
        raise SpecError(name, f"{key!r} is not in the recipe", "name a field that is there")
    return data[key]


def _index(data: list[Any], key: str, name: str) -> int:
    if not key.isdigit() or int(key) >= len(data):
        raise SpecError(name, f"{key!r} is not one of {len(data)} entries", "count from 0")
    return int(key)


def cpu_threads(threads: int | None) -> None:
    """Use this many CPU threads; None leaves torch's choice."""
    if threads is not None:
        if threads < 1:
            raise SpecError("threads", f"is {threads}", "use at least 1")
        torch.set_num_threads(threads)
