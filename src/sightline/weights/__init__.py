"""Loading, saving and exporting weights, every tensor accounted for."""

from sightline.weights.adapters import load_adapters, save_adapters
from sightline.weights.audit import Audit
from sightline.weights.convert import with_safetensors
from sightline.weights.export import export_hf, export_part
from sightline.weights.load import Loaded, load, load_decoder, load_folder, load_vision
from sightline.weights.merge import load_merged
from sightline.weights.pair import LoadedPair, export_pair, fill_pair, load_pair
from sightline.weights.save import save

__all__ = [
    "Audit",
    "Loaded",
    "LoadedPair",
    "export_hf",
    "export_pair",
    "export_part",
    "fill_pair",
    "load",
    "load_adapters",
    "load_decoder",
    "load_folder",
    "load_merged",
    "load_pair",
    "load_vision",
    "save",
    "save_adapters",
    "with_safetensors",
]
