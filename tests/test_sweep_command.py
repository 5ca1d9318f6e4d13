"""`geomem sweep` on the command line: diagrams in three formats, Ctrl-C, one sentence for bad input."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest

from geomem.cli import main
from geomem.cli.sweep import read_axis
from geomem.errors import InputError
from geomem.figures.phases import phase_diagram, tabulate_phases

SMALL = ["--model", "bilinear", "--width", "8", "--steps", "20", "--quiet", "--processes", "1"]
TWO_AXES = ["--over", "learning-rate=1e-3:1e-1:3:log", "--over", "weight-decay=0,1"]


@pytest.fixture
def table():
    """Three learning rates by two weight decays by two seeds; one cell diverged, one failed to memorise."""
    rows = [
        {
            "learning_rate": rate,
            "weight_decay": decay,
            "seed": seed,
            "associative_accuracy": 0.9 if rate == 0.1 else 1.0,
            "geometric_level": float("nan") if (rate, decay) == (0.1, 1.0) else rate + seed,
            "fiedler_alignment": float("nan") if (rate, decay) == (0.1, 1.0) else 0.5,
            "reading": "mixed",
        }
        for rate in (0.001, 0.01, 0.1)
        for decay in (0.0, 1.0)
        for seed in (0, 1)
    ]
    return pl.DataFrame(rows)


def test_cells_are_means_over_seeds(table):
    cells = tabulate_phases(table, "learning_rate", "weight_decay")
    assert len(cells) == 6
    cell = cells.filter(learning_rate=0.01, weight_decay=1.0)
    assert cell["geometric_level"].item() == pytest.approx(0.51)
    assert cell["memorized"].item() == 1.0
    diverged = cells.filter(learning_rate=0.1, weight_decay=1.0)
    assert diverged["geometric_level"].item() is None
    assert diverged["memorized"].item() == 0.0


def test_the_diagram_shows_every_cell_and_hatches_what_failed(table):
    figure = phase_diagram(table, "learning_rate", "weight_decay")
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == ["geometric level", "Fiedler alignment"]
    for axes in panels:
        values = np.ma.filled(axes.images[0].get_array().astype(float), np.nan)
        assert values.shape == (2, 3)
        assert np.isnan(values).sum() == 1
        (hatching,) = axes.collections
        centres = sorted(tuple(path.vertices[:4].mean(axis=0)) for path in hatching.get_paths())
        assert centres == [(2.0, 0.0), (2.0, 1.0)]
    level = panels[0].images[0]
    assert (level.norm.vmin, level.norm.vmax) == (-1.0, 1.0)
    assert np.ma.filled(level.get_array(), np.nan)[0] == pytest.approx([0.501, 0.51, 0.6])


def test_columns_that_do_not_exist_or_are_words(table):
    with pytest.raises(InputError, match="no column 'learning_rat'; did you mean learning_rate"):
        phase_diagram(table, "learning_rat", "weight_decay")
    with pytest.raises(InputError, match="x and y are both"):
        phase_diagram(table, "weight_decay", "weight_decay")
    with pytest.raises(InputError, match="holds words"):
        phase_diagram(table, "learning_rate", "weight_decay", ["reading"])


def test_axes_of_the_command_line():
    assert read_axis("learning-rate=0:1:3") == ("learning_rate", [0.0, 0.5, 1.0])
    assert read_axis("--schedule=cosine,constant") == ("schedule", ["cosine", "constant"])
    for text in (
        "width",
        "width=",
        "=8",
        "width=1:2",
        "width=1:2:1",
        "width=1:2:2:lin",
        "width=2:1:5",
        "width=0:1:5:log",
        "width=1:nan:5",
        "width=a:b:c",
        "width=1:2:3:log:4",
        "width=1:2:99999",
    ):
        with pytest.raises(InputError, match="The axis"):
            read_axis(text)


def test_a_sweep_ends_in_a_page_and_in_figures(tmp_path, capsys):
    command = ["sweep", "path-star", "--arms", "3", *TWO_AXES, *SMALL, "--directory", str(tmp_path)]
    page = tmp_path / "out" / "phase.html"
    assert main([*command, "--out", str(page)]) == 0
    path, said = capsys.readouterr().out.splitlines()
    assert said == str(page)
    assert len(list((tmp_path / os.path.basename(path)).glob("fleet-*.parquet"))) == 1
    html = page.read_text()
    assert html.count("<tr>") == 7
    assert "learning rate" in html
    assert "<pattern" in html
    assert set(re.findall(r'(?:src|href)="(data:|#|)', html)) <= {"data:", "#"}
    assert main([*command, "--out", str(tmp_path / "phase.svg")]) == 0
    assert {file.suffix for file in tmp_path.glob("phase.*")} == {".svg", ".pdf", ".csv"}
    assert len(pl.read_csv(tmp_path / "phase.csv")) == 6


def test_several_worlds_are_an_axis(tmp_path, capsys):
    command = ["sweep", "cycle", "grid", "--over", "learning-rate=0.01,0.1", *SMALL]
    assert main([*command, "--directory", str(tmp_path), "--out", str(tmp_path / "a.svg")]) == 0
    cells = pl.read_csv(tmp_path / "a.csv")
    assert cells["world"].unique(maintain_order=True).to_list() == ["cycle-15", "grid-4-4"]


def test_what_is_averaged_over_is_said(tmp_path, capsys):
    command = ["sweep", "cycle", *TWO_AXES, "--over", "scale=1,2", *SMALL, "--seeds", "2"]
    page = tmp_path / "a.html"
    assert main([*command, "--directory", str(tmp_path), "--out", str(page)]) == 0
    assert "bilinear on cycle-15, 20 steps; mean over scale and seed" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give a world first"),
        (["path-stra", *TWO_AXES], "did you mean path-star"),
        (["cycle"], "Give an axis"),
        (["cycle", *TWO_AXES, "--over", "weight-decay=2,3"], "The same axis is given twice"),
        (["cycle", "--over", "width=8,16", "--out", "a.html"], "has two axes"),
        (["cycle", *TWO_AXES, "--out", "a.png"], "ends in .html, .svg or .pdf"),
        (["cycle", *TWO_AXES, "--x", "width"], "'width' is no axis of this sweep"),
        (["cycle", *TWO_AXES, "--model", "lstm"], "'lstm' is not a model"),
        (["cycle", *TWO_AXES, "--stepz", "3"], "did you mean --steps"),
        (["cycle", "--over", "heads=1,3"], "heads must divide width"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals to a process group")
def test_ctrl_c_leaves_a_sweep_that_goes_on(tmp_path, capsys):
    sweep = ["sweep", "cycle", "--model", "bilinear", "--over", "width=4:7:4", "--steps", "600"]
    sweep += ["--directory", str(tmp_path), "--seeds", "4"]
    command = [sys.executable, "-m", "geomem", *sweep, "--processes", "2"]
    # A program started behind a shell ignores Ctrl-C, and so would what it starts.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, former)
    with process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("*/fleet-*.parquet")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    kept = list(tmp_path.glob("*/fleet-*.parquet"))
    assert process.returncode == 130, said
    assert re.search(r"geomem: interrupted; \d of 4 fleets are kept, and the same command goes on\n$", said)
    assert "Traceback" not in said
    assert 1 <= len(kept) < 4
    assert not list(tmp_path.glob("*/*.partial"))
    times = {path: path.stat().st_mtime_ns for path in kept}
    assert main([*sweep, "--processes", "1"]) == 0
    assert f"{len(kept)} of them kept from before" in capsys.readouterr().err
    assert len(list(tmp_path.glob("*/fleet-*.parquet"))) == 4
    assert all(path.stat().st_mtime_ns == time_before for path, time_before in times.items())
