"""Convolutional towers in timm's folders: config.json names the architecture, not its sizes.

What the layout and the planner need of each is written down here, as `vision.cnn.measured` counts
it. Tensors have timm's names; the classifier is left out.
"""

from __future__ import annotations

import math

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.declared import Declared, Source
from sightline.families.facts import FamilyFacts
from sightline.families.family import refusing
from sightline.families.files import Checkpoint
from sightline.spec.resolution import FixedSpec, PixelSpec, Rgb
from sightline.spec.rules import Drop, Rename
from sightline.spec.vision import CnnSpec

STRIDE = 32
# width, parameters, multiply-adds of a cell and of a view, numbers of a cell: see CnnSpec.
BACKBONES: dict[str, tuple[int, int, int, int, int]] = {
    "resnet50": (2048, 23_508_032, 83_410_944, 0, 226_816),
    "nfnet_l0": (2304, 32_769_488, 86_568_960, 10_911_744, 213_248),
    "dm_nfnet_f0": (3072, 68_416_284, 193_114_112, 21_823_488, 281_600),
    "dm_nfnet_f1": (3072, 129_561_256, 354_922_496, 43_646_976, 467_200),
    "dm_nfnet_f2": (3072, 190_706_228, 516_730_880, 65_470_464, 652_800),
    "dm_nfnet_f3": (3072, 251_851_200, 678_539_264, 87_293_952, 838_400),
    "dm_nfnet_f4": (3072, 312_996_172, 840_347_648, 109_117_440, 1_024_000),
    "dm_nfnet_f5": (3072, 374_141_144, 1_002_156_032, 130_940_928, 1_209_600),
    "dm_nfnet_f6": (3072, 435_286_116, 1_163_964_416, 152_764_416, 1_395_200),
}
FACTS = FamilyFacts(
    name="timm",
    part="vision",
    model_types=(),
    covers="ResNet-50 and NFNet L0, F0 to F6 in timm's folders",
    proof="tests/parity/test_timm.py: feature maps of timm 1.0.31, several sizes",
)
HARMLESS = ("num_classes", "num_features", "global_pool", "model_args", "label_names",
            "label_descriptions")  # fmt: skip
OF_TRAINING = tuple(
    """architecture custom_load file first_conv fixed_input_size hf_hub_id license num_classes
    origin_url paper_ids paper_name pool_size source tag test_crop_pct test_input_size url
    """.split()
)


def is_timm(checkpoint: Checkpoint) -> bool:
    """Whether the config is one that timm writes."""
    return {"architecture", "pretrained_cfg"} <= set(checkpoint.config)


def backbone(name: str) -> CnnSpec:
    """The last feature map of a published architecture. Raises FamilyError for others."""
    if name not in BACKBONES:
        raise FamilyError(
            "architecture",
            f"{name} is not among those whose sizes are known",
            f"known: {', '.join(BACKBONES)}; measure it with sightline.vision.cnn.measured and "
            "write vision: {kind: cnn, ...}",
        )
    width, parameters, cell_macs, view_macs, cell_numbers = BACKBONES[name]
    return CnnSpec(
        backbone=name,
        width=width,
        patch=STRIDE,
        parameters=parameters,
        cell_macs=cell_macs,
        view_macs=view_macs,
        cell_numbers=cell_numbers,
    )


def read_timm(checkpoint: Checkpoint) -> Declared:
    """The tower and its views. Raises FamilyError for an architecture that is not known."""
    config = Config(checkpoint.config)
    spec = backbone(config.take("architecture", str))
    trained = config.sub("pretrained_cfg")
    with refusing("timm"):
        views = _views(trained)
    classifier = trained.take("classifier", str, "fc")
    ignored = (*trained.finish("timm", OF_TRAINING), *config.finish("timm", HARMLESS))
    rules = (
        Drop(f"{classifier}.{{p}}", "classifies"),
        Rename("{any}", "vision.backbone.{any}"),
    )
    return Declared(
        family=FACTS.name,
        resolution=views,
        vision=spec,
        sources=(Source(checkpoint.folder, rules),) if checkpoint.folder else (),
        ignored=ignored,
        notes=(f"pictures enter at {views.size} px by {views.fit}; timm rounds a cut's corner and "
               "cuts a squashed picture again",),
    )  # fmt: skip


def _views(config: Config) -> FixedSpec:
    """timm's evaluation: scaled to `input_size / crop_pct`, then cut; squashed pictures whole."""
    size, mode = _numbers(config, "input_size")[-1], config.take("crop_mode", str, "center")
    resample, share = config.take("interpolation", str), config.take("crop_pct", float, 1.0)
    if mode not in ("center", "squash"):
        raise FamilyError(config.name("crop_mode"), f"is {mode!r}", "use center or squash")
    mean, std = (_rgb(config, key) for key in ("mean", "std"))
    pixels = PixelSpec.parse(
        {"backend": "pillow", "resample": resample, "mean": mean, "std": std}, field="interpolation"
    )
    if mode == "squash":
        return FixedSpec(size=int(size), pixels=pixels)
    edge = math.floor(size / share)
    return FixedSpec(size=int(size), fit="crop", shortest_edge=edge, pixels=pixels)


def _rgb(config: Config, key: str) -> Rgb:
    red, green, blue = _numbers(config, key)
    return red, green, blue


def _numbers(config: Config, key: str) -> tuple[float, float, float]:
    values = config.take(key, list)
    if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
        raise FamilyError(config.name(key), f"is {values!r}", "give three numbers")
    first, second, third = map(float, values)
    return first, second, third
