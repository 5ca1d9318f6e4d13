"""Path finding as a job: what is stored, cache, resumption to the bit, staged runs, prompts, refusals."""

import signal

import numpy as np
import pytest

from geomem.errors import InputError
from geomem.models.configuration import Mamba, Transformer
from geomem.runs.checkpoint import CHECKPOINT
from geomem.runs.directory import configuration_hash
from geomem.runs.paths import find_paths
from geomem.runs.run import read_run
from geomem.runs.train import Announcement
from geomem.training import loop as loop_module
from geomem.training.configuration import PathTraining
from geomem.worlds.graphs.families import grid, path_star
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding

STAR = path_star(arms=12, length=3)
MODEL = Transformer(layers=2, width=8, heads=2, position_scale=0.02)
SHORT = PathTraining(epochs=4, batches=3, metric_every=2, warmup_steps=2, snapshots=3, prompts=6)
EDGES_FIRST = PathFinding(path_weight=0.0)


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch):
    """A thousand test prompts take longer than all else here."""
    monkeypatch.setattr("geomem.training.path_metrics.PROMPTS", 20)


def train(directory, world=STAR, **options):
    settings = {"model": MODEL, "training": SHORT, "seeds": 2, **options}
    return find_paths(world, directory=directory, **settings)


def test_a_run_holds_what_was_asked_for_and_is_not_trained_again(tmp_path):
    events = []
    fleet = train(tmp_path, task=PathFinding(pauses=1), seeds=[3, 1], on_progress=events.append)
    announcement, *progress = events
    assert isinstance(announcement, Announcement)
    assert (len(announcement.job.seeds), announcement.job.counts) == (2, {"edges": 48, "paths": 9})
    assert announcement.path == fleet.path
    assert 0 < announcement.seconds < float("inf")
    assert [event.step for event in progress] == [0, 6, 12]
    configuration = fleet.manifest["configuration"]
    assert configuration["task"]["kind"] == "path-finding"
    assert configuration["task"]["pauses"] == 1
    assert configuration["training"]["precision"] == "float32"
    curves = fleet.curves()
    assert {"loss", "held_out.first_hop", "train.exact_match", "retrieval"} <= set(curves)
    np.testing.assert_array_equal(curves["loss"][1], progress[1].metrics["loss"])
    assert fleet.weights()["position_embedding"].shape == (2, 5, 8)
    again = []
    assert (
        train(tmp_path, task=PathFinding(pauses=1), seeds=[3, 1], on_progress=again.append).path == fleet.path
    )
    assert [event.finished for event in again] == [True]


@pytest.mark.parametrize(
    "world", [STAR, InContextPathFinding(arms=2, length=3, node_tokens=6)], ids=["graph", "prompts"]
)
def test_an_interrupted_run_ends_in_the_same_bits(tmp_path, monkeypatch, world):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 1e9)

    def press(event):
        if getattr(event, "step", 0) == 6:
            signal.raise_signal(signal.SIGINT)

    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt, match="goes on from step 7 of 12"):
            train(tmp_path / "parts", world, on_progress=press)
    finally:
        signal.signal(signal.SIGINT, former)
    path = next((tmp_path / "parts").glob("[!.]*"))
    assert (path / CHECKPOINT).is_file()
    resumed, whole = train(tmp_path / "parts", world), train(tmp_path / "whole", world)
    assert resumed.manifest["first_step"] == 7
    assert not (path / CHECKPOINT).exists()
    for name, array in whole.weights().items():
        np.testing.assert_array_equal(array, resumed.weights()[name])
    for mine, theirs in zip(whole.snapshots(), resumed.snapshots(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name, values in whole.curves().items():
        np.testing.assert_array_equal(values, resumed.curves()[name])


@pytest.mark.parametrize("model", [MODEL, Mamba(width=8)], ids=["transformer", "mamba"])
def test_a_staged_run_goes_on_where_the_stored_one_ended(tmp_path, model):
    edges = train(tmp_path, model=model, task=EDGES_FIRST)
    paths = train(tmp_path, model=model, task=PathFinding(), start=edges.path)
    last = edges.final()["edge_loss"]
    first = paths.curves()["edge_loss"][0]
    np.testing.assert_allclose(first, last, rtol=1e-6)
    np.testing.assert_array_equal(paths.snapshots()[1][0], edges.snapshots()[1][-1])
    assert paths.manifest["configuration"]["start"] == configuration_hash(edges.manifest["configuration"])
    assert train(tmp_path, model=model, task=PathFinding()).path != paths.path
    with pytest.raises(InputError, match="has another vocabulary"):
        train(tmp_path, path_star(arms=13, length=3), model=model, task=PathFinding(), start=edges)


def test_prompts_are_stored_with_the_world_of_the_first(tmp_path):
    task = InContextPathFinding(arms=2, length=3, node_tokens=8, target="reverse")
    fleet = train(tmp_path, task, model=Mamba(width=8))
    assert fleet.graph.node_count == 8
    assert fleet.graph.edge_count == 4
    assert fleet.manifest["configuration"]["task"]["kind"] == "in-context-path-finding"
    assert set(fleet.curves()) >= {"loss", "held_out.exact_match"}
    assert read_run(fleet.path).seeds == (0, 1)


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"^Path finding is ill-posed on 'grid-4-4'"):
        train(tmp_path, grid(4, 4))
    with pytest.raises(InputError, match=r"held_out is 1\.0"):
        train(tmp_path, task=PathFinding(held_out=1.0))
    with pytest.raises(InputError, match=r"needs about .* of memory, .* are free; use fewer arms"):
        train(tmp_path, model=Transformer(layers=2, width=4_000_000))
    assert list(tmp_path.iterdir()) == []
