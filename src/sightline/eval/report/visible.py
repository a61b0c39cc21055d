"""Text of models and tasks, made fit to be shown."""

from __future__ import annotations

import html
import re

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NO_CHARACTER = re.compile("[\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def visible(text: str) -> str:
    """Control characters as their pictures (␀), what is no character as �; lines stay."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    shown = _CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])), lines)
    return _NO_CHARACTER.sub("\ufffd", shown)


def escaped(text: str) -> str:
    """Visible, and never markup: for HTML text and attributes in double quotes."""
    return html.escape(visible(text), quote=True)
