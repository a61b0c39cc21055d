"""The training bench: both engines do the same work, and its counts are the planner's."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from bench.train import amount_of, check_same_losses, row_flops
from bench.train_engines import Case, open_engine, round_of, rows_of
from bench.train_rows import MIXED
from bench.train_shapes import SHAPES, make_folder

from sightline.families.read import read_spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("tiny")
    make_folder(made, SHAPES["tiny"])
    return made


@pytest.mark.parametrize("packs", [False, True])
def test_both_engines_take_the_same_steps(folder: Path, packs: bool) -> None:
    """Losses agree before the first update and after several."""
    case = Case("mixed", rows=4, updates=4, packs=packs, compiles=False)
    losses = []
    for name in ("transformers", "sightline"):
        engine = open_engine(name, folder, case)
        batches = [engine.batch(rows) for rows in rows_of(folder, case)]
        losses.append(round_of(engine, batches).losses)
    check_same_losses(*losses)
    with pytest.raises(SystemExit, match="update 1 differ"):
        check_same_losses(losses[0], [losses[1][0], *[2.0] * 3])


def test_flops_grow_with_what_a_row_holds(folder: Path) -> None:
    """Every row counts, and a picture costs more than its tokens would as words."""
    spec = read_spec(folder).model
    assert spec is not None
    case = Case("mixed", rows=3, updates=2, packs=True, compiles=False)
    rows = [row for update in rows_of(folder, case) for row in update]
    amount = amount_of(folder, case)
    assert amount.samples == 6 and amount.targets == sum(row.answer for row in rows)
    assert amount.flops == sum(row_flops(spec, row) for row in rows)
    drawn = list(itertools.islice(MIXED.rows(spec, 1), 12))
    assert {len(row.visual.pixels) for row in drawn} == {0, 1, 2}
    assert len({len(row.token_ids) for row in drawn}) > 6
    # Forward and backward of the blocks alone: 6 FLOPs a parameter and token.
    blocks = 2 * (4 * 32 * 32 + 3 * 32 * 64)
    for row in drawn:
        assert row_flops(spec, row) > 6 * blocks * len(row.token_ids)


def test_the_bench_runs(folder: Path) -> None:
    command = [sys.executable, "-m", "bench.train", "--shape", "tiny", "--rows", "2"]
    command += ["--updates", "1", "--rounds", "1", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mixed, packed" in done.stdout and "MFU" in done.stdout
