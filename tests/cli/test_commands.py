"""ask, chat, inspect and models on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import BOX
from tests.helpers.console import Console
from tests.helpers.speaking import chat_spec, parrot, picture, saved, tokenizer
from tests.helpers.tiny import VISUAL, tiny_model
from tests.pictures.media_samples import animation, document, video

import sightline
from sightline.api import VisionLanguageModel
from sightline.cli.draw import COLOUR

TEXT = f"{BOX} :smile: [/x]".strip()
CORNERS = [10.0, 10.0, 60.0, 35.0]


def test_ask_answers_on_standard_output(console: Console, model: Path, scene: Path) -> None:
    ran = console("ask", scene, "Where is it?", "--model", model)
    assert (ran.code, ran.out) == (0, TEXT + "\n")
    assert "box in pixels: 10, 10, 60, 35" in ran.err
    assert f"{VISUAL} visual tokens" in ran.err and "Traceback" not in ran.err


def test_ask_in_json(console: Console, model: Path, scene: Path) -> None:
    ran = console("ask", scene, scene, "Where?", "--model", model, "--json", "--evidence")
    found = json.loads(ran.out)
    wanted = sightline.load(model).ask(scene, scene, "Where?")
    assert ran.err == "" and found["text"] == wanted.text == TEXT
    assert found["token_ids"] == list(wanted.token_ids) and found["finish"] == "stop"
    (box,) = found["boxes"]
    assert [box[k] for k in ("x0", "y0", "x1", "y1")] == pytest.approx(CORNERS)
    assert found["usage"]["visual_tokens"] == 2 * VISUAL
    assert found["evidence"] == {"without": pytest.approx(0, abs=1e-6), "grey": 0.0}
    assert set(found["timings"]) == {"prepare_ms", "encode_ms", "ttft_ms", "decode_ms", "itl_ms"}


def test_ask_without_a_picture_and_with_options(console: Console, model: Path) -> None:
    ran = console("ask", "What?", "--model", model, "--max-tokens", 1, "--dtype", "bfloat16")
    assert ran.code == 0 and ran.out.strip() == BOX.strip() and "cut off" in ran.err
    searched = console("ask", "What?", "--model", model, "--beams", 2, "--json")
    assert json.loads(searched.out)["text"].startswith(BOX.strip())


def test_ask_draws_what_it_found(
    console: Console, model: Path, scene: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "drawn.png"
    ran = console("ask", scene, "Where?", "--model", model, "--draw", out)
    assert ran.code == 0 and "drew 1" in ran.err
    before, after = (np.asarray(Image.open(p).convert("RGB")) for p in (scene, out))
    changed = (before != after).any(-1)
    rows, cols = np.nonzero(changed)
    assert (cols.min(), rows.min(), cols.max(), rows.max()) == (10, 10, 60, 35)
    assert (after[changed] == COLOUR).all() and not changed[15:30, 15:55].any()


def test_long_answers_are_not_wrapped(console: Console, tmp_path: Path) -> None:
    words = [f" word{i}" + "x" * 30 for i in range(12)]
    folder = saved(parrot(*words), tmp_path / "long")
    ran = console("ask", "What?", "--model", folder)
    assert ran.out == "".join(words).strip() + "\n"
    assert "".join(words).strip() in console("chat", "--model", folder, stdin="What?\n").out


def test_evidence_is_told(console: Console, model: Path, scene: Path) -> None:
    ran = console("ask", scene, "Where?", "--model", model, "--evidence")
    assert "+0.00 nats a token against no picture, +0.00 against a grey one" in ran.said


def test_notes_on_a_picture_are_told(console: Console, model: Path, tmp_path: Path) -> None:
    frames = [Image.fromarray(picture(seed=s)) for s in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    ran = console("ask", tmp_path / "a.gif", "What?", "--model", model)
    assert ran.code == 0 and "first of 3 frames" in ran.err
    ran = console("ask", tmp_path / "a.gif", "What?", "--model", model, "--json")
    assert json.loads(ran.out)["notes"] == ["first of 3 frames"]
    assert "first of 3 frames" in console("inspect", model, tmp_path / "a.gif").out


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that reads clips as pictures, two frames of each."""
    spec = chat_spec(
        prompt={"frames": {"text": "<video>", "frame": "Frame{n}: {image} "}},
        resolution={"video": {"sampling": "uniform", "count": 2}},
    )
    return saved(VisionLanguageModel(tiny_model(spec), tokenizer()), tmp_path_factory.mktemp("w"))


