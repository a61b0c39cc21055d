"""Three connectors on easy-VQA, side by side: python recipes/easy_vqa_connectors.py DATA [FOLDER]

DATA is easy-VQA's own folder. A linear layer, an MLP and pixel shuffle (four neighbours become one
visual token) are trained by recipes/easy-vqa.yaml, alike in everything else: data, order, seed and
steps (1,200 of the recipe's 2,000). They then answer all test questions with and without their
picture, and docs/connectors.md is written. FOLDER (runs/connectors) holds runs, answers and the
comparison as HTML; what is there is not done again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = 700  # of the second stage
CONNECTORS = {
    "linear": "{kind: linear}",
    "mlp": "{kind: mlp, depth: 2}",
    "pixel-shuffle": "{kind: pixel_shuffle, side: 2}",
}
PAGE = """# Which connector?

Three models from one recipe ([easy-vqa.yaml](../recipes/easy-vqa.yaml)) that differ in their
connector alone: a linear layer and an MLP, which keep sixteen visual tokens of a picture of
64 × 64, and pixel shuffle, which makes one token of four. The same data in the same order, one
seed, 500 + {steps} steps of 64 rows; then all 9,673 test questions, about 1,000 pictures.
Intervals and p values are from a bootstrap over pictures. This page, times aside, is made by

<!-- not run: it trains three models, about twenty minutes on two cores -->
```sh
python recipes/easy_vqa_connectors.py ../shared/data/easy-vqa
```

{tables}"""


def sightline(*words: object) -> None:
    """Runs a command in the repository; what it prints is shown."""
    subprocess.run([sys.executable, "-m", "sightline", *map(str, words)], check=True, cwd=ROOT)


def train(name: str, connector: str, folder: Path) -> str:
    """The model by its label; a run that has ended is not begun again."""
    changes = f"model.connector={connector}", f"train.stages.1.steps={STEPS}"
    sightline("train", "recipes/easy-vqa.yaml", *changes, "--out", folder / name)
    return f"{name}={folder / name / 'model'}"


def compare(models: list[str], folder: Path) -> Path:
    """The folder of the comparison."""
    test = "build/easy-vqa/test.jsonl"
    how = ("--max-tokens", 8, "--batch", 128, "--controls", "blind", "--timed", 100)
    sightline("compare", *models, "--task", test, *how, "--out", folder / "compared")
    return folder / "compared" / "test.jsonl"


def page(compared: Path) -> str:
    """The comparison, its headings one rank lower."""
    text = (compared / "compare.md").read_text(encoding="utf-8")
    lines = [f"#{line}" if line.startswith("#") else line for line in text.splitlines()]
    return PAGE.format(steps=STEPS, tables="\n".join(lines) + "\n")


def main(data: Path, folder: Path) -> None:
    laid_out = [sys.executable, ROOT / "recipes" / "easy_vqa.py", data, ROOT / "build" / "easy-vqa"]
    subprocess.run(laid_out, check=True)
    models = [train(name, connector, folder) for name, connector in CONNECTORS.items()]
    made = page(compare(models, folder))
    (ROOT / "docs" / "connectors.md").write_text(made, encoding="utf-8")


if __name__ == "__main__":
    data, *rest = map(Path, sys.argv[1:])
    main(data.resolve(), rest[0].resolve() if rest else ROOT / "runs" / "connectors")
