"""`python -m benchmarks.gpu`: every row apart, resumable, and nothing without a card."""

import json
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

import benchmarks.gpu.__main__ as check
from benchmarks.gpu import rows
from benchmarks.gpu.rows import ROWS, Row, time_preset, time_steps, time_trainings, train_preset
from geomem.models.configuration import Transformer
from geomem.runs.edges import edge_job
from geomem.runs.paths import find_paths
from geomem.runs.presets import PATH_PRESETS, find_preset
from geomem.training.configuration import PathTraining, Training
from geomem.training.loop import Progress

CARD = {
    "card": "NVIDIA H100",
    "memory": 85_000_000_000,
    "driver": "580.1",
    "cuda": "13.0",
    "versions": {"torch": "2.11.0"},
    "git": {"commit": "0123456789abcdef", "changed": False},
    "source": "abc",
}
PRESET = replace(
    find_preset("headline"),
    arms=20,
    length=3,
    models={"transformer": Transformer(width=8)},
    training=PathTraining(epochs=12, warmup_steps=2, stop_at=0.0),
)


@pytest.fixture
def three(monkeypatch):
    three = {name: Row(f"row {name}", 100, lambda device, limit: {}) for name in ("a", "b", "c")}
    monkeypatch.setattr(check, "ROWS", three)


def measured(asked, answers):
    def measure(name, limit):
        asked.append((name, limit))
        return answers[name]

    return measure


DONE = {"status": "measured", "numbers": {"float32, ms": 101.0}}
FAILED = {"status": "failed", "why": "it took more than 100 s"}
CUT = {"status": "unfinished", "numbers": {"epoch": 40, "seconds": 60.0}}


def test_without_a_card_it_says_so_and_writes_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(check, "HERE", tmp_path)
    assert check.main() == 0
    assert capsys.readouterr().out.startswith("No CUDA device, so nothing is measured")
    assert not list(tmp_path.iterdir())


def test_rows_are_written_one_by_one_and_only_what_is_missing_is_done_again(three, tmp_path):
    asked = []
    check.measure_all(CARD, tmp_path, measure=measured(asked, {"a": DONE, "b": FAILED, "c": CUT}))
    written = json.loads((tmp_path / "results.json").read_text())
    assert [row["status"] for row in written["rows"].values()] == ["measured", "failed", "unfinished"]
    shown = (tmp_path / "results.md").read_text()
    assert "NVIDIA H100 (85 GB), driver 580.1, torch 2.11.0, CUDA 13.0, geomem at 0123456789ab." in shown
    assert "| row a | measured | float32, ms: 101.0 |" in shown
    assert "| row b | failed | it took more than 100 s |" in shown
    assert asked == [("a", 100), ("b", 100), ("c", 100)]
    whole = {"status": "measured", "numbers": {"epoch": 90, "seconds": 30.0}}
    found = check.measure_all(CARD, tmp_path, measure=measured(asked, {"b": DONE, "c": whole}))
    assert [name for name, _ in asked[3:]] == ["b", "c"]
    assert found["rows"]["c"]["numbers"] == {"epoch": 90, "seconds": 90.0}


def test_another_card_or_code_begins_anew(three, tmp_path):
    asked = []
    (tmp_path / "runs").mkdir()
    measure = measured(asked, dict.fromkeys("abc", DONE))
    check.measure_all(CARD, tmp_path, measure=measure)
    assert not (tmp_path / "runs").exists()
    check.measure_all(CARD | {"source": "another"}, tmp_path, measure=measure)
    assert len(asked) == 6


