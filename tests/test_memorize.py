"""The main job: cache, resume to the bit, estimates, refusals; also `kill -9` through the real command."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time

import networkx
import numpy as np
import pytest
from tests.devices import DEVICES

import geomem
from geomem.errors import InputError
from geomem.models.configuration import Associative, Bilinear, Node2Vec, Transformer
from geomem.runs.checkpoint import CHECKPOINT
from geomem.runs.directory import DONE, locked_run
from geomem.runs.edges import memorize
from geomem.runs.environment import available_memory
from geomem.runs.job import find_model
from geomem.runs.run import read_run
from geomem.runs.train import Announcement
from geomem.training import loop as loop_module
from geomem.training.configuration import Training
from geomem.worlds.graphs.families import cycle
from geomem.worlds.tasks import EdgeMemorization

SHORT = Training(steps=30, metric_every=10, snapshots=5)
MODELS = [
    Transformer(width=8, heads=2),
    Bilinear(width=8, dropout=0.2),
    Associative(width=16),
    Node2Vec(width=8, tied=False),
]
# The package's attribute of that name is the function.
module = importlib.import_module("geomem.runs.train")


def same_curves(one, other):
    np.testing.assert_array_equal(one.steps, other.steps)
    assert one.curves().keys() == other.curves().keys()
    for name, values in one.curves().items():
        np.testing.assert_array_equal(values, other.curves()[name])


def same_files(one, other):
    """Whether two fleets hold the same arrays and curves, bit for bit."""
    for name, array in one.weights().items():
        np.testing.assert_array_equal(array, other.weights()[name], err_msg=name)
    for mine, theirs in zip(one.snapshots(), other.snapshots(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    same_curves(one, other)


def test_the_function_stays_the_function_whatever_is_imported():
    assert geomem.memorize is memorize
    assert module is not memorize


def test_a_run_holds_what_was_asked_for(tmp_path):
    events = []
    fleet = memorize(
        cycle(6),
        model=Bilinear(width=8),
        task=EdgeMemorization(self_edges=True),
        training=SHORT,
        seeds=[3, 1],
        directory=tmp_path,
        on_progress=events.append,
    )
    assert fleet.seeds == (3, 1)
    configuration = fleet.manifest["configuration"]
    assert configuration["world"] == {"name": "cycle-6", "digest": cycle(6).digest}
    assert configuration["task"]["self_edges"] is True
    assert configuration["model"] == {
        "kind": "bilinear",
        "width": 8,
        "dropout": 0.0,
        "initialization": "gpt2",
    }
    assert configuration["training"]["steps"] == 30
    assert {"versions", "device", "dtype", "platform", "git", "started", "seconds"} <= fleet.manifest.keys()
    announcement, *progress = events
    assert isinstance(announcement, Announcement)
    assert (len(announcement.job.seeds), announcement.job.counts, announcement.first_step) == (
        2,
        {"facts": 18},
        0,
    )
    assert announcement.path == fleet.path
    assert [event.step for event in progress] == [0, 10, 20, 30]
    assert fleet.steps.tolist() == [0, 10, 20, 30]
    for stored, event in zip(fleet.curves()["loss"], progress, strict=True):
        np.testing.assert_array_equal(stored, event.metrics["loss"])
    # The last snapshot is the final embedding.
    steps, snapshots = fleet.snapshots()
    assert steps[-1] == 30
    np.testing.assert_array_equal(snapshots[-1], fleet.embeddings().astype(np.float32))


def test_the_same_configuration_again_trains_nothing(tmp_path):
    first = memorize(cycle(6), model=Node2Vec(width=4), training=SHORT, directory=tmp_path)
    written = {entry.name: entry.stat().st_mtime_ns for entry in first.path.iterdir()}
    events = []
    again = memorize(
        cycle(6),
        model=Node2Vec(width=4),
        training=SHORT,
        seeds=(0, 1, 2),
        directory=tmp_path,
        on_progress=events.append,
    )
    assert again.path == first.path
    assert [event.finished for event in events] == [True]
    assert {entry.name: entry.stat().st_mtime_ns for entry in again.path.iterdir()} == written


def test_whole_numbers_given_for_fractions_are_the_same_configuration(tmp_path):
    training = Training(steps=5, learning_rate=1.0)
    one = memorize(cycle(6), model=Node2Vec(width=4), training=training, directory=tmp_path)
    # Past the tests' type checks, as a person's own script would go.
    object.__setattr__(training, "learning_rate", 1)
    object.__setattr__(training, "steps", np.int64(5))
    other = memorize(cycle(6), model=Node2Vec(width=4), training=training, directory=tmp_path)
    assert one.path == other.path
    object.__setattr__(training, "steps", 5.5)
    with pytest.raises(InputError, match=r"^steps is 5.5; give a whole number\.$"):
        memorize(cycle(6), model=Node2Vec(width=4), training=training, directory=tmp_path)


def test_any_other_setting_is_another_run(tmp_path):
    paths = {
        memorize(world, model=model, task=task, training=training, seeds=seeds, directory=tmp_path).path
        for world, model, task, training, seeds in [
            (cycle(6), Node2Vec(width=4), EdgeMemorization(), Training(steps=2), 1),
            (cycle(7), Node2Vec(width=4), EdgeMemorization(), Training(steps=2), 1),
            (cycle(6), Node2Vec(width=5), EdgeMemorization(), Training(steps=2), 1),
            (cycle(6), Node2Vec(width=4), EdgeMemorization(self_edges=True), Training(steps=2), 1),
            (cycle(6), Node2Vec(width=4), EdgeMemorization(), Training(steps=3), 1),
            (cycle(6), Node2Vec(width=4), EdgeMemorization(), Training(steps=2), 2),
        ]
    }
    assert len(paths) == 6


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_an_interrupted_run_ends_in_the_same_bits(tmp_path, monkeypatch, model):
    def train(directory, on_progress=None):
        return memorize(
            cycle(6), model=model, training=SHORT, seeds=2, directory=directory, on_progress=on_progress
        )

    whole = train(tmp_path / "whole")
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(module, "CHECKPOINT_SHARE", 0)

    def interrupt(event):
        if getattr(event, "step", 0) == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="goes on from step 20 of 30"):
        train(tmp_path / "parts", interrupt)
    path = next((tmp_path / "parts").glob("[!.]*"))
    assert (path / CHECKPOINT).is_file()
    with pytest.raises(InputError, match="is unfinished"):
        read_run(path)
    events = []
    resumed = train(tmp_path / "parts", events.append)
    assert events[0].first_step == 20
    assert resumed.manifest["first_step"] == 20
    assert not (path / CHECKPOINT).exists()
    same_files(resumed, whole)


def test_ctrl_c_keeps_the_step_it_was_pressed_in(tmp_path):
    def train(directory, on_progress=None):
        return memorize(
            cycle(6),
            model=Node2Vec(width=4),
            training=SHORT,
            seeds=2,
            directory=directory,
            on_progress=on_progress,
        )

    def press(event):
        if getattr(event, "step", 0) == 20:
            signal.raise_signal(signal.SIGINT)

    # Tests may themselves run where Ctrl-C is ignored, behind a shell.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt, match="goes on from step 21 of 30"):
            train(tmp_path / "parts", press)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        train(tmp_path / "ignored", press)
    finally:
        signal.signal(signal.SIGINT, former)
    resumed = train(tmp_path / "parts")
    assert resumed.manifest["first_step"] == 21
    same_files(resumed, train(tmp_path / "whole"))


def test_a_run_interrupted_before_its_first_checkpoint_says_so(tmp_path):
    def interrupt_training(event):
        if not isinstance(event, Announcement):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="the same command starts again"):
        memorize(cycle(6), model=Node2Vec(width=4), directory=tmp_path, on_progress=interrupt_training)


def test_a_checkpoint_of_other_contents_is_refused(tmp_path, monkeypatch):
    from safetensors.numpy import load_file, save_file

    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)

    def interrupt(event):
        if getattr(event, "step", 0) == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memorize(cycle(6), model=Node2Vec(width=4), training=SHORT, directory=tmp_path, on_progress=interrupt)
    path = next(tmp_path.iterdir())
    arrays = load_file(path / CHECKPOINT)
    del arrays["parameters"]
    save_file(arrays, path / CHECKPOINT, metadata={"step": "20", "configuration": path.name[-12:]})
    with pytest.raises(InputError, match=r"is damaged .*; delete the directory"):
        memorize(cycle(6), model=Node2Vec(width=4), training=SHORT, directory=tmp_path)


def test_a_run_in_another_process_is_refused(tmp_path):
    fleet = memorize(cycle(6), model=Node2Vec(width=4), training=SHORT, directory=tmp_path)
    (fleet.path / DONE).unlink()
    with locked_run(fleet.path), pytest.raises(InputError, match="Another process is training"):
        memorize(cycle(6), model=Node2Vec(width=4), training=SHORT, directory=tmp_path)


def test_worlds_are_found_by_object_name_and_path(tmp_path):
    (tmp_path / "ring.tsv").write_text("a\tb\nb\tc\nc\ta\n")
    short = Training(steps=2)
    for world, nodes in [
        ("cycle", 15),
        (tmp_path / "ring.tsv", 3),
        (str(tmp_path / "ring.tsv"), 3),
        (networkx.path_graph(4), 4),
    ]:
        fleet = memorize(world, model=Node2Vec(width=4), training=short, seeds=1, directory=tmp_path / "runs")
        assert fleet.graph.node_count == nodes


@pytest.mark.parametrize("seeds", [0, -1, [], [1, 1], [-1], [2**63]])
def test_seeds_that_cannot_be_are_refused(tmp_path, seeds):
    with pytest.raises(InputError, match="give a count of at least 1, or different whole numbers"):
        memorize(cycle(6), seeds=seeds, directory=tmp_path)


def test_unknown_names_are_answered_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"^'path-stra' is neither .* did you mean path-star"):
        memorize("path-stra", directory=tmp_path)
    with pytest.raises(InputError, match=r"^'node2vek' is not a model; did you mean node2vec\?$"):
        find_model("node2vek")
    with pytest.raises(InputError, match=r"give one of transformer, mamba, bilinear"):
        find_model("lstm")
    with pytest.raises(InputError, match=r"^device is 'abacus'; give cpu"):
        memorize(cycle(6), device="abacus", directory=tmp_path)


def test_impossible_models_fail_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="heads must divide width"):
        memorize(cycle(6), model=Transformer(width=10, heads=3), directory=tmp_path)
    with pytest.raises(InputError, match="steps is 0"):
        memorize(cycle(6), training=Training(steps=0), directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_is_said_before_anything_is_written(tmp_path):
    assert 0 < available_memory() < 2**50
    with pytest.raises(InputError, match=r"needs about .*TB of memory, .* are free; use fewer seeds"):
        memorize(cycle(6), model=Transformer(width=4_000_000), directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_little_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(InputError, match=r"of disk but 1.0 kB are free; free some space"):
        memorize(cycle(6), model=Node2Vec(width=4), directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_disk_estimate_covers_what_is_written(tmp_path):
    for model in MODELS:
        events = []
        fleet = memorize(
            cycle(40), model=model, training=Training(steps=50), directory=tmp_path, on_progress=events.append
        )
        written = sum(entry.stat().st_size for entry in fleet.path.iterdir())
        assert written < events[0].job.disk_bytes < 20 * written


KILLED = """
import sys
import geomem.training.loop
from geomem.cli import main
geomem.training.loop.CHECKPOINT_SECONDS = 0.0
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("device", DEVICES)
def test_kill_minus_9_then_the_same_command_ends_in_the_same_bits(tmp_path, device):
    """Through the real command line; only the killed process is told to write checkpoints more often."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(directory):
        options = ["--model", "transformer", "--steps", "400", "--seeds", "2", "--device", device, "--quiet"]
        return ["memorize", "path-star", *options, "--directory", str(tmp_path / directory)]

    killed = subprocess.Popen([sys.executable, "-c", KILLED, *command("parts")], env=environment)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "parts").glob(f"*/{CHECKPOINT}")):
            assert killed.poll() is None, "the process ended before its first checkpoint"
            assert time.monotonic() < deadline, "no checkpoint in two minutes"
            time.sleep(0.01)
        time.sleep(0.1)
    finally:
        killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    path = next((tmp_path / "parts").glob("[!.]*"))
    assert not (path / DONE).exists()

    for directory in ("parts", "whole"):
        subprocess.run([sys.executable, "-m", "geomem", *command(directory)], env=environment, check=True)
    resumed, whole = read_run(path), read_run(next((tmp_path / "whole").iterdir()))
    assert 0 < resumed.manifest["first_step"] < 400
    assert whole.manifest["first_step"] == 0
    same_files(resumed, whole)
    assert sorted(entry.name for entry in path.iterdir()) == sorted(
        entry.name for entry in whole.path.iterdir()
    )
    assert json.loads((path / "manifest.json").read_text())["hash"] == path.name[-12:]


def test_a_training_begins_with_the_weights_of_finished_runs(tmp_path):
    model = Transformer(width=8, heads=2)
    first = memorize(cycle(6), model=model, training=SHORT, seeds=[4, 7], directory=tmp_path)
    still = Training(steps=1, learning_rate=0.0, snapshots=2)
    second = memorize(cycle(6), training=still, start=first.path, directory=tmp_path)
    assert (second.seeds, second.model) == ((4, 7), model)
    for name, array in first.weights().items():
        np.testing.assert_array_equal(second.weights()[name], array, err_msg=name)
    for name, values in first.final().items():
        np.testing.assert_allclose(second.curves()[name], [values, values], rtol=1e-5)
    assert memorize(cycle(6), training=still, start=first, directory=tmp_path).path == second.path
    for wrong, complaint in (
        ({"world": cycle(7)}, "has another vocabulary"),
        ({"seeds": [4, 5]}, "has the seeds 4, 7 and not 5"),
        ({"model": Transformer(width=16)}, "has model width 8 and this one 16"),
        ({"model": "bilinear"}, "has model kind transformer and this one bilinear"),
    ):
        with pytest.raises(InputError, match=complaint):
            memorize(**{"world": cycle(6), "start": first, "directory": tmp_path} | wrong)
