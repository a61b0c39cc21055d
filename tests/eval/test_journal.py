"""What counts as the same question."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.core.errors import DataError
from sightline.core.geometry import Box, Point
from sightline.eval.journal import Journal, answer_key
from sightline.eval.said import Said

ARRAY = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def asked(picture: Any, words: str = "What is it?") -> list[dict[str, Any]]:
    parts = [{"type": "image", "image": picture}, {"type": "text", "text": words}]
    return [{"role": "user", "content": parts}]


def png(pixels: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def test_a_picture_counts_by_what_its_file_holds(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    first.write_bytes(png(ARRAY))
    second.write_bytes(png(ARRAY))
    other.write_bytes(png(ARRAY + 1))
    keys = [answer_key(asked(p), {}) for p in (first, str(second), png(ARRAY), other)]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    first.write_bytes(png(ARRAY + 1))
    assert answer_key(asked(first), {}) == keys[3]


DIFFERENT = [
    (asked(ARRAY), {}),
    (asked(ARRAY, "What is it? "), {}),
    (asked(ARRAY), {"max_tokens": 1}),
    (asked(ARRAY.transpose(1, 0, 2)), {}),
    (asked(ARRAY.reshape(2, 8, 3)), {}),
    (asked(ARRAY.astype(np.uint16)), {}),
    (asked(Image.fromarray(ARRAY)), {}),
    (asked([ARRAY]), {}),
    (asked([ARRAY, ARRAY]), {}),
    ([{"role": "user", "content": "What is it?"}], {}),
    ([{"role": "system", "content": "What is it?"}], {}),
    ([{"role": "user", "content": "What is"}, {"role": "user", "content": " it?"}], {}),
]


def test_everything_that_is_asked_counts() -> None:
    keys = [answer_key(messages, how) for messages, how in DIFFERENT]
    assert len(set(keys)) == len(keys)
    assert keys == [answer_key(messages, how) for messages, how in DIFFERENT]


def test_what_has_no_digest_is_refused() -> None:
    with pytest.raises(DataError, match="media: is a object, which has no digest"):
        answer_key(asked(object()), {})


def test_every_field_of_an_answer_is_kept(tmp_path: Path) -> None:
    said = Said(
        "a “red” cross\n",
        (Box(1.5, 2, 3, 4, "cross"),),
        (Point(0.1, 7, None),),
        "length",
        1,
        2,
        3,
        4,
        0.123456,
        None,
        (5, 6),
        ("rate limit",),
    )
    failed = Said("", failure="time-out: after 3 tries")
    Journal(tmp_path).add({"a": said, "b": failed})
    assert Journal(tmp_path).said == {"a": said, "b": failed}


def test_an_answer_stands_and_a_failure_gives_way(tmp_path: Path) -> None:
    good, better, failed = Said("yes"), Said("no"), Said("", failure="time-out")
    journal = Journal(tmp_path, "answers-1")
    journal.add({"a": failed, "b": good})
    journal.add({"a": good, "b": failed})
    Journal(tmp_path, "answers-0").add({"b": failed})
    assert Journal(tmp_path).said == {"a": good, "b": good}
    journal.add({"b": better})
    assert Journal(tmp_path).said["b"] == better


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    journal.add({"a": Said("yes")})
    assert journal.said == {"a": Said("yes")}
    assert not [*tmp_path.iterdir()]
