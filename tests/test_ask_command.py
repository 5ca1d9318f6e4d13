"""`geomem construct`, `ask`, `edit`, `forget`: what is printed for people and scripts, and every mistake."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geomem.cli import main
from geomem.cli.construct import read_arguments
from geomem.cli.facts import NO_ANSWER
from geomem.errors import InputError
from geomem.memories.construct import construct_memory
from geomem.models.configuration import Bilinear
from geomem.runs.directory import DONE, MANIFEST
from geomem.runs.edges import memorize
from geomem.runs.run import FACTS, METRICS, WEIGHTS, read_run
from geomem.training.configuration import Training
from geomem.worlds.catalogue import FACT_WORLDS
from geomem.worlds.facts.countries import COUNTRY_RELATIONS, countries, countries_with_borders
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.families import path_star

ROOT = Path(__file__).parents[1]
TOWNS = """subject\trelation\tobject
Italy\tcapital\tRome
Italy\tborders\tFrance
France\tcapital\tParis
France\tborders\tItaly
"""


@pytest.fixture
def said(capfd):
    """Run a command; give its status, the lines on standard output and all of standard error."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return status, printed.out.splitlines(), printed.err

    return run


@pytest.fixture
def refused(capfd, tmp_path):
    """Run a command that must fail in one sentence and change no file; give the sentence."""

    def contents():
        return {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}

    def run(*arguments):
        before = contents()
        assert main([str(argument) for argument in arguments]) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        sentence = printed.err.splitlines()[-1]
        assert sentence.startswith("geomem: ")
        assert sentence.endswith((".", "?"))
        assert "Traceback" not in printed.err
        assert contents() == before
        return sentence.removeprefix("geomem: ")

    return run


@pytest.fixture
def towns(tmp_path, said):
    file = tmp_path / "towns.tsv"
    file.write_text(TOWNS, encoding="utf-8")
    status, lines, _ = said("construct", file, "--out", tmp_path / "memory")
    assert (status, lines[-1]) == (0, str(tmp_path / "memory"))
    return tmp_path / "memory"


