"""Reading one part: a config level and its tensors become a spec and rules."""

from __future__ import annotations

from collections.abc import Iterable

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import TextFamily, TowerFamily, refusing
from sightline.families.files import Checkpoint, root_of
from sightline.families.headers import same_bytes
from sightline.spec.language import DecoderSpec
from sightline.spec.rules import Rule, under
from sightline.spec.vision import VitSpec


def read_tower(
    family: TowerFamily, config: Config, harmless: Iterable[str] = ()
) -> tuple[VitSpec, tuple[str, ...]]:
    """The encoder of `config` (made with the family's defaults) and the keys ignored."""
    with refusing(family.name):
        spec = family.read(config)
    return spec, config.finish(family.name, (*family.harmless, *harmless))


def read_decoder(
    family: TextFamily, config: Config, harmless: Iterable[str] = ()
) -> tuple[DecoderSpec, tuple[str, ...]]:
    """The decoder of `config` (made with the family's defaults) and the keys ignored."""
    with refusing(family.name):
        spec = family.read(config)
    return spec, config.finish(family.name, (*family.harmless, *harmless))


def tower_rules(
    family: TowerFamily, spec: VitSpec, checkpoint: Checkpoint, roots: tuple[str, ...]
) -> tuple[Rule, ...]:
    """Rules at the prefix under which the checkpoint has the tower."""
    root = root_of(checkpoint, family.anchor, roots, family.name)
    return under(family.rules(spec), disk=root)


def decoder_rules(
    family: TextFamily,
    spec: DecoderSpec,
    checkpoint: Checkpoint,
    roots: tuple[tuple[str, str], ...],
) -> tuple[DecoderSpec, tuple[Rule, ...], tuple[str, ...]]:
    """The spec with its head tied or not as the tensors say, rules at their prefix, and notes."""
    body = root_of(checkpoint, family.anchor, tuple(body for body, _ in roots), family.name)
    heads = tuple(head for prefix, head in roots if prefix == body)
    head = next((h for h in heads if f"{h}weight" in checkpoint.tensors), heads[0])
    spec, notes = _tie(spec, checkpoint, f"{body}{family.anchor}", f"{head}weight")
    return spec, family.rules(spec, body, head), notes


def _tie(
    spec: DecoderSpec, checkpoint: Checkpoint, embedding: str, head: str
) -> tuple[DecoderSpec, tuple[str, ...]]:
    """A stored head wins over the flag; one that equals the embedding, or is absent, is tied."""
    tensors = checkpoint.tensors
    if not tensors or embedding not in tensors or (head in tensors) is not spec.tied_head:
        return spec, ()
    if head not in tensors:
        return _with_tie(spec, True), (f"{head} is absent: the embedding is the output matrix",)
    if same_bytes(tensors[embedding], tensors[head]):
        return spec, ()
    note = f"{head} differs from the embedding: it is used although config.json ties them"
    return _with_tie(spec, False), (note,)


def _with_tie(spec: DecoderSpec, tied: bool) -> DecoderSpec:
    return spec.model_copy(update={"tied_head": tied})


def chosen_layer(config: Config, key: str, depth: int) -> int:
    """A hidden state, counted as the reference counts. Raises FamilyError for several or none."""
    value = config.data.get(key)
    if isinstance(value, list) and len(value) == 1:
        config.data[key] = value = value[0]
    if isinstance(value, list):
        raise FamilyError(
            config.name(key), f"joins the layers {value}", "only one layer can be read"
        )
    layer = config.take(key, int)
    if not -depth - 1 <= layer <= depth:
        raise FamilyError(
            config.name(key), f"{layer} is no hidden state of {depth} blocks", "mend config.json"
        )
    return layer
