"""From what users call a model to its spec, without weights."""

from __future__ import annotations

from pathlib import Path

from sightline.core.config import load_yaml, read_text
from sightline.families import read_spec
from sightline.hub import find
from sightline.spec.model import ModelSpec

EMBEDDED = Path(__file__).parents[1] / "embedded"

Model = ModelSpec | Path | str


def spec_of(model: Model) -> ModelSpec:
    """The spec itself, `tiny`, a folder, a hub id (its config alone is fetched), or a YAML file
    with a spec, by itself or under `model`.

    Raises FolderError, FamilyError or SpecError for what is none of them.
    """
    if isinstance(model, ModelSpec):
        return model
    path = Path(model)
    if path.suffix in (".yaml", ".yml"):
        data = load_yaml(read_text(path))
        return ModelSpec.parse(data.get("model", data), field=str(path))
    folder = EMBEDDED / "tiny" if model == "tiny" else find(model, config_only=True)
    return read_spec(folder).model
