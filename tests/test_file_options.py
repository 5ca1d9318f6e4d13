"""What a person says about a file on the command line decides, and is refused where there is no file."""

from pathlib import Path

import pytest

from geomem.cli import main
from geomem.errors import InputError
from geomem.worlds.find import find_facts, find_world

QUICK = ["--steps", "3", "--seeds", "1", "--model", "node2vec"]
FACTS = "Alda\tborders\tBruna\nBruna\tborders\tCorra\nCorra\tmember of\tUnion\n"


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder: exit status and standard error."""
    monkeypatch.chdir(tmp_path)
    Path("facts.tsv").write_text(FACTS)
    Path("mutual.tsv").write_text("Ada\tBen\nBen\tAda\nBen\tCleo\nCleo\tDan\nDan\tCleo\nDan\tAda\n")
    Path("star.txt").write_text("0 1\n1 2\n0 3\n3 4\n0 5\n5 6\n0 7\n7 8\n")

    def run(*arguments):
        status = main(list(arguments))
        return status, capsys.readouterr().err

    return run


def test_what_was_understood_is_said_once(ask):
    status, said = ask("memorize", "mutual.tsv", "--directions", "forward", *QUICK)
    assert status == 0
    assert said.count("4 nodes, 4 edges from columns 1 and 2, separator tab, header no") == 1
    assert "first edge Ada – Ben" in said
    assert "4 nodes, 6 facts" in said


def test_options_decide(ask):
    status, said = ask("memorize", "facts.tsv", *QUICK)
    assert status == 2
    assert "--relation NAME" in said
    assert (
        "relation borders; first edge Alda – Bruna"
        in ask("memorize", "facts.tsv", "--relation", "borders", *QUICK)[1]
    )
    assert "columns 3 and 1" in ask("memorize", "facts.tsv", "--columns", "3,1", *QUICK)[1]
    assert "header yes" in ask("memorize", "mutual.tsv", "--header", *QUICK)[1]
    assert "header no;" in ask("memorize", "mutual.tsv", "--no-header", *QUICK)[1]
    assert "contradict" in ask("memorize", "mutual.tsv", "--no-header", "--header", *QUICK)[1]
    Path("run.toml").write_text(
        "world = 'facts.tsv'\nrelation = 'all'\nheader = false\nsteps = 3\nseeds = 1\n"
    )
    assert (
        "2 relations (borders, member of)"
        in ask("memorize", "--config", "run.toml", "--model", "node2vec")[1]
    )


def test_a_star_of_a_file_has_a_root(ask):
    training = [
        "--epochs=1",
        "--seeds=1",
        "--batches=1",
        "--warmup-steps=0",
        "--layers=1",
        "--width=8",
        "--heads=2",
    ]
    status, said = ask("paths", "star.txt", *training)
    assert status == 0, said
    assert "9 nodes, 8 edges" in said
    assert "0 was taken for the root" in said
    status, said = ask("paths", "star.txt", "--root", "7", *training)
    assert (status, "different distances" in said) == (2, True)
    assert "did you mean 7" in ask("paths", "star.txt", "--root", "77", *training)[1]


def test_sweeps_take_files(ask):
    status, said = ask("sweep", "facts.tsv", "--relation", "all", "--over", "learning-rate=0.01,0.1", *QUICK)
    assert status == 0
    assert "facts: 4 nodes, 3 edges from columns 1 and 3" in said


@pytest.mark.parametrize("verb", ["memorize", "paths", "sweep"])
@pytest.mark.parametrize(
    "option", [["--separator", "tab"], ["--header"], ["--relation=all"], ["--root", "0"]]
)
def test_a_built_in_world_has_no_layout(ask, verb, option):
    status, said = ask(verb, "path-star", *option)
    name = option[0].partition("=")[0]
    assert (status, said) == (
        2,
        f"geomem: {name} is about files, and 'path-star' is a built-in world; leave it out.\n",
    )


def test_the_verb_of_a_world(ask):
    assert "`geomem learn countries`" in ask("memorize", "countries")[1]
    assert "`geomem memorize europe`" in ask("learn", "europe")[1]
    with pytest.raises(InputError, match="is a table of facts"):
        find_world("countries")
    with pytest.raises(InputError, match="is a graph"):
        find_facts("europe")
