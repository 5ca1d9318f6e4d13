"""What people type wrong: one sentence on standard error, status 2, no traceback, nothing half-written."""

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from geomem.cli import main
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.models.configuration import Bilinear
from geomem.runs.edges import memorize
from geomem.runs.run import WEIGHTS, read_run
from geomem.training.configuration import Training
from geomem.worlds.graphs.families import path, path_star

MEMORIZE = ["--model", "node2vec", "--width", "4", "--steps", "3", "--seeds", "2"]


@pytest.fixture
def refused(capfd):
    """Run a command that must fail in one sentence; give the sentence."""

    def check(*arguments):
        assert main([str(argument) for argument in arguments]) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("geomem: ")
        assert printed.err.count("\n") == 1
        assert printed.err.rstrip().endswith((".", "?"))
        assert "Traceback" not in printed.err
        return printed.err.removeprefix("geomem: ").rstrip()

    return check


@pytest.fixture
def accepted(capfd, tmp_path):
    """Memorise a file that is fine after all; give the fleet and what was said."""

    def check(path):
        assert main(["memorize", str(path), *MEMORIZE, "--directory", str(tmp_path / "runs")]) == 0
        printed = capfd.readouterr()
        return read_run(printed.out.strip()), printed.err

    return check


@pytest.fixture
def fleet(tmp_path):
    return memorize(
        path_star(3, 3),
        model=Bilinear(width=6),
        training=Training(steps=20),
        seeds=2,
        directory=tmp_path / "runs",
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", r"edges.tsv is empty; give one edge per line"),
        (b"# nothing but a comment\n\n", r"edges.tsv has only comments .line 1 is .*; give both ends"),
        (b"a\tb\nc\nd\te\n", r"^Line 2 of .*edges.tsv has 1 column and most lines have 2 .*; give both ends"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", r"edges.tsv is a binary file"),
        (bytes(range(128, 256)), r"edges.tsv .*UTF-8"),
        (b"a\ta\nb\tb\n", r"no edge between two different nodes"),
    ],
    ids=["empty", "comments", "one-column", "binary", "not-utf8", "self-loops-only"],
)
def test_files_that_hold_no_graph(refused, tmp_path, content, complaint):
    path = tmp_path / "edges.tsv"
    path.write_bytes(content)
    sentence = refused("memorize", path, *MEMORIZE, "--directory", tmp_path / "runs")
    assert re.search(complaint, sentence), sentence
    assert not (tmp_path / "runs").exists()
    np.save(tmp_path / "vectors.npy", np.eye(3))
    assert re.search(complaint, refused("measure", "--embeddings", tmp_path / "vectors.npy", "--graph", path))


def test_a_missing_file(refused, tmp_path):
    sentence = refused("memorize", tmp_path / "edges.tsv", "--directory", tmp_path / "runs")
    assert "edges.tsv' is neither a built-in world nor a file that exists; `geomem worlds` lists" in sentence
    assert refused("memorize", "eurpoe") == (
        "'eurpoe' is neither a built-in world nor a file that exists; did you mean europe?"
    )


def test_a_directory_in_place_of_a_file(refused, tmp_path):
    assert "is a directory" in refused("memorize", tmp_path)


def test_a_graph_file_without_an_edge(refused, tmp_path):
    path = tmp_path / "lonely.gml"
    path.write_text('graph [\n node [ id 0 label "a" ]\n node [ id 1 label "b" ]\n]\n')
    assert "no edge between two different nodes" in refused("memorize", path, "--directory", tmp_path)


def test_duplicate_edges_are_merged_and_said(accepted, tmp_path):
    path = tmp_path / "edges.tsv"
    path.write_text("a\tb\nb\tc\nb\ta\na\tb\nc\tc\n")
    fleet, said = accepted(path)
    assert fleet.graph.edge_count == 2
    assert re.search(r"edges: .*2.*(repeat|duplicate|twice|merged)", said), said
    assert re.search(r"self-", said), said


