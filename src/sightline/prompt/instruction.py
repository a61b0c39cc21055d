"""What a connector reads beside the picture: the user's words, in a vocabulary of its own."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core.errors import ContextOverflow, PromptError
from sightline.prompt.messages import Message
from sightline.prompt.tokenizer import Tokenizer
from sightline.spec.connector import InstructionSpec


def instruction_ids(
    messages: Sequence[Message], tokenizer: Tokenizer, spec: InstructionSpec
) -> tuple[int, ...]:
    """The words of all user messages between BERT's marks, `[CLS] ... [SEP]`.

    Differs from InstructBLIP, whose queries read the whole prompt: answers are left out, so that
    in training no visual token knows the answer that it leads to. One question gives equal ids.

    Raises PromptError where `tokenizer` has no tokenizer for instructions or one of another size,
    ContextOverflow for more words than the connector has places.
    """
    reader = _reader(tokenizer, spec)
    words = "\n".join(message.text for message in messages if message.role == "user")
    marks = [reader.named_id(name) for name in ("cls_token", "sep_token")]
    first, last = ([] if mark is None else [mark] for mark in marks)
    ids = (*first, *reader.encode_text(words), *last)
    if len(ids) > spec.context:
        raise ContextOverflow(
            "messages",
            f"the words of the user are {len(ids)} tokens to the connector, which reads "
            f"{spec.context}",
            "shorten the text",
        )
    return ids


def _reader(tokenizer: Tokenizer, spec: InstructionSpec) -> Tokenizer:
    if (reader := tokenizer.config.instruction) is None:
        raise PromptError(
            "tokenizer",
            "has no vocabulary for the connector, which reads the user's words",
            "add the folder qformer_tokenizer",
        )
    if reader.vocab_size > spec.vocab:
        raise PromptError(
            "qformer_tokenizer",
            f"has {reader.vocab_size} ids, the connector {spec.vocab}",
            "give the tokenizer that it was trained with",
        )
    return reader
