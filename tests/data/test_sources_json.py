"""JSON, JSONL and gzip: rows by offset equal rows read whole, and faults are named."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import DataError
from sightline.data.sources.files import find_rows
from sightline.data.sources.json_rows import line_rows, list_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(max_size=6), VALUES, max_size=4), min_size=1, max_size=8)


def rows_of(table: Any) -> list[Any]:
    return [table.row(index) for index in range(len(table))]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


@given(
    rows=ROWS,
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\r\n"]), min_size=8, max_size=8),
    head=st.sampled_from(["", "\n\r\n", "\ufeff", "\ufeff\r\n"]),
    last=st.booleans(),
    ascii=st.booleans(),
)
def test_lines_equal_json_loads_line_by_line(
    scratch: Path, rows: list[Any], ends: list[str], head: str, last: bool, ascii: bool
) -> None:
    """CRLF, blank lines, a byte order mark, any unicode, and no newline at the end."""
    lines = [json.dumps(row, ensure_ascii=ascii) for row in rows]
    text = head + "".join(line + end for line, end in zip(lines, ends, strict=False))
    data = (text if last else text.rstrip()).encode("utf-8", "surrogatepass")
    path = scratch / "lines.jsonl"
    path.write_bytes(data)
    whole = data.decode("utf-8-sig", "surrogatepass").split("\n")
    wanted = [(number, json.loads(line)) for number, line in enumerate(whole, 1) if line.strip()]
    table = line_rows(path, "lines.jsonl")
    assert [(table.where(i), table.row(i)) for i in range(len(table))] == [
        (f"lines.jsonl:{number}", row) for number, row in wanted
    ]
    packed = scratch / "lines.jsonl.gz"
    packed.write_bytes(gzip.compress(data))
    assert rows_of(find_rows(packed, "p").table) == rows_of(table)


@given(rows=ROWS, indent=st.sampled_from([None, 0, 2]), ascii=st.booleans(), bom=st.booleans())
def test_a_list_equals_json_loads(
    scratch: Path, rows: list[Any], indent: int | None, ascii: bool, bom: bool
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii)
    path = scratch / "list.json"
    path.write_bytes(("\ufeff" * bom + f" {text}\n").encode("utf-8", "surrogatepass"))
    table = list_rows(path, "list.json")
    assert rows_of(table) == json.loads(text)
    assert table.where(len(rows) - 1) == f"list.json:{len(rows)}"


def test_a_json_file_of_lines_is_read_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert rows_of(find_rows(path, "a.json").table) == [{"a": 1}, {"a": 2}]


BAD_LINES = [
    (b'{"a": 1,}', "is not JSON"),
    (b'{"a": 1', "is not JSON"),
    (b"[1, 2]", "is a list, not a mapping"),
    (b"7", "is a number, not a mapping"),
    (b'"text"', "is a text, not a mapping"),
    (b"null", "is null, not a mapping"),
    (b'{"a": {"b": 1, "b": 2}}', "gives 'b' twice"),
    (b'{"a": "\xff"}', "is not UTF-8 text (byte 8)"),
    (b'{"a": "\\ud83d"}', "half a character"),
    (b'{"a": ' + b"[" * 100_000 + b"}", "nested too deep"),
    (b'{"a": ' + b"1" * 5000 + b"}", "not usable JSON"),
    (b"\x0c", "is not JSON"),
]


@pytest.mark.parametrize(("line", "says"), BAD_LINES, ids=[says for _, says in BAD_LINES])
def test_a_bad_line_is_named_and_leaves_the_others_readable(
    tmp_path: Path, line: bytes, says: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 0}\n\n' + line + b'\n{"a": 2}\n')
    table = line_rows(path, "rows.jsonl")
    assert (table.row(0), table.row(2)) == ({"a": 0}, {"a": 2})
    with pytest.raises(DataError) as caught:
        table.row(1)
    assert caught.value.field == "rows.jsonl:3" and says in caught.value.problem


BAD_LISTS = [
    ('[{"a": 1}, {"a": 2', "cut off", ":2"),
    ('[{"a": 1}, {"a": "x', "cut off", ":2"),
    ('[{"a": 1},\n', "cut off", ":2"),
    ('[{"a": 1} {"a": 2}]', "expecting a comma", ":1"),
    ('[{"a": 1},\n {"a" 2}]', "line 2, column 7", ":2"),
    ('[{"a": 1}]\n[{"a": 2}]', "goes on after", ""),
    ("[]", "empty list", ""),
    ("7", "neither a JSON list nor rows", ""),
    ('{"a": 1}', "is one mapping", ""),
    ("", "is empty", ""),
]


@pytest.mark.parametrize(("text", "says", "row"), BAD_LISTS, ids=[b[1] for b in BAD_LISTS])
def test_a_broken_list_is_refused_whole(tmp_path: Path, text: str, says: str, row: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        find_rows(path, "rows.json")
    assert caught.value.field == f"rows.json{row}" and says in caught.value.problem


def test_faults_within_the_rows_of_a_list_are_those_of_the_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"ä": "ö"}, {"a": 1, "a": 2}, 5, {"a": "é"}]', encoding="utf-8")
    table = find_rows(path, "rows.json").table
    assert (table.row(0), table.row(3)) == ({"ä": "ö"}, {"a": "é"})
    for index, says in ((1, "twice"), (2, "a number")):
        with pytest.raises(DataError, match=rf"rows.json:{index + 1}: .*{says}"):
            table.row(index)


@pytest.mark.parametrize("text", ["", "\n\n  \n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=r"rows.jsonl: (is empty|has no rows)"):
        line_rows(path, "rows.jsonl")


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    table = line_rows(path, "rows.jsonl")
    path.write_text('{"b": 11}\n{"a": 2}\n')
    with pytest.raises(DataError, match="has changed since"):
        table.row(0)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        table.row(0)


def test_gzip_is_read_in_any_order_from_marks(tmp_path: Path) -> None:
    """Several members, rows across the marks, backwards and in a copy."""
    rows = [{"n": n, "text": f"x{n} " * 400} for n in range(3000)]
    lines = [json.dumps(row).encode() + b"\n" for row in rows]
    path = tmp_path / "rows.jsonl.gz"
    members = [gzip.compress(b"".join(lines[i : i + 777])) for i in range(0, 3000, 777)]
    path.write_bytes(b"".join(members) + b"\0" * 512)
    table = find_rows(path, "rows").table
    order = [2999, 0, 1500, 1499, 1501, 2500, 3]
    assert [table.row(i) for i in order] == [rows[i] for i in order]
    assert len(table.file._marks) > 3  # the rows lie in several spans
    copy = pickle.loads(pickle.dumps(table))
    assert copy.file._marks == [] and [copy.row(i) for i in order] == [rows[i] for i in order]
    assert len(pickle.dumps(table)) < 100_000


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    data = gzip.compress(b'{"a": 1}\n' * 5000)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(data[:-20])
    with pytest.raises(DataError, match=r"rows: is cut off after [\d,]+ unpacked bytes"):
        find_rows(path, "rows")
    path.write_bytes(data[:40] + b"\xff" * 20 + data[60:])
    with pytest.raises(DataError, match="rows: is damaged after"):
        find_rows(path, "rows")


def test_a_pickled_copy_reads_the_same_and_is_small(tmp_path: Path) -> None:
    rows = [{"n": n, "text": "ü" * 500} for n in range(200)]
    lines, listed = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    listed.write_text(json.dumps(rows, ensure_ascii=False))
    for path in (lines, listed):
        table = find_rows(path, path.name).table
        sent = pickle.dumps(table)
        assert len(sent) < 32 * len(rows) + 2000  # offsets, no rows
        assert rows_of(pickle.loads(sent)) == rows