def test_videos_and_documents_are_asked_about(
    console: Console, watching: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(video(6))
    (tmp_path / "b.pdf").write_bytes(document((20, 20), (30, 20), (20, 30)))
    (tmp_path / "c.gif").write_bytes(animation(4))
    files = (tmp_path / "a.mp4", tmp_path / "b.pdf", tmp_path / "c.gif")
    shared = ("What?", "--model", watching, "--max-tokens", 2, "--json")
    still = json.loads(console("ask", *files, *shared, "--pages", "2-").out)
    assert still["notes"] == [
        "2 of 6 frames are looked at", "page 2 of 3", "page 3 of 3", "first of 4 frames",
    ]  # fmt: skip
    assert still["usage"]["visual_tokens"] == 5 * VISUAL
    moving = json.loads(console("ask", files[2], *shared, "--video").out)
    assert moving["notes"] == ["2 of 4 frames are looked at"]
    page = json.loads(console("inspect", watching, files[1], "--pages", "3", "--json").out)
    assert page["pictures"] == [[40, 60]]
    seen = json.loads(console("inspect", watching, files[0], "--json").out)
    assert [view["frames"] for view in seen["views"]] == [[0], [3]]
    runs = [f"Frame{n}: [{VISUAL} visual tokens] " for n in (1, 2)]
    assert "".join(runs) in seen["prompt"]


@pytest.mark.parametrize(
    ("pages", "problem"),
    [("x", "'x' is no range"), ("0", "'0' is no range"), ("2-x", "is no range"), ("4", "1 pages")],
)
def test_ranges_that_are_none_are_refused(
    console: Console, model: Path, tmp_path: Path, pages: str, problem: str
) -> None:
    (tmp_path / "b.pdf").write_bytes(document((20, 20)))
    ran = console("ask", tmp_path / "b.pdf", "What?", "--model", model, "--pages", pages)
    assert ran.code == 2 and problem in ran.err and "Traceback" not in ran.err


def test_a_video_is_not_drawn_on(console: Console, watching: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(video(2))
    out = tmp_path / "d.png"
    ran = console("ask", tmp_path / "a.mp4", "What?", "--model", watching, "--draw", out)
    assert ran.code == 2 and "has no picture to draw on" in ran.err


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_extreme_pictures_are_read(
    size: tuple[int, int], console: Console, model: Path, tmp_path: Path
) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "p.png")
    assert console("ask", tmp_path / "p.png", "What?", "--model", model).code == 0


def test_chat_keeps_what_was_said(
    console: Console, model: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    stream = sightline.api.VisionLanguageModel.stream

    def spy(self, messages, **options):
        heard.append(messages)
        return stream(self, messages, **options)

    monkeypatch.setattr(sightline.api.VisionLanguageModel, "stream", spy)
    script = ["Where?", "", "/image nothing.png", "And now?", f"/image {scene}", "Here?",
              "/new", "Again?", "/quit", "never"]  # fmt: skip
    ran = console("chat", scene, "--model", model, "--max-tokens", 4, stdin="\n".join(script))
    assert ran.code == 0 and ran.out.count(TEXT) == 4
    assert "nothing.png: cannot be read" in ran.err and "Traceback" not in ran.err
    kinds = [
        [p["type"] for m in messages if m["role"] == "user" for p in m["content"]]
        for messages in heard
    ]
    assert kinds == [
        ["image", "text"],
        ["image", "text", "text"],
        ["image", "text", "text", "image", "text"],
        ["text"],
    ]
    assert [m["content"] for m in heard[2] if m["role"] == "assistant"] == [TEXT, TEXT]


def test_chat_goes_on_after_an_empty_answer(console: Console, tmp_path: Path) -> None:
    silent = saved(parrot(), tmp_path / "silent")
    ran = console("chat", "--model", silent, stdin="One?\nTwo?\n")
    assert ran.code == 0 and "error" not in ran.err


def test_inspect_shows_what_the_model_is_given(
    console: Console, model: Path, scene: Path, tmp_path: Path
) -> None:
    out = tmp_path / "seen.png"
    found = json.loads(console("inspect", model, scene, "--json", "--out", out).out)
    prepared = sightline.load(model).prepare(
        [{"role": "user", "content": [{"type": "image", "image": scene},
                                      {"type": "text", "text": "What is in the picture?"}]}]
    )  # fmt: skip
    assert found["visual_tokens"] == prepared.visual_tokens == VISUAL
    assert found["memory_tokens"] == 0
    assert found["text_tokens"] == prepared.text_tokens and found["pictures"] == [[100, 50]]
    assert found["views"] == [{"picture": 0, "frames": [0], "tiles": 1, "resized": [8, 8],
                               "view": [8, 8], "patch": 4, "grid": [2, 2],
                               "visual_tokens": VISUAL}]  # fmt: skip
    assert found["prompt"] == (
        f"<|user|>[{VISUAL} visual tokens]What is in the picture?<|assistant|>"
    )
    with Image.open(out) as sheet:
        assert sheet.size == (448, 448)
    table = console("inspect", model, scene)
    assert "2 × 2" in table.out and found["prompt"] in table.out


def test_models_lists_families_and_their_proofs(console: Console) -> None:
    rows = json.loads(console("models", "--json").out)
    assert {"llava", "clip", "qwen2"} <= {row["name"] for row in rows}
    for row in rows:
        assert row["proof"].startswith("tests/parity/")
        assert Path(__file__).parents[2].joinpath(row["proof"].partition(":")[0]).is_file()
    assert "llava_original" in console("models").said.replace(" ", "")
