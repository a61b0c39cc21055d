"""Loading: every tensor accounted for, in any dtype, from shards, without a second copy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers as hf
from safetensors.torch import save_file
from tests.helpers.tiny import tiny_model, tiny_spec
from tests.parity import reference as ref
from tests.parity.test_llava import reference_of
from torch import Tensor

from sightline.core.errors import FamilyError, FolderError, WeightError
from sightline.families import compose_spec, read_spec
from sightline.weights import export_hf, load, load_decoder, load_folder, load_vision

Tensors = dict[str, Tensor]
EMBED = "language_model.model.embed_tokens.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return ref.saved(reference_of("clip-llama"), tmp_path / "llava")


def state(folder: Path) -> Tensors:
    return dict(load_folder(folder).model.named_parameters())


def equal(a: Tensors, b: Tensors) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# What can be wrong with the tensors: the edit, what the error is about and what it must say.


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {n: t for n, t in tensors.items() if n != name}


def with_(name: str, value: Tensor) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: value}


GATE = "language_model.model.layers.1.mlp.gate_proj.weight"
WRONG: dict[str, tuple[Callable[[Tensors], Tensors], str, tuple[str, ...]]] = {
    "missing": (without(GATE), "language.blocks.1.mlp.gate.weight", (GATE, "missing")),
    "left over": (
        with_("language_model.model.layers.1.mlp.extra.weight", torch.ones(2)),
        "language_model.model.layers.1.mlp.extra.weight",
        ("no rule",),
    ),
    "renamed": (
        ref.renamed((GATE, GATE.replace("gate_proj", "gate_porj"))),
        "language.blocks.1.mlp.gate.weight",
        (GATE, "gate_porj"),
    ),
    "one layer more": (
        with_("language_model.model.layers.2.mlp.gate_proj.weight", torch.ones(48, 32)),
        "language_model.model.layers.2.mlp.gate_proj.weight",
        ("no rule",),
    ),
    "wrong shape": (with_(GATE, torch.ones(48, 31)), GATE, ("[48, 31]", "[48, 32]")),
    "transposed": (with_(GATE, torch.ones(32, 48)), GATE, ("[32, 48]",)),
    "integers": (with_(GATE, torch.ones(48, 32, dtype=torch.int8)), GATE, ("I8",)),
    "quantised": (with_(GATE, torch.ones(48, 32).to(torch.float8_e4m3fn)), GATE, ("F8_E4M3",)),
    "a scale beside": (with_(f"{GATE}_scale", torch.ones(1)), f"{GATE}_scale", ("no rule",)),
    "a bias that the spec has not": (
        with_("language_model.model.layers.0.self_attn.q_proj.bias", torch.ones(32)),
        "language_model.model.layers.0.self_attn.q_proj.bias",
        ("no rule",),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tensors_are_named(case: str, folder: Path) -> None:
    edit, field, says = WRONG[case]
    ref.edit_tensors(folder, edit)
    with pytest.raises(WeightError) as caught:
        load_folder(folder)
    assert caught.value.field == field
    assert all(word in str(caught.value) for word in says), str(caught.value)


def test_several_missing_tensors_are_counted(folder: Path) -> None:
    ref.edit_tensors(folder, lambda ts: {n: t for n, t in ts.items() if ".layers.1.mlp." not in n})
    with pytest.raises(WeightError, match=r"down_proj.*gate_proj.*up_proj"):
        load_folder(folder)


def test_dropped_tensors_are_reported(folder: Path) -> None:
    name = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq"
    ref.edit_tensors(folder, with_(name, torch.ones(4)))
    audit = load_folder(folder).audit
    assert audit.dropped == ((name, "rotary frequencies are computed"),)
    assert audit.loaded == len(state(folder))


# What can be wrong with the files.


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def no_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 64)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def broken_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8:20] = b"x" * 12
    path.write_bytes(bytes(data))


def lying_offsets(path: Path) -> None:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    header[name]["data_offsets"][1] += 4
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize(
    "damage", [truncated, no_header, empty, broken_header, lying_offsets], ids=lambda f: f.__name__
)
def test_damaged_files_are_refused(damage: Callable[[Path], None], folder: Path) -> None:
    damage(folder / "model.safetensors")
    with pytest.raises(WeightError, match=r"model\.safetensors: is damaged or cut short"):
        load_folder(folder)


def test_no_weights_at_all(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert read_spec(folder).model.language.depth == 2  # the config alone can be planned
    with pytest.raises(WeightError, match="holds no safetensors"):
        load_folder(folder)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    reference_of("clip-llama").save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    assert len([*(tmp_path / "shards").glob("*.safetensors")]) > 2
    return tmp_path / "shards"


def test_shards(sharded: Path, folder: Path) -> None:
    assert equal(state(sharded), state(folder))


def test_a_missing_shard(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(WeightError, match=rf"lacks {shard.name}"):
        load_folder(sharded)


def test_an_index_that_lies(sharded: Path) -> None:
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["ghost.weight"] = sorted(sharded.glob("*.safetensors"))[0].name
    path.write_text(json.dumps(index))
    with pytest.raises(WeightError, match=r"ghost\.weight: is promised"):
        load_folder(sharded)


def test_an_index_without_a_map(sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(WeightError, match="weight_map"):
        load_folder(sharded)


def test_shards_without_an_index(sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").unlink()
    with pytest.raises(FolderError, match=r"index\.json"):
        load_folder(sharded)


def test_a_tensor_in_two_shards(sharded: Path) -> None:
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    shards = sorted(sharded.glob("*.safetensors"))
    name = next(n for n, file in index["weight_map"].items() if file == shards[0].name)
    save_file({name: torch.ones(2)}, sharded / "more.safetensors")
    index["weight_map"]["else"] = "more.safetensors"
    path.write_text(json.dumps(index))
    with pytest.raises(WeightError):
        load_folder(sharded)


# Dtypes and devices.


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_target_dtype(dtype: torch.dtype, folder: Path) -> None:
    """Cast once, from the stored values."""
    exact = state(folder)
    cast = dict(load_folder(folder, dtype=dtype).model.named_parameters())
    assert equal(cast, {name: t.to(dtype) for name, t in exact.items()})


def test_stored_dtype_is_kept(tmp_path: Path) -> None:
    theirs = reference_of("clip-llama").to(torch.bfloat16)
    assert load_folder(ref.saved(theirs, tmp_path)).model.dtype == torch.bfloat16
    ref.edit_config(tmp_path, drop=("dtype",))
    assert load_folder(tmp_path).model.dtype == torch.bfloat16


def test_a_replaced_file_does_not_reach_the_model(folder: Path) -> None:
    """Writers replace files; the model keeps what it was loaded from."""
    loaded = state(folder)
    before = {name: t.clone() for name, t in loaded.items()}
    path, new = folder / "model.safetensors", folder / "new"
    data = path.read_bytes()
    new.write_bytes(data[:-4000] + b"\x7f" * 4000)
    new.replace(path)
    assert equal(loaded, before) and not equal(state(folder), before)


def test_embeddings_stay_in_the_pages_of_the_file_and_are_the_models_own(folder: Path) -> None:
    model = load_folder(folder).model
    weight, stored = model.language.embed.weight, (folder / "model.safetensors").read_bytes()
    maps = (
        Path("/proc/self/maps").read_text().splitlines() if Path("/proc/self/maps").exists() else ()
    )
    inside = [
        line for line in maps
        if int(line.split("-")[0], 16) <= weight.data_ptr() < int(line.split()[0].split("-")[1], 16)
    ]  # fmt: skip
    assert all(line.endswith("model.safetensors") for line in inside)
    with torch.no_grad():
        weight.add_(1.0)
    assert (folder / "model.safetensors").read_bytes() == stored
    other = load_folder(folder, dtype=torch.float64).model.language.embed.weight
    torch.testing.assert_close(weight.double() - 1, other, atol=1e-6, rtol=0)


PEAK = """
import sys, threading, time
from pathlib import Path
import torch
from sightline.weights import load_folder
def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
def peak_over_size(dtype):
    before, peak, done = anonymous(), 0, False
    def watch():
        nonlocal peak
        while not done:
            peak = max(peak, anonymous())
            time.sleep(0.0005)
    thread = threading.Thread(target=watch)
    thread.start()
    model = load_folder(sys.argv[1], dtype=dtype).model
    done = True
    thread.join()
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    return (max(peak, anonymous()) - before) / size
load_folder(sys.argv[2])  # imports and pools
print(peak_over_size(torch.float32), peak_over_size(torch.bfloat16))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_private_peak(tmp_path: Path) -> None:
    """At most 1.15 × the model, whether the dtype changes or not; pages of the file excluded."""
    wide = {"width": 256, "vocab": 16000, "depth": 6, "mlp": {"width": 1024}}
    vision = {"post_norm": "unused"}
    export_hf(tiny_model(tiny_spec(language=wide, vision=vision)), tmp_path / "big")
    export_hf(tiny_model(tiny_spec(vision=vision)), tmp_path / "small")
    command = [sys.executable, "-c", PEAK, str(tmp_path / "big"), str(tmp_path / "small")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(float(ratio) <= 1.15 for ratio in done.stdout.split()), done.stdout


# Parts and composed models.


def test_parts_of_a_whole_model(folder: Path) -> None:
    declared, whole = read_spec(folder), state(folder)
    vision = {f"vision.{n}": p for n, p in load_vision(declared).named_parameters()}
    language = {f"language.{n}": p for n, p in load_decoder(declared).named_parameters()}
    connector = {n: p for n, p in whole.items() if n.startswith("connector.")}
    assert equal(vision | language | connector, whole)


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    text = ref.saved(ref.randomise(hf.LlamaForCausalLM(hf.LlamaConfig(**ref.TEXT))), tmp_path)
    with pytest.raises(FamilyError, match="no vision tower"):
        load_vision(read_spec(text))
    with pytest.raises(FamilyError, match="only a language part"):
        load(read_spec(text))


def test_parts_of_two_whole_models_and_a_new_connector(folder: Path, tmp_path: Path) -> None:
    other = ref.saved(reference_of("siglip-qwen2", seed=1), tmp_path / "other")
    declared = compose_spec(read_spec(folder), read_spec(other))
    loaded = load(declared, dtype=torch.float32, seed=5)
    mine = dict(loaded.model.named_parameters())
    assert all(torch.equal(t, mine[n]) for n, t in state(folder).items() if n[0] == "v")
    assert all(torch.equal(t, mine[n]) for n, t in state(other).items() if n[0] == "l")
    assert {*loaded.audit.fresh} == {n for n in mine if n.startswith("connector.")}
    assert loaded.declared.prompt == read_spec(other).prompt


def test_new_parameters_follow_the_seed(folder: Path, tmp_path: Path) -> None:
    other = ref.saved(reference_of("siglip-qwen2", seed=1), tmp_path / "other")
    declared = compose_spec(read_spec(folder), read_spec(other))
    made = [dict(load(declared, seed=seed).model.named_parameters()) for seed in (1, 1, 2)]
    assert equal(made[0], made[1])
    changed = {n for n in made[0] if not torch.equal(made[0][n], made[2][n])}
    assert changed == {"connector.layers.0.weight", "connector.layers.1.weight"}


def test_grown_rows_are_the_mean_and_a_little_noise(tmp_path: Path) -> None:
    clip = hf.CLIPVisionModel(hf.CLIPVisionConfig(**ref.TOWER))
    llama = ref.randomise(hf.LlamaForCausalLM(hf.LlamaConfig(**ref.TEXT)))
    tower, text = ref.saved(clip, tmp_path / "clip"), ref.saved(llama, tmp_path / "llama")
    declared = compose_spec(read_spec(tower), read_spec(text))
    loaded = load(declared, seed=1)
    assert {*loaded.audit.grown} == {("language.embed.weight", 1), ("language.head.weight", 1)}
    old = llama.get_input_embeddings().weight.detach()
    new = loaded.model.language.embed.weight.detach()
    assert torch.equal(new[: ref.VOCAB], old)
    noise = (new[ref.VOCAB] - old.mean(0)) / old.std(0, unbiased=False)
    assert 0 < float(noise.abs().max()) < 0.1


def test_a_part_without_a_folder(folder: Path) -> None:
    declared = read_spec(folder)
    lacking = replace(declared, sources=())
    with pytest.raises(WeightError, match="no folder"):
        load(lacking)


def test_a_tower_that_was_only_named(tmp_path: Path) -> None:
    from tests.parity.test_llava import ORIGINALS, Original

    theirs = Original(ORIGINALS["linear"]())
    theirs.save(tmp_path, "linear", tower="openai/clip-vit-large-patch14-336")
    ref.edit_config(tmp_path, {"mm_hidden_size": 1024})
    declared = read_spec(tmp_path)
    assert declared.needs == ("openai/clip-vit-large-patch14-336",)
    with pytest.raises(WeightError, match="openai/clip-vit-large-patch14-336"):
        load(declared)
