"""How pictures enter: preprocessor_config.json or processor_config.json to a FixedSpec.

The first is the 4.x dialect; 5.x nests the same keys as `image_processor` in the second.
"""

from __future__ import annotations

from typing import Any, Literal

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import refusing
from sightline.families.files import Checkpoint
from sightline.spec.resolution import FixedSpec, PixelSpec, Rgb

RESAMPLE: dict[int, Literal["bilinear", "bicubic", "lanczos"]] = {
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}
CODES = {name: code for code, name in RESAMPLE.items()}
HARMLESS = (
    "_processor_class _valid_processor_keys data_format default_to_square device disable_grouping "
    "do_convert_rgb feature_extractor_type image_processor_type image_seq_length input_data_format "
    "pad_size processor_class return_tensors"
).split()


def processor_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The image processor's keys, from either file; empty if there is none."""
    whole = checkpoint.json("processor_config.json")
    nested = whole.get("image_processor")
    return nested if isinstance(nested, dict) else checkpoint.json("preprocessor_config.json")


def read_views(
    checkpoint: Checkpoint, default: FixedSpec, family: str
) -> tuple[FixedSpec, tuple[str, ...]]:
    """The views that the folder asks for; without a processor file, the family's own.

    Raises FamilyError for preprocessing that cannot be reproduced exactly.
    """
    data = processor_config(checkpoint)
    if not data:
        return default, (
            f"no processor file: pictures enter as family {family} has them, "
            f"{default.size} px by {default.fit}",
        )
    config = Config(data, where="preprocessor_config")
    with refusing(family):
        spec = read_fixed(config, default)
    config.finish(family, HARMLESS)
    return spec, ()


def read_fixed(config: Config, default: FixedSpec) -> FixedSpec:
    """One view by an image processor's keys; `default` has the values of its class."""
    config.expect("do_resize", True, why="every picture is resized")
    pixels = read_pixels(config, default.pixels)
    edge, square = _side(config, "size", default.shortest_edge or default.size, default.fit)
    crop, _ = _side(config, "crop_size", edge, "crop")
    cuts = config.take("do_center_crop", bool, default.fit == "crop" and not square)
    if config.take("do_pad", bool, False):
        return FixedSpec(size=_same(config, edge, crop), fit="pad", pixels=pixels)
    if square:
        return FixedSpec(size=_same(config, edge, crop if cuts else edge), pixels=pixels)
    if not cuts:
        raise FamilyError(
            config.name("do_center_crop"),
            "is off while size names the shortest edge: views would differ in shape",
            "give size a height and a width",
        )
    shortest = None if edge == crop else edge
    return FixedSpec(size=crop, fit="crop", shortest_edge=shortest, pixels=pixels)


def read_pixels(config: Config, default: PixelSpec) -> PixelSpec:
    """Resampling and arithmetic; `default` for keys left out."""
    config.expect("do_rescale", True, why="values are divided by 255")
    factor = config.take("rescale_factor", float, 1 / 255)
    if abs(factor * 255 - 1) > 1e-6:
        raise FamilyError(config.name("rescale_factor"), f"is {factor}", "only 1/255 can be read")
    code = config.take("resample", int, CODES[default.resample])
    if code not in RESAMPLE:
        known = ", ".join(f"{n} {name}" for n, name in RESAMPLE.items())
        raise FamilyError(config.name("resample"), f"{code} is not supported", f"known: {known}")
    mean, std = _rgb(config, "image_mean", default.mean), _rgb(config, "image_std", default.std)
    if not config.take("do_normalize", bool, True):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return PixelSpec(resample=RESAMPLE[code], mean=mean, std=std)


def _rgb(config: Config, key: str, default: Rgb) -> Rgb:
    values = config.take(key, list, list(default))
    if len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise FamilyError(config.name(key), f"is {values!r}", "give three numbers")
    red, green, blue = map(float, values)
    return red, green, blue


def _side(config: Config, key: str, default: int, fit: str) -> tuple[int, bool]:
    """Pixels, and whether they are height and width (True) or the shortest edge."""
    value = config.data.get(key)
    if value is None or isinstance(value, int):
        return config.take(key, int, default), value is None and fit == "squash"
    size = config.sub(key)
    if "shortest_edge" in size:
        edge = size.take("shortest_edge", int)
        size.finish("views")
        return edge, False
    height, width = size.take("height", int), size.take("width", int)
    size.finish("views")
    if height != width:
        raise FamilyError(config.name(key), f"is {width} × {height}", "only squares can be read")
    return height, True


def _same(config: Config, edge: int, crop: int) -> int:
    if edge != crop:
        raise FamilyError(
            config.name("crop_size"), f"{crop} differs from size {edge}", "only equal can be read"
        )
    return edge


def write_views(spec: FixedSpec, image_processor: str) -> dict[str, Any]:
    """preprocessor_config.json that asks the reference for the same pixels."""
    square = {"height": spec.size, "width": spec.size}
    edge = {"shortest_edge": spec.shortest_edge or spec.size}
    return {
        "image_processor_type": image_processor,
        "do_convert_rgb": True,
        "do_resize": True,
        "size": square if spec.fit == "squash" else edge,
        "resample": CODES[spec.pixels.resample],
        "do_center_crop": spec.fit != "squash",
        "crop_size": square,
        **({"do_pad": True} if spec.fit == "pad" else {}),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(spec.pixels.mean),
        "image_std": list(spec.pixels.std),
    }
