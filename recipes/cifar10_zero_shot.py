"""Score a pair on CIFAR-10: python recipes/cifar10_zero_shot.py PAIR DATA [--json]

DATA holds test.zip (class/number.jpg) and prompts.json. Every picture is named by the nearest
class, once with all templates and once with the first alone; chance is one in ten.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import sightline
from sightline.eval.pairs import ZeroShot, class_embeddings, zero_shot


def score(pair: Path, data: Path) -> dict[str, ZeroShot]:
    """Names with an ensemble of templates, and with one."""
    matcher = sightline.load_pair(pair)
    prompts = json.loads((data / "prompts.json").read_text())
    classes, templates = prompts["classes"], prompts["templates"]
    with zipfile.ZipFile(data / "test.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        images_VE = matcher.encode_images([archive.read(name) for name in names])
    labels = [classes.index(Path(name).parent.name) for name in names]
    return {
        kind: zero_shot(images_VE, class_embeddings(matcher, classes, chosen), labels, classes)
        for kind, chosen in (("ensemble", templates), ("one template", templates[:1]))
    }


def main(pair: Path, data: Path, *options: str) -> None:
    found = score(pair, data)
    if "--json" in options:
        print(json.dumps({kind: each.accuracy for kind, each in found.items()}))
        return
    for kind, each in found.items():
        low, high = each.confidence
        pictures = len(each.correct)
        print(f"{kind}: {each.accuracy:.2%} ({low:.1%} to {high:.1%}) of {pictures} pictures")
    print(", ".join(f"{name} {share:.0%}" for name, share in found["ensemble"].by_class.items()))


if __name__ == "__main__":
    pair, data, *options = sys.argv[1:]
    main(Path(pair), Path(data), *options)
