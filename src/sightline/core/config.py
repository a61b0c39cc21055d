"""The base of every declaration: frozen, closed, YAML and JSON both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sightline.core.errors import SpecError


class Spec(BaseModel):
    """A frozen declaration that refuses unknown keys and non-finite numbers.

    However it is built, a wrong field raises SpecError.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )

    if not TYPE_CHECKING:  # the type checker derives the signature from the fields

        def __init__(self, /, **data):
            try:
                super().__init__(**data)
            except ValidationError as error:
                raise _spec_error(type(self), error, data, "") from None

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, field: str = "") -> Self:
        """Build from plain data. Raises SpecError that names the first wrong field."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise _spec_error(cls, error, data, field) from None
        except TypeError:  # pydantic passes nested mappings on as keyword arguments
            where = field or cls.__name__
            raise SpecError(where, "has a key that is not text", "quote it") from None

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Build from YAML or JSON."""
        return cls.parse(load_yaml(text))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        return cls.from_yaml(read_text(path))

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=2)


class _StrictLoader(yaml.SafeLoader):
    """Plain values under keys that are text, each given once: nothing is dropped in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name, line = str(key.value), f"line {key.start_mark.line + 1}"
            if key.tag not in _KEY_TAGS:
                raise SpecError(name, f"is a key that is not text ({line})", "quote it")
            if name in seen:
                raise SpecError(name, f"is given twice ({line})", "keep one of them")
            seen.add(name)
        return super().construct_mapping(node, deep)


_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SpecError(twice, "is given twice", "keep one of them")
    return data


def load_yaml(text: str) -> dict[str, Any]:
    """A YAML or JSON mapping. Raises SpecError for anything else."""
    try:
        data = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:  # whose escapes of surrogates YAML would misread
        data = _load_yaml(text)
    if not isinstance(data, dict):
        raise SpecError("yaml", f"is a {type(data).__name__}", "write a mapping of fields")
    return data


def _load_yaml(text: str) -> Any:
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise SpecError("yaml", f"cannot be read ({where})", "mend the syntax") from None


def read_text(path: Path) -> str:
    """The file's text. Raises SpecError that names the path."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SpecError(str(path), f"cannot be read ({reason})", "check the path") from None


def _spec_error(
    cls: type[BaseModel], error: ValidationError, data: Mapping[str, Any], prefix: str
) -> SpecError:
    first = error.errors()[0]
    missing = first["type"] == "missing"
    field = ".".join(filter(None, (prefix, *_path(first["loc"], data, missing))))
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SpecError):
        where = f"{field}.{cause.field}" if field else cause.field
        return SpecError(where, cause.problem, cause.fix)
    if first["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return _kind_error(field, first["ctx"], first["input"])
    given = "" if missing else f" (given {first['input']!r:.80})"
    fix = f"see the fields of {cls.__name__}"
    if first["type"] == "extra_forbidden":
        fix = f"remove it; known fields are {', '.join(cls.model_fields)}"
    return SpecError(field or cls.__name__, first["msg"].lower() + given, fix)


def _kind_error(field: str, union: Mapping[str, Any], given: Any) -> SpecError:
    """A choice without its kind, or with one that is not built."""
    tag = union["discriminator"].strip("'")
    if tag not in dict(given):
        return SpecError(field, f"does not say its {tag}", f"add {tag}")
    problem = f"{tag} {given[tag]!r:.80} is none of {union['expected_tags']}"
    return SpecError(field, problem, "choose one of them")


def _path(location: tuple[int | str, ...], data: Any, missing: bool) -> Iterator[str]:
    """The keys on the way to the fault, without the tags that pydantic puts between them."""
    for at, key in enumerate(location):
        if isinstance(data, Mapping) and key in data:
            data = data[key]
        elif isinstance(key, int) and isinstance(data, list | tuple):
            data = data[key]
        elif not (missing and at == len(location) - 1):
            continue
        yield str(key)
