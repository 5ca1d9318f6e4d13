"""Run directories that an earlier version wrote (format 1) still open, are measured, reported and resumed.

They were written by the commit tagged one-house-base and are never written again.
"""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from geomem.cli import main
from geomem.fields import read_fields
from geomem.measure.edges import measure_fleet
from geomem.measure.facts import measure_memory
from geomem.memories.ask import ask
from geomem.models.configuration import Node2Vec, Recall, Transformer
from geomem.runs.edges import edge_job, memorize
from geomem.runs.facts import fact_job, learn_facts
from geomem.runs.paths import find_paths, path_job
from geomem.runs.run import read_run
from geomem.training.configuration import PathTraining, RecallTraining, Training
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.tasks import EdgeMemorization

KEPT = Path(__file__).parent / "kept_runs"
SMALL = Transformer(layers=1, width=4, heads=1)
RECALL = Recall(width=4, mlp_width=4)


def jobs():
    """The jobs of the kept runs, as they were asked for."""
    one = PathTraining(epochs=4, batches=1, prompts=8, warmup_steps=2, snapshots=2)
    gradient = Training(steps=20, optimizer="gradient-descent", snapshots=3)
    return {
        "edges": edge_job(cycle(6), model=Node2Vec(width=4), training=gradient, seeds=2),
        "paths": path_job(
            path_star(6, 3),
            model=SMALL,
            training=PathTraining(epochs=4, batches=2, warmup_steps=2, snapshots=2),
            seeds=2,
        ),
        "prompts": path_job(
            InContextPathFinding(arms=2, length=3, node_tokens=8), model=SMALL, training=one, seeds=1
        ),
        "facts": fact_job(
            random_bijections(4, 2),
            model=RECALL,
            training=RecallTraining(steps=50, warmup_steps=5, metric_every=25),
            seeds=2,
        ),
    }


@pytest.mark.parametrize("name", ["edges", "paths", "prompts", "facts"])
def test_the_same_job_is_found_again(name):
    """Equal settings have equal hashes, whatever has become of the classes that hold them."""
    run, job = read_run(KEPT / name), jobs()[name]
    assert run.manifest["hash"] in job.path().name
    assert (run.world.digest, run.model, run.task, run.seeds) == (
        job.world.digest,
        job.model,
        job.task,
        job.seeds,
    )
    assert np.isfinite(run.final()["loss"]).all()
    assert run.curves()["loss"].shape == (len(run.steps), len(run.seeds))


def test_a_later_field_is_in_the_hash_where_it_differs():
    plain, noisy = (
        edge_job(cycle(6), task=EdgeMemorization(noise_share=share)).configuration["task"]
        for share in (0.0, 0.5)
    )
    assert noisy == {**plain, "noise_share": 0.5}
    assert "noise_share" not in plain


@pytest.mark.parametrize("name", ["edges", "paths", "prompts"])
def test_kept_runs_of_graphs_are_measured(name):
    portrait = measure_fleet(read_run(KEPT / name), permutations=9)
    assert "geometric_level" in portrait


def test_kept_runs_are_reported(tmp_path):
    page = tmp_path / "report.html"
    assert main(["report", str(KEPT / "edges"), str(KEPT / "paths"), "--out", str(page)]) == 0
    assert "cycle-6" in page.read_text(encoding="utf-8")


def test_a_kept_memory_is_measured_and_reported(tmp_path):
    memory = read_run(KEPT / "facts")
    table = measure_memory(memory, training_steps=9)
    assert table["seed"].to_list() == list(memory.seeds)
    assert table["recall"].to_list() == memory.final()["recall"].tolist()
    page = tmp_path / "report.html"
    assert main(["report", str(KEPT / "facts"), "--out", str(page)]) == 0
    assert memory.world.name in page.read_text(encoding="utf-8")


def test_a_kept_memory_is_asked():
    assert ask(KEPT / "constructed", "Italy", "borders").answers == ("France", "Austria")
    assert ask(KEPT / "constructed", "France", "capital").answers == ("Rome",)
    assert len(ask(KEPT / "facts", "s0", "r0").steps) == 1


def test_interrupted_edges_go_on_where_they_were(tmp_path):
    settings = {"model": SMALL, "training": Training(steps=20, snapshots=3), "seeds": 2}
    place = edge_job(cycle(6), **settings).path(tmp_path)
    shutil.copytree(KEPT / "edges-unfinished", place)
    told = []
    run = memorize(cycle(6), **settings, directory=tmp_path, on_progress=told.append)
    assert told[0].first_step == 10
    whole = memorize(cycle(6), **settings, directory=tmp_path / "whole")
    # The bits depend on the machine and the versions that wrote the checkpoint.
    np.testing.assert_allclose(run.curves()["loss"], whole.curves()["loss"], rtol=1e-4)


def test_an_interrupted_memory_goes_on_where_it_was(tmp_path):
    training = RecallTraining(steps=60, warmup_steps=5, metric_every=25)
    settings = {"model": RECALL, "training": training, "seeds": 2}
    place = fact_job(random_bijections(4, 2), **settings).path(tmp_path)
    shutil.copytree(KEPT / "facts-unfinished", place)
    told = []
    run = learn_facts(random_bijections(4, 2), **settings, directory=tmp_path, on_progress=told.append)
    assert told[0].first_step == 25
    assert run.steps.tolist() == [0, 25, 50, 60]


def test_interrupted_paths_go_on_where_they_were(tmp_path):
    """With the running mean of the weights, which the checkpoint holds beside them."""
    training = PathTraining(epochs=6, batches=2, warmup_steps=2, snapshots=2, metric_every=2, averaging=0.5)
    settings = {"model": SMALL, "training": training, "seeds": 2}
    place = path_job(path_star(6, 3), **settings).path(tmp_path)
    shutil.copytree(KEPT / "paths-unfinished", place)
    told = []
    run = find_paths(path_star(6, 3), **settings, directory=tmp_path, on_progress=told.append)
    assert told[0].first_step == 5
    whole = find_paths(path_star(6, 3), **settings, directory=tmp_path / "whole")
    assert run.steps.tolist() == [0, 4, 8, 12]
    assert list(run.curves()) == list(whole.curves())
    np.testing.assert_allclose(run.curves()["loss"], whole.curves()["loss"], rtol=1e-4)
    np.testing.assert_allclose(run.embeddings(), whole.embeddings(), rtol=1e-3, atol=1e-5)


def test_what_a_file_lacks_is_patched_and_logged(caplog):
    with caplog.at_level(logging.INFO, logger="geomem.fields"):
        assert read_fields(Recall, {"width": 8}).mlp_width == 128
    assert "Recall has no " in caplog.text
    assert "mlp_width" in caplog.text
