"""An architecture of another package, two files and the public decorator, goes wherever ours go."""

import json

import averager
import pytest

import geomem
from geomem.cli import main
from geomem.figures.views import describe_model
from geomem.models.architecture import Model, architecture
from geomem.models.configuration import MODELS
from geomem.runs.paths import find_paths
from geomem.runs.run import read_run
from geomem.sweep import sweep
from geomem.training.configuration import PathTraining, Training
from geomem.worlds.graphs.families import cycle, path_star

# Known in these tests alone: other tests go over all architectures.
MODELS.pop("averager", None)
MODEL = averager.Averager(width=8, layers=2)


@pytest.fixture(autouse=True)
def known():
    MODELS["averager"] = averager.Averager
    yield
    MODELS.pop("averager")


def test_it_memorizes_edges_and_is_read_back(tmp_path):
    fleet = geomem.memorize(cycle(6), model="averager", seeds=2, directory=tmp_path)
    losses = fleet.curves()["loss"]
    assert (losses[-1] < losses[0]).all()
    stored = read_run(fleet.path).manifest["configuration"]
    assert stored["model"] == {"kind": "averager", "layers": 1, "width": 16, "tied": True}
    assert stored["training"]["steps"] == 40
    assert describe_model(stored | {"model": stored["model"] | {"tied": False}}).startswith(
        "Averager, 1 layer, width 16, untied"
    )
    assert geomem.measure_fleet(fleet).measurements


def test_it_finds_paths_and_goes_on_from_a_run_of_edges(tmp_path):
    star = path_star(arms=6, length=3)
    short = PathTraining(epochs=3, batches=2, metric_every=1, warmup_steps=1, stop_at=0.0)
    fleet = find_paths(star, model="averager", training=short, seeds=1, directory=tmp_path)
    assert fleet.manifest["configuration"]["model"]["width"] == 24
    assert "averager" in fleet.path.name
    again = find_paths(star, training=short, directory=tmp_path, start=fleet)
    assert again.manifest["configuration"]["model"] == fleet.manifest["configuration"]["model"]


def test_the_command_line_takes_it(tmp_path, capsys):
    short = ["--steps", "3", "--seeds", "1", "--quiet", "--directory", str(tmp_path)]
    assert main(["memorize", "cycle", "--nodes", "6", "--model", "averager", "--width", "8", *short]) == 0
    assert "averager" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["paths", "path-star", "--model", "averager", "--help"])
    shown = capsys.readouterr().out
    assert "averager}" in shown
    assert "A toy: every block adds" in shown
    assert main(["models", "--json"]) == 0
    assert "averager" in json.loads(capsys.readouterr().out)


def test_a_sweep_takes_it(tmp_path):
    found = sweep(
        cycle(6), MODEL, axes={"width": [4, 8]}, training=Training(steps=2), directory=tmp_path, processes=1
    )
    assert found.table["width"].to_list() == [4, 8]
    assert "averager" in found.path.name


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match=r"the architecture 'averager' is averager\.Averager already"):
        architecture("averager", network="elsewhere")(type("Other", (Model,), {}))
    assert MODELS["averager"] is averager.Averager