def test_a_disconnected_graph_is_accepted_said_and_measured_per_component(accepted, tmp_path, capfd):
    edges = tmp_path / "edges.tsv"
    edges.write_text("a\tb\nb\tc\nc\td\nx\ty\ny\tz\n")
    fleet, said = accepted(edges)
    assert re.search(r"2 (connected )?components", said), said
    assert main(["measure", str(fleet.path), "--json"]) == 0
    spectrum = json.loads(capfd.readouterr().out)["spectrum"]
    alone = np.concatenate([laplacian_spectrum(path(nodes)).eigenvalues for nodes in (4, 3)])
    np.testing.assert_allclose(spectrum["eigenvalues"], np.sort(alone), atol=1e-12)


def test_labels_with_html_stay_text(accepted, tmp_path):
    path = tmp_path / "edges.tsv"
    evil = "<script>alert('x')</script>"
    path.write_text(f"{evil}\t<img src=x onerror=alert(1)>\n{evil}\t[bold]b[/bold]\n[/red]\t{evil}\n")
    fleet, _ = accepted(path)
    assert evil in fleet.graph.labels
    out = tmp_path / "report.html"
    assert main(["report", str(fleet.path), "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert evil not in page
    assert "<img src=x" not in page
    assert main(["measure", str(fleet.path)]) == 0


def test_a_width_that_heads_do_not_divide(refused, tmp_path):
    sentence = refused(
        "memorize",
        "cycle",
        "--model",
        "transformer",
        "--width",
        "10",
        "--heads",
        "3",
        "--directory",
        tmp_path,
    )
    assert sentence == "width is 10 and heads is 3; heads must divide width, for example heads 2."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "metrics.parquet", "manifest.json", "world.json", "DONE"]
)
@pytest.mark.parametrize("verb", ["measure", "report", "memorize"])
def test_a_run_directory_that_is_truncated(refused, fleet, name, verb):
    path = fleet.path / name
    path.write_bytes(path.read_bytes()[:-20])
    again = [
        "path-star",
        "--arms",
        "3",
        "--length",
        "3",
        "--model",
        "bilinear",
        "--width",
        "6",
        "--steps",
        "20",
    ]
    again += ["--seeds", "2", "--directory", fleet.path.parent, "--quiet"]
    sentence = refused(verb, *(again if verb == "memorize" else [fleet.path]))
    assert name in sentence
    assert "is damaged" in sentence
    assert f"delete the directory {fleet.path}" in sentence


