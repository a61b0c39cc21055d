"""From views to runs: sheets of tiles, learned ends, pooled frames."""

# N tokens  D width

from __future__ import annotations

import torch
from tests.helpers.tiny import tiny_spec

from sightline.core.geometry import Grid
from sightline.model.build import build_model
from sightline.model.init import initialise
from sightline.model.visual import pooled, stitched, with_row_ends
from sightline.resolution.layout import Stitch
from sightline.spec.resolution import PoolSpec
from sightline.spec.train import StageSpec
from sightline.train.parts import prepare_parts, table

# Two rows of three tiles, each of two rows and one column, numbered as they stand on the sheet.
SHEET = torch.arange(12.0).reshape(4, 3, 1)
TILES = [SHEET[2 * r : 2 * r + 2, c].reshape(2, 1) for r in range(2) for c in range(3)]


def test_tiles_need_not_be_square() -> None:
    whole = Stitch(Grid(2, 3), Grid(2, 1), Grid(4, 3))
    assert torch.equal(stitched(whole, TILES), SHEET)


def test_a_cut_and_a_newline_after_every_row() -> None:
    stitch = Stitch(Grid(2, 3), Grid(2, 1), Grid(2, 2), top=1, left=1, row_end="newline")
    newline = {"newline": torch.tensor([-1.0])}
    run_ND = with_row_ends(stitched(stitch, TILES), stitch, newline)
    assert run_ND.flatten().tolist() == [4, 5, -1, 7, 8, -1]


def test_rows_without_columns_keep_their_ends() -> None:
    stitch = Stitch(Grid(2, 3), Grid(2, 1), Grid(4, 0), left=1, row_end="newline")
    run_ND = with_row_ends(stitched(stitch, TILES), stitch, {"newline": torch.ones(1)})
    assert run_ND.flatten().tolist() == [1, 1, 1, 1]


def test_pooling_by_hand() -> None:
    x_VND = SHEET.reshape(1, 12, 1)
    mean = pooled(x_VND, Grid(4, 3), PoolSpec(mode="average"))
    assert mean.flatten().tolist() == [2, 8]
    most = pooled(x_VND, Grid(4, 3), PoolSpec(mode="max"))
    assert most.flatten().tolist() == [4, 10]
    assert pooled(x_VND, Grid(4, 3), PoolSpec(mode="bilinear")).shape == (1, 4, 1)


def test_the_newline_is_drawn_and_trains_with_the_connector() -> None:
    spec = tiny_spec(resolution={"kind": "anyres", "pinpoints": [[8, 16]]})
    model = build_model(spec)
    initialise(model, 0)
    newline = model.learned["newline"]
    assert 0 < float(newline.detach().abs().max()) <= 0.04
    align = {"kind": "align", "data": {"kind": "scenes"}, "steps": 200, "trains": ["connector"]}
    stage = StageSpec.parse(align)
    prepare_parts(model, stage, 0)
    rows = table(model, stage)
    assert newline.requires_grad and not model.language.embed.weight.requires_grad
    connector = sum(p.numel() for p in model.connector.parameters())
    assert {row.part: row.parameters for row in rows}["connector"] == connector + newline.numel()
