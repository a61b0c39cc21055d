"""Exported folders load in transformers with nothing missing, and with equal logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers as hf
from PIL import Image
from tests.parity import reference as ref
from tests.parity.reference import TOLERANCE
from tests.parity.test_language import ITEMS
from tests.parity.test_language import MODELS as TEXTS
from tests.parity.test_llava import MODELS as LLAVAS
from tests.parity.test_llava import reference_of, tokens_of
from tests.parity.test_towers import TOWERS, pixels, their_rows
from tokenizers import models, pre_tokenizers

from sightline.core.errors import FamilyError
from sightline.families import compose_spec, publish_model, read_spec
from sightline.model.vlm import Vlm
from sightline.prompt.files import save_tokenizer
from sightline.prompt.tokenizer import Tokenizer, TokenizerConfig
from sightline.spec import AnyresSpec, FixedSpec, LinearSpec, MlpSpec
from sightline.weights import (
    export_hf,
    export_part,
    load,
    load_decoder,
    load_folder,
    load_vision,
)


def reloaded(kind: Any, folder: Path) -> Any:
    """What transformers makes of a folder, every tensor found and used."""
    model, report = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"], report
    assert not report["unexpected_keys"], report
    return model.eval()


@pytest.mark.parametrize("name", LLAVAS)
def test_a_whole_model(name: str, tmp_path: Path) -> None:
    loaded = load_folder(ref.saved(theirs := reference_of(name), tmp_path / "theirs"))
    export_hf(loaded.model, tmp_path / "ours")
    again = reloaded(hf.LlavaForConditionalGeneration, tmp_path / "ours")
    items = ref.conversations(tokens_of(theirs))
    assert ref.difference(loaded.model, again, items) <= TOLERANCE
    declared = read_spec(tmp_path / "ours")
    prompt = loaded.declared.model.prompt.model_copy(update={"template": None})
    assert declared.model.prompt.model_copy(update={"template": None}) == prompt
    same = {"prompt": loaded.declared.model.prompt}
    assert declared.model.model_copy(update=same) == loaded.declared.model


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_model(name: str, tmp_path: Path) -> None:
    theirs = ref.randomise(TEXTS[name]())
    declared = read_spec(ref.saved(theirs, tmp_path / "theirs"))
    decoder = load_decoder(declared)
    export_part(decoder, tmp_path / "ours")
    again = reloaded(hf.AutoModelForCausalLM, tmp_path / "ours")
    assert ref.difference(decoder, again, ITEMS) <= TOLERANCE
    assert read_spec(tmp_path / "ours").language == declared.language


@pytest.mark.parametrize("name", TOWERS)
def test_a_tower(name: str, tmp_path: Path) -> None:
    theirs = ref.randomise(TOWERS[name]())
    declared = read_spec(ref.saved(theirs, tmp_path / "theirs"))
    tower = load_vision(declared)
    published = export_part(tower, tmp_path / "ours")  # type: ignore[arg-type]
    assert published.family == declared.family
    model, report = hf.AutoModel.from_pretrained(
        tmp_path / "ours", dtype=torch.float32, output_loading_info=True
    )
    assert {*report["missing_keys"]} <= {"embeddings.mask_token"}  # of pre-training only
    views = pixels(42, 28)
    with torch.no_grad():
        assert torch.equal(load_vision(read_spec(tmp_path / "ours"))(views), tower(views))
        wanted = their_rows(theirs, views)
        assert float((their_rows(model.eval(), views) - wanted).abs().max()) <= TOLERANCE


def compose(vision: str, text: str, folder: Path, **choices: Any) -> Vlm:
    tower = ref.saved(ref.randomise(TOWERS[vision]()), folder / "tower")
    words = ref.saved(ref.randomise(TEXTS[text]()), folder / "text")
    declared = compose_spec(read_spec(tower), read_spec(words), **choices)
    return load(declared, dtype=torch.float32, seed=3).model


@pytest.mark.parametrize(
    ("vision", "text"),
    [("clip", "qwen2"), ("siglip", "llama 3"), ("siglip of both towers", "qwen2 tied"),
     ("dinov2", "mistral window"), ("openclip gelu", "gemma")],
)  # fmt: skip
def test_a_composed_model(vision: str, text: str, tmp_path: Path) -> None:
    """The placeholder is a row that the vocabulary did not have."""
    ours = compose(vision, text, tmp_path)
    assert ours.spec.prompt.image.id == ref.VOCAB == ours.spec.language.vocab - 1
    export_hf(ours, tmp_path / "ours")
    theirs = reloaded(hf.LlavaForConditionalGeneration, tmp_path / "ours")
    items = ref.conversations(ours.spec.vision.position_grid.area, ref.VOCAB)
    assert ref.difference(ours, theirs, items) <= TOLERANCE
    ref.assert_same_greedy(ours, theirs, items)


def test_a_tower_without_final_norm(tmp_path: Path) -> None:
    """LLaVA's towers have one; it is written as the identity, and does not act."""
    ours = compose("siglip", "llama 2", tmp_path)
    vision = ours.spec.vision.model_copy(update={"post_norm": "absent"})
    ours.spec = ours.spec.model_copy(update={"vision": vision})
    ours.vision.post_norm = None
    export_hf(ours, tmp_path / "ours")
    theirs = reloaded(hf.LlavaForConditionalGeneration, tmp_path / "ours")
    items = ref.conversations(4, ref.VOCAB)
    assert ref.difference(ours, theirs, items) <= TOLERANCE


