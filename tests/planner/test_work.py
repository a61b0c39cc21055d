"""FLOPs against torch's own counter, memory of blocks against what torch keeps."""

from __future__ import annotations

import weakref

import pytest
import torch
from tests.helpers.tiny import shown
from tests.planner.specs import LANGUAGES, SWITCHES, VISIONS, decoder, model, vit
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sightline.core.geometry import Grid
from sightline.language.context import BlockContext
from sightline.model.build import build_model
from sightline.nn.masks import Mask
from sightline.planner.decoder import decoder_row, score_row
from sightline.planner.encoder import vit_row
from sightline.planner.formats import weight_bytes
from sightline.planner.tensors import weights
from sightline.planner.work import (
    attention_flops,
    causal_pairs,
    decode_work,
    encode_work,
    prefill_work,
)
from sightline.planner.workload import workload
from sightline.spec.fusion import InterleaveSpec
from sightline.spec.language import MlpBlockSpec
from sightline.vision.vit import VitContext


def built(spec):
    module = build_model(spec).requires_grad_(False)
    for p in module.parameters():
        torch.nn.init.normal_(p, 0, 0.1)
    return module


def counted(run):
    """FLOPs by torch; the plain kernel, as the counter does not know the fused one of CPUs."""
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        run()
    return counter.get_total_flops()


def pixels(spec):
    channels = 3 * spec.vision.frames_per_view
    return torch.zeros(1, channels, spec.resolution.size, spec.resolution.size)


def step(module, tokens, cache):
    """`tokens` rows after what the cache holds, logits of the last."""
    x_BTD = torch.randn(1, tokens, module.spec.language.width)
    positions = torch.arange(cache.length, cache.length + tokens)[None, None]
    module.language.logits(module.language(x_BTD, positions, Mask(), cache=cache)[:, -1])


@pytest.mark.parametrize("name", SWITCHES)
def test_flops_are_torchs(name):
    spec = SWITCHES[name]
    module = built(spec)
    work = workload(spec, [(30, 40)], text_tokens=20)
    tokens, language = work.prompt_tokens, spec.language
    a = language.attention
    width = 4 * a.heads * a.head_dim
    # The plain kernel also computes what causality or a window hides.
    unseen = width * tokens**2 * language.depth - attention_flops(language, tokens)
    windowed = [min(tokens + 1, a.window_of(i) or tokens + 1) for i in range(language.depth)]
    unseen_later = width * sum(tokens + 1 - kept for kept in windowed)
    cache = module.language.new_cache(1, tokens + 1)

    encode = counted(lambda: module.encode([shown(pixels(spec), 1)]))
    prefill = counted(lambda: step(module, tokens, cache))
    decode = counted(lambda: step(module, 1, cache))

    assert encode_work(spec, work.layout, "fp32").flops == encode
    assert prefill_work(spec, tokens, "fp32").flops == prefill - unseen
    assert decode_work(spec, tokens + 1, "fp32").flops == decode - unseen_later


def test_a_prompt_that_sees_itself_costs_all_pairs():
    causal = SWITCHES["language: gemma 2"]
    prefix = causal.model_copy(update={"fusion": InterleaveSpec(mask="prefix")})
    a, depth = causal.language.attention, causal.language.depth
    more = prefill_work(prefix, 30, "fp32").flops - prefill_work(causal, 30, "fp32").flops
    seen = sum(causal_pairs(30, a.window_of(i)) for i in range(depth))
    assert more == 4 * a.heads * a.head_dim * (30**2 * depth - seen)


@pytest.mark.parametrize(("tokens", "window"), [(1, None), (9, None), (9, 1), (9, 4), (4, 9)])
def test_causal_pairs_by_counting(tokens, window):
    reach = window or tokens
    seen = [(q, k) for q in range(tokens) for k in range(tokens) if 0 <= q - k < reach]
    assert causal_pairs(tokens, window) == len(seen)


