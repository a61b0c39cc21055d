"""What is said under each control: the words are kept, and the media are what it promises."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from sightline.core.errors import DataError
from sightline.data.sample import Media
from sightline.eval.controls import (
    ALL,
    Blind,
    Blurred,
    Control,
    Full,
    Shuffled,
    Swapped,
    controls_named,
    conversation,
    conversations,
)
from sightline.eval.item import Answers, Item, asked_about
from sightline.pictures import open_picture
from sightline.pictures.gateway import PictureSource
from sightline.prompt.messages import parse_messages

SPOILED = [Shuffled(), Blurred()]
Rgb = Any


def numbered(height: int, width: int, first: int = 0) -> Rgb:
    """Every pixel another colour."""
    values = np.arange(first, first + height * width)
    channels = [values % 256, values // 256 % 256, values // 65536]
    return np.stack(channels, -1).astype(np.uint8).reshape(height, width, 3)


def item(key: str, *parts: str | Media, **fields: Any) -> Item:
    return Item(key, parts, Answers(("yes",)), **fields)


def asking(count: int, size: tuple[int, int] = (16, 24), per_cluster: int = 1) -> list[Item]:
    """Questions about a picture each."""
    return [
        Item(
            f"q{n}",
            asked_about(numbered(*size, first=7 * n), f"Is it {n}?"),
            Answers(("yes",)),
            cluster=str(n // per_cluster),
        )
        for n in range(count)
    ]


def content(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts of the only user message."""
    *before, user = made
    assert user["role"] == "user" and all(m["role"] == "system" for m in before)
    parse_messages(made)  # as every model takes them
    return user["content"]


def shown(made: list[dict[str, Any]]) -> list[Any]:
    return [part[part["type"]] for part in content(made) if part["type"] != "text"]


def words(made: list[dict[str, Any]]) -> str:
    return "".join(part["text"] for part in content(made) if part["type"] == "text")


# Words


def test_words_and_media_stand_in_their_order() -> None:
    one, other = numbered(8, 8), numbered(8, 8, 900)
    asked = item("q", "Here ", "is ", Media("image", one), Media("image", other), "?", system="Sys")
    made = conversation([asked], 0, Full())
    assert made[0] == {"role": "system", "content": "Sys"}
    assert [p["type"] for p in content(made)] == ["text", "image", "image", "text"]
    assert content(made)[0]["text"] == "Here is " and content(made)[3]["text"] == "?"
    assert shown(made)[0] is one and shown(made)[1] is other
    blind = conversation([asked], 0, Blind())
    assert blind == [made[0], {"role": "user", "content": [{"type": "text", "text": "Here is ?"}]}]


@pytest.mark.parametrize("control", ALL, ids=lambda control: control.name)
def test_no_control_touches_words_or_items_without_media(control: Control) -> None:
    items = [*asking(4), item("t", "What is 1 + 1?", system="Count.")]
    made = conversations(items, control, seed=3)
    assert [words(one) for one in made] == [one.question for one in items]
    assert made[4] == conversation(items, 4, Full()) and len(made[4]) == 2
    for n, one in enumerate(made):
        again = conversation(items, n, control, seed=3)
        assert all(map(np.array_equal, shown(one), shown(again)))


@pytest.mark.parametrize("parts", [(), (" \n",)], ids=["no words", "blank"])
def test_an_item_without_words_cannot_be_asked_blindly(parts: tuple[str, ...]) -> None:
    asked = item("row 7", Media("image", numbered(8, 8)), *parts)
    assert len(shown(conversation([asked], 0, Full()))) == 1
    with pytest.raises(DataError, match="row 7: has no words to ask without its media"):
        conversation([asked], 0, Blind())


# Stored pictures


@dataclass(eq=False)
class Stored:
    """A picture in a file of rows, that counts how often it is read."""

    picture: PictureSource
    reads: int = 0

    def read(self) -> PictureSource:
        self.reads += 1
        return self.picture


@pytest.mark.parametrize("control", ALL, ids=lambda control: control.name)
def test_stored_pictures_are_read_when_they_are_shown(control: Control) -> None:
    stored = [Stored(numbered(16, 16, n)) for n in range(4)]
    items = [item(f"q{n}", Media("image", one), "?") for n, one in enumerate(stored)]
    made = conversation(items, 1, control)
    reads = {"blind": [0, 0, 0, 0], "swapped": [0, 0, 0, 1]}.get(control.name, [0, 1, 0, 0])
    assert [one.reads for one in stored] == reads
    assert all(isinstance(source, np.ndarray) for source in shown(made))