def test_shards_and_dtype(tmp_path: Path) -> None:
    ours = compose("clip", "qwen2", tmp_path)
    export_hf(ours, tmp_path / "ours", dtype=torch.bfloat16, max_shard_bytes=20_000)
    assert len([*(tmp_path / "ours").glob("model-*.safetensors")]) > 2
    theirs = reloaded(hf.LlavaForConditionalGeneration, tmp_path / "ours")
    again = load_folder(tmp_path / "ours", dtype=torch.float32).model
    items = ref.conversations(4, ref.VOCAB)
    assert ref.difference(again, theirs, items) <= TOLERANCE
    assert load_folder(tmp_path / "ours").model.dtype == torch.bfloat16


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "linear connector": ({"connector": LinearSpec()}, "connector"),
    "three layers": ({"connector": MlpSpec(depth=3)}, "connector"),
    "another inner width": ({"connector": MlpSpec(hidden=48)}, "connector.hidden"),
    "norms": ({"connector": MlpSpec(norms=True)}, "connector"),
    "learned ends": ({"resolution": FixedSpec(size=28, ends=("a", "b"))}, "resolution.ends"),
    "tiles": ({"resolution": AnyresSpec(size=28, pinpoints=((28, 56),))}, "resolution"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_llava_cannot_express(case: str, tmp_path: Path) -> None:
    choices, field = REFUSED[case]
    ours = compose("clip", "qwen2", tmp_path, **choices)
    with pytest.raises(FamilyError) as caught:
        export_hf(ours, tmp_path / "ours")
    assert caught.value.field == field
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("extra", [{"before": (5,)}, {"after": (5,)}, {"around": ("<", ">")}])
def test_what_stands_around_pictures_is_not_lost(extra: dict[str, Any], tmp_path: Path) -> None:
    spec = compose("clip", "qwen2", tmp_path).spec
    image = spec.prompt.image.model_copy(update=extra)
    prompt = spec.prompt.model_copy(update={"image": image})
    with pytest.raises(FamilyError, match=r"prompt\.image"):
        publish_model(spec.model_copy(update={"prompt": prompt}))


@pytest.mark.parametrize("text", ["phi", "falcon 40b"])
def test_text_models_that_llava_cannot_hold(text: str, tmp_path: Path) -> None:
    with pytest.raises(FamilyError, match="language"):
        export_hf(compose("clip", text, tmp_path), tmp_path / "ours")


def test_a_tower_that_llava_cannot_hold(tmp_path: Path) -> None:
    """It would pass registers on as if they were patches."""
    with pytest.raises(FamilyError, match="vision"):
        export_hf(compose("registers", "llama 2", tmp_path), tmp_path / "ours")


def test_final_norm_cannot_be_expressed(tmp_path: Path) -> None:
    ours = compose("siglip", "llama 2", tmp_path)
    vision = ours.spec.vision.model_copy(update={"post_norm": "applied"})
    ours.spec = ours.spec.model_copy(update={"vision": vision})
    with pytest.raises(FamilyError, match="post_norm"):
        export_hf(ours, tmp_path / "ours")


def word_tokenizer() -> Tokenizer:
    texts = ["<unk>", "<s>", "</s>", "USER", ":", "ASSISTANT", "what", "is", "this", "?"]
    model = models.WordLevel({text: i for i, text in enumerate(texts)}, unk_token="<unk>")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<s>", "</s>"])
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return Tokenizer(made.to_str(), TokenizerConfig(named=named))


@pytest.mark.parametrize(("vision", "fit"), [("clip", "crop"), ("siglip", "squash"),
                                             ("clip", "pad"), ("dinov2", "crop")])  # fmt: skip
def test_processor_and_template(vision: str, fit: Any, tmp_path: Path) -> None:
    """The reference's own processor makes as many placeholders as our layout, of our id."""
    (tmp_path / "text").mkdir()
    save_tokenizer(tokenizer := word_tokenizer(), tmp_path / "text")
    views = FixedSpec(size=28, fit=fit)
    ours = compose(vision, "qwen2", tmp_path, template="vicuna", resolution=views)
    export_hf(ours, tmp_path / "ours", tokenizer=tokenizer.add_token("<image>"))
    processor = hf.AutoProcessor.from_pretrained(tmp_path / "ours")
    content = [{"type": "image"}, {"type": "text", "text": "what is this ?"}]
    messages = [{"role": "user", "content": content}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    picture = Image.new("RGB", (40, 30))
    made = processor(images=picture, text=text, return_tensors="pt")
    image_id = ours.spec.prompt.image.id
    assert image_id == 10 and ours.spec.language.vocab == ref.VOCAB
    grid = ours.spec.vision.grid(28, 28)
    assert int((made["input_ids"] == image_id).sum()) == ours.spec.vision.tokens(grid)
    assert made["pixel_values"].shape == (1, 3, 28, 28)
    assert read_spec(tmp_path / "ours").model.resolution == ours.spec.resolution
