"""Reading a config.json key by key, so that nothing in it is overlooked.

A key is asked for (`take`, `expect`, `sub`), or known to be harmless, or the config is refused: an
unknown key may change the numbers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from sightline.core.errors import FamilyError

T = TypeVar("T")

# Understood by other readers than those of a part: the dispatch, the prompt, the loader.
ELSEWHERE = frozenset(
    "auto_map bos_token_id dtype eos_token_id model_type pad_token_id torch_dtype".split()
)
# What PreTrainedConfig of transformers 4.x and 5.x writes into every (nested) config and what does
# not enter a forward pass: generation settings, labels, provenance, initialisation, dropout.
HARMLESS = frozenset(
    """
    _attn_implementation_autoset _commit_hash _flash_attn_2_enabled _name_or_path architectures
    attention_dropout bad_words_ids begin_suppress_tokens chunk_size_feed_forward
    cross_attention_hidden_size custom_pipelines decoder_start_token_id diversity_penalty do_sample
    early_stopping embd_pdrop encoder_no_repeat_ngram_size exponential_decay_length_penalty
    finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing hidden_dropout
    hidden_dropout_prob id2label initializer_factor initializer_range is_decoder label2id
    length_penalty max_length min_length no_repeat_ngram_size num_beam_groups num_beams num_labels
    num_return_sequences output_attentions output_hidden_states output_scores prefix pretraining_tp
    problem_type projection_dim remove_invalid_values repetition_penalty resid_pdrop return_dict
    return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature
    tf_legacy_loss tokenizer_class top_k top_p torchscript transformers.js_config
    transformers_version typical_p use_bfloat16 use_cache use_return_dict
    """.split()
)

# Present in many configs and without effect as long as they have these values.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "pruned_heads": ({}, None),
    "tie_encoder_decoder": (False, None),
}


class Config:
    """One level of a config: `take` what is understood, then `finish`, which refuses the rest.

    `where` is the path shown in errors (`text_config`); `defaults` are the values that the class
    of the reference implementation has for keys left out.
    """

    def __init__(
        self, data: Mapping[str, Any], *, where: str = "", defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.data = {**(defaults or {}), **data}
        self.where = where
        self._seen: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def name(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of `key`; null counts as left out. Raises FamilyError if missing or wrong."""
        self._seen.add(key)
        value = self.data.get(key)
        value = default if value is None else value
        if kind is float and type(value) is int:
            value = float(value)
        if value is None:
            fix = f"add it: config.json must state {self.name(key)}"
            raise FamilyError(self.name(key), "is missing", fix)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise FamilyError(
                self.name(key),
                f"is {value!r}, not of type {kind.__name__}",
                "mend config.json",
            )
        return value

    def maybe(self, key: str, kind: type[T]) -> T | None:
        """The value of `key`, or None where it is null or left out."""
        self._seen.add(key)
        return None if self.data.get(key) is None else self.take(key, kind)

    def expect(self, key: str, *allowed: object, why: str) -> None:
        """Refuse any value of `key` but `allowed`; left out is allowed."""
        self._seen.add(key)
        if key in self.data and not any(same(self.data[key], value) for value in allowed):
            raise FamilyError(
                self.name(key), f"is {self.data[key]!r}: {why}", _ONLY.format(allowed)
            )

    def sub(self, key: str, defaults: Mapping[str, Any] | None = None) -> Config:
        """The nested config `key`; empty where it is null or left out."""
        return Config(self.take(key, dict, {}), where=self.name(key), defaults=defaults)

    def side(self, key: str) -> int:
        """A size in pixels: one number, or two equal ones."""
        value = self.data.get(key)
        if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
            self.data[key] = value[0]
        return self.take(key, int)

    def finish(self, family: str, harmless: Iterable[str] = ()) -> tuple[str, ...]:
        """Refuse keys that nothing asked for; returns the harmless ones that were ignored."""
        for key, allowed in NEUTRAL.items():
            self.expect(key, *allowed, why=f"{family} has no such thing here")
        known = HARMLESS.union(harmless)
        rest = sorted(set(self.data) - self._seen - ELSEWHERE)
        if unknown := [key for key in rest if key not in known]:
            near = difflib.get_close_matches(unknown[0], [*self._seen, *known], n=1)
            hint = f"is {near[0]} meant? " if near else ""
            raise FamilyError(
                self.name(unknown[0]),
                f"is not known to family {family} and may change its numbers "
                f"(value {self.data[unknown[0]]!r:.80})",
                f"{hint}remove it if it has no effect",
            )
        return tuple(self.name(key) for key in rest)


_ONLY = "only {} can be read"


def same(a: object, b: object) -> bool:
    """Equal and of one kind, so that 1 is not True."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)
