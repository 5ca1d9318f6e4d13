"""Capacity curves: packing into fleets, thresholds against known answers, resuming, refusals."""

import functools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cut_fleets import check_narrowed, cut_once
from geomem.errors import InputError
from geomem.geometry.crossing import crossing
from geomem.models.configuration import Recall
from geomem.sweep import capacity
from geomem.sweep import grid as grids
from geomem.sweep.capacity import CapacityRun, capacity_curves, step_arithmetic
from geomem.sweep.grid import FLEET_RUNS
from geomem.sweep.measured import train_and_measure
from geomem.sweep.thresholds import fit_thresholds, mean_interval, tabulate_recall, tabulate_thresholds
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import many_to_one, random_permutations
from geomem.worlds.facts.table import entropy_bits

SHORT = RecallTraining(steps=60, learning_rate=0.02)


def test_curves_rise_and_an_interrupted_call_goes_on(tmp_path, monkeypatch):
    grid = {"sizes": [1, 3, 10], "training": SHORT, "seeds": 2, "processes": 1}
    # Every run its own fleet, so that there is something to interrupt.
    monkeypatch.setattr(grids, "FLEET_RUNS", 2)
    trained = []

    def interrupted(fleet, **hooks):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(fleet)
        return train_and_measure(fleet, **hooks)

    monkeypatch.setattr(capacity, "train_and_measure", interrupted)
    with pytest.raises(KeyboardInterrupt, match="2 of 6 fleets are kept"):
        capacity_curves([6, 10], [2], directory=tmp_path, **grid)
    monkeypatch.setattr(capacity, "train_and_measure", train_and_measure)
    told = []
    found = capacity_curves([6, 10], [2], directory=tmp_path, on_progress=told.append, **grid)
    assert (told[0].finished_fleets, told[-1].finished_fleets) == (2, 6)
    monkeypatch.undo()
    whole = capacity_curves([6, 10], [2], directory=tmp_path / "whole", **grid)
    exact = ["subjects", "relations", "width", "seed", "weights", "bits"]
    assert found.runs.select(exact).equals(whole.runs.select(exact))
    np.testing.assert_allclose(found.runs["loss"], whole.runs["loss"], rtol=1e-3)
    assert found.curves.shape == (6, 9)
    assert (found.curves["highest"] >= found.curves["recall"]).all()
    narrow, wide = (whole.runs.filter(pl.col("width") == width)["loss"].mean() for width in (1, 10))
    assert wide < 0.5 * narrow


def test_a_fleet_cut_in_the_middle_goes_on_and_ends_in_the_same_bits(tmp_path, monkeypatch):
    grid = {
        "sizes": [2, 5],
        "training": RecallTraining(steps=60, batch_subjects=4),
        "seeds": 2,
        "processes": 1,
    }
    whole = capacity_curves([6, 10], [2], directory=tmp_path / "whole", **grid)
    begun = cut_once(monkeypatch, capacity, "train_and_measure", 30)
    with pytest.raises(KeyboardInterrupt, match="0 of 1 fleets are kept"):
        capacity_curves([6, 10], [2], directory=tmp_path / "cut", **grid)
    (kept,) = (tmp_path / "cut").glob("*/unfinished/*/*")
    check_narrowed(kept, lambda: capacity_curves([6, 10], [2], directory=tmp_path / "cut", **grid))
    resumed = capacity_curves([6, 10], [2], directory=tmp_path / "cut", **grid)
    assert [state and state.step for state in begun] == [None, 30]
    assert resumed.runs.equals(whole.runs)


def test_neurons_and_other_facts_vary_too(tmp_path):
    facts = functools.partial(many_to_one, objects=2)
    found = capacity_curves(
        [6],
        [2],
        sizes=[1, 4],
        varied="mlp_width",
        model=Recall(width=5, attention="uniform"),
        facts=facts,
        training=SHORT,
        seeds=1,
        directory=tmp_path,
        processes=1,
    )
    assert found.runs["mlp_width"].to_list() == [1, 4]
    assert found.runs["width"].to_list() == [5, 5]
    assert found.runs["bits"][0] == pytest.approx(entropy_bits(facts(6, 2, world_seed=0)))


def test_tied_tables_learn_facts_whose_objects_are_the_subjects(tmp_path):
    grid = {"sizes": [1, 12], "training": RecallTraining(steps=150, learning_rate=0.02), "seeds": 2}
    grid |= {"facts": random_permutations, "processes": 1}
    tied, untied = (
        capacity_curves([6, 10], [2], model=Recall(tied=tied), directory=tmp_path, **grid).runs
        for tied in (True, False)
    )
    # A table of objects fewer; the facts are the same.
    assert (untied["weights"] - tied["weights"]).equals(tied["subjects"] * tied["width"])
    assert tied["bits"].equals(untied["bits"])
    assert (tied.filter(pl.col("width") == 12)["recall"] == 1.0).all()
    assert (tied.filter(pl.col("width") == 1)["recall"] < 1.0).all()


