"""What training teaches of one conversation: the answers and what ends them, and nothing else.

Each dialect's row is read, prepared by the model's own path and its targets decoded; the truth for
each chat template is written by hand in mask_cases.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.mask_cases import TEMPLATES, conversations, learned, preparer, spans, with_picture
from tests.prompt.tokenizers import REAL, source, with_control

from sightline.data.dialects import Context, read_row
from sightline.data.rows import messages_of

DIALECTS = tuple(conversations(system=True))


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("words", ["bytes", "spm-legacy", *REAL[:2]])
def test_targets_of_every_dialect_are_the_answers(
    words: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue("shared_data") if words in REAL else None
    template, (tokenizer, _) = TEMPLATES[name], with_control(source(words, data))
    prepare, folder = preparer(template, tokenizer), with_picture(tmp_path)
    for case, (dialect, row) in conversations(template.system).items():
        sample = read_row(dialect, row, Context("rows.jsonl:1", folder))
        prepared = prepare(messages_of(sample.turns, prepare), add_generation_prompt=False)
        assert spans(prepared, tokenizer) == learned(case, template), case
        [picture] = prepared.spans
        assert picture.stop - picture.start == 4
        assert not any(prepared.targets[picture.start : picture.stop])