def test_the_page_about_facts_shows_what_happens(said, tmp_path, monkeypatch):
    """Every command of the page in turn, with what it prints; notes about a table are left out there."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8")
    file, *blocks = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "towns.tsv").write_text(file, encoding="utf-8")
    commands = [part for block in blocks for part in re.split(r"^\$ geomem ", block, flags=re.MULTILINE)[1:]]
    assert len(commands) >= 8
    for command in commands:
        line, *shown = command.strip().splitlines()
        status, lines, complaint = said(*shlex.split(line))
        assert (complaint.splitlines()[-1:] if status == 2 else lines) == shown, line
        assert status == (1 if shown == [NO_ANSWER] else 2 if shown[0].startswith("geomem: ") else 0)


def test_python_of_the_page_about_facts_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(code, {})


def test_every_fact_of_the_countries_and_every_chain_over_a_border(said, tmp_path):
    """By the command itself for a country of every kind; the example asks them all from Python."""
    table = countries_with_borders()
    memory = construct_memory(table, tmp_path / "memory").path
    for country in ("Kosovo", "São Tomé and Príncipe", "Monaco"):
        found = {}
        for _, r, y in table.facts[table.facts[:, 0] == table.subject_ids[country]].tolist():
            found.setdefault(table.relations[r].partition(" (")[0], []).append(table.objects[y])
        for relation in COUNTRY_RELATIONS:
            expected = (0, found[relation]) if relation in found else (1, [NO_ANSWER])
            assert said("ask", memory, country, relation)[:2] == expected
    status, lines, _ = said("ask", memory, "Monaco", "borders", "currency")
    assert (status, lines) == (0, ["Monaco, borders: France", "France, currency: EUR", "EUR"])


def test_torch_is_not_waited_for(tmp_path):
    code = (
        "import sys\nfrom geomem.cli import main\n"
        "for line in sys.argv[1:]: assert main(line.split()) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    memory = str(tmp_path / "memory")
    lines = [
        f"construct random-bijections --subjects 4 --relations 2 --out {memory}",
        f"ask {memory} s0 r0",
        f"forget {memory} s0 r0",
        f"edit {memory} s0 r0 o1",
    ]
    assert subprocess.run([sys.executable, "-c", code, *lines], check=False).returncode == 0


def test_options_reach_the_memory(said, tmp_path):
    options = ["--subjects", "9", "--relations", "2", "--world-seed", "3"]
    memory = ["--width", "40", "--code", "sphere", "--seed", "7", "--out", tmp_path / "memory"]
    status, _, _ = said("construct", "random-bijections", *options, *memory)
    assert status == 0
    stored = read_run(tmp_path / "memory")
    assert stored.table.digest == random_bijections(9, 2, world_seed=3).digest
    training = stored.manifest["configuration"]["training"]
    assert (training["code"], training["seed"], training["length"]) == ("sphere", 7, 12)
    assert stored.model.width == 38


@pytest.mark.parametrize("facts", FACT_WORLDS)
def test_every_built_in_table_has_its_options_beside_those_of_the_memory(facts):
    name, options = read_arguments([facts, "--out", "memory"])
    assert name == facts
    assert FACT_WORLDS[facts](**vars(options.facts)).digest == FACT_WORLDS[facts]().digest


# Mistakes in the facts.


def test_conflicting_facts_and_how_to_allow_several(refused, said, tmp_path):
    file = tmp_path / "facts.csv"
    file.write_text("Italy,borders,France\nItaly,capital,Rome\nItaly,borders,Austria\n")
    sentence = refused("construct", file, "--out", tmp_path / "memory")
    assert "Line 3 of " in sentence
    assert "answers 'Italy', 'borders' with 'Austria', but line 1 of " in sentence
    assert "allow several answers with several=True (--several on the command line)" in sentence
    status, _, notes = said("construct", file, "--out", tmp_path / "memory", "--several")
    assert status == 0
    assert notes.splitlines() == [
        "facts: 1 subject, 2 relations, 3 objects, 3 facts from columns 1, 2 and 3, separator comma, "
        "header no; first: Italy –borders→ France",
        "facts: 1 of 2 questions has several answers, up to 2 ('Italy', 'borders').",
    ]
    assert said("ask", tmp_path / "memory", "Italy", "borders") == (0, ["France\tAustria"], "")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            b"Italy\tRome\nFrance\tParis\n",
            "has 2 columns (separator tab); give one fact per line: subject, relation and object",
        ),
        (b"", "is empty; give one fact per line"),
        (b"subject\trelation\tobject\n", "has only a header; give one fact per line"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00", "is a binary file"),
        (b"Italy\tcapital\tRo\xc2\x9fme\n", "has a label that has the control character '\\x9f'"),
        (b"Italy\tcapital\t\n", "has a label that is empty"),
    ],
    ids=["two-columns", "empty", "header", "binary", "control", "no-object"],
)
def test_files_that_hold_no_facts(refused, tmp_path, content, complaint):
    file = tmp_path / "facts.tsv"
    file.write_bytes(content)
    assert complaint in refused("construct", file, "--out", tmp_path / "memory")


def test_facts_that_are_not_there(refused, tmp_path):
    assert refused("construct", "countrys", "--out", tmp_path / "memory") == (
        "'countrys' is neither a built-in table of facts nor a file that exists; did you mean countries?"
    )
    assert refused("construct", "--out", tmp_path / "memory").startswith("Give facts first, as in `geomem ")
    assert refused("construct", "countries") == (
        "missing from geomem construct countries: --out PATH; `geomem construct countries --help` lists the "
        "options."
    )
    assert "is a directory" in refused("construct", tmp_path, "--out", tmp_path / "memory")


def test_a_width_too_small_and_tables_beyond_memory(refused, tmp_path):
    out = ["--out", tmp_path / "memory"]
    assert refused("construct", "countries", "--width", "75", *out) == (
        "A width of 75 is too small for 6 relations and 826 objects of the table 'countries'; "
        "give 76 or more."
    )
    small = ["random-bijections", "--subjects", "2000", "--relations", "8"]
    sentence = refused("construct", *small, "--numbers-limit", "100000", *out)
    assert "would hold 512,599 numbers, 0.0 GiB, more than the limit of 100,000" in sentence
    sentence = refused("construct", "random-bijections", "--subjects", "2000000", *out)
    assert "would have 2,000,000 subjects" in sentence
    sentence = refused("construct", "random-bijections", "--relations", "1000000", *out)
    assert "256,000,000 facts; give one with at most" in sentence


def test_a_place_that_is_taken(refused, towns, tmp_path):
    assert "holds another memory; give a new directory" in refused("construct", "countries", "--out", towns)
    assert "is not empty; give a new directory" in refused("construct", "countries", "--out", tmp_path)


# Mistakes in the questions.


@pytest.mark.parametrize(
    ("question", "complaint"),
    [
        (["Itali", "capital"], "has no subject 'Itali'; did you mean Italy?"),
        (["Peru", "capital"], "has no subject 'Peru'; its subjects are Italy, France."),
        (["Italy", "capitl"], "has no relation 'capitl'; did you mean capital?"),
        (
            ["Italy", "borders", "population"],
            "has no relation 'population'; its relations are capital, borders.",
        ),
        (
            ["Italy", "capital", "borders"],
            "'capital' cannot be followed by 'borders', because none of its answers ",
        ),
        (["Italy"], "No relation was asked for; give one or more of capital, borders."),
        ([], "missing from geomem ask: SUBJECT; `geomem ask --help` lists the options."),
        (["Italy", "capital", "--seed", "5"], "has no run of seed 5; its seeds are 0."),
        (["Italy", "capital", "--all"], "nrecognized"),
    ],
)
def test_questions_that_cannot_be_meant(refused, towns, question, complaint):
    assert complaint in refused("ask", towns, *question)


def test_a_memory_that_is_missing_or_damaged(refused, towns, tmp_path):
    ask = ["Italy", "capital"]
    assert "does not exist; give the directory of a memory" in refused("ask", tmp_path / "nothing", *ask)
    assert "is a file; give the directory" in refused("ask", towns / WEIGHTS, *ask)
    assert "is not a run directory" in refused("ask", tmp_path, *ask)
    for name in (MANIFEST, FACTS, METRICS, WEIGHTS):
        content = (towns / name).read_bytes()
        (towns / name).write_bytes(content[:-9])
        for command in (["ask", towns, *ask], ["edit", towns, *ask, "Paris"], ["forget", towns, *ask]):
            assert f"{name} is damaged" in refused(*command)
        (towns / name).write_bytes(content)
    labels = (towns / FACTS).read_text()
    (towns / FACTS).write_text(labels.replace("Rome", "Roma"))
    assert "facts.json is damaged (its content changed" in refused("ask", towns, *ask)
    (towns / FACTS).unlink()
    assert "has no facts.json, the vocabulary of its weights" in refused("ask", towns, *ask)
    (towns / DONE).unlink()
    assert "is unfinished (no DONE in it)" in refused("ask", towns, *ask)


def test_a_run_of_a_graph_is_no_memory_of_facts(refused, tmp_path):
    fleet = memorize(
        path_star(3, 3),
        model=Bilinear(width=4),
        training=Training(steps=2),
        seeds=1,
        directory=tmp_path / "runs",
    )
    for command in (["ask", fleet.path, "0", "edge"], ["forget", fleet.path, "0", "edge"]):
        assert "has no facts.json, the vocabulary of its weights; give a memory of facts" in refused(*command)


# Labels.


def test_labels_of_any_script_and_any_look_stay_as_they_are(said, tmp_path):
    labels = [
        "日本",
        "اليمن",
        "[bold]b[/bold]",
        "--help",
        "-5",
        "<script>",
        "a; b, c",
        "$(touch x)",
        "x" * 900,
    ]
    file = tmp_path / "facts.tsv"
    file.write_text("".join(f"{label}\tist {label}\t{label}!\n" for label in labels), encoding="utf-8")
    memory = tmp_path / "memory"
    assert said("construct", file, "--out", memory)[0] == 0
    for label in labels:
        assert said("ask", memory, "--", label, f"ist {label}") == (0, [f"{label}!"], "")
    assert (
        said("edit", memory, "--", "--help", "ist --help", "-5!")[1][0]
        == "--help, ist --help: --help! -> -5!"
    )
    assert said("forget", memory, "--", "-5", "ist -5")[1][0] == "-5, ist -5: -5! -> no answer"


def test_no_label_can_fake_an_answer(said, tmp_path):
    r"""Labels with control characters are no labels; one with another end of line is shown with an escape."""
    for label in ("a\x1b[2J", "b\tc", "d\ne"):
        with pytest.raises(InputError, match="control character"):
            construct_memory([(label, "r", "x")], tmp_path / "memory")
    labels = ("a", "f\u2028g")
    table = FactTable("two", labels, ("r",), labels, np.array([[0, 0, 1], [1, 0, 0]]))
    memory = construct_memory(table, tmp_path / "memory").path
    assert said("ask", memory, "a", "r") == (0, [r"f\u2028g"], "")
    assert said("ask", memory, "a", "r", "r")[1] == [r"a, r: f\u2028g", r"f\u2028g, r: a", "a"]


def test_an_object_called_no_answer_is_told_by_the_status(said, tmp_path):
    memory = construct_memory([("x", "r", NO_ANSWER), ("y", "s", "z")], tmp_path / "memory").path
    assert said("ask", memory, "x", "r") == (0, [NO_ANSWER], "")
    assert said("ask", memory, "y", "r") == (1, [NO_ANSWER], "")


def test_the_listing_of_worlds_shows_tables_of_facts(said):
    _, lines, _ = said("worlds", "--json")
    listed = json.loads("\n".join(lines))
    assert listed["random-bijections"]["options"] == {"subjects": 256, "relations": 4, "world_seed": 0}
    assert f"{countries().subject_count} countries" in listed["countries"]["description"]