def test_a_run_directory_without_its_weights_or_unfinished(refused, fleet):
    (fleet.path / WEIGHTS).unlink()
    assert "weights.safetensors is damaged (it is missing)" in refused("measure", fleet.path)
    (fleet.path / "DONE").unlink()
    assert "is unfinished" in refused("measure", fleet.path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vectors.txt", "15 2\n0 1 2\n"),
        ("vectors.csv", "a,1\nb\n"),
        ("vectors.npz", "PK"),
        ("vectors.safetensors", "{}"),
        ("vectors.pt", "PK"),
        ("vectors.txt", "\x1b]0;owned\x07 1 2\nb 3 4\n"),
    ],
)
def test_vectors_that_cannot_be_read(refused, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert "\x1b" not in refused("measure", "--embeddings", tmp_path / name, "--graph", "cycle")


def test_options_of_a_file_or_a_world_in_the_wrong_place(refused, fleet, tmp_path):
    np.save(tmp_path / "vectors.npy", np.ones((15, 3)))
    given = ["measure", "--embeddings", tmp_path / "vectors.npy", "--graph"]
    assert "--separator is about files, and 'cycle' is a built-in world" in refused(
        *given, "cycle", "--separator", "tab"
    )
    assert "go with --graph FILE" in refused("measure", fleet.path, "--separator", "tab")
    assert "--labels, --array and --aliases are about --embeddings" in refused(
        "measure", fleet.path, "--labels", "labels.txt"
    )
    assert "did you mean cycle?" in refused(*given, "cylce")


def test_embeddings_whose_rows_do_not_match(refused, tmp_path):
    np.save(tmp_path / "vectors.npy", np.ones((7, 3)))
    sentence = refused("measure", "--embeddings", tmp_path / "vectors.npy", "--graph", "cycle")
    assert "7 rows" in sentence
    assert "15 nodes" in sentence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_not_finite(refused, tmp_path, value):
    vectors = np.random.default_rng(0).normal(size=(15, 3))
    vectors[4, 1] = value
    np.save(tmp_path / "vectors.npy", vectors)
    assert "NaN or infinity" in refused(
        "measure", "--embeddings", tmp_path / "vectors.npy", "--graph", "cycle"
    )


@pytest.mark.parametrize(
    "array",
    [np.array(["a", "b"]), np.ones(15), np.ones((2, 2, 15, 3)), np.ones((15, 3), dtype=complex)],
    ids=["text", "one-axis", "four-axes", "complex"],
)
def test_arrays_that_are_no_embeddings(refused, tmp_path, array):
    np.save(tmp_path / "vectors.npy", array)
    sentence = refused("measure", "--embeddings", tmp_path / "vectors.npy", "--graph", "cycle")
    assert "give real numbers of shape [node, width], or [run, node, width]" in sentence


@pytest.mark.parametrize("content", [b"", b"1,2,3\n", b"\x93NUMPY\x01\x00"])
def test_files_that_are_no_arrays(refused, tmp_path, content):
    (tmp_path / "vectors.npy").write_bytes(content)
    sentence = refused("measure", "--embeddings", tmp_path / "vectors.npy", "--graph", "cycle")
    assert "not a complete .npy file of numbers" in sentence


def test_pickled_embeddings_are_never_loaded(refused, tmp_path):
    marker = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(marker),))

    np.save(tmp_path / "vectors.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    refused("measure", "--embeddings", tmp_path / "vectors.npy", "--graph", "cycle")
    assert not marker.exists()


def test_measure_needs_one_thing_to_measure(refused, fleet, tmp_path):
    expected = "Give either a run directory, or --embeddings with --graph."
    assert refused("measure") == expected
    assert refused("measure", "--graph", "cycle") == expected
    assert refused("measure", fleet.path, "--graph", "cycle") == expected
    assert "There is no file" in refused(
        "measure", "--embeddings", tmp_path / "missing.npy", "--graph", "cycle"
    )


def test_not_enough_disk(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    sentence = refused("memorize", "cycle", *MEMORIZE, "--directory", tmp_path / "runs", "--quiet")
    assert re.search(r"needs .* of disk but 1.0 kB are free; free some space", sentence), sentence
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_disk_that_fills_while_writing(refused, tmp_path, monkeypatch):
    """The operating system's own error, from a device that is always full."""
    from geomem.runs import directory

    def full(arrays, path, metadata=None):
        Path(path).write_bytes(b"x")
        with open("/dev/full", "wb") as device:
            device.write(b"x" * 100_000)

    monkeypatch.setattr(directory, "save_file", full)
    sentence = refused("memorize", "cycle", *MEMORIZE, "--directory", tmp_path, "--quiet")
    assert re.search(r"The disk became full while .*weights.safetensors was written; free", sentence)
    (path,) = tmp_path.iterdir()
    assert not list(path.glob("*.partial"))
    assert not (path / "DONE").exists()


def test_not_enough_memory(refused, tmp_path):
    sentence = refused("memorize", "cycle", "--width", "4000000", "--directory", tmp_path)
    assert re.search(r"needs about .* of memory, .* are free; use fewer seeds", sentence), sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["memorise"], r"^'memorise' is not a verb; did you mean memorize\?$"),
        (["memorize"], r"^Give a world first"),
        (["memorize", "--model", "node2vec"], r"^Give a world first"),
        (
            ["memorize", "cycle", "--model", "transfomer"],
            r"^'transfomer' is not a model; did you mean transformer\?$",
        ),
        (["memorize", "cycle", "--stesp", "3"], r"--stesp.*did you mean --steps\?"),
        (["memorize", "cycle", "--arms", "3"], r"--arms"),
        (["memorize", "cycle", "--nodes", "many"], r"error parsing --nodes.*'many'"),
        (["memorize", "cycle", "--nodes"], r"missing value for argument '--nodes'"),
        (["memorize", "cycle", "--directions", "up"], r"'up'.*both.*forward.*reverse"),
        (["memorize", "cycle", "--seeds", "0"], r"^seeds is 0; give a count"),
        (["memorize", "cycle", "--steps", "-3"], r"^steps is -3; give a whole number"),
        (["memorize", "cycle", "--learning-rate", "nan"], r"^learning_rate is nan; give a finite number"),
        (["memorize", "cycle", "--nodes", "2"], r"nodes|cycle"),
        (["memorize", "cycle", "--device", "cuda:99"], r"^device is 'cuda:99'; give cpu"),
        (["measure", "nowhere"], r"^nowhere does not exist; give a run directory"),
        (["report"], r"[Gg]ive one run directory|runs"),
        (["report", "nowhere"], r"^nowhere does not exist; give a run directory"),
        (["worlds", "all"], r"all"),
        (["demo", "--seeds", "none"], r"error parsing --seeds"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands_that_cannot_be_meant(refused, arguments, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sentence = refused(*arguments)
    assert re.search(complaint, sentence), sentence
    assert list(tmp_path.iterdir()) == []


def test_the_real_command_line_ends_in_status_2_without_a_traceback(tmp_path):
    """Once through a process of its own, in an environment without UTF-8."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "geomem", "memorize", "cycle", "--widht", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("geomem: ")
    assert "did you mean --width?" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_training_that_diverges_is_said(refused, tmp_path, capfd):
    arguments = ["memorize", "cycle", "--model", "node2vec", "--learning-rate", "1e9", "--steps", "20"]
    assert main([*arguments, "--directory", str(tmp_path)]) == 0
    printed = capfd.readouterr()
    assert "3 of 3 runs diverged (loss is NaN or infinite); try a smaller --learning-rate" in printed.err
    assert "NaN or infinity" in refused("measure", printed.out.strip())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminals_without_unicode_get_escapes_and_no_failure(tmp_path, encoding):
    (tmp_path / "ö.tsv").write_text("Österreich\t日本\n日本\tX\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for arguments in (["worlds"], ["memorize", "ö.tsv", *MEMORIZE]):
        command = [sys.executable, "-m", "geomem", *arguments]
        done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False)
        assert done.returncode == 0
        assert b"Traceback" not in done.stderr


def test_no_warning_is_shown_to_people(fleet, capfd):
    """Measuring a trained fleet must not greet its user with warnings of libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["measure", str(fleet.path)]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["memorize", "cycle", "--layers", "1000000000"], r"^layers is 1000000000; .* at most 10,000\.$"),
        (
            ["memorize", "cycle", "--seeds", "1000000000"],
            r"^There are 1,000,000,000 seeds; .* at most 100,000\.$",
        ),
        (["memorize", "cycle", "--width", "9" * 20], r"^width is 9+; give .* at most 1,000,000,000\.$"),
        (["memorize", "cycle", "--steps", "1" + "0" * 18], r"^steps is 10+; give .* at most 1,000,"),
        (["memorize", "cycle", "--snapshots", "9" * 20], r"^snapshots is 9+; give .* at most"),
        (["memorize", "cycle", "--steps", "9" * 5000], r"^error parsing --steps: "),
        (["demo", "--seeds", "1000000000"], r"^seeds is 1000000000; "),
        (["sweep", "cycle", "--over", "width=2,3", "--seeds", "1000000000"], r"^seeds is 1000000000; "),
        (["reproduce", "race", "--seeds", "1000000000"], r"^seeds is 1000000000; "),
        (["capacity", "--seeds", "10000000"], r"^seeds is 10000000; "),
        (["capacity", "--layers", "100000000"], r"^layers is 100000000; "),
        (["paths", "path-star", "--layers", "100000000"], r"^layers is 100000000; "),
        (["paths", "path-star", "--seeds", "1000000000"], r"^There are 1,000,000,000 seeds; "),
        (["paths", "in-context", "--arms", "1000000000"], r"^arms is 1000000000; "),
        (["learn", "random-permutations", "--hops", "1000000"], r"^hops is 1000000; .* 1 to 100\.$"),
        (["learn", "countries", "--seeds", "1000000000"], r"^seeds is 1000000000; "),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_sizes_that_no_machine_has_are_refused_at_once(refused, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    sentence = refused(*arguments)
    assert re.search(complaint, sentence), sentence
    assert list(tmp_path.iterdir()) == []


def test_sizes_of_options_are_refused_before_torch_is_imported():
    code = "import sys; from geomem.cli import main; main(['memorize', 'cycle', '--layers', '1000000000']);"
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=False)
    assert done.returncode == 0
