"""Sweeps: the grid, a cell equal to the same run alone, resuming, cache hits, and what is refused."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from cut_fleets import check_narrowed, cut_once
from geomem.errors import InputError
from geomem.geometry.reading import READING_PERMUTATIONS
from geomem.measure.edges import measure_fleet
from geomem.models.configuration import Bilinear, Node2Vec, Transformer
from geomem.runs.checkpoint import CHECKPOINT
from geomem.runs.edges import memorize
from geomem.runs.pace import Pace
from geomem.sweep import MEASUREMENTS, parts, running, sweep
from geomem.sweep.engines.work import describe_loss
from geomem.sweep.grid import FLEET_RUNS, check_axes, plan_fleets
from geomem.sweep.measured import read_runs, train_and_measure
from geomem.sweep.running import edge_block
from geomem.training.configuration import Training
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.tasks import EdgeMemorization

SHORT = Training(steps=60, metric_every=10)
PACE = Pace(once=0.0, step=0.01, row=0.0)
AXES = {"learning_rate": [0.003, 0.03], "weight_decay": [0.0, 1.0]}


def test_a_cell_is_the_run_that_memorize_trains(tmp_path):
    world = path_star()
    model = Transformer(width=16)
    found = sweep(
        world, model, axes=AXES, training=SHORT, seeds=[0, 5], directory=tmp_path, processes=1
    ).table
    assert len(found) == 8
    for rate, decay in [(0.003, 1.0), (0.03, 0.0)]:
        training = Training(steps=60, metric_every=10, learning_rate=rate, weight_decay=decay)
        alone = memorize(world, model=model, training=training, seeds=[0, 5], directory=tmp_path / "runs")
        portrait = measure_fleet(alone, permutations=READING_PERMUTATIONS)
        cell = found.filter(learning_rate=rate, weight_decay=decay).sort("seed")
        assert cell["seed"].to_list() == [0, 5]
        for name in ("loss", "excess_loss", "associative_accuracy", "geometric_level", "fiedler_alignment"):
            assert cell[name].to_numpy() == pytest.approx(portrait[name].values, abs=2e-4), name
        second = portrait["second_neighbour_cosine"].values
        assert cell["second_neighbour_cosine"].to_numpy() == pytest.approx(second, abs=2e-4)
        assert cell["reading"].to_list() == list(portrait.readings)
    assert (found["geometric_level_peak"] >= found["geometric_level"]).all()


def test_an_interrupted_sweep_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    arguments = {"axes": {"width": [4, 6, 8]} | AXES, "training": SHORT, "processes": 1}
    whole = sweep("cycle", Bilinear(), directory=tmp_path / "whole", **arguments)
    trained = []

    def interrupted(fleet, **hooks):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(fleet)
        return train_and_measure(fleet, **hooks)

    monkeypatch.setattr(running, "train_and_measure", interrupted)
    with pytest.raises(KeyboardInterrupt, match="1 of 3 fleets are kept, and the same command goes on"):
        sweep("cycle", Bilinear(), directory=tmp_path / "cut", **arguments)

    def counted(fleet, **hooks):
        if "state" in hooks:  # else it is only timed
            trained.append(fleet)
        return train_and_measure(fleet, **hooks)

    monkeypatch.setattr(running, "train_and_measure", counted)
    told = []
    resumed = sweep("cycle", Bilinear(), directory=tmp_path / "cut", on_progress=told.append, **arguments)
    assert len(trained) == 3
    assert [progress.finished_fleets for progress in told] == [1, 2, 3]
    assert told[-1].seconds_left == 0.0
    assert told[0].processes == 1
    assert 0 < told[0].seconds_left < 60
    assert told[0].memory_bytes > 0
    assert told[-1].finished_runs == told[-1].run_count == 12
    assert resumed.table.equals(whole.table)
    again = sweep("cycle", Bilinear(), directory=tmp_path / "cut", **arguments)
    assert len(trained) == 3
    assert again.table.equals(whole.table)


def test_a_fleet_cut_in_the_middle_goes_on_and_ends_in_the_same_bits(tmp_path, monkeypatch):
    arguments = {"axes": AXES, "training": SHORT, "processes": 1}
    whole = sweep("cycle", Transformer(width=8), directory=tmp_path / "whole", **arguments)
    begun = cut_once(monkeypatch, running, "train_and_measure", 30)
    with pytest.raises(KeyboardInterrupt, match="0 of 1 fleets are kept, and the same command goes on"):
        sweep("cycle", Transformer(width=8), directory=tmp_path / "cut", **arguments)
    (kept,) = (tmp_path / "cut").glob("*/unfinished/*/*")
    assert kept.name == CHECKPOINT
    check_narrowed(
        kept, lambda: sweep("cycle", Transformer(width=8), directory=tmp_path / "cut", **arguments)
    )
    resumed = sweep("cycle", Transformer(width=8), directory=tmp_path / "cut", **arguments)
    assert [state and state.step for state in begun] == [None, 30]
    assert resumed.table.equals(whole.table)
    same_names(resumed.path, whole.path)


def test_a_fleet_that_fails_stops_no_other_and_is_tried_again(tmp_path, monkeypatch):
    arguments = {"axes": {"width": [4, 6, 8]}, "training": SHORT, "processes": 1}
    arguments |= {"directory": tmp_path / "broken"}
    told = []

    def broken(fleet, **hooks):
        if fleet.model.width == 6:
            raise RuntimeError("a hole\nin the floor")
        return train_and_measure(fleet, **hooks)

    with monkeypatch.context() as patch:
        patch.setattr(running, "train_and_measure", broken)
        patch.setattr(parts, "_expect", lambda parts, order, **_: dict.fromkeys(order, 1.0))
        with pytest.raises(InputError, match=r"^1 of 3 fleets failed, as .*00001.txt says \(It") as said:
            sweep("cycle", Bilinear(), on_progress=told.append, **arguments)
    assert "(It failed with RuntimeError: a hole in the floor);" in str(said.value)
    assert "\n" not in str(said.value)
    assert (told[-1].finished_fleets, told[-1].failed_fleets, told[-1].seconds_left) == (2, 1, 0.0)
    (file,) = tmp_path.glob("broken/*/failed/*")
    for text in ("Traceback", "in broken", "model = Bilinear(width=6,", "hole\nin the floor"):
        assert text in file.read_text()
    again = sweep("cycle", Bilinear(), **arguments)
    whole = sweep("cycle", Bilinear(), **arguments | {"directory": tmp_path / "whole"})
    assert again.table.equals(whole.table)
    same_names(again.path, whole.path)


@dataclass(frozen=True)
class Deadly:
    """An engine whose workers are all ended."""

    @contextmanager
    def connected(self, device):
        yield 7

    def run(self, works):
        yield from map(describe_loss, works)


def test_whatever_engine_loses_a_fleet_it_is_said(tmp_path):
    arguments = {"axes": AXES, "training": SHORT, "directory": tmp_path}
    with pytest.raises(InputError, match=r"^1 of 1 fleets failed, .* was killed; perhaps memory ran out"):
        sweep("cycle", Bilinear(width=4), engine=Deadly(), **arguments)
    with pytest.raises(InputError, match=r"^processes is 2, and an engine is given as well; give one"):
        sweep("cycle", Bilinear(width=4), engine=Deadly(), processes=2, **arguments)
    sweep("cycle", Bilinear(width=4), processes=1, **arguments)
    sweep("cycle", Bilinear(width=4), engine=Deadly(), **arguments)  # nothing is left to do


def same_names(one, other):
    assert sorted(path.name for path in one.parent.rglob("*")) == sorted(
        path.name for path in other.parent.rglob("*")
    )


def test_worlds_and_words_are_axes(tmp_path):
    axes = {"self_edges": [False, True], "self_edge_weight": [0.5, 1.0]}
    found = sweep(["cycle", path_star()], Node2Vec(width=8), axes=axes, training=SHORT, directory=tmp_path)
    table = found.table
    assert table.columns == ["world", "self_edges", "self_edge_weight", "seed", *MEASUREMENTS]
    assert table["world"].unique(maintain_order=True).to_list() == ["cycle-15", path_star().name]
    losses = table.filter(world="cycle-15")["loss"].to_list()
    assert losses[0] == losses[1]  # without self-edges their weight is nothing
    assert len(set(losses[1:])) == 3
    assert found.path.parent == tmp_path


def test_a_grid_is_cut_into_fleets_of_equal_shape():
    axes = {"learning_rate": [0.1 * i for i in range(1, 34)], "width": [8, 16], "scale": [1.0, 2.0]}
    fleets = plan_fleets([edge_block("cycle", "bilinear", axes=axes, seeds=2)])
    assert sum(len(fleet.runs) for fleet in fleets) == 33 * 2 * 2 * 2
    assert max(len(fleet.runs) for fleet in fleets) <= FLEET_RUNS
    assert {fleet.model.width for fleet in fleets} == {8, 16}
    for fleet in fleets:
        for run, cell in zip(fleet.runs, fleet.cells, strict=True):
            assert list(cell) == ["world", "learning_rate", "width", "scale"]
            assert (cell["learning_rate"], cell["scale"]) == (run.learning_rate, run.scale)
            assert cell["width"] == fleet.model.width


def test_a_diverged_run_is_kept_without_a_reading(tmp_path):
    axes = {"learning_rate": [0.01, 1e30]}
    training = Training(steps=20, optimizer="gradient-descent", schedule="constant")
    table = sweep("cycle", Node2Vec(width=8), axes=axes, training=training, directory=tmp_path).table
    assert table["reading"].is_null().to_list() == [False, True]
    assert np.isnan(table["fiedler_alignment"][1])
    assert np.isfinite(table["loss"][0])
    assert table["associative_accuracy"][1] < 1


def test_embeddings_of_zeros_are_collapsed():
    assert read_runs(np.zeros((1, 15, 4)), cycle()) == ["collapsed"]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"widht": [8]}, "'widht' is no axis of this model; did you mean width"),
        ({"width": [8.5]}, "The axis width has the value 8.5; give whole numbers"),
        ({"width": []}, "The axis width has no value"),
        ({"width": [8, 8]}, "The axis width has two equal values"),
        ({"learning_rate": [float("nan")]}, "The axis learning_rate has the value nan; give finite numbers"),
        ({"learning_rate": [-1.0]}, "The axis learning_rate has the value -1.0; give finite numbers"),
        ({"schedule": ["linear"]}, "give one of 'cosine', 'constant'"),
        ({"self_edges": [1]}, "The axis self_edges has the value 1; give true or false"),
        ({"width": [8, 0]}, "width is 0; give a whole number of at least 1"),
        ({"heads": [3]}, "heads must divide width"),
        ({"steps": [5, 0]}, "steps is 0"),
        ({"snapshots": [5]}, "'snapshots' is no axis"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_trained(axes, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        sweep("cycle", Transformer(), axes=axes, training=SHORT, directory=tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_too_many_runs_and_worlds_of_one_name(tmp_path):
    axes = {"learning_rate": list(np.linspace(1e-3, 1, 2000)), "scale": list(np.linspace(0.1, 1, 1000))}
    with pytest.raises(InputError, match="would have 2,000,000 runs"):
        sweep("cycle", axes=axes, directory=tmp_path)
    with pytest.raises(InputError, match="two of one name"):
        sweep(["cycle", cycle()], axes=AXES, directory=tmp_path)
    with pytest.raises(InputError, match="processes is -1"):
        sweep("cycle", axes=AXES, directory=tmp_path, processes=-1)


def test_a_damaged_table_is_said(tmp_path):
    arguments = {"axes": AXES, "training": SHORT, "directory": tmp_path, "processes": 1}
    path = sweep("cycle", Bilinear(width=4), **arguments).path
    (part,) = path.glob("fleet-*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"fleet-00000.parquet is damaged .*delete this file alone"):
        sweep("cycle", Bilinear(width=4), **arguments)
    pl.DataFrame({"a": [1]}).write_parquet(part)
    with pytest.raises(InputError, match="it is not a table of world, learning_rate"):
        sweep("cycle", Bilinear(width=4), **arguments)
    part.unlink()
    part.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is damaged"):
        sweep("cycle", Bilinear(width=4), **arguments)


def test_values_take_the_types_of_their_fields():
    found = check_axes({"learning_rate": [1], "width": [8.0]}, Bilinear(), EdgeMemorization(), Training())
    assert found == {"learning_rate": (1.0,), "width": (8,)}
    assert type(found["learning_rate"][0]) is float
    assert type(found["width"][0]) is int


def test_fleets_are_timed_and_trained_on_the_device_one_at_a_time(tmp_path, monkeypatch):
    devices, events = [], []

    def timed(train, training, *, device):
        devices.append(device)
        return PACE

    def on_the_cpu_after_all(fleet, *, device, **hooks):
        devices.append(device)
        return train_and_measure(fleet, device="cpu", **hooks)

    arguments = {"axes": {"width": [4, 6]}, "training": SHORT, "device": "cuda", "directory": tmp_path}
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=r"^device is 'cuda'; give cpu; this machine's torch finds no CUDA"):
        sweep("cycle", Bilinear(), **arguments)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(parts, "check_device", lambda device: None)
    monkeypatch.setattr(parts, "has_device", lambda device: True)
    monkeypatch.setattr(parts, "available_memory", lambda device: 10**12)
    monkeypatch.setattr(parts, "describe_environment", lambda device: {"device": device})
    monkeypatch.setattr(parts, "measure_pace", timed)
    monkeypatch.setattr(running, "train_and_measure", on_the_cpu_after_all)
    sweep("cycle", Bilinear(), **arguments, on_progress=events.append)
    assert set(devices) == {"cuda"}
    assert len(devices) >= 3
    assert {event.processes for event in events} == {1}
