"""Training metrics from outside the package are in runs, progress, portraits and reports."""

import json

import numpy as np
import pytest
from rich.console import Console

from geomem import cli
from geomem.cli.progress import RunTable
from geomem.errors import InputError
from geomem.figures.drawing import draw_curves
from geomem.figures.views import view_fleet
from geomem.models.configuration import Recall, Transformer
from geomem.report import write_report
from geomem.report.content import curve_sets
from geomem.runs.edges import edge_job, memorize
from geomem.runs.facts import learn_facts
from geomem.runs.paths import find_paths
from geomem.training.configuration import PathTraining, RecallTraining, Training
from geomem.training.loop import state_from_arrays, state_to_arrays
from geomem.training.metric import TRAINING_METRICS, Line, training_metric
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.graphs.families import cycle, path_star


@pytest.fixture
def outside():
    """Two metrics, defined as in somebody's own module."""

    @training_metric(
        *("Mean length of a row", "edges", "paths", "facts"),
        line=Line("Lengths", "gold", "length of a row", drawn=True),
        column="length",
        measured=True,
    )
    def row_length(embeddings):
        """How long a row is, on average."""
        return embeddings.norm(dim=-1).mean(dim=-1)

    @training_metric(
        "Last token",
        "paths",
        line={"held_out": Line("Paths", "ink", "last token")},
        column="last",
        measured=True,
    )
    def last_token(answers):
        """Share of answers right in the last token."""
        return answers.free[:, :, -1].double().mean(dim=1)

    yield row_length, last_token
    del TRAINING_METRICS["row_length"], TRAINING_METRICS["last_token"]


def names_in_portrait(path, capsys):
    capsys.readouterr()
    assert cli.main(["measure", str(path), "--json"]) == 0
    return {row["name"]: row["title"] for row in json.loads(capsys.readouterr().out)["measurements"]}


def test_edges_have_it_in_curves_progress_portrait_and_report(outside, tmp_path, capsys):
    console = Console(force_terminal=False, width=200, record=True, stderr=True)
    with RunTable(console=console) as table:
        fleet = memorize(
            *[cycle(9)],
            model=Transformer(width=8),
            training=Training(steps=9),
            seeds=2,
            directory=tmp_path,
            on_progress=table.show,
        )
    curve = fleet.curves()["row_length"]
    assert curve.shape == (3, 2)
    lengths = np.linalg.norm(fleet.embeddings(), axis=-1).mean(axis=-1)
    np.testing.assert_allclose(curve[-1], lengths, rtol=1e-6)
    assert "length " in console.export_text()
    assert names_in_portrait(fleet.path, capsys)["row_length"] == "Mean length of a row"
    view = view_fleet(fleet)
    assert [(shown.name, shown.shares) for shown in curve_sets(view)][-1] == ("Lengths", False)
    assert "length of a row" in [
        text.get_text() for text in draw_curves(view).axes[0].get_legend().get_texts()
    ]
    assert "length of a row" in write_report([fleet], tmp_path / "page.html").read_text()


def test_paths_and_facts_have_it(outside, tmp_path, capsys):
    fleet = find_paths(
        path_star(arms=8, length=3),
        model=Transformer(layers=1, width=8, heads=1),
        training=PathTraining(epochs=1, batches=2, warmup_steps=0),
        seeds=2,
        directory=tmp_path,
    )
    curves = fleet.curves()
    assert np.array_equal(curves["held_out.last_token"], curves["held_out.token_3"])
    assert {"train.last_token", "row_length"} <= curves.keys()
    titles = names_in_portrait(fleet.path, capsys)
    assert titles["held_out_last_token"] == "Last token, held-out"
    assert "last token" in [line.name for line in curve_sets(view_fleet(fleet))[0].lines]
    memory = learn_facts(
        random_bijections(8, 2),
        model=Recall(width=4, mlp_width=4),
        training=RecallTraining(steps=30),
        seeds=2,
        directory=tmp_path,
    )
    assert memory.curves()["row_length"].shape == (2, 2)


def test_runs_from_elsewhere_are_shown_without_the_definition(outside, tmp_path, monkeypatch):
    fleet = memorize(cycle(9), model=Transformer(width=8), training=Training(steps=9), directory=tmp_path)
    for name in ("row_length", "last_token"):
        monkeypatch.delitem(TRAINING_METRICS, name)
    more = curve_sets(view_fleet(fleet))[-1]
    assert (more.name, [(line.metric, line.name) for line in more.lines]) == ("More", [("row_length",) * 2])


def test_a_metric_that_is_new_when_a_training_goes_on_is_nan_before(outside, monkeypatch):
    job = edge_job(cycle(9), model=Transformer(width=8), training=Training(steps=9), seeds=2)
    own = dict(TRAINING_METRICS)
    monkeypatch.delitem(TRAINING_METRICS, "row_length")
    kept = []
    steps = iter([False, False, False, True])
    with pytest.raises(KeyboardInterrupt):
        job.train(on_checkpoint=kept.append, should_stop=lambda: next(steps))
    monkeypatch.setitem(TRAINING_METRICS, "row_length", own["row_length"])
    trained = job.train(state=state_from_arrays(state_to_arrays(kept[-1])))
    assert np.isnan(trained.metrics["row_length"][:1]).all()
    assert np.isfinite(trained.metrics["row_length"][1:]).all()
    assert np.isfinite(trained.metrics["loss"]).all()


def silent(losses):
    return losses


def one_number(losses):
    """A number for all runs."""
    return losses.mean()


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda: training_metric("Again", "edges")(TRAINING_METRICS["loss"].function), "'loss' exists"),
        (
            lambda: training_metric("Odd", "edges")(lambda weather: 0.0),
            "'weather'; of edges it can ask for l",
        ),
        (lambda: training_metric("Odd", "facts")(TRAINING_METRICS["token"].function), "asks for 'answers'"),
        (lambda: training_metric("Silent", "edges")(silent), "'silent' has no docstring"),
    ],
)
def test_what_cannot_be_registered(define, message):
    before = dict(TRAINING_METRICS)
    with pytest.raises(InputError, match=message):
        define()
    assert before == TRAINING_METRICS


def test_a_metric_without_a_number_per_run_is_refused_at_the_first_row():
    training_metric("One number", "edges")(one_number)
    try:
        with pytest.raises(InputError, match=r"'one_number' gives numbers of shape \(\); 3 runs need one"):
            edge_job(cycle(9), model=Transformer(width=8), training=Training(steps=9)).train()
    finally:
        del TRAINING_METRICS["one_number"]
