"""Our own folders: `sightline.yaml` beside `model.safetensors`, tensors under our names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.core.config import load_yaml, read_text
from sightline.core.errors import FolderError
from sightline.families.declared import Declared, Source
from sightline.families.headers import read_index
from sightline.spec.model import ModelSpec
from sightline.spec.pair import PairSpec
from sightline.spec.rules import Rename

FILE = "sightline.yaml"
FORMAT = 1
PARTS = ("vision.", "connector.", "language.", "learned.")
IDENTITY = tuple(Rename(f"{part}{{any}}", f"{part}{{any}}") for part in PARTS)


def is_own(folder: Path) -> bool:
    return (folder / FILE).is_file()


def read_own(folder: Path) -> Declared:
    """Raises FolderError for a newer format, SpecError for a spec that contradicts itself."""
    data = load_yaml(read_text(folder / FILE))
    if data.get("format") != FORMAT:
        found = f"has format {data.get('format')!r}, this version reads {FORMAT}"
        raise FolderError(str(folder / FILE), found, "update sightline")
    about = (data.get("about") or {}).get("fingerprint") or {}
    if "pair" in data:
        return _declared_pair(folder, PairSpec.parse(data["pair"] or {}, field=FILE), about)
    spec = ModelSpec.parse(data.get("model") or {}, field=FILE)
    return Declared(
        family="sightline",
        resolution=spec.resolution,
        vision=spec.vision,
        connector=spec.connector,
        fusion=spec.fusion,
        language=spec.language,
        prompt=spec.prompt,
        sources=(Source(folder, IDENTITY),),
        dtype=_dtype(folder),
        fingerprint=about,
    )


def _declared_pair(folder: Path, spec: PairSpec, fingerprint: Mapping[str, str]) -> Declared:
    return Declared(
        family="sightline",
        resolution=spec.resolution,
        vision=spec.vision,
        pair=spec,
        sources=(Source(folder, IDENTITY),),
        dtype=_dtype(folder),
        fingerprint=fingerprint,
    )


def own_yaml(spec: ModelSpec | PairSpec, about: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `sightline.yaml` holds; `about` are facts for readers (fingerprint, training)."""
    return {
        "format": FORMAT,
        "pair" if isinstance(spec, PairSpec) else "model": spec.model_dump(mode="json"),
        **({"about": about} if about else {}),
    }


def _dtype(folder: Path) -> str | None:
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
    stored = {info.dtype for info in read_index(folder).values()}
    return names.get(stored.pop()) if len(stored) == 1 else None
