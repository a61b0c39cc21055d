"""The base of every declaration: frozen, closed, YAML and JSON both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sightline.core.errors import SpecError


class Spec(BaseModel):
    """A frozen declaration that refuses unknown keys and non-finite numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, field: str = "") -> Self:
        """Build from plain data. Raises SpecError that names the first wrong field."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise _spec_error(cls, error, field) from None

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Build from YAML (or JSON, which is YAML)."""
        return cls.parse(load_yaml(text))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        return cls.from_yaml(read_text(path))

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=2)


def load_yaml(text: str) -> dict[str, Any]:
    """A YAML mapping. Raises SpecError for anything else."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise SpecError("yaml", f"cannot be read ({where})", "mend the syntax") from None
    if not isinstance(data, dict):
        raise SpecError("yaml", f"is a {type(data).__name__}", "write a mapping of fields")
    return data


def read_text(path: Path) -> str:
    """The file's text. Raises SpecError that names the path."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SpecError(str(path), f"cannot be read ({reason})", "check the path") from None


def _spec_error(cls: type[BaseModel], error: ValidationError, prefix: str) -> SpecError:
    first = error.errors()[0]
    field = ".".join([prefix, *map(str, first["loc"])] if prefix else map(str, first["loc"]))
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SpecError):
        where = f"{field}.{cause.field}" if field else cause.field
        return SpecError(where, cause.problem, cause.fix)
    given = "" if first["type"] == "missing" else f" (given {first['input']!r:.80})"
    fix = f"see the fields of {cls.__name__}"
    if first["type"] == "extra_forbidden":
        fix = f"remove it; known fields are {', '.join(cls.model_fields)}"
    return SpecError(field or cls.__name__, first["msg"].lower() + given, fix)
