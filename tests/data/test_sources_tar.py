"""WebDataset shards: members by offset equal tarfile's, keys are kept apart, faults are named."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
from pathlib import Path

import pytest

from sightline.core.errors import DataError
from sightline.data.sources.files import find_rows, join
from sightline.data.sources.paths import locate_all
from sightline.data.sources.tar import tar_rows


def shard(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_members_of_a_key_are_a_row(tmp_path: Path) -> None:
    long = "deep/" + "k" * 120  # a name that needs a header of its own
    path = shard(
        tmp_path / "a.tar",
        [
            ("x/000.jpg", b"\xff\xd8pixels"),
            ("x/000.txt", " ein Bär \n".encode()),
            (f"{long}.PNG", b"\x89PNG"),
            (f"{long}.json", b'{"text": "a cup", "width": 3}'),
            ("x/002.cls", b"dog"),
            ("x/002.jpg", b"dog pixels"),
            ("x/003.json", b'{"texts": [1], "images": ["1.png", "x/003.0.png"]}'),
            ("x/003.0.png", b"first"),
            ("x/003.1.png", b"second"),
            ("x/004.0.png", b"first"),
            ("x/004.1.png", b"second"),
            ("x/004.npy", b"numbers"),
            ("x/005.mp4", b"clip"),
            ("x/005.json", b'{"image": null, "caption": "c"}'),
        ],
    )
    found = find_rows(path, "a.tar")
    table = found.table
    assert found.notes == ("leaves out members .npy of a.tar",)
    assert [table.row(i) for i in range(len(table))] == [
        {"image": b"\xff\xd8pixels", "text": "ein Bär"},
        {"image": b"\x89PNG", "text": "a cup", "width": 3},
        {"image": b"dog pixels", "text": "dog"},
        {"texts": [1], "images": [b"second", b"first"]},
        {"images": [b"first", b"second"]},
        {"image": None, "caption": "c", "video": b"clip"},
    ]
    assert table.where(0) == "a.tar:1 (x/000)" and table.where(1) == f"a.tar:2 ({long})"
    assert pickle.loads(pickle.dumps(table)).row(3) == table.row(3)


def test_a_member_is_the_one_whose_whole_suffix_is_named(tmp_path: Path) -> None:
    pictures = [("0.jpg", b"photo"), ("0.seg.jpg", b"mask")]
    for names in (["0.jpg", "0.seg.jpg"], ["jpg", ".seg.jpg"]):
        for order in (1, -1):
            data = json.dumps({"images": names[::order]}).encode()
            members = [*pictures[::order], ("0.json", data)]
            row = tar_rows(shard(tmp_path / "a.tar", members), "a.tar").row(0)
            assert row == {"images": [b"photo", b"mask"][::order]}


def test_img2dataset_says_its_caption_once(tmp_path: Path) -> None:
    meta = {"caption": "a cup", "key": "000", "url": "http://x/y.jpg"}
    members = [("000.jpg", b"p"), ("000.txt", b"a cup"), ("000.json", json.dumps(meta).encode())]
    row = tar_rows(shard(tmp_path / "a.tar", members), "a.tar").row(0)
    assert row == {"image": b"p", "text": "a cup", "key": "000", "url": "http://x/y.jpg"}


BAD_ROWS = [
    ([("1.jpg", b""), ("0.jpg", b"")], "has the key of row 1 again", 2),
    ([("1.jpg", b""), ("1.jpg", b"")], "has two members .jpg", 1),
    ([("1.json", b"{"), ("1.jpg", b"")], "is not JSON", 1),
    ([("1.json", b"[1]")], "a .json that is a list", 1),
    ([("1.json", b"7")], "is no mapping", 1),
    ([("1.cls", b"7"), ("1.jpg", b"")], "class 7 without a name", 1),
    ([("1.txt", b"\xff")], "not UTF-8", 1),
    ([("1.txt", b"a"), ("1.json", b'{"text": "b"}')], "one text in .txt and another", 1),
    ([("1.json", b'{"image": "other.gif"}'), ("1.jpg", b"")], "names 'other.gif'", 1),
    ([("1.json", b'{"image": "0.jpg"}'), ("1.0.jpg", b""), ("1.1.jpg", b"")], "not name", 1),
]


@pytest.mark.parametrize(("members", "says", "row"), BAD_ROWS, ids=[bad[1] for bad in BAD_ROWS])
def test_a_bad_row_is_named_and_leaves_the_others_readable(
    tmp_path: Path, members: list[tuple[str, bytes]], says: str, row: int
) -> None:
    good = [("0.jpg", b"p"), ("0.txt", b"t")]
    table = tar_rows(shard(tmp_path / "a.tar", [*good, *members]), "a.tar")
    assert table.row(0) == {"image": b"p", "text": "t"}
    with pytest.raises(DataError) as caught:
        table.row(row)
    assert caught.value.field.startswith(f"a.tar:{row + 1} ") and says in caught.value.problem


def test_a_shard_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    members = [(f"{i}.{kind}", bytes(700)) for i in range(4) for kind in ("jpg", "txt")]
    data = shard(tmp_path / "a.tar", members).read_bytes()
    end = max(i for i in range(0, len(data), 512) if any(data[i : i + 512])) + 512
    end += -end % 512 + 512  # the padding of the last member
    cut = tmp_path / "cut.tar"
    for size in range(256, end, 256):
        cut.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"cut.tar: .*(cut off|no rows)"):
            tar_rows(cut, "cut.tar")
    cut.write_bytes(data)
    assert len(tar_rows(cut, "cut.tar")) == 4


def test_what_is_no_plain_tar_is_refused(tmp_path: Path) -> None:
    plain = shard(tmp_path / "a.tar", [("0.jpg", b"p")])
    packed = tmp_path / "b.tar"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(DataError, match="is compressed"):
        tar_rows(packed, "b.tar")
    packed.write_bytes(b"no tar" * 500)
    with pytest.raises(DataError, match="is damaged or cut off"):
        tar_rows(packed, "b.tar")
    with tarfile.open(packed, "w") as tar:
        link = tarfile.TarInfo("0.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DataError, match="no regular file"):
        tar_rows(packed, "b.tar")


def test_shards_by_braces_are_joined_in_their_order(tmp_path: Path) -> None:
    for number in range(8, 12):
        shard(tmp_path / f"s-{number:03}.tar", [(f"{number}.txt", str(number).encode())])
    pattern = "s-{008..011}.tar"
    found = join(locate_all(pattern, tmp_path), pattern)
    assert [found.table.row(i)["text"] for i in range(4)] == ["8", "9", "10", "11"]
    assert found.table.where(2) == "s-010.tar:1 (10)"
    assert found.notes == ("joins 4 files of s-{008..011}.tar",)
    with pytest.raises(DataError, match=r"s-012.tar: does not exist"):
        locate_all("s-{008..012}.tar", tmp_path)
