"""How pictures enter in releases of LLaVA's first format: the tower's way, padded, or in tiles."""

from __future__ import annotations

from sightline.core.errors import FamilyError
from sightline.families.config import Config
from sightline.families.family import refusing
from sightline.families.original_tower import Tower
from sightline.spec.resolution import AnyresSpec, FixedSpec, ResolutionSpec
from sightline.spec.vision import VitSpec


def read_ratio(config: Config, tower: Tower, vision: VitSpec) -> ResolutionSpec:
    """`pad` lays the picture on a square of the mean colour, `anyres` cuts tiles; otherwise the
    tower's own way."""
    default = tower.family.views(vision.position_side)
    match ratio := config.take("image_aspect_ratio", str, "square"):
        case "anyres":
            return _read_tiles(config, default)
        case "pad":
            views = FixedSpec(size=default.size, fit="pad", pixels=default.pixels)
        case "square":
            views = default
        case _:
            known = "known: square, pad, anyres"
            raise FamilyError("image_aspect_ratio", f"{ratio!r} is not supported", known)
    config.expect("mm_patch_merge_type", "flat", why="one view per picture has nothing to merge")
    for key in ("image_crop_resolution", "image_split_resolution"):
        config.expect(key, None, why="one view per picture")
    return views


def _read_tiles(config: Config, default: FixedSpec) -> AnyresSpec:
    merges = {"spatial_unpad": "unpad", "flat": "flat"}
    merge = config.take("mm_patch_merge_type", str, "flat")
    if merge not in merges:
        problem = f"{merge!r} is not supported"
        raise FamilyError("mm_patch_merge_type", problem, f"known: {', '.join(merges)}")
    for key in ("image_crop_resolution", "image_split_resolution"):
        config.maybe(key, int)  # of another way to cut
    points = [list(point)[::-1] for point in config.take("image_grid_pinpoints", list)]
    given = {"size": default.size, "pinpoints": points, "merge": merges[merge]}
    with refusing("llava_original"):
        return AnyresSpec.parse(given | {"pixels": default.pixels})
