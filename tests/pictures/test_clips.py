"""Clips: exactly the frames that are asked for, from whatever holds them, or a clear refusal."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.pictures.media_samples import HEIGHT, WIDTH, animation, frame, grey, sound, video

from sightline.core.errors import PictureError
from sightline.core.geometry import MediaSize
from sightline.pictures import ClipLimits, open_clip, open_picture, probe_clip

PICK = (0, 3, 4, 11, 21, 22)
FILES: dict[str, dict[str, Any]] = {
    "mp4 with B-frames": {},
    "mkv": {"kind": "matroska"},
    "webm, VP8": {"kind": "webm", "codec": "libvpx"},
    "webm, VP9": {"kind": "webm", "codec": "libvpx-vp9"},
    "avi": {"kind": "avi", "codec": "mpeg4"},
    "mpegts": {"kind": "mpegts"},
    "mov, JPEGs": {"kind": "mov", "codec": "mjpeg", "pixels": "yuvj420p"},
    "flv": {"kind": "flv", "codec": "flv1"},
    "asf": {"kind": "asf", "codec": "wmv2"},
    "one long group": {"gop": 100},
}


@pytest.fixture(scope="module")
def mp4() -> bytes:
    return video()


@pytest.mark.parametrize("name", FILES)
def test_videos_give_the_frames_that_are_asked_for(name: str) -> None:
    data = video(**FILES[name])
    media = probe_clip(data)
    assert (media.width, media.height, media.frames, media.fps) == (WIDTH, HEIGHT, 23, 10.0)
    assert media.video and media.keyframes[0] == 0
    clip = open_clip(data, PICK)
    assert clip.frames == PICK and clip.rgb.shape == (6, HEIGHT, WIDTH, 3)
    assert grey(clip.rgb) == pytest.approx([10 * i for i in PICK], abs=4)
    whole = open_clip(data)
    assert np.array_equal(whole.rgb[list(PICK)], clip.rgb)
    assert grey(whole.rgb) == pytest.approx([10 * i for i in range(23)], abs=4)


def test_skipping_to_a_frame_gives_what_decoding_all_gives() -> None:
    data = video(60, gop=6)
    whole = open_clip(data).rgb
    for number in range(0, 60, 7):
        assert np.array_equal(open_clip(data, [number]).rgb[0], whole[number])


def test_keyframes_are_those_that_stand_alone(mp4: bytes) -> None:
    keys = probe_clip(video(20, codec="mpeg4", gop=5)).keyframes
    assert set(range(0, 20, 5)) <= set(keys) and keys == tuple(sorted(keys))
    assert probe_clip(video(5, kind="mov", codec="mjpeg", pixels="yuvj420p")).keyframes == (
        0, 1, 2, 3, 4,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rotation", "size", "corner"),
    [
        (90, (HEIGHT, WIDTH), (-1, 0)),
        (180, (WIDTH, HEIGHT), (-1, -1)),
        (-90, (HEIGHT, WIDTH), (0, -1)),
    ],
)
def test_videos_are_turned_upright(
    rotation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    """The display matrix turns counterclockwise; the white corner goes along."""
    data = video(3, rotation=rotation)
    media = probe_clip(data)
    assert (media.width, media.height) == size
    clip = open_clip(data, [1])
    assert clip.notes == ("rotated as its header says",)
    assert clip.rgb[0][corner].min() > 240
    assert sum(clip.rgb[0][y, x].min() > 200 for y in (0, -1) for x in (0, -1)) == 1


def test_cut_off_files_are_refused(mp4: bytes) -> None:
    for kind in ("mp4", "matroska", "avi", "webm"):
        codec = {"avi": "mpeg4", "webm": "libvpx"}.get(kind, "libx264")
        data = video(kind=kind, codec=codec)
        for share in (0.3, 0.6, 0.9, 0.999):
            with pytest.raises(PictureError, match=r"is truncated|is damaged"):
                probe_clip(data[: int(len(data) * share)])


def test_streams_without_an_end_are_counted_as_they_are() -> None:
    """A transport stream says of no length: what is there is what there is."""
    data = video(kind="mpegts")
    part = data[: 188 * (len(data) // 188 * 3 // 4)]
    counted = probe_clip(part).frames
    assert 0 < counted < 23
    assert grey(open_clip(part).rgb) == pytest.approx([10 * i for i in range(counted)], abs=4)


def test_no_flipped_bit_changes_a_frame_unseen_or_crashes(mp4: bytes) -> None:
    whole = open_clip(mp4).rgb
    outcomes: Counter[str] = Counter()
    for seed in range(60):
        rng = random.Random(seed)
        damaged = bytearray(mp4)
        damaged[rng.randrange(len(mp4))] ^= 1 << rng.randrange(8)
        try:
            clip = open_clip(bytes(damaged))
        except PictureError:
            outcomes["refused"] += 1
        else:
            outcomes["same" if np.array_equal(clip.rgb, whole) else "changed"] += 1
    assert outcomes["refused"] >= 10 and outcomes["changed"] <= 3, outcomes


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_animations_are_clips_where_clips_are_asked_for(kind: str) -> None:
    data = animation(6, kind)
    assert probe_clip(data) == MediaSize(WIDTH, HEIGHT, 6, 5.0, video=True)
    clip = open_clip(data, [1, 4])
    assert [
        np.abs(a.astype(int) - frame(i)).max() for a, i in zip(clip.rgb, (1, 4), strict=True)
    ] == [0, 0]
    assert open_picture(data).notes == ("first of 6 frames",)
    uneven = open_clip(animation(3, kind, [100, 200, 300]))
    assert uneven.notes == ("frames last 100 to 300 ms, taken as 5 a second",)


def test_a_gif_is_composed_as_pillow_does() -> None:
    """Frames that change a corner only, one of them removed again afterwards."""
    images = [Image.new("P", (16, 12), 0) for _ in range(3)]
    for i, image in enumerate(images):
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * 759)
        image.paste(i, (i, i, i + 4, i + 4))
    import io

    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], disposal=2, duration=50)
    with Image.open(io.BytesIO(file.getvalue())) as theirs:
        for number in range(theirs.n_frames):
            theirs.seek(number)
            ours = open_clip(file.getvalue(), [number]).rgb[0]
            assert np.array_equal(ours, np.asarray(theirs.convert("RGB")))
    assert probe_clip(file.getvalue()).fps == 20.0


def test_pictures_and_arrays_are_clips(tmp_path: Path) -> None:
    Image.fromarray(frame(3)).save(tmp_path / "a.png")
    mixed: list[Any] = [frame(1), Image.fromarray(frame(2)), tmp_path / "a.png"]
    assert probe_clip(mixed, fps=2.0) == MediaSize(WIDTH, HEIGHT, 3, 2.0, video=True)
    stacked = np.stack([frame(1), frame(2), frame(3)])
    assert probe_clip(stacked) == MediaSize(WIDTH, HEIGHT, 3, None, video=True)
    a, b = open_clip(mixed), open_clip(stacked)
    assert np.array_equal(a.rgb, stacked) and np.array_equal(b.rgb, stacked)
    assert a.digest == b.digest != open_clip(stacked, [0, 1]).digest
    assert np.array_equal(open_clip(tuple(mixed), [2]).rgb[0], frame(3))


BAD: list[tuple[Any, str]] = [
    ([], "has no frames"),
    (np.zeros((0, 4, 4, 3), np.uint8), "has no frames"),
    (np.zeros((4, 4, 3), np.uint8), r"has shape \[4, 4, 3\]"),
    (np.zeros((2, 4, 4, 2), np.uint8), "has shape"),
    ([frame(0), frame(1, 9, 9)], "frame 1 is 9 × 9 pixels, the first 64 × 48"),
    (b"", "is empty"),
    (b"\0" * 400, "is of no known format, not a clip"),
    (b"#EXTM3U\nhttp://a/b.ts", "is text, not a clip"),
    (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "not a clip"),
    (b"GIF89a" + b"\0" * 30, "GIF|block|frame"),
    (b"\x1a\x45\xdf\xa3" + b"\xff" * 90, "is damaged|has a length|truncated|ends inside"),
    (b"\0\0\0\x18ftypmp42" + b"\0" * 12, "is damaged or incomplete"),
    (b"RIFF\x04\0\0\0AVI ", "is damaged or incomplete"),
    ("https://a.b/c.mp4", "is a URL"),
    ("data:text/plain;base64,AAAA", "not a video"),
    ("nowhere.mp4", "cannot be read"),
    (7, "holds no clip"),
]


@pytest.mark.parametrize(("source", "problem"), BAD, ids=range(len(BAD)))
def test_what_is_no_clip_is_refused(source: Any, problem: str) -> None:
    for door in (probe_clip, open_clip):
        with pytest.raises(PictureError, match=problem):
            door(source)


def test_a_file_without_pictures_is_refused() -> None:
    with pytest.raises(PictureError, match="video bytes: has no video track"):
        probe_clip(sound())


def test_limits_are_checked_before_frames_are_decoded(mp4: bytes, monkeypatch: Any) -> None:
    for limits, problem in (
        ({"max_bytes": 100}, "has .* bytes, the limit is 100"),
        ({"max_frames": 10}, "frames, the limit is 10"),
        ({"max_pixels": 64 * 47}, "64 × 48 pixels, the limit is 3,008 in all"),
    ):
        for source in (mp4, animation(12), [frame(i) for i in range(11)]):
            if "max_bytes" in limits and isinstance(source, list):
                continue
            with pytest.raises(PictureError, match=problem):
                probe_clip(source, ClipLimits(**limits))
    small = ClipLimits(max_total_pixels=3 * WIDTH * HEIGHT)
    assert len(open_clip(mp4, [0, 5, 9], small).rgb) == 3
    monkeypatch.setattr("sightline.pictures.clips._frames", lambda *_: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="would give 4 frames of 64 × 48 pixels"):
        open_clip(mp4, [0, 5, 9, 10], small)


@pytest.mark.parametrize("frames", [[], [23], [-1], [3, 3], [4, 2]])
def test_frames_that_are_not_there_are_refused(mp4: bytes, frames: list[int]) -> None:
    with pytest.raises(PictureError, match="is asked for"):
        open_clip(mp4, frames)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_rates_that_are_none_are_refused(fps: float) -> None:
    with pytest.raises(PictureError, match="is no rate"):
        probe_clip([frame(0)], fps=fps)


def test_a_file_says_its_own_rate(mp4: bytes) -> None:
    with pytest.raises(PictureError, match="says its rate itself"):
        probe_clip(mp4, fps=3)


def test_videos_without_the_extra_name_it(mp4: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PictureError, match=r"needs PyAV; pip install sightline\[video\]"):
        probe_clip(mp4)
    assert probe_clip(animation(3)).frames == 3


def test_paths_bytes_and_data_uris_are_one_clip(mp4: bytes, tmp_path: Path) -> None:
    import base64

    (tmp_path / "clip.of.no.kind").write_bytes(mp4)
    uri = "data:video/mp4;base64," + base64.b64encode(mp4).decode()
    clips = [open_clip(s, [2]) for s in (mp4, tmp_path / "clip.of.no.kind", uri, memoryview(mp4))]
    assert len({clip.digest for clip in clips}) == 1
