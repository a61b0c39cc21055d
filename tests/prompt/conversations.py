"""Random conversations: several turns, odd white space, Unicode, up to four pictures."""

from __future__ import annotations

from random import Random
from typing import Any

Content = str | list[dict[str, Any]]
Chat = list[dict[str, Any]]

WORDS = (
    "What", "colour", "is", "the", "dog", "12", "3.5", "red", "a", "(left)", "[0.1,0.2]", "x<y",
    "</b>", "café", "naïve", "Über", "中文", "日本語", "한국어", "русский", "😀", "👍🏽", "e\u0301",
    "\u200d", "USER:", "[INST]", "ASSISTANT:", "don't", "it's", "!?", "...", "=>", "::", "|", "{}",
    "''", '"q"',
)  # fmt: skip
GAPS = (" ", " ", " ", "  ", "\n", "\n\n", "\t", "", " \n ", "\u00a0", "   ")


def words(random: Random) -> str:
    """Some words with any white space between and around them."""
    core = random.choice(WORDS)
    for _ in range(random.randrange(9)):
        core += random.choice(GAPS) + random.choice(WORDS)
    edges = ("", "", "", " ", "\n", "  ", "\n\n", "\t")
    return random.choice(edges) + core + random.choice(edges)


def parts(random: Random, pictures: int) -> list[dict[str, Any]]:
    """One to three texts with pictures anywhere among them."""
    texts = [{"type": "text", "text": words(random)} for _ in range(random.choice((1, 1, 2, 3)))]
    for _ in range(pictures):
        place = random.choice((0, 0, random.randrange(len(texts) + 1)))
        texts.insert(place, {"type": "image", "image": b"a picture"})
    return texts


def chat(random: Random, *, system: bool, answered: bool) -> Chat:
    """Turns of user and assistant; user messages are parts, the others strings."""
    turns = random.randrange(1, 5)
    pictures = [0] * turns
    for _ in range(random.randrange(5)):
        pictures[random.randrange(turns)] += 1
    messages: Chat = []
    if system and random.random() < 0.4:
        messages.append({"role": "system", "content": words(random)})
    for i, count in enumerate(pictures):
        messages.append({"role": "user", "content": parts(random, count)})
        if answered or i < turns - 1:
            messages.append({"role": "assistant", "content": words(random)})
    return messages


def num_pictures(messages: Chat) -> int:
    return sum(
        part["type"] == "image"
        for message in messages
        if not isinstance(message["content"], str)
        for part in message["content"]
    )


def as_parts(messages: Chat) -> Chat:
    """Every content as parts."""

    def content(given: Content) -> Content:
        return [{"type": "text", "text": given}] if isinstance(given, str) else given

    return [message | {"content": content(message["content"])} for message in messages]


def as_strings(messages: Chat, image: str) -> Chat:
    """Every content as one string, pictures as their placeholder."""

    def content(given: Content) -> str:
        if isinstance(given, str):
            return given
        return "".join(part.get("text", image) for part in given)

    return [message | {"content": content(message["content"])} for message in messages]


def shuffled_forms(messages: Chat, random: Random) -> Chat:
    """The same words; contents of text alone as a string or as parts, at random."""

    def content(given: Content) -> Content:
        if isinstance(given, str):
            return random.choice((given, [{"type": "text", "text": given}]))
        if len(given) == 1 and given[0]["type"] == "text":
            return random.choice((given[0]["text"], given))
        return given

    return [message | {"content": content(message["content"])} for message in messages]
