"""What leaves this machine: words and pixels, in OpenAI's format, and nothing else."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sightline.core.errors import PromptError
from sightline.core.geometry import Box, Size
from sightline.eval.remote.places import placed
from sightline.eval.remote.settings import RemoteSettings
from sightline.eval.remote.wire import Request, request
from sightline.eval.said import Said
from sightline.pictures import open_picture

MARK = b"MARK-4711"
SETTINGS = RemoteSettings("http://127.0.0.1:1/v1", "m")


def ask(source, words="What?", **options):
    content = [{"type": "image", "image": source}, {"type": "text", "text": words}]
    settings = RemoteSettings("http://127.0.0.1:1/v1", "m", **options)
    return request([{"role": "user", "content": content}], settings, 16)


def sent_bytes(part):
    head, _, data = part["image_url"]["url"].partition(",")
    return head, base64.b64decode(data, validate=True)


def sent_rgb(part):
    return np.asarray(Image.open(BytesIO(sent_bytes(part)[1])).convert("RGB"))


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_the_body_has_these_fields_and_no_others(noise):
    system = {"role": "system", "content": "Be brief."}
    turns = [
        system,
        {"role": "user", "content": [{"type": "text", "text": "A"}, image(noise)]},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ]
    body = request(turns, SETTINGS, 16).body
    assert set(body) == {"model", "messages", "max_tokens", "temperature", "seed"}
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"]) == ("m", 16, 0, 0)
    assert body["messages"][0] == system
    assert body["messages"][2:] == turns[2:]
    text, picture = body["messages"][1]["content"]
    assert text == {"type": "text", "text": "A"}
    assert set(picture) == {"type", "image_url"} and picture["type"] == "image_url"
    assert set(picture["image_url"]) == {"url"}
    assert sent_bytes(picture)[0] == "data:image/png;base64"


def image(source):
    return {"type": "image", "image": source}


def test_what_a_server_does_not_take_can_be_left_out_or_renamed(noise):
    options = {"limit_field": "max_completion_tokens", "temperature": None, "seed": None}
    body = ask(noise, **options).body
    assert set(body) == {"model", "messages", "max_completion_tokens"}


def test_words_and_pictures_keep_their_order(noise):
    content = [
        {"type": "text", "text": "A"},
        image(noise),
        {"type": "text", "text": "B"},
        image(noise[:8]),
    ]
    made = request([{"role": "user", "content": content}], SETTINGS, 16)
    kinds = [part["type"] for part in made.body["messages"][0]["content"]]
    assert kinds == ["text", "image_url", "text", "image_url"]
    assert (made.pictures, made.given, made.seen) == (2, Size(40, 8), Size(40, 8))


def marked(noise, kind, tmp_path):
    """A picture whose metadata, and whose name, hold a mark."""
    picture = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x010E] = exif[0x8298] = MARK.decode()  # description, copyright
    exif.get_ifd(0x8825)[29] = MARK.decode()  # GPS date
    path = tmp_path / f"{MARK.decode()}.{kind}"
    more = {"exif": exif, "icc_profile": b"\0" * 128 + MARK, "xmp": b"<x>" + MARK + b"</x>"}
    if kind == "png":
        words = PngImagePlugin.PngInfo()
        words.add_text("Comment", MARK.decode())
        words.add_itxt("XML:com.adobe.xmp", MARK.decode())
        del more["xmp"]
        picture.save(path, pnginfo=words, **more)
    elif kind == "jpg":
        picture.save(path, quality=100, comment=MARK, **more)
    else:
        picture.save(path, lossless=True, **more)
    return path


@pytest.mark.parametrize("picture_format", ["png", "jpeg"])
@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
@pytest.mark.parametrize("way", ["path", "bytes", "pil"])
def test_metadata_and_names_stay_here(noise, tmp_path, kind, way, picture_format):
    path = marked(noise, kind, tmp_path)
    assert path.read_bytes().count(MARK) >= 3
    with Image.open(path) as opened:
        source = {"path": path, "bytes": path.read_bytes(), "pil": opened}[way]
        made = ask(source, picture_format=picture_format)
    part = made.body["messages"][0]["content"][0]
    _, data = sent_bytes(part)
    assert MARK not in data and MARK.decode() not in str(made.body)
    held = Image.open(BytesIO(data))
    assert not held.getexif() and not {"exif", "icc_profile", "xmp", "comment"} & set(held.info)
    if picture_format == "png":
        assert not held.info
        assert (sent_rgb(part) == open_picture(path).rgb).all()


def test_a_picture_is_turned_as_its_exif_says(noise):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    Image.fromarray(noise).save(file, "PNG", exif=exif)
    made = ask(file.getvalue())
    assert made.given == Size(24, 40)
    assert (sent_rgb(made.body["messages"][0]["content"][0]) == np.rot90(noise, -1)).all()


def test_jpeg_has_the_quality_that_is_asked_for(noise):
    low, high = (
        sent_bytes(
            ask(noise, picture_format="jpeg", jpeg_quality=q).body["messages"][0]["content"][0]
        )
        for q in (20, 95)
    )
    assert low[0] == high[0] == "data:image/jpeg;base64"
    assert len(low[1]) < len(high[1])


def test_larger_pictures_are_resized_only_where_it_is_asked_for(noise):
    assert (ask(noise).resized, ask(noise, max_side=40).resized) == (0, 0)
    made = ask(noise, max_side=20)
    assert (made.resized, made.given, made.seen) == (1, Size(40, 24), Size(20, 12))
    assert sent_rgb(made.body["messages"][0]["content"][0]).shape == (12, 20, 3)


def test_a_clip_is_sent_as_frames_from_equal_spans():
    clip = np.stack([np.full((8, 8, 3), 10 * i, np.uint8) for i in range(10)])
    content = [{"type": "video", "video": clip, "fps": 2.0}, {"type": "text", "text": "?"}]
    settings = RemoteSettings("http://127.0.0.1:1/v1", "m", num_frames=4)
    made = request([{"role": "user", "content": content}], settings, 16)
    parts = made.body["messages"][0]["content"][:-1]
    assert [int(sent_rgb(part)[0, 0, 0]) for part in parts] == [10, 30, 60, 80]
    assert made.pictures == 4
    assert settings.identity["clips"] == "4 frames as pictures, uniform"


def test_a_clip_with_fewer_frames_is_sent_whole():
    clip = np.zeros((3, 8, 8, 3), np.uint8)
    content = [{"type": "video", "video": clip}, {"type": "text", "text": "?"}]
    assert request([{"role": "user", "content": content}], SETTINGS, 16).pictures == 3


def test_documents_are_refused_with_what_to_do():
    content = [{"type": "document", "path": "a.pdf"}, {"type": "text", "text": "?"}]
    with pytest.raises(PromptError, match="ask with pictures of its pages"):
        request([{"role": "user", "content": content}], SETTINGS, 16)


def test_the_tokens_of_an_answer_and_of_the_words_are_expected():
    assert request([{"role": "user", "content": "a" * 40}], SETTINGS, 16).tokens == 26


# Geometry.


@pytest.mark.parametrize(
    ("style", "text", "box"),
    [
        ("json", '{"bbox_2d": [100, 500, 200, 1000]}', Box(40, 100, 80, 200)),
        ("percent", "[10, 50, 20, 100]", Box(40, 100, 80, 200)),
        ("pixels", '{"bbox_2d": [20, 50, 40, 100]}', Box(40, 100, 80, 200)),  # of what was sent
        # A square of 400 with the picture in its middle: 100 pixels above it.
        ("shikra", "[0.100,0.500,0.200,0.750]", Box(40, 100, 80, 200)),
    ],
)
def test_places_are_in_pixels_of_the_picture_that_was_given(style, text, box):
    made = Request(given=Size(400, 200), seen=Size(200, 100))
    said = placed(Said(text), made, style)
    assert said.boxes == (box,) and said.text == text


def test_points_come_back_too():
    made = Request(given=Size(400, 200), seen=Size(400, 200))
    text = '<point x="50.0" y="25.0" alt="cup">cup</point>'
    [point] = placed(Said(text), made, "molmo").points
    assert (point.x, point.y) == (200, 50)


def test_without_a_style_or_a_picture_words_are_words():
    made = Request(given=Size(400, 200), seen=Size(400, 200))
    assert placed(Said("[1, 2, 3, 4]"), made, "none").boxes == ()
    assert placed(Said("[1, 2, 3, 4]"), Request(), "percent").boxes == ()
