"""Patterns of tensor names: `{i}` and `{j}` numbers, `{p}` a segment, `{any}` the rest."""

from __future__ import annotations

import re

Fields = dict[str, str]

_KINDS = {"i": r"\d+", "j": r"\d+", "p": r"[^.]+", "any": r".+"}


def compiled(pattern: str) -> re.Pattern[str]:
    """What matches the instances of `pattern`, a group for each field."""
    parts = re.split(r"\{(\w+)\}", pattern)
    groups = (
        re.escape(part) if at % 2 == 0 else f"(?P<{part}>{_KINDS[part]})"
        for at, part in enumerate(parts)
    )
    return re.compile("".join(groups))


def names_of(patterns: str | tuple[str, ...], fields: Fields) -> tuple[str, ...]:
    """The instances of patterns whose fields are filled."""
    each = (patterns,) if isinstance(patterns, str) else patterns
    return tuple(pattern.format_map(fields) for pattern in each)
