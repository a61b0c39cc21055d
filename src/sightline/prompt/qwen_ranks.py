"""Qwen 1's and Qwen-VL's vocabulary, whose control tokens are in their code."""

from __future__ import annotations

from sightline.prompt.convert import QWEN_PATTERN, from_tiktoken, read_ranks


def from_qwen_ranks(ranks: bytes) -> str:
    """Qwen 1's and Qwen-VL's `qwen.tiktoken`: their pattern, NFC, and the control tokens that their
    code adds after the last rank. Qwen-VL's marks are there for both; Qwen never writes them."""
    marks = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>")
    pictures = ("<img>", "</img>", "<imgpad>")
    extras = (f"<|extra_{i}|>" for i in range(205))
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *extras, *marks, *pictures)
    first = max(read_ranks(ranks).values()) + 1
    special = {name: first + i for i, name in enumerate(names)}
    return from_tiktoken(ranks, QWEN_PATTERN, special, nfc=True)