def test_what_is_beyond_eight_minutes_is_not_begun(three, tmp_path):
    asked, now = [], iter([0.0, 1.0, 430.0, 470.0])
    measure = measured(asked, dict.fromkeys("abc", DONE))
    found = check.measure_all(CARD, tmp_path, measure=measure, clock=lambda: next(now))
    assert asked == [("a", 100), ("b", 50.0)]
    assert found["rows"]["c"] == {"status": "not reached"}
    assert "| row c | not reached |  |  |" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize(
    ("returned", "printed", "error", "found"),
    [
        (0, 'words\n{"ms": 2.0}\n', "", {"status": "measured", "numbers": {"ms": 2.0}}),
        (0, '{"ms": 2.0, "unfinished": true}\n', "", {"status": "unfinished", "numbers": {"ms": 2.0}}),
        (1, "", "Traceback\nRuntimeError: no\n", {"status": "failed", "why": "RuntimeError: no"}),
        (-9, "", "", {"status": "failed", "why": "it ended with status -9"}),
        (None, "", "", {"status": "failed", "why": "it took more than 7 s"}),
    ],
)
def test_a_row_that_fails_is_written_as_failed(monkeypatch, returned, printed, error, found):
    def run(command, **options):
        assert command[1:] == ["-m", "benchmarks.gpu.rows", "tests", "7"]
        if returned is None:
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return subprocess.CompletedProcess(command, returned, stdout=printed, stderr=error)

    monkeypatch.setattr(subprocess, "run", run)
    assert check.measure_row("tests", 7.4) == found


def test_steps_are_timed_in_every_way_that_the_code_has(monkeypatch):
    inside = []

    @contextmanager
    def uncaptured():
        inside.append(True)
        yield

    (model,) = PRESET.models.values()
    found = time_preset(PRESET, model, "cpu", precisions=("float32", "bfloat16"))
    assert {name.split(", ")[0] for name in found} == {"float32", "bfloat16"}
    assert found[next(iter(found))] > 0
    monkeypatch.setattr(rows.importlib, "import_module", lambda name: SimpleNamespace(uncaptured=uncaptured))
    found = time_preset(PRESET, model, "cpu")
    assert list(found) == ["float32, captured, ms", "float32, uncaptured, ms"]
    assert inside == [True]


def test_where_every_way_fails_the_row_fails(monkeypatch):
    def fail(job, device):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(rows, "time_steps", fail)
    with pytest.raises(RuntimeError, match="no such kernel"):
        time_preset(PRESET, PRESET.models["transformer"], "cpu")


def test_a_training_that_is_too_short_to_be_timed_says_so():
    with pytest.raises(RuntimeError, match="ended after 5 steps"):
        time_steps(edge_job("cycle", model="bilinear", training=Training(steps=5)), "cpu")


def test_whole_trainings_are_timed():
    found = time_trainings(edge_job("cycle", model="bilinear", training=Training(steps=3)), "cpu")
    assert list(found) == ["first call on cpu, s", "second call on cpu, s", "CPU threads"]


def test_a_preset_that_is_cut_goes_on(monkeypatch, tmp_path):
    def cut_short(*arguments, on_progress, **options):
        def tell(event):
            on_progress(event)
            if isinstance(event, Progress) and event.step:
                signal.raise_signal(signal.SIGINT)

        return find_paths(*arguments, on_progress=tell, **options)

    whole = train_preset(PRESET, "cpu", 1000.0, seeds=2, directory=tmp_path / "whole")
    assert whole["epoch"] == 12
    assert "unfinished" not in whole
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it for what runs behind
    try:
        with monkeypatch.context() as patched:
            patched.setattr(rows, "find_paths", cut_short)
            cut = train_preset(PRESET, "cpu", 1000.0, seeds=2, directory=tmp_path / "cut")
    finally:
        signal.signal(signal.SIGINT, former)
    assert (cut["epoch"], cut["unfinished"]) == (4, True)
    resumed = train_preset(PRESET, "cpu", 1000.0, seeds=2, directory=tmp_path / "cut")
    assert resumed | {"seconds": 0} == whole | {"seconds": 0}


def test_every_row_can_be_made():
    assert sum(row.seconds for row in ROWS.values()) < 3 * check.ALL_SECONDS
    assert {"paper-10000x6-fast", "paper-5000x5-fast"} <= PATH_PRESETS.keys()
    assert all(len(find_preset(name).models) == 1 for name in PATH_PRESETS if name.endswith("-fast"))
