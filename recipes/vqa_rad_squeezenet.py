"""VQA-RAD with an encoder of your own: python recipes/vqa_rad_squeezenet.py FOLDER WEIGHTS OUT

FOLDER is what recipes/vqa_rad.py has made, WEIGHTS `squeezenet_imagenet_fp16.safetensors`
(SqueezeNet v1.0 trained on ImageNet, Iandola et al. 2016). The encoder is a plain `nn.Module`,
frozen; connector, language model and training are those of recipes/vqa-rad.yaml. OUT gets the run,
its model, and the report of the test questions under every control.

    sightline.load("OUT/model", vision=SqueezeNet())  # reads it back
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import sightline
from sightline.eval.local import LocalModel, weights_digest
from sightline.eval.report import write_report
from sightline.eval.run import Asking, run
from sightline.eval.tasks.rows import RowsTask
from sightline.prompt.files import load_tokenizer
from sightline.spec.model import ModelSpec
from sightline.spec.train import TrainSpec
from sightline.train.recipe import read_recipe
from sightline.train.run import Run

SIDE = 224
RECIPE = Path(__file__).parent / "vqa-rad.yaml"
SCALE = 0.2  # of the features, whose sizes are a few units


class Fire(nn.Module):
    """Squeeze to few channels, then widen by 1 × 1 and 3 × 3 convolutions side by side."""

    def __init__(self, inputs: int, squeezed: int, outputs: int) -> None:
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(inputs, squeezed, 1)
        self.conv1x1_2 = nn.Conv2d(squeezed, outputs // 2, 1)
        self.conv3x3_2 = nn.Conv2d(squeezed, outputs // 2, 3, padding=1)

    def forward(self, x_VCHW: Tensor) -> Tensor:
        x_VCHW = F.relu(self.conv1x1_1(x_VCHW))
        return torch.cat((F.relu(self.conv1x1_2(x_VCHW)), F.relu(self.conv3x3_2(x_VCHW))), dim=1)


class SqueezeNet(nn.Module):
    """Its last feature map, averaged to one row per square of 32 pixels.

    Pixels are RGB in 0..1; the weights were trained on BGR in 0..255 less the mean colour.
    """

    width, patch = 512, 32

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, stride=2)
        widths = {2: 128, 3: 128, 4: 256, 5: 256, 6: 384, 7: 384, 8: 512, 9: 512}
        inputs = 96
        for number, outputs in widths.items():
            self.add_module(f"fire{number}", Fire(inputs, outputs // 8, outputs))
            inputs = outputs

    @classmethod
    def pretrained(cls, weights: Path) -> SqueezeNet:
        """Filled from the file, but for its classifier."""
        module = cls()
        found = {k.replace("/", "."): v.float() for k, v in load_file(weights).items()}
        named = {k: v for k, v in found.items() if not k.startswith("conv_final.")}
        module.load_state_dict(named)
        return module

    def forward(self, pixels_VCHW: Tensor) -> Tensor:
        rows, cols = (side // self.patch for side in pixels_VCHW.shape[2:])
        mean_C11 = pixels_VCHW.new_tensor((104.0, 117.0, 123.0)).view(3, 1, 1)
        x_VCHW = F.relu(self.conv1(255 * pixels_VCHW.flip(1) - mean_C11))
        for number in range(2, 10):
            if number in (2, 5, 9):
                x_VCHW = F.max_pool2d(x_VCHW, 3, 2, ceil_mode=True)
            x_VCHW = getattr(self, f"fire{number}")(x_VCHW)
        return SCALE * F.adaptive_avg_pool2d(x_VCHW, (rows, cols)).flatten(2).transpose(1, 2)


def model_spec(module: SqueezeNet) -> ModelSpec:
    """That of the recipe, with the module as its encoder."""
    data = dict(read_recipe(RECIPE).data["model"])
    pixels = {"backend": "torch", "resample": "bicubic", "mean": [0.0] * 3, "std": [1.0] * 3}
    data["resolution"] = {"kind": "fixed", "size": SIDE, "fit": "pad", "pixels": pixels}
    data["vision"] = {
        "kind": "module",
        "name": "SqueezeNet",
        "width": module.width,
        "patch": module.patch,
        "parameters": sum(p.numel() for p in module.parameters()),
    }
    return ModelSpec.parse(data, field="model")


def train_spec(folder: Path, changes: list[str]) -> TrainSpec:
    """That of the recipe, with a frozen encoder."""
    trains = "train.stages.0.trains=[connector, language]"
    data = f"train.stages.0.data.path={folder / 'train.jsonl'}"
    return read_recipe(RECIPE, [trains, data, *changes]).train


def main(folder: Path, weights: Path, out: Path, changes: list[str]) -> None:
    module, train = SqueezeNet.pretrained(weights), train_spec(folder.resolve(), changes)
    tokenizer = load_tokenizer(folder / "tokenizer")
    vlm = sightline.build(
        model_spec(module), tokenizer=tokenizer, seed=train.seed, dtype=train.dtype, vision=module
    )
    Run(vlm.model, tokenizer, train, out)()
    vlm.save(out / "model")
    task = RowsTask(str(folder / "test.jsonl"))
    model = LocalModel(vlm, str(out / "model"), weights_digest(out / "model"))
    result = run(model, task, task.items(), Asking(max_tokens=32))
    made = write_report(out, result)
    for control, figures in made.by_kind.items():
        said = ", ".join(f"{kind} {100 * f.value:.1f}" for kind, f in figures.items())
        print(f"{control}: {said}, all {100 * made.figures[control][0].value:.1f}")
    print(made.sentence)


if __name__ == "__main__":
    named, changed = sys.argv[1:4], sys.argv[4:]
    main(*map(Path, named), changed)