def test_work_of_a_batch():
    spec = SWITCHES["language: llama"]
    layout = workload(spec, [(30, 40)]).layout
    one, four = (encode_work(spec, layout, "bf16", batch=n) for n in (1, 4))
    assert (four.flops, four.read_bytes) == (4 * one.flops, one.read_bytes)
    one, four = (decode_work(spec, 50, "bf16", batch=n) for n in (1, 4))
    assert four.flops == 4 * one.flops
    assert four.read_bytes - one.read_bytes == 3 * spec.language.kv_bytes(50)
    assert encode_work(spec, workload(spec, []).layout, "bf16").flops == 0


@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_decoding_reads_everything_but_an_untied_embedding_table(name):
    spec = model(LANGUAGES[name], vit())
    read = decode_work(spec, 0, "bf16").read_bytes
    table = 0 if spec.language.tied_head else spec.language.vocab * spec.language.width * 2
    assert read == weight_bytes(weights(spec, "language"), "bf16") - table


def kept_numbers(run, parameters):
    """Distinct float32 numbers that autograd saves while `run` goes forward."""
    own = {p.untyped_storage().data_ptr() for p in parameters}
    found, alive = {}, []

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes() // 4
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(found.values())


SLACK = 1.1  # statistics of norms and softmax, rotations
SPARED = 0.8  # RMS norms on a CPU write out their backward pass and keep up to a fifth less
ROWS = 1040  # beyond the length up to which training on CPU keeps scores


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_decoder_block_keeps_what_is_planned(name):
    spec = LANGUAGES[name]
    language = build_model(model(spec, vit())).language
    table, places = language.rotary, torch.arange(ROWS)[None, None]
    rotary = None if table is None else table.at(places, ROWS, torch.float32)
    mask = Mask().bind(0, ROWS, spec.attention.window_of(0), torch.device("cpu"))
    block, x_BTD = language.blocks[0], torch.randn(1, ROWS, spec.width, requires_grad=True)
    ctx = BlockContext(rotary, mask, None, None, None)
    turns = [] if rotary is None else [rotary.cos_BT1R, rotary.sin_BT1R]
    own = [*block.parameters(), *turns]
    kept = kept_numbers(lambda: block(x_BTD, ctx), own)
    planned = decoder_row(spec) + score_row(spec, ROWS)
    assert SPARED * planned <= kept / ROWS <= SLACK * planned


@pytest.mark.parametrize("name", VISIONS)
def test_an_encoder_block_keeps_what_is_planned(name):
    spec = VISIONS[name]
    block = build_model(model(decoder(), spec)).vision.blocks[0]
    x_VND = torch.randn(1, ROWS, spec.width, requires_grad=True)
    ctx = VitContext(Grid(ROWS // 20, 20))
    kept = kept_numbers(lambda: block(x_VND, ctx), list(block.parameters()))
    assert SPARED * vit_row(spec) <= kept / ROWS <= SLACK * vit_row(spec)


class Peak(TorchDispatchMode):
    """The most bytes of tensors that were alive at once among those made inside."""

    def __init__(self):
        super().__init__()
        self.live, self.now, self.most = {}, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in (leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)):
            storage = tensor.untyped_storage()
            if storage._cdata not in self.live:
                self.live[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self.freed, storage._cdata)
        return out

    def freed(self, key):
        self.now -= self.live.pop(key, 0)


@pytest.mark.parametrize("kind", ["gated", "plain"])
@pytest.mark.parametrize(("width", "head_dim", "mlp"), [(64, 16, 172), (8, 2, 8)])
def test_workspace_is_an_upper_estimate_within_a_factor_of_two(kind, width, head_dim, mlp):
    """The peak is in the prefill of the wide decoder, and in the encoder beside the narrow one."""
    encoder = vit(width=64, mlp_width=256, image_size=280, class_token="drop")
    heads = {"heads": 8, "kv_heads": 4, "head_dim": head_dim}
    language = decoder(heads, width=width, mlp=MlpBlockSpec(kind=kind, width=mlp), context=8192)
    spec = model(language, encoder)
    work = workload(spec, [(280, 280)], text_tokens=100, dtype="fp32")
    module, peak = built(spec), Peak()
    cache = module.language.new_cache(1, work.prompt_tokens)
    with torch.inference_mode(), peak:
        module.encode([shown(pixels(spec), 1)])
        step(module, work.prompt_tokens, cache)
    assert peak.most <= work.workspace_bytes <= 2 * peak.most
