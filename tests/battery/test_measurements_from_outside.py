"""Measurements that a person registers from outside the package are in portraits, commands and reports."""

import json

import numpy as np
import polars as pl
import pytest

from geomem import cli
from geomem.errors import InputError
from geomem.figures.portrait_drawing import SELECTOR, draw_portraits, tabulate_portraits
from geomem.geometry import portrait as portraits
from geomem.geometry.measurement import MEASUREMENTS, PERMUTED, RANDOM, measurement
from geomem.geometry.portrait import measure_embeddings, measure_snapshots
from geomem.measure.edges import measure_curves
from geomem.measure.recall_portrait import (
    MEMORY_MEASUREMENTS,
    Line,
    RecallPortrait,
    memory_measurement,
    portrait_numbers,
)
from geomem.report import write_report
from geomem.worlds.graphs.families import cycle
from handmade_fleets import make_fleet


@pytest.fixture
def outside():
    """Two measurements, defined as in somebody's own module."""

    @measurement("Mean length of an edge", alternative="less", curve=True, compared=True)
    def edge_length(embeddings, edges):
        """Mean distance of two neighbours, as the crow flies."""
        ends = embeddings[..., edges[:, 0], :] - embeddings[..., edges[:, 1], :]
        return np.linalg.norm(ends, axis=-1).mean(axis=-1)

    @measurement("Mean length of a row", null=RANDOM, alternative="two-sided", most_nodes=20)
    def row_length(embeddings):
        """How long a row is, on average."""
        return np.linalg.norm(embeddings, axis=-1).mean(axis=-1)

    yield edge_length, row_length
    del MEASUREMENTS["edge_length"], MEASUREMENTS["row_length"]


def test_a_measurement_from_outside_is_in_the_portrait_with_its_null(outside):
    angles = 2 * np.pi * np.arange(15) / 15
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    portrait = measure_embeddings(ring, cycle(15), permutations=99)
    # Scaled by a power of two, which is all that a portrait changes.
    assert portrait["edge_length"].mean == pytest.approx(2 * np.sin(np.pi / 15) / 2)
    assert (portrait["edge_length"].null, portrait["row_length"].null) == (PERMUTED, RANDOM)
    assert portrait["edge_length"].p_value == 0.01
    assert portrait["edge_length"].explanation == "Mean distance of two neighbours, as the crow flies."
    assert "row_length" not in measure_embeddings(np.eye(21), cycle(21), permutations=19)


def test_a_large_graph_has_it_too(outside, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(1, 15, 4))
    whole = measure_embeddings(rows, cycle(15), permutations=19)["edge_length"]
    curves = measure_snapshots(rows[None], cycle(15))["edge_length"]
    monkeypatch.setattr(portraits, "EXACT_NODES", 9)
    sampled = measure_embeddings(rows, cycle(15), permutations=19)["edge_length"]
    assert sampled.values == pytest.approx(whole.values)
    assert measure_snapshots(rows[None], cycle(15))["edge_length"] == pytest.approx(curves)


def test_commands_reports_and_curves_have_it(outside, tmp_path, capsys):
    fleet = make_fleet(tmp_path, cycle(9), steps=9)
    assert cli.main(["measure", str(fleet.path), "--json"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)["measurements"]]
    assert {"edge_length", "row_length"} <= set(names)
    curves = measure_curves(fleet)
    assert "edge_length" in curves["metric"].unique()
    assert "row_length" not in curves["metric"].unique()
    page = write_report([fleet, fleet], tmp_path / "page.html").read_text()
    assert "Mean length of a row" in page
    # In the comparison as well as in each fleet's table.
    assert page.count("Mean length of an edge") > page.count("Mean length of a row")


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda: measurement("Again")(MEASUREMENTS["effective_rank"].function), "'effective_rank' exists"),
        (
            lambda: measurement("Odd")(lambda embeddings, weather: 0.0),
            "asks for 'weather'; it can ask for graph",
        ),
        (lambda: measurement("Silent")(lambda embeddings: 0.0), "has no docstring"),
        (lambda: memory_measurement("recall")(lambda portrait: 0.0), "memories 'recall' exists"),
    ],
)
def test_what_cannot_be_registered(define, message):
    before = dict(MEASUREMENTS), dict(MEMORY_MEASUREMENTS)
    with pytest.raises(InputError, match=message):
        define()
    assert before == (MEASUREMENTS, MEMORY_MEASUREMENTS)


@pytest.fixture
def spread():
    """A measurement of memories of facts with a line in a picture."""

    @memory_measurement(line=Line("selector", "spread of subjects", "gold"))
    def subject_spread(portrait):
        return float(portrait.embeddings.std())

    yield subject_spread
    del MEMORY_MEASUREMENTS["subject_spread"]


def test_a_measurement_of_memories_from_outside_is_in_tables_and_pictures(spread):
    portrait = RecallPortrait(None, np.eye(4), np.zeros((4, 1), dtype=int))
    assert MEMORY_MEASUREMENTS["subject_spread"].function(portrait) == pytest.approx(0.433, abs=1e-3)
    assert list(SELECTOR.lines)[-1] == "subject_spread"
    rows = pl.DataFrame([{"subjects": 4, "relations": 1, "width": 4, "ratio": 1.0, "subject_spread": 0.4}])
    table = tabulate_portraits(rows, SELECTOR)
    assert table["line"].to_list() == ["spread of subjects"]
    assert draw_portraits(table, SELECTOR).axes


def test_the_numbers_of_a_memory_have_it(spread, monkeypatch):
    for name in MEMORY_MEASUREMENTS.keys() - {"subject_spread", "width"}:
        monkeypatch.delitem(MEMORY_MEASUREMENTS, name)  # what needs a network
    numbers = portrait_numbers(RecallPortrait(None, np.eye(4), np.zeros((4, 1), dtype=int)))
    assert numbers == {"width": 4, "subject_spread": pytest.approx(0.433, abs=1e-3)}
