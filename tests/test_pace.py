"""How long a training takes, told from its first steps: each part counted once."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from geomem.cli import main
from geomem.cli.progress import RunTable
from geomem.errors import InputError
from geomem.models.configuration import Bilinear
from geomem.runs import pace
from geomem.runs.edges import edge_job, memorize
from geomem.runs.facts import fact_job
from geomem.runs.pace import Pace, estimate_each, measure_pace
from geomem.runs.paths import path_job
from geomem.runs.train import Announcement
from geomem.training.configuration import PathTraining, RecallTraining, Training
from geomem.training.loop import Progress
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.graphs.families import path_star


def imagined(clock, *, once, step, row, steps, every):
    """A training on a clock of its own: what it takes is known."""

    def train(*, on_progress, should_stop, device):
        clock.now += once
        began = clock.now
        for number in range(steps):
            clock.now += step
            if number % every == 0:
                clock.now += row
                on_progress(Progress(number, steps, clock.now - began, 0.0, {}))
            should_stop()
        clock.now += once

    return train


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("every", [1, 2, 5, 1000])
def test_every_part_is_counted_once(monkeypatch, every):
    clock = Clock()
    monkeypatch.setattr(pace, "perf_counter", clock)
    training = Training(steps=100_000, metric_every=every)
    train = imagined(clock, once=3.0, step=0.01, row=0.02, steps=100_000, every=every)
    found = measure_pace(train, training)
    assert clock.now < 5
    rows = 100_000 // every + 1
    assert found.seconds(training) == pytest.approx(3 + 100_000 * 0.01 + rows * 0.02, rel=0.01)
    half = found.seconds(training, first_step=50_000)
    assert half == pytest.approx(3 + (found.seconds(training) - 3) / 2, rel=0.01)


@pytest.mark.parametrize(("step", "timed"), [(1e-4, 4), (60.0, 2), (0.2, 4), (0.01, 51)])
def test_timing_takes_half_a_second_or_a_few_steps(monkeypatch, step, timed):
    clock, steps = Clock(), []
    monkeypatch.setattr(pace, "perf_counter", clock)
    train = imagined(clock, once=0.0, step=step, row=0.0, steps=10_000, every=10_000)

    def counted(*, should_stop, **hooks):
        train(should_stop=lambda: steps.append(should_stop()), **hooks)

    measure_pace(counted, Training(steps=10_000))
    assert len(steps) + 1 == pytest.approx(timed, abs=1)


def test_a_row_that_takes_long_is_not_taken_for_a_step(monkeypatch):
    """Of 10,000 arms a row takes as long as thirty steps: half an hour was said to be thirty hours."""
    clock = Clock()
    monkeypatch.setattr(pace, "perf_counter", clock)
    training = Training(steps=1536, metric_every=128)
    found = measure_pace(imagined(clock, once=5.0, step=1.0, row=30.0, steps=1536, every=128), training)
    assert clock.now == 5 + 30 + 2
    assert found.seconds(training) == pytest.approx(5 + 1536 + 13 * 30)


def test_what_follows_the_last_step_counts_where_it_is_seen(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pace, "perf_counter", clock)
    train = imagined(clock, once=3.0, step=0.01, row=0.0, steps=3, every=2)
    assert measure_pace(train, Training(steps=3, metric_every=2)).once == pytest.approx(6.0)


@pytest.mark.parametrize(
    "job",
    [
        edge_job("cycle", model=Bilinear(), training=Training(steps=2)),
        fact_job(random_bijections(8, 2), training=RecallTraining(steps=40, batch_subjects=4)),
        path_job(path_star(20, 3), training=PathTraining(epochs=4, warmup_steps=2)),
    ],
    ids=["edges", "facts", "paths"],
)
def test_jobs_of_every_kind_are_timed(job):
    found = measure_pace(job.train, job.training)
    assert min(found.once, found.row) >= 0
    assert found.step > 0
    assert found.seconds(job.training) < 60


def test_a_training_that_was_timed_ends_in_the_same_bits(tmp_path):
    told = []
    alone = memorize("cycle", training=Training(steps=20), directory=tmp_path / "alone")
    timed = memorize(
        "cycle", training=Training(steps=20), directory=tmp_path / "timed", on_progress=told.append
    )
    assert isinstance(told[0], Announcement)
    assert told[0].seconds > 0
    for name, array in alone.weights().items():
        np.testing.assert_array_equal(array, timed.weights()[name])


def test_three_of_many_are_measured_and_the_others_lie_between():
    counted, asked = np.array([4.0, 1.0, 16.0, 2.0, 8.0]), []

    def measure(number):
        asked.append(number)
        return 10.0 * counted[number]

    np.testing.assert_allclose(estimate_each(counted, measure), 10 * counted)
    assert asked == [2, 0, 1]
    np.testing.assert_allclose(estimate_each(counted[:1], lambda number: 1e-3), [1e-3])


def test_what_would_take_too_long_is_refused_before_anything_is_written(tmp_path, capsys):
    command = ["memorize", "cycle", "--steps", "100000000", "--directory", str(tmp_path), "--quiet"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "hours and 2 are allowed; give --hours " in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ["sweep", "cycle", "--over", "width=4,6", "--steps", "100000000", "--processes", "1"],
        ["capacity", "--subjects", "8", "--relations", "2", "--steps", "100000000"],
        ["learn", "random-bijections", "--steps", "100000000"],
        ["paths", "path-star", "--epochs", "1000000"],
    ],
    ids=lambda command: command[0],
)
def test_every_long_command_asks_for_hours(tmp_path, capsys, command):
    assert main([*command, "--directory", str(tmp_path), "--quiet"]) == 2
    assert "hours and 2 are allowed; give --hours " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_hours_that_are_given_are_enough():
    job = edge_job("cycle", model=Bilinear(), training=Training(steps=2))
    announcement = Announcement(job, Path("run"), 0, 3600.0 * 30)
    with RunTable(quiet=True, hours=31.0) as table:
        table.show(announcement)
    with RunTable(quiet=True, hours=29.5) as table, pytest.raises(InputError) as caught:
        table.show(announcement)
    assert str(caught.value) == (
        "This would take about 30 hours and 29.5 are allowed; give --hours 38 to let it run, or ask for less."
    )


def test_what_takes_more_than_ten_seconds_says_so():
    job = edge_job("cycle", model=Bilinear(), training=Training(steps=2))
    for seconds, said in ((9.0, False), (75.0, True)):
        output = io.StringIO()
        with RunTable(console=Console(file=output, width=200)) as table:
            table.show(replace(Announcement(job, Path("run"), 0), seconds=seconds))
        assert ("about 1:15, " in output.getvalue()) == said


def test_seconds_of_a_pace():
    assert Pace(1.0, 0.5, 2.0).seconds(Training(steps=10, metric_every=5), first_step=5) == 1 + 2.5 + 4
