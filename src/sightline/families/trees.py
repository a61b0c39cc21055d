"""Names of modules in the classes of transformers 5, where they are not those of tensors on disk.

Adapters are loaded into modules, so their files carry the names of modules. Folders on disk keep
those of older releases, and transformers renames on loading; these are its renamings.
Source: transformers 5.23.0 conversion_mapping.py and the classes themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from sightline.spec.rules import Fuse, Rename, Step


@dataclass(frozen=True, slots=True)
class Tree:
    """How the names of one family's modules differ from those on disks.

    Attributes:
        roots: for each part the prefix in the class, then those on disks.
        inner: pieces within names, as (on disk, in the class).
        apart: tensors on disk that the class holds in several: a piece of the name, and what
            stands in its place for each.
    """

    roots: tuple[tuple[str, ...], ...] = ()
    inner: tuple[tuple[str, str], ...] = ()
    apart: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def steps(self, step: Step) -> tuple[Step, ...]:
        """The step itself, or one for each tensor where the class holds several."""
        for piece, names in self.apart:
            if isinstance(step.rule, Fuse) and piece in step.disk[0]:
                disk = [step.disk[0].replace(piece, name) for name in names]
                pairs = zip(disk, step.ours, strict=True)
                return tuple(Step(Rename(d, o), (d,), (o,)) for d, o in pairs)
        return (step,)

    def module_name(self, name: str) -> str:
        """The name in the class; one that is in the class already stays as it is."""
        fits = [
            (len(prefix), prefix, root[0])
            for root in self.roots
            for prefix in root
            if name.startswith(prefix)
        ]
        if fits:
            _, prefix, in_class = max(fits)
            name = in_class + name.removeprefix(prefix)
        for on_disk, in_class in self.inner:
            name = name.replace(on_disk, in_class)
        return name


_DINO = (
    *(
        (f".attention.attention.{name}.", f".attention.{name[0]}_proj.")
        for name in ("query", "key", "value")
    ),
    (".attention.output.dense.", ".attention.o_proj."),
    (".mlp.weights_out.", ".mlp.down_proj."),
)
_DINO_GATE = ((".mlp.weights_in.", (".mlp.gate_proj.", ".mlp.up_proj.")),)
_HEAD = ("lm_head.", "language_model.lm_head.")
_LLAVA = Tree(
    roots=(
        _HEAD,
        ("model.language_model.", "language_model.model."),
        (
            "model.vision_tower.",
            "model.vision_tower.vision_model.",
            "vision_tower.vision_model.",
            "vision_tower.",
        ),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.image_newline", "image_newline"),
    ),
    inner=_DINO,
    apart=_DINO_GATE,
)
_QWEN_VL = Tree(roots=(("model.visual.", "visual."), ("model.language_model.", "model.")))
_MLLAMA = Tree(
    roots=(
        _HEAD,
        ("model.language_model.", "language_model.model."),
        ("model.vision_model.", "vision_model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
    )
)
_SEEN = "model.vision_tower."
_PROJECTOR = "model.multi_modal_projector."
_QKV = tuple(f".attention.{n}_proj." for n in "qkv")
_QIANFAN = Tree(
    roots=(
        _HEAD,
        ("model.language_model.", "language_model.model.encoder.", "language_model.model."),
        (f"{_SEEN}layers.", "vision_model.encoder.layers."),
        (f"{_SEEN}embeddings.cls_token", "vision_model.embeddings.class_embedding"),
        (f"{_SEEN}embeddings.position_embeddings", "vision_model.embeddings.position_embedding"),
        (
            f"{_SEEN}embeddings.patch_embeddings.projection.",
            "vision_model.embeddings.patch_embedding.",
        ),
        (f"{_PROJECTOR}layer_norm.", "mlp1.0."),
        (f"{_PROJECTOR}linear_1.", "mlp1.1."),
        (f"{_PROJECTOR}linear_2.", "mlp1.3."),
    ),
    inner=(
        (".attn.proj.", ".attention.projection_layer."),
        (".norm1.", ".layernorm_before."),
        (".norm2.", ".layernorm_after."),
        (".ls1", ".lambda_1"),
        (".ls2", ".lambda_2"),
    ),
    apart=((".attn.qkv.", _QKV),),
)
_TEXT = Tree(roots=(("model.", ""), ("lm_head.",), ("output.",)))
_TREES = {
    **dict.fromkeys(("llava", "llava_next", "llava_next_video", "llava_onevision"), _LLAVA),
    **dict.fromkeys(("internvl", "paligemma", "gemma3", "mistral3"), _LLAVA),
    "qianfan_ocr": _QIANFAN,
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl", "qwen3_vl"), _QWEN_VL),
    "mllama": _MLLAMA,
    **dict.fromkeys(("llama", "yi", "mistral", "qwen2", "qwen3", "phi", "internlm2"), _TEXT),
    **dict.fromkeys(("gemma", "gemma2", "gemma3_text"), _TEXT),
    "opt": Tree(roots=(("model.decoder.", "decoder."),)),
    "falcon": Tree(roots=(("transformer.", ""), ("lm_head.",))),
    **dict.fromkeys(("clip", "siglip"), Tree(roots=(("", "vision_model."),))),  # the tower's class
    "dinov2": Tree((("", "dinov2."),), _DINO, _DINO_GATE),
    "dinov2_with_registers": Tree((("", "dinov2_with_registers."),), _DINO, _DINO_GATE),
}


def tree_of(family: str) -> Tree:
    """For a family that is not in the table names on disk are those of its modules."""
    return _TREES.get(family, Tree())
