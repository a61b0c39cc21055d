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
from sightline.families.compose import compose_spec
from sightline.families.declared import Declared
from sightline.families.pairs import read_pair
from sightline.families.read import read_spec
from sightline.hub.find import find
from sightline.prompt.files import load_tokenizer
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.connector import ConnectorSpec
from sightline.spec.fusion import FusionSpec
from sightline.spec.model import ModelSpec
from sightline.spec.pair import PairSpec
from sightline.spec.resolution import ResolutionSpec
from sightline.spec.train import TrainSpec
from sightline.train.trainee import Trainee, dtype_of, new_model
from sightline.weights.convert import with_safetensors
from sightline.weights.load import load
from sightline.weights.pair import fill_pair

FIELDS = ("model", "tokenizer", "data", "train")
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
class Made:
    """The model that a recipe trains, its tokenizer, and the folders that it was filled from."""

    model: Trainee
    tokenizer: Tokenizer
    declared: Declared | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe with its changes applied; `folder` is where relative paths begin."""

    data: Mapping[str, Any]
    folder: Path

    @property
    def train(self) -> TrainSpec:
        """Stages without data of their own take those that the recipe names for all."""
        train = dict(self._mapping("train"))
        stages, shared = train.get("stages"), self.data.get("data")
        if shared is not None and isinstance(stages, list):
            given = {"kind": "files", "path": shared} if isinstance(shared, str) else shared
            train["stages"] = [
                {"data": given, **stage} if isinstance(stage, Mapping) else stage
                for stage in stages
            ]
        return TrainSpec.parse(train, field="train")

    @property
    def is_pair(self) -> bool:
        """Whether it trains a pair of towers: it says so, or a folder is given to a stage that
        compares."""
        named = self.data.get("model")
        if isinstance(named, Mapping):
            return named.get("kind") == "pair"
        return any(stage.kind == "contrastive" for stage in self.train.stages)

    def spec(self) -> ModelSpec:
        """The model without its weights: of a hub id only the config is fetched. Raises SpecError
        for a pair of towers."""
        named = self.data.get("model")
        if self.is_pair:
            raise SpecError("model", "is a pair of towers", "give a model that answers")
        if isinstance(named, str):
            return read_spec(self._folder(named, config_only=True)).model
        data = self._mapping("model")
        if not self._is_joined(data):
            return ModelSpec.parse(data, field="model")
        parts = self._parts(data)
        tower, text = (
            read_spec(find(parts.pop(name), config_only=True)) for name in ("vision", "language")
        )
        return compose_spec(tower, text, **parts).model

    def make(self) -> Made:
        """The model to train and its tokenizer.

        `model: FOLDER` is a whole model to go on with. Parts that say `from:` come from published
        folders and are joined as `compose` does; a model without one is new, with the tokenizer
        that the recipe names. For contrastive stages it is a pair of towers: `kind: pair`, or a
        folder of one (CLIP's and SigLIP's too).
        """
        named = self.data.get("model")
        if isinstance(named, str):
            return self._loaded(named)
        data, train = self._mapping("model"), self.train
        if self._is_joined(data):
            joined = api.compose(**self._parts(data), dtype=train.dtype, seed=train.seed)
            return Made(joined.model, joined.tokenizer, notes=joined.notes)
        kind = PairSpec if self.is_pair else ModelSpec
        model = new_model(kind.parse(data, field="model"), train)
        return Made(model, load_tokenizer(self._path(self.data.get("tokenizer"))))

    def _loaded(self, name: str) -> Made:
        if "tokenizer" in self.data:
            raise SpecError("tokenizer", "comes with the model's folder", "remove it")
        folder = with_safetensors(self._folder(name))
        dtype = dtype_of(self.train)
        if self.is_pair:
            pair = fill_pair(read_pair(folder), dtype=dtype)
            return Made(pair.model, load_tokenizer(folder), pair.declared, pair.declared.notes)
        declared = read_spec(folder)
        loaded = load(declared, dtype=dtype)
        tokenizer = api.with_placeholder(load_tokenizer(folder), loaded.model.spec.prompt)
        return Made(loaded.model, tokenizer, declared, declared.notes)

    def _folder(self, name: str, *, config_only: bool = False) -> Path:
        """`tiny`, a folder beside the recipe, or what `load` finds."""
        if name == "tiny":
            return api.EMBEDDED / "tiny"
        return find(self._source(name), config_only=config_only)

    @staticmethod
    def _is_joined(data: Mapping[str, Any]) -> bool:
        return any("from" in part for part in data.values() if isinstance(part, Mapping))

    def _parts(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What `compose` is given."""
        self._check_composed(data)
        vision, language, prompt = (dict(data.get(name, {})) for name in FROM)
        own = {name: data[name] for name in Between.model_fields if name in data}
        between = Between.parse(own, field="model")
        return {
            "vision": self._source(vision.pop("from")),
            "language": self._source(language.pop("from")),
            "connector": between.connector,
            "resolution": between.resolution,
            "fusion": between.fusion,
            **vision,
            **prompt,
        }

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
