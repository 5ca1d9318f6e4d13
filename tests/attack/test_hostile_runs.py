"""Run directories that a stranger altered and signed again: a sentence and exit status 2, whatever is done.

`make attack` alters every value of every manifest; here is one of each kind.
"""

import json
import random
import shutil

import numpy as np
import pytest
from hostile_runs import (
    ARRAY_CHANGES,
    METRIC_CHANGES,
    WRONG,
    bomb,
    copy_of,
    places,
    put,
    raw_tensors,
    rewrite,
    special_file,
    with_arrays,
    with_metrics,
)
from inputs import KEPT, VERBS
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from geomem.cli import main
from geomem.models.configuration import Transformer
from geomem.runs.checkpoint import CHECKPOINT
from geomem.runs.directory import DONE, MANIFEST, METRICS, SNAPSHOTS, WEIGHTS
from geomem.runs.edges import edge_job
from geomem.runs.run import read_run
from geomem.training.configuration import Training
from geomem.worlds.graphs.families import cycle


def run_on(path, kind, capsys):
    """Exit status of a command that reads the directory, and what it says; nothing else may happen."""
    status = main([part.replace("{path}", str(path)) for part in VERBS[kind]])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert status in (0, 1, 2)
    if status == 2:
        assert len(said.err.strip().splitlines()) == 1
    assert "Traceback" not in said.err
    return status, said.err


@pytest.mark.parametrize("what", METRIC_CHANGES)
@pytest.mark.parametrize("kind", ["edges", "facts"])
def test_metrics(tmp_path, capsys, kind, what):
    path = copy_of(KEPT / kind, tmp_path / "run")
    with_metrics(path, METRIC_CHANGES[what])
    status, said = run_on(path, kind, capsys)
    if what != "many metrics":
        assert status == 2
    assert status == 0 or f"{METRICS} is damaged" in said