@settings(max_examples=8)
@given(
    st.lists(
        st.tuples(st.sampled_from([4, 16, 64, 256]), st.sampled_from([1, 2, 8]), st.integers(1, 40)),
        min_size=1,
        max_size=80,
    )
)
def test_fleets_hold_every_run_once_in_order_and_never_pay_more_than_alone(cells):
    runs = [CapacityRun(Recall(width=w, mlp_width=4 * w), n, r, 0) for n, r, w in sorted(cells)]
    fleets = grids.pack_runs(runs, step_arithmetic)
    assert [run for fleet in fleets for run in fleet] == runs
    assert max(map(len, fleets)) <= FLEET_RUNS
    cost = step_arithmetic
    alone = sum(cost([run]) + capacity.STEP_OVERHEAD for run in runs)
    assert sum(cost(fleet) + capacity.STEP_OVERHEAD for fleet in fleets) <= alone


def runs_with(recalls):
    """A table of runs of one cell: recall by width and seed."""
    rows = [
        {"subjects": 4, "relations": 2, "width": width, "mlp_width": 4, "seed": seed, "loss": 0.0}
        | {"recall": recall, "margin": 0.0, "weights": 10 * width, "bits": 30.0}
        for width, seeds in recalls.items()
        for seed, recall in enumerate(seeds)
    ]
    return pl.DataFrame(rows)


def test_thresholds_of_a_known_curve():
    runs = runs_with({8: [1.0, 1.0], 2: [0.5, float("nan")], 4: [0.9, 0.97], 6: [0.99, 1.0]})
    row = tabulate_thresholds(runs, "width").row(0, named=True)
    assert row["threshold"] == 6
    assert row["bits_per_weight"] == 0.5
    assert row["best_99"] == pytest.approx(4 + 2 * 0.02 / 0.03)
    assert row["best_95"] == pytest.approx(2 + 2 * 0.45 / 0.47)
    own = [6.0, 4 + 2 * 0.02 / 0.03]
    assert row["mean_99"] == pytest.approx(np.mean(own))
    low, high = stats.t.interval(0.95, 1, np.mean(own), stats.sem(own))
    assert (row["low_99"], row["high_99"]) == (pytest.approx(low), pytest.approx(high))
    curve = tabulate_recall(runs, "width")
    assert curve["width"].to_list() == [2, 4, 6, 8]
    assert curve.row(0, named=True)["lowest"] == 0.0


def test_a_curve_that_never_gets_there_has_no_threshold():
    row = tabulate_thresholds(runs_with({2: [0.5, 0.6], 4: [0.7, 0.8]}), "width").row(0, named=True)
    assert all(np.isnan(row[name]) for name in ("threshold", "best_99", "mean_99", "bits_per_weight"))
    assert fit_thresholds(tabulate_thresholds(runs_with({2: [0.5]}), "width")) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.floats(0.01, 1))
def test_the_crossing_lies_between_its_neighbours(recalls, level):
    sizes, values = np.arange(1.0, len(recalls) + 1), np.array(recalls)
    found = crossing(sizes, values, level)
    if (values < level).all():
        assert np.isnan(found)
    else:
        first = int(np.argmax(values >= level))
        assert sizes[max(first - 1, 0)] <= found <= sizes[first]


def test_the_law_is_that_of_least_squares():
    generator = np.random.default_rng(0)
    N, R = (axis.ravel() for axis in np.meshgrid([64, 128, 256], [2, 4, 8, 16]))
    d = 2.1 + R * (0.365 * np.log2(N) - 1.55) + generator.normal(size=12)
    fit = fit_thresholds(pl.DataFrame({"subjects": N, "relations": R, "threshold": d}))
    design = np.stack([np.ones(12), R * np.log2(N), R], axis=1)
    found, residual = np.linalg.lstsq(design, d)[:2]
    np.testing.assert_allclose([fit.offset, fit.slope, fit.shift], found)
    assert fit.explained == pytest.approx(1 - residual[0] / ((d - d.mean()) ** 2).sum())
    line = stats.linregress(R[N == 64], d[N == 64])
    assert fit.linear[64] == (pytest.approx(line.slope), pytest.approx(line.rvalue**2))
    assert np.isnan(mean_interval(np.array([1.0]))[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subjects": []}, "subjects is"),
        ({"subjects": [1]}, "at least 2"),
        ({"relations": [2, 2]}, "different whole numbers"),
        ({"sizes": [0]}, "sizes is"),
        ({"varied": "mlp_width", "sizes": None}, "numbers of neurons to try"),
        ({"model": Recall(hops=2)}, "one hop"),
        ({"model": Recall(tied=True)}, "the objects of 'random-bijections-4-2-seed0' are others"),
        ({"neurons_per_width": -1}, "neurons_per_width is -1"),
        ({"processes": 0}, "processes is 0"),
        ({"subjects": [2_000_000], "relations": [1]}, "1,000,000"),
        ({"sizes": [3_000_000]}, "need about .* of memory"),
    ],
)
def test_what_is_refused(changes, message, tmp_path):
    grid = {"subjects": [4], "relations": [2], "sizes": [2], "training": SHORT, "directory": tmp_path}
    with pytest.raises(InputError, match=message):
        capacity_curves(**grid | changes)
    assert not list(tmp_path.iterdir())
