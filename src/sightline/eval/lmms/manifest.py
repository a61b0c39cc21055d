"""What lmms-eval finds under the entry point `lmms_eval.models`."""

from __future__ import annotations

from typing import Any


def manifest() -> Any:
    """Its ModelManifest: the model `sightline`, by chat messages or, with --force_simple, by words
    and pictures. Only lmms-eval calls this."""
    from lmms_eval.models.registry_v2 import ModelManifest

    here = "sightline.eval.lmms.adapter"
    return ModelManifest(
        model_id="sightline",
        simple_class_path=f"{here}.SightlineSimple",
        chat_class_path=f"{here}.SightlineChat",
    )