@pytest.mark.parametrize("name", ["associative_accuracy", "top1_accuracy", "held_out.first_hop"])
def test_a_metric_that_is_missing_is_left_out(tmp_path, capsys, name):
    kind = "paths" if "held_out" in name else "edges"
    path = copy_of(KEPT / kind, tmp_path / "run")
    with_metrics(path, lambda table: table.filter(table["metric"] != name))
    assert main(["measure", str(path)]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("what", ARRAY_CHANGES)
@pytest.mark.parametrize(
    ("kind", "name"), [("edges", WEIGHTS), ("edges", SNAPSHOTS), ("constructed", WEIGHTS)]
)
def test_arrays(tmp_path, capsys, kind, name, what):
    path = copy_of(KEPT / kind, tmp_path / "run")
    with_arrays(path, name, ARRAY_CHANGES[what])
    status, said = run_on(path, kind, capsys)
    if (name, what) != (SNAPSHOTS, "one more"):
        assert status == 2
        assert f"{name} is damaged" in said


@pytest.mark.parametrize("kind", ["F8_E4M3", "BF16", "C64", "nonsense"])
def test_numbers_of_other_types(tmp_path, capsys, kind):
    for name in (WEIGHTS, SNAPSHOTS):
        path = copy_of(KEPT / "edges", tmp_path / name)
        raw_tensors(path, name, kind)
        assert f"{name} is damaged" in run_on(path, "edges", capsys)[1]


def test_a_small_file_that_unpacks_to_many_rows(tmp_path, capsys):
    path = copy_of(KEPT / "edges", tmp_path / "run")
    bomb(path)
    assert (path / METRICS).stat().st_size < 1 << 20
    assert "more rows than its size can hold" in run_on(path, "edges", capsys)[1]


@pytest.mark.parametrize("kind", VERBS)
def test_values_of_a_manifest(tmp_path, capsys, kind):
    content = json.loads((KEPT / kind / MANIFEST).read_text())
    drawn = random.Random(3).sample([(keys, wrong) for keys in places(content) for wrong in WRONG], 12)
    for number, (keys, wrong) in enumerate(drawn):
        path = copy_of(KEPT / kind, tmp_path / str(number))
        rewrite(path, lambda manifest, keys=keys, wrong=wrong: put(manifest, keys, wrong))
        run_on(path, kind, capsys)


@pytest.mark.parametrize("what", ["directory", "pipe", "device", "dangling"])
def test_what_is_no_plain_file(tmp_path, capsys, what):
    for kind in ("edges", "constructed"):
        for name in [*json.loads((KEPT / kind / DONE).read_text()), DONE]:
            path = copy_of(KEPT / kind, tmp_path / f"{kind}-{name}")
            special_file(path / name, what)
            status, said = run_on(path, kind, capsys)
            assert status == 2
            assert name in said


@pytest.mark.parametrize(
    "content", [b"", b"[" * 10_000, b'{"a":' * 10_000, b"9" * 10_000, b'[1e999, "\\ud800"]', b'"\\ud800"']
)
def test_json_that_no_reader_likes(tmp_path, capsys, content):
    for name in (MANIFEST, DONE, "world.json"):
        path = copy_of(KEPT / "edges", tmp_path / name)
        with_arrays(path, SNAPSHOTS, lambda arrays: None)
        (path / name).write_bytes(content)
        assert run_on(path, "edges", capsys)[0] == 2


CHECKPOINTS = {
    "no step": lambda a: a.pop("step"),
    "another step": lambda a: a.update(step=np.array([11])),
    "no parameters": lambda a: a.pop("parameters"),
    "fewer parameters": lambda a: a.update(parameters=a["parameters"][:, 1:].copy()),
    "one run": lambda a: a.update({name: array[:1].copy() for name, array in a.items()}),
    "whole numbers": lambda a: a.update(parameters=a["parameters"].astype(np.int32)),
    "no moment": lambda a: a.pop("optimizer.first_moment"),
    "flat moment": lambda a: a.update({"optimizer.second_moment": np.ones((2, 1), np.float32)}),
    "no loss": lambda a: a.pop("metric.loss"),
    "short metric": lambda a: a.update({"metric.loss": a["metric.loss"][:1].copy()}),
    "steps fall": lambda a: a.update(metric_steps=a["metric_steps"][::-1].copy()),
    "steps beyond": lambda a: a.update(metric_steps=a["metric_steps"] + 10**12),
    "steps of floats": lambda a: a.update(snapshot_steps=a["snapshot_steps"].astype(float)),
    "narrow snapshots": lambda a: a.update(snapshots=a["snapshots"][..., :1].copy()),
    "no snapshots": lambda a: a.pop("snapshots"),
}


@pytest.mark.parametrize("what", CHECKPOINTS)
def test_a_checkpoint_is_checked_before_a_training_goes_on(tmp_path, capsys, what):
    settings = {"model": Transformer(layers=1, width=4, heads=1), "training": Training(steps=20, snapshots=3)}
    path = edge_job(cycle(6), **settings, seeds=2).path(tmp_path)
    shutil.copytree(KEPT / "edges-unfinished", path)
    with safe_open(path / CHECKPOINT, "numpy") as file:
        described = file.metadata()
    arrays = load_file(path / CHECKPOINT)
    CHECKPOINTS[what](arrays)
    save_file(arrays, path / CHECKPOINT, metadata=described)
    command = ["memorize", "cycle", "--nodes", "6", "--model", "transformer", "--layers", "1", "--width", "4"]
    command += [
        "--heads",
        "1",
        "--steps",
        "20",
        "--snapshots",
        "3",
        "--seeds",
        "2",
        "--directory",
        str(tmp_path),
    ]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"{CHECKPOINT} is damaged" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_the_advice_to_delete_names_only_what_can_be_made_again(tmp_path, capsys):
    path = copy_of(KEPT / "edges", tmp_path / "run")
    (path / "my notes.txt").write_text("mine")
    (path / WEIGHTS).write_bytes(b"half")
    said = run_on(path, "edges", capsys)[1]
    assert "move my notes.txt, which geomem did not write, out of it, then delete the directory" in said
    path = copy_of(KEPT / "constructed", tmp_path / "memory")
    (path / WEIGHTS).write_bytes(b"half")
    said = run_on(path, "constructed", capsys)[1]
    assert "its facts can still be read in" in said
    assert "delete the directory" not in said
    (path / MANIFEST).write_bytes(b"half")
    assert "if it was never edited, delete the directory" in run_on(path, "constructed", capsys)[1]


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "\udcff\udcfe", "a\0b"])
def test_names_that_no_system_takes(capsys, name):
    for kind in VERBS:
        status = main([part.replace("{path}", name) for part in VERBS[kind]])
        assert status == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_kept_runs_are_read_as_before():
    for kind in VERBS:
        assert read_run(KEPT / kind).seeds
