"""Loading, saving and exporting weights, every tensor accounted for."""

from sightline.weights.audit import Audit
from sightline.weights.convert import with_safetensors
from sightline.weights.export import export_hf, export_part
from sightline.weights.load import Loaded, load, load_decoder, load_folder, load_vision
from sightline.weights.save import save

__all__ = [
    "Audit",
    "Loaded",
    "export_hf",
    "export_part",
    "load",
    "load_decoder",
    "load_folder",
    "load_vision",
    "save",
    "with_safetensors",
]
