"""Between program and person: output that nobody reads, control characters, failures, signals."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table
from rich.text import Text

from geomem.cli import main
from geomem.cli.console import open_console
from geomem.cli.failures import describe_failure
from geomem.cli.progress import RunTable
from geomem.cli.streams import escape_controls, guarded_streams
from geomem.models.configuration import Node2Vec
from geomem.runs.edges import memorize
from geomem.training.configuration import Training
from geomem.training.loop import Progress
from geomem.worlds.graphs.graph import Graph

HOSTILE = "\x1b]0;owned\x07\x1b[31m\u009b1m\u202e"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
TRAIN = ["memorize", "cycle", "--model", "node2vec", "--width", "4", "--steps", "30", "--seeds", "2"]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs the device that is always full")


# Output that nobody reads.


@pytest.fixture
def broken_streams(monkeypatch):
    """Put streams that nothing can be written to in the place of standard output, error or both."""
    opened = []

    def put(kind, *names):
        for name in names:
            if kind == "pipe":
                reader, writer = os.pipe()
                os.close(reader)
                opened.append(os.fdopen(writer, "w"))
            elif kind == "full":
                opened.append(FULL.open("w"))
            monkeypatch.setattr(sys, name, None if kind == "closed" else opened[-1])

    yield put
    for stream in opened:
        with suppress(OSError):
            stream.close()


@needs_full
@pytest.mark.parametrize("kind", ["full", "closed", "pipe"])
def test_a_training_whose_output_nobody_reads_ends_as_if_somebody_did(tmp_path, broken_streams, kind):
    assert main([*TRAIN, "--directory", str(tmp_path / "read")]) == 0
    broken_streams(kind, "stdout", "stderr")
    assert main([*TRAIN, "--directory", str(tmp_path / "unread")]) == 0
    (read,), (unread,) = (tmp_path / "read").iterdir(), (tmp_path / "unread").iterdir()
    for name in ("weights.safetensors", "snapshots.safetensors", "metrics.parquet"):
        assert (unread / name).read_bytes() == (read / name).read_bytes()


@needs_full
@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("worlds > /dev/full", 2, "Standard output could not be written (No space left on device)"),
        ("memorize --help > /dev/full", 2, "Standard output could not be written"),
        ("worlds --json | head -1", 0, ""),
        ("worlds 2>&1 >&- | head -0", 0, ""),
        ("worlds >&- 2>&-", 0, ""),
        ("nonsense 2>/dev/full", 2, ""),
        ("nonsense 2>&-", 2, ""),
        ("nonsense 2>&- | cat >&2", 2, ""),
    ],
)
def test_broken_outputs_leave_the_exit_status_right(command, status, said):
    """In a process of its own: nothing must fail while the interpreter ends."""
    script = f"{sys.executable} -m geomem {command}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == bool(said)


@needs_full
def test_a_path_that_cannot_be_printed_is_said_and_no_failure(tmp_path, broken_streams, capsys):
    broken_streams("full", "stdout")
    assert main([*TRAIN, "--quiet", "--directory", str(tmp_path)]) == 0
    said = "Standard output could not be written (No space left on device); everything else is done."
    assert capsys.readouterr().err == f"geomem: {said}\n"


# Control characters.


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    labels = tuple("abcdef")
    edges = np.array([(number, (number + 1) % 6) for number in range(6)])
    graph = Graph(labels=labels, edges=edges, name=f"x{HOSTILE}")
    directory = tmp_path_factory.mktemp(f"a{HOSTILE}")
    training = Training(steps=5, learning_rate=0.01)
    return memorize(graph, model=Node2Vec(width=4), training=training, seeds=2, directory=directory)


@pytest.mark.parametrize(
    "command",
    [
        ["measure", "RUN"],
        ["measure", "RUN", "--json"],
        ["measure", f"nowhere{HOSTILE}"],
        ["measure", "--embeddings", "RUN/world.json", "--graph", f"{HOSTILE}"],
        ["report", "RUN", "--out", "RUN"],
        ["memorize", HOSTILE],
        ["memorize", "cycle", "--width", HOSTILE],
        ["memorize", "cycle", f"--{HOSTILE}", "3"],
        ["memorize", "cycle", "--config", HOSTILE],
        ["ask", "RUN", HOSTILE, HOSTILE],
        ["sweep", HOSTILE, "--over", f"{HOSTILE}=1,2"],
        ["sweep", "cycle", "--over", f"{HOSTILE}=1,2"],
        ["construct", HOSTILE],
        ["reproduce", HOSTILE],
        ["reproduce", "--json", HOSTILE, "--out", "RUN"],
        ["demo", "--directory", "RUN/world.json"],
        [HOSTILE],
    ],
    ids=lambda command: " ".join(command).encode("unicode_escape").decode(),
)
def test_no_control_character_reaches_the_terminal(hostile_run, capfd, command):
    main([part.replace("RUN", str(hostile_run.path)) for part in command])
    printed = capfd.readouterr()
    assert printed.out + printed.err
    assert not RAW.search(printed.out + printed.err)
    assert "Traceback" not in printed.err


def test_a_damaged_run_of_a_hostile_name_is_named_in_escapes(hostile_run, capfd, tmp_path):
    copy = tmp_path / f"b{HOSTILE}"
    copy.mkdir()
    for file in hostile_run.path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes()[:-5])
    assert main(["measure", str(copy)]) == 2
    said = capfd.readouterr().err
    assert "\\x1b" in said
    assert not RAW.search(said)


def test_json_keeps_labels_that_have_control_characters(capsys):
    with guarded_streams():
        print(json.dumps({"label": HOSTILE}, ensure_ascii=False))
    printed = capsys.readouterr().out
    assert not RAW.search(printed)
    assert json.loads(printed) == {"label": HOSTILE}


def test_rich_keeps_its_own_codes_and_no_others():
    shown = io.StringIO()
    console = open_console(file=shown, force_terminal=True, width=100, color_system="standard")
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(Text(HOSTILE, style="red"))
    console.print(table)
    console.print(f"[bold]{HOSTILE}")
    written = shown.getvalue()
    assert "\x1b[31m" in written  # rich's red
    assert not re.search(r"\x1b(?!\[[0-9;]*m)", written)
    assert not RAW.search(re.sub(r"\x1b\[[0-9;]*m", "", written))
    assert "[bold]" in written


def test_a_live_table_shows_escapes(hostile_run, tmp_path):
    shown = io.StringIO()
    console = open_console(file=shown, force_terminal=True, width=100)
    with RunTable(console=console) as table:
        memorize(
            hostile_run.graph,
            model=Node2Vec(width=4),
            training=Training(steps=3),
            seeds=1,
            directory=tmp_path,
            on_progress=table.show,
        )
    assert "owned" in shown.getvalue()
    assert not re.search(r"\x1b\]|\x9b|\u202e|\x07", shown.getvalue())


def test_line_ends_tabs_and_every_script_stay():
    text = "Österreich\t日本\nاليمن\u200f \u200d🏳️\u200d🌈"
    assert escape_controls(text) == text


# Failures.


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "a/b"), "a/b could not be used (Permission denied)"),
        (OSError(28, "No space left on device"), "The disk became full; free some space"),
        (MemoryError(), "The memory did not suffice (MemoryError)"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes."),
            "The memory did not suffice (can't allocate memory: you tried 8 bytes.)",
        ),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 3.00 GiB. See below."),
            "The card's memory did not suffice (Tried to allocate 2.00 GiB); end other programs",
        ),
        (RecursionError("maximum recursion depth exceeded"), "nested deeper"),
        (UnicodeEncodeError("utf-8", "\udcfc", 0, 1, "surrogates not allowed"), "not valid UTF-8"),
        (OverflowError("int too large to convert to float"), "A number is greater than"),
        (ValueError("embedded null byte"), "null character"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_of_the_system_are_one_sentence(monkeypatch, capsys, error, said):
    def fail(arguments):
        raise error

    monkeypatch.setattr("geomem.cli.worlds.run", fail)
    assert main(["worlds"]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_errors_of_libraries_that_read_files_are_one_sentence(tmp_path):
    import polars
    import safetensors.numpy

    (tmp_path / "broken").write_bytes(b"broken")
    for read in (polars.read_parquet, safetensors.numpy.load_file):
        with pytest.raises(Exception) as caught:  # whatever the library raises  # noqa: PT011
            read(tmp_path / "broken")
        assert "cannot be read" in describe_failure(caught.value)


def test_a_defect_of_geomem_keeps_its_traceback(monkeypatch, capsys):
    def fail(arguments):
        raise KeyError(HOSTILE)

    monkeypatch.setattr("geomem.cli.worlds.run", fail)
    assert main(["worlds"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("geomem: This is a defect of geomem; please report it with the lines above.\n")
    assert not RAW.search(said)


# Signals.


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_job_that_is_ended_leaves_a_checkpoint(tmp_path, capsys, monkeypatch, number):
    command = [*TRAIN, "--directory", str(tmp_path), "--metric-every", "10"]

    def end(self, event):
        if isinstance(event, Progress) and event.step == 10:
            signal.raise_signal(number)

    # A test run behind nohup ignores it, and so would the training.
    former = signal.signal(number, signal.SIG_DFL)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(RunTable, "show", end)
            assert main(command) == 130
    finally:
        assert signal.signal(number, former) is signal.SIG_DFL
    assert "interrupted; the same command goes on from step 11 of 30" in capsys.readouterr().err
    assert main(command) == 0
    assert "going on from the checkpoint at step 11" in capsys.readouterr().err


# Places.


@pytest.mark.parametrize(
    "command",
    [
        [*TRAIN, "--directory", "PLACE"],
        ["sweep", "cycle", "--over", "width=2,3", "--steps", "3", "--directory", "PLACE"],
        ["construct", "countries", "--out", "PLACE/m"],
        ["demo", "--out", "PLACE/a.html"],
        ["reproduce", "zigzag", "--json", "PLACE/a.json", "--directory", "PLACE"],
        ["capacity", "--out", "PLACE/a.svg", "--directory", "PLACE"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("kind", ["not UTF-8", "too long", "a file", "a device"])
def test_places_that_will_not_do_are_refused_before_the_work(tmp_path, capsys, command, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("stays")
    place = {"not UTF-8": "M\udcfcller", "too long": "a" * 300, "a file": "taken", "a device": "/dev/null"}
    assert main([part.replace("PLACE", place[kind]) for part in command]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[-1].startswith("geomem: ")
    assert len(lines) == 1 or "countries" in command  # whose notes come first
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert (tmp_path / "taken").read_text() == "stays"


def test_a_value_of_any_length_is_shown_by_its_beginning(tmp_path, capsys):
    (tmp_path / "long.toml").write_text(f'world = "cycle"\nmodel = "{"x" * 100_000}"\n')
    assert main(["memorize", "--config", str(tmp_path / "long.toml")]) == 2
    sentence = capsys.readouterr().err
    assert "xxx…" in sentence
    assert len(sentence) < 4000
