"""`on_progress=geomem.progress`: a bar that a notebook or a terminal draws again, lines elsewhere."""

import io
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

import geomem
from geomem.cli import bar
from geomem.training.configuration import RecallTraining, Training
from geomem.worlds.facts.families import random_bijections
from handmade_fleets import hostile_graph


@pytest.fixture(autouse=True)
def drawn_at_once(monkeypatch):
    monkeypatch.setattr(bar, "REDRAWN_SECONDS", -1.0)
    monkeypatch.setattr(bar, "LINE_SECONDS", -1.0)


@pytest.fixture
def notebook(monkeypatch):
    """A kernel that keeps what is displayed: lists of contents, one per display."""
    shown = []

    def display(content, *, raw, display_id):
        assert raw
        assert display_id
        shown.append([content])
        own = shown[-1]
        return SimpleNamespace(update=lambda content, raw: own.append(content))

    inner, outer = ModuleType("IPython.display"), ModuleType("IPython")
    inner.display = display
    outer.display, outer.get_ipython = inner, lambda: SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", outer)
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    return shown


def train(folder, world="cycle", steps=20):
    training = Training(steps=steps, metric_every=5)
    return geomem.memorize(
        world, model="node2vec", training=training, seeds=2, directory=folder, on_progress=geomem.progress
    )


def test_a_notebook_gets_one_bar_per_training(notebook, tmp_path):
    train(tmp_path)
    train(tmp_path)
    assert len(notebook) == 2
    first, again = notebook
    assert 'aria-valuenow="0.0"' in first[0]["text/html"]
    assert 'aria-valuenow="100.0"' in first[-1]["text/html"]
    assert "node2vec, 2 runs: step 20/20" in first[-1]["text/plain"]
    assert first[-1]["text/plain"].endswith("done")
    assert len(first) > 2
    (kept,) = again
    assert "already trained" in kept["text/html"]


def test_names_in_a_bar_stay_text(notebook, tmp_path):
    train(tmp_path, hostile_graph())
    for content in notebook[0]:
        assert "<i>" not in content["text/html"]
        assert "&lt;i&gt;hostile" in content["text/html"]
        assert "<script" not in content["text/html"]


def test_facts_have_a_bar_too(notebook, tmp_path):
    geomem.learn_facts(
        random_bijections(8, 2),
        training=RecallTraining(steps=30, metric_every=5),
        seeds=[0],
        directory=tmp_path,
        on_progress=geomem.progress,
    )
    assert "recall" in notebook[0][-1]["text/plain"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_writes_over_its_line(monkeypatch, tmp_path):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train(tmp_path)
    lines = terminal.getvalue().split("\r")
    assert lines[1].startswith("--------------------")
    assert lines[-1].startswith("####################")
    assert terminal.getvalue().count("\n") == 1


def test_elsewhere_lines_are_written(tmp_path, capsys):
    train(tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 2
    assert lines[-1].endswith("done")


def test_nothing_imports_ipython():
    code = "import sys, geomem; geomem.progress; sys.exit('IPython' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
