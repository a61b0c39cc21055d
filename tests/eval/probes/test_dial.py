"""A curve's figure: the same in a summary, in a table, with an interval, in a report."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.eval.probes.reader import named, read, reported

from sightline.core.errors import DataError
from sightline.eval.item import Answers, Item
from sightline.eval.metrics.words import Exact
from sightline.eval.probes.catalogue import PROBES, probe
from sightline.eval.probes.dial import OverDial
from sightline.eval.probes.probe import Probe
from sightline.eval.probes.readings import Largest, Smallest
from sightline.eval.report import as_html, as_json, as_markdown, report
from sightline.eval.result import Result
from sightline.eval.said import Said
from sightline.eval.statistics import Figure, figure

READING = Smallest("smallest, px", "px", "letters are read", 0.0)
METRIC = OverDial(Exact(), "height in px", READING)


def asked(rights: dict[float, int], of: int = 20) -> tuple[list[Item], list[Said]]:
    """`of` items at each level, the first so many of which are answered rightly."""
    pairs = [(level, number) for level in rights for number in range(of)]
    items = [Item(f"{x:g}/{n}", ("?",), Answers(("yes",)), level=x) for x, n in pairs]
    return items, [Said("yes" if n < rights[x] else "no") for x, n in pairs]


def tallies(items: list[Item], said: list[Said], metric: OverDial = METRIC) -> dict[str, Figure]:
    found = metric.tallies(items, said, metric.scores(items, said))
    return {tally.name: figure(tally) for tally in found}


def test_the_figure_is_read_off_the_same_answers_and_has_an_interval() -> None:
    items, said = asked({4.0: 6, 8.0: 16, 16.0: 20})
    found = tallies(items, said)
    assert list(found) == ["accuracy", "smallest, px"]
    assert found["accuracy"].value == pytest.approx(0.7)
    smallest = found["smallest, px"]  # 0.3 at 4, 0.8 at 8: 0.5 is two fifths of the way
    assert smallest.value == pytest.approx(4 * 2**0.4)
    assert 4 <= smallest.low < smallest.value < smallest.high < 8
    assert not smallest.percent and smallest.higher_is_better is False and smallest.count == 60


def test_the_order_of_items_does_not_matter() -> None:
    items, said = asked({4.0: 6, 8.0: 16, 16.0: 20})
    wanted = tallies(items, said)["smallest, px"].value
    pairs = list(zip(items, said, strict=True))
    mixed = random.Random(0).sample(pairs, len(pairs))
    for order in (pairs[::-1], mixed):
        found = tallies([item for item, _ in order], [one for _, one in order])
        assert found["smallest, px"].value == wanted


def test_the_interval_covers_the_truth() -> None:
    """Of 100 samples from a known curve, about 95 intervals hold its crossing, 2 here."""
    rng = np.random.default_rng(0)
    shares, covered = {1.0: 0.2, 4.0: 0.8, 16.0: 1.0}, 0
    for _ in range(100):
        drawn = {level: int(rng.binomial(60, share)) for level, share in shares.items()}
        found = tallies(*asked(drawn, 60))["smallest, px"]
        covered += found.low <= 2.0 <= found.high
    assert 88 <= covered <= 100


def test_without_two_levels_there_is_no_such_figure() -> None:
    for rights in ({4.0: 6}, {}):
        items, said = asked(rights)
        items = items or [Item("a", ("?",), Answers(("yes",)))]
        assert list(tallies(items, said or [Said("no")])) == ["accuracy"]


def test_nothing_read_is_undefined_and_not_zero() -> None:
    items, said = asked({4.0: 0, 8.0: 1})
    assert math.isnan(tallies(items, said)["smallest, px"].value)


def test_a_summary_is_what_the_table_says() -> None:
    made = replace(probe("acuity-objects"), seed=2)
    items = made.items()
    answers = [
        read(item) if (item.level or 0) > 10 or n % 2 else "?" for n, item in enumerate(items)
    ]
    found = reported(made, items, answers)
    summary = made.summary(found.curve)
    assert summary.unit == "px" and summary.words == found.told
    assert summary.value == pytest.approx(named(found)["smallest object, px"], nan_ok=True)


@pytest.mark.parametrize("made", PROBES, ids=lambda made: made.name)
def test_summaries_are_in_the_figures_of_every_probe(made: Probe) -> None:
    items = made.items()
    rng = random.Random(1)
    answers = [read(item) if rng.random() < 0.9 else "no idea" for item in items]
    found = reported(made, items, answers)
    summary = made.summary(found.curve)
    scale = 100 if summary.unit in ("%", "points") else 1
    if made.name == "space":  # its mean over the levels is the headline
        assert made.reading.name not in named(found)
        assert summary.value == pytest.approx(100 * found.figures["full"][0].value)
    else:
        value = scale * named(found)[made.reading.name]
        assert summary.value == pytest.approx(value, nan_ok=True)


def test_levels_of_a_summary_ascend() -> None:
    [one] = tallies(*asked({4.0: 3})).values()
    for curve in ([], [(4.0, one), (4.0, one)], [(8.0, one), (4.0, one)]):
        with pytest.raises(DataError, match="ascending"):
            METRIC.summary(curve)
    unknown = replace(one, value=math.nan)
    assert math.isnan(METRIC.summary([(4.0, one), (8.0, unknown)]).value)


def test_another_figure_than_the_headline_can_be_drawn() -> None:
    made = probe("hallucination")
    items = made.items()
    found = reported(made, items, ["yes"] * len(items))
    assert made.drawn == 1 and found.headline is not None
    assert (found.headline.name, found.headline.value) == ("accuracy", 0.5)
    assert {(f.name, f.value) for _, f in found.curve} == {("false yes", 1.0)}


def test_a_level_that_failed_is_left_out_of_curve_and_figure() -> None:
    metric = OverDial(Exact(), "pages", Largest("reads among", "pages", "Reads"))
    items, said = asked({1.0: 20, 2.0: 20, 4.0: 20})
    lost = [
        replace(one, failure="too long: 9 tokens") if item.level == 4 else one
        for item, one in zip(items, said, strict=True)
    ]
    made = report(Result("document", "m", {}, metric, items, {"full": lost}))
    assert [level for level, _ in made.curve] == [1.0, 2.0]
    assert made.told == "Reads up to 2 pages with 80.0 % right or more, the most that was answered."
    assert made.notes[1] == made.told and "no answer" in made.notes[0]


def test_reports_show_the_dial_the_curve_and_what_it_comes_to(tmp_path: Path) -> None:
    made = probe("counting")
    items = made.items(44)
    found = reported(made, items, [read(item) for item in items])
    page = as_markdown(found)
    assert "| objects to be counted | accuracy |" in page
    assert "Counts up to 16 objects" in page and "counts up to, objects" in page
    assert '"axis": "objects to be counted"' in as_json(found)
    said = [Said(read(item)) for item in items]
    html = as_html(found, Result("counting", "m", {}, made.metric, items, {"full": said}))
    assert "<p>Counts up to 16 objects" in html and "objects to be counted (log scale)" in html
