"""Chat templates run here: Jinja in a sandbox, set up as `transformers` does (its 5.23)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import Template, nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from sightline.core.errors import PromptError

# A template may add this many characters to the conversation's own.
MAX_ADDED_CHARS = 1 << 20


class TemplateFailure(PromptError):
    """A template that does not take a conversation; `told` if it says so by `raise_exception`."""

    def __init__(self, said: str, *, told: bool) -> None:
        fix = "change the conversation, or give another template"
        super().__init__("chat template", f"refuses the conversation: {said:.300}", fix)
        self.told = told


class _Told(TemplateError):
    """Raised by a template itself."""


class PartList(list[Any]):
    """Content as parts. Unlike a list it cannot be printed: a template that knows only strings
    fails on it and does not write Python into the prompt."""

    def __str__(self) -> NoReturn:
        raise TemplateError("content is a list of parts and not a string")

    __repr__ = __str__


@lru_cache(maxsize=64)
def compile_template(source: str) -> Template:
    """A template ready to run. Raises PromptError for wrong syntax."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["namespace"] = _Namespace
    environment.globals["raise_exception"] = _raise_exception
    try:
        return environment.from_string(source)
    except TemplateSyntaxError as error:
        problem = f"cannot be read: {error.message} (line {error.lineno})"
        raise PromptError("chat template", problem, "mend the template") from None


def run_template(template: Template, variables: Mapping[str, Any], *, limit: int) -> str:
    """The rendered text. Raises TemplateFailure if the template fails or writes over `limit`
    characters."""
    pieces, size = [], 0
    try:
        for piece in template.generate(**variables):
            pieces.append(piece)
            if (size := size + len(piece)) > limit:
                raise SecurityError(f"writes more than {limit} characters")
    except Exception as error:  # foreign code: it may fail in any way
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise TemplateFailure(said, told=isinstance(error, _Told)) from None
    return "".join(pieces)


def clock(now: datetime) -> Callable[[str], str]:
    """The `strftime_now` of templates, standing still."""
    return now.strftime


class _GenerationTag(Extension):
    """`{% generation %}` marks answers for `transformers`; here it is only tolerated."""

    tags = {"generation"}  # noqa: RUF012 (Jinja declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Namespace(Namespace):
    """Refuses names with an underscore, which reach into Python."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # like Namespace: `self` may be a keyword
        for name in dict(*args[1:], **kwargs):
            _check_name(name)
        Namespace.__init__(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"namespace name {name!r} starts with an underscore")


def _raise_exception(message: str) -> NoReturn:
    raise _Told(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own would escape HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