def test_frames_of_a_clip_may_be_stored_too() -> None:
    frames = [Stored(numbered(8, 8, n)) for n in range(3)]
    made = conversation([item("q", Media("video", frames, 2.0), "?")], 0, Full())
    (part, _) = content(made)
    assert part["fps"] == 2.0 and len(part["video"]) == 3
    assert all(f is stored.picture for f, stored in zip(part["video"], frames, strict=True))


# Swapped


@pytest.mark.parametrize("count", [2, 3, 8, 9])
def test_each_question_gets_the_picture_of_another(count: int) -> None:
    items = asking(count)
    given_ = [shown(conversation(items, n, Swapped()))[0] for n in range(count)]
    own = [one.media[0].source for one in items]
    assert all(a is not b for a, b in zip(given_, own, strict=True))
    assert Counter(map(id, given_)) == Counter(map(id, own))
    assert given_[0] is own[count // 2]


def test_pictures_come_from_another_cluster() -> None:
    """Four questions of five about one place, in pictures of their own."""
    items = asking(10)
    items = [item(i.key, *i.parts, cluster="a" if n % 5 else "b") for n, i in enumerate(items)]
    cluster_of = {id(i.media[0].source): i.cluster for i in items}
    for n, one in enumerate(items):
        (source,) = shown(conversation(items, n, Swapped()))
        assert cluster_of[id(source)] != one.cluster


def test_a_unit_without_a_cluster_is_one() -> None:
    items = [item(f"q{n}", *i.parts, unit=str(n // 2)) for n, i in enumerate(asking(4))]
    for n in range(4):
        assert shown(conversation(items, n, Swapped()))[0] is items[(n + 2) % 4].media[0].source
    with pytest.raises(DataError, match="cannot be swapped"):
        conversation(items[:2], 0, Swapped())


@pytest.mark.parametrize(
    "source",
    [
        lambda: "a.png",
        lambda: Path("a.png"),
        lambda: numbered(8, 8),
        lambda: numbered(8, 8).tobytes(),
        lambda: [numbered(8, 8), "a.png"],
    ],
    ids=["text", "path", "array", "bytes", "frames"],
)
def test_what_shows_the_same_is_no_exchange(source: Any) -> None:
    kind: Any = "video" if isinstance(source(), list) else "image"
    items = [item(f"q{n}", Media(kind, source()), "?") for n in range(3)]
    with pytest.raises(DataError) as error:
        conversation(items, 1, Swapped())
    assert error.value.field == "q1" and "cannot be swapped" in error.value.problem
    other = "b.png" if kind == "image" else ["b.png"]
    items.append(item("q3", Media(kind, other), "?"))
    assert shown(conversation(items, 1, Swapped())) == [other]


def test_media_are_exchanged_by_kind_and_in_turn() -> None:
    """One with a clip and three pictures gets a clip and two pictures, the first of these twice."""
    pictures = [f"{n}.png" for n in range(5)]
    first = item(
        "a",
        "First ",
        Media("image", pictures[0]),
        Media("video", "a.mp4"),
        Media("image", pictures[1]),
        Media("image", pictures[2]),
    )
    no_clip = item("b", Media("image", "x.png"), "?")
    second = item(
        "c",
        Media("video", ["u.png", "v.png"], 4.0),
        Media("image", pictures[3]),
        Media("image", pictures[4]),
        "?",
    )
    items = [first, no_clip, second]
    made = content(conversation(items, 0, Swapped()))
    assert made == [
        {"type": "text", "text": "First "},
        {"type": "image", "image": pictures[3]},
        {"type": "video", "video": ["u.png", "v.png"], "fps": 4.0},
        {"type": "image", "image": pictures[4]},
        {"type": "image", "image": pictures[3]},
    ]
    assert shown(conversation(items, 2, Swapped())) == ["a.mp4", pictures[0], pictures[1]]


# Shuffled


def cells(rgb: Rgb, side: int) -> list[list[tuple[int, ...]]]:
    """Each cell as size and bytes, cut as the documentation says."""
    height, width, _ = rgb.shape

    def cut(i: int, j: int) -> Any:
        rows = slice(i * height // side, (i + 1) * height // side)
        return rgb[rows, j * width // side : (j + 1) * width // side]

    return [[(*cut(i, j).shape, cut(i, j).tobytes()) for j in range(side)] for i in range(side)]


@given(st.integers(2, 9), st.integers(0, 40), st.integers(0, 40), st.integers(0, 2**40))
def test_cells_trade_places_and_nothing_else_changes(
    side: int, more_rows: int, more_columns: int, seed: int
) -> None:
    before = numbered(side + more_rows, side + more_columns)
    items = [Item("q", asked_about(before, "?"), Answers(("yes",)))]
    kept = before.copy()
    (after,) = shown(conversation(items, 0, Shuffled(side), seed))
    assert np.array_equal(before, kept)
    assert after.shape == before.shape and after.dtype == np.uint8
    old = [cell for row in cells(before, side) for cell in row]
    new = [cell for row in cells(after, side) for cell in row]
    assert Counter(new) == Counter(old)
    sizes = Counter(cell[:2] for cell in old)
    for a, b in zip(old, new, strict=True):
        assert (a == b) == (sizes[a[:2]] == 1)


def test_every_order_of_cells_is_as_likely_that_leaves_none_in_place() -> None:
    """Of 2 × 2 cells six orders are one cycle; 600 draws give each 100 ± 40."""
    items = [Item(f"q{n}", asked_about(numbered(2, 2), "?"), Answers(("yes",))) for n in range(600)]
    orders = Counter(shown(one)[0].tobytes() for one in conversations(items, Shuffled(2)))
    assert len(orders) == 6 and all(60 <= count <= 140 for count in orders.values())


def test_an_order_depends_on_seed_key_and_number_alone() -> None:
    picture = numbered(16, 16)
    two = item("q", Media("image", picture), Media("image", picture), "?")
    first, second = shown(conversation([two], 0, Shuffled(), 1))
    assert not np.array_equal(first, second)
    moved = shown(conversation([*asking(3), two], 3, Shuffled(), 1))
    assert np.array_equal(moved[0], first) and np.array_equal(moved[1], second)
    assert not np.array_equal(shown(conversation([two], 0, Shuffled(), 2))[0], first)
    renamed = item("r", *two.parts)
    assert not np.array_equal(shown(conversation([renamed], 0, Shuffled(), 1))[0], first)


CODE = """
import hashlib, numpy as np
from sightline.eval.controls import Shuffled, conversation
from sightline.eval.item import Answers, Item, asked_about
picture = np.arange(3072, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3)
made = conversation([Item("k", asked_about(picture, "?"), Answers(("a",)))], 0, Shuffled(), 5)
print(hashlib.sha256(made[0]["content"][0]["image"].tobytes()).hexdigest())
"""


def test_another_process_shuffles_alike() -> None:
    """And another version of Sightline: stored answers stay answers to the same pictures."""
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    ran = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, check=True)
    picture = np.arange(3072, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3)
    made = conversation([Item("k", asked_about(picture, "?"), Answers(("a",)))], 0, Shuffled(), 5)
    here = hashlib.sha256(shown(made)[0].tobytes()).hexdigest()
    assert ran.stdout.decode().strip() == here
    assert here.startswith("589441e6f578431f")


def test_a_picture_of_fewer_pixels_than_cells_is_refused() -> None:
    with pytest.raises(DataError, match="q0: has a picture of 7 × 30 pixels, too small for 8"):
        conversation(asking(1, (30, 7)), 0, Shuffled())
    assert shown(conversation(asking(1, (30, 7)), 0, Shuffled(7)))[0].shape == (30, 7, 3)


# Blurred


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("size", [(300, 450), (450, 300)], ids=["wide", "high"])
def test_blur_is_a_gaussian_of_a_share_of_the_shorter_side(
    size: tuple[int, int], share: float
) -> None:
    """scipy's, of that standard deviation: within 1 level in the mean and 3 anywhere."""
    sharp = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    items = [Item("q", asked_about(sharp, "?"), Answers(("yes",)))]
    (made,) = shown(conversation(items, 0, Blurred(share)))
    assert made.shape == sharp.shape and made.dtype == np.uint8
    wanted = gaussian_filter(sharp.astype(float), (share * 300, share * 300, 0), mode="reflect")
    apart = np.abs(made - wanted)
    assert apart.mean() < 1 and apart.max() < 3


def test_the_dial_takes_detail_away() -> None:
    sharp = np.full((60, 90, 3), 60, np.uint8)
    sharp[20:40, 30:50] = 250
    items = [Item("q", asked_about(sharp, "?"), Answers(("yes",)))]
    shares = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
    details = [
        float(shown(conversation(items, 0, control))[0].std())
        for control in (Full(), *map(Blurred, shares))
    ]
    assert details == sorted(details, reverse=True) and len(set(details)) == len(details)
    assert details[-1] < 1


# Both


@pytest.mark.parametrize("control", SPOILED, ids=lambda control: control.name)
def test_pictures_are_opened_as_a_model_opens_them(control: Control) -> None:
    """Turned as EXIF says, transparent pixels on white: the same as of the opened picture."""
    image = Image.fromarray(numbered(16, 40)[:, :, 0]).convert("RGBA")
    image.putalpha(Image.fromarray((numbered(16, 40)[:, :, 0] > 99).astype(np.uint8) * 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(file := BytesIO(), "PNG", exif=exif.tobytes())
    made = [
        shown(conversation([item("q", Media("image", source), "?")], 0, control))[0]
        for source in (file.getvalue(), open_picture(file.getvalue()).rgb)
    ]
    assert made[0].shape == (40, 16, 3) and np.array_equal(made[0], made[1])


def test_frames_of_clips_change_places() -> None:
    frames = [numbered(4, 4, n) for n in range(9)]
    for source in (frames, np.stack(frames), tuple(frames)):
        asked = item("q", Media("video", source, 3.0), "?")
        part = content(conversation([asked], 0, Shuffled()))[0]
        order = [next(n for n in range(9) if np.array_equal(f, frames[n])) for f in part["video"]]
        assert sorted(order) == list(range(9)) and all(a != b for a, b in enumerate(order))
        assert part["fps"] == 3.0
        again = content(conversation([asked], 0, Shuffled()))[0]["video"]
        assert all(map(np.array_equal, part["video"], again))


def test_frames_of_clips_are_blurred_one_by_one() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    for source in (frames, [*frames]):
        part = content(conversation([item("q", Media("video", source), "?")], 0, Blurred()))[0]
        alone = [
            shown(conversation([item("q", Media("image", f), "?")], 0, Blurred()))[0]
            for f in frames
        ]
        assert "fps" not in part and all(map(np.array_equal, part["video"], alone))


@pytest.mark.parametrize("control", SPOILED, ids=lambda control: control.name)
@pytest.mark.parametrize(
    ("media", "problem"),
    [
        (Media("video", "a.mp4"), "has a clip in a file"),
        (Media("document", "a.pdf"), "has a document in a file"),
        (Media("video", b"mp4"), "has a clip in a file"),
    ],
    ids=["clip", "document", "bytes"],
)
def test_files_of_frames_and_pages_are_refused(
    control: Control, media: Media, problem: str
) -> None:
    with pytest.raises(DataError, match=problem) as error:
        conversation([item("row 3", media, "?")], 0, control)
    assert error.value.field == "row 3" and "as" in error.value.fix


def test_a_clip_of_one_frame_has_no_other_order() -> None:
    with pytest.raises(DataError, match="row 3: has a clip of one frame"):
        conversation([item("row 3", Media("video", [numbered(4, 4)]), "?")], 0, Shuffled())


# Names


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all", ALL),
        ("none", (Full(),)),
        ("", (Full(),)),
        ("full", (Full(),)),
        ("blind", (Full(), Blind())),
        ("swapped, blind,full", (Full(), Swapped(), Blind())),
        ("shuffled:4,shuffled", (Full(), Shuffled(4), Shuffled(8))),
        ("blurred:0.02,blurred", (Full(), Blurred(0.02), Blurred(0.05))),
    ],
)
def test_controls_by_name(text: str, wanted: tuple[Control, ...]) -> None:
    assert controls_named(text) == wanted
    assert len({control.name for control in wanted}) == len(wanted)


def test_names_are_for_people() -> None:
    names = [control.name for control in (*ALL, Shuffled(4), Blurred(0.025))]
    assert names == [
        "full",
        "blind",
        "swapped",
        "shuffled",
        "blurred 5%",
        "shuffled 4 × 4",
        "blurred 2.5%",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bllind", "'bllind' is unknown"),
        ("all,blind", "'all' is unknown"),
        ("blind:3", "'blind:3' is unknown"),
        ("blind,", "'' is unknown"),
        ("blurred:", "no number"),
        ("blurred:much", "no number"),
        ("shuffled:2.5", "no number"),
        ("shuffled:1", "side 1"),
        ("blurred:0", "share 0"),
        ("blurred:1.5", "share 1.5"),
        ("blurred:nan", "share nan"),
        ("blind,swapped,blind", "blind twice"),
        ("blurred,blurred:0.05", "blurred 5% twice"),
    ],
)
def test_names_that_are_none(text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as error:
        controls_named(text)
    assert error.value.field.startswith("controls") and error.value.fix
