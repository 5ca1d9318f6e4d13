"""`geomem paths --compare`, `--figure` and `--edges-first`; `report` and `measure` of path fleets."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from geomem.cli import main
from geomem.cli.path_compare import read_comparison
from geomem.cli.paths import PathOptions, read_arguments
from geomem.figures.path_tables import tabulate_paths
from geomem.figures.views import view_fleet
from geomem.report.content import curve_sets, fleet_data
from geomem.runs.run import read_run

PAGE = (Path(__file__).parents[1] / "docs" / "path-finding.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^geomem paths .*$", PAGE, flags=re.MULTILINE)
QUICK = ["path-star", "--arms", "12", "--length", "3", "--layers", "1", "--width", "8", "--heads", "2"]
QUICK += ["--epochs", "2", "--batches", "2", "--warmup-steps", "1", "--seeds", "2", "--stop-at", "0"]


@pytest.fixture
def command(tmp_path, capfd, monkeypatch):
    """Run a verb in an empty directory; give the lines on standard output, and what was said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, status=0):
        assert main([*map(str, arguments)]) == status
        printed = capfd.readouterr()
        return printed.out.splitlines(), printed.err

    return run


def test_one_option_over_several_values_is_one_figure(command):
    lines, said = command("paths", *QUICK, "--compare", "directions=both,forward", "--figure", "out/a.svg")
    *runs, pdf, svg, csv = lines
    fleets = [read_run(path) for path in runs]
    asked = [fleet.manifest["configuration"]["task"]["directions"] for fleet in fleets]
    assert asked == ["both", "forward"]
    assert [Path(path).name for path in (pdf, svg, csv)] == ["a.pdf", "a.svg", "a.csv"]
    table = tabulate_paths(dict(zip(asked, fleets, strict=True)))
    kept = pl.read_csv(csv)
    assert kept.columns == table.columns
    np.testing.assert_array_equal(kept["mean"].to_numpy(), table["mean"].to_numpy())
    text = Path(svg).read_text()
    assert all(f">{word}<" in text for word in ("directions", "both", "forward", "edges recalled"))
    assert "directions both (1 of 2)" in said
    assert re.search(r"^forward +2 +\d\.\d\d \(\d\.\d\d to \d\.\d\d\)", said, flags=re.MULTILINE)
    again, said = command("paths", *QUICK, "--compare", "directions=both,forward", "--quiet")
    assert again == runs
    assert said == ""


def test_switches_and_the_model_itself_can_be_compared(command):
    runs, _ = command("paths", *QUICK, "--compare", "tied=true,false", "--quiet")
    assert [read_run(path).manifest["configuration"]["model"]["tied"] for path in runs] == [True, False]
    again, _ = command("paths", *QUICK, "--compare", "tied=yes,no", "--quiet")
    assert again == runs
    without_heads = [*QUICK[:9], *QUICK[11:]]  # a Mamba has none
    runs, _ = command("paths", *without_heads, "--compare", "model=transformer,mamba", "--quiet")
    kinds = [read_run(path).manifest["configuration"]["model"]["kind"] for path in runs]
    assert kinds == ["transformer", "mamba"]


def test_one_run_alone_has_a_figure_of_its_tokens(command):
    run, *files = command("paths", *QUICK, "--figure", "tokens.pdf", "--quiet")[0]
    assert files == ["tokens.pdf", "tokens.svg", "tokens.csv"]
    fleet = read_run(run)
    assert set(pl.read_csv("tokens.csv")["setting"]) == {fleet.graph.name}
    assert ">token 3<" in Path("tokens.svg").read_text()


def test_edges_first_is_two_runs_the_second_from_the_first(command):
    options = ["--edges-first", "3", "--edge-weight", "0", "--target", "first-hop"]
    (run,), said = command("paths", *QUICK, *options)
    configuration = read_run(run).manifest["configuration"]
    stages = [read_run(path) for path in Path("runs").iterdir()]
    (edges,) = [stage for stage in stages if stage.path.name != Path(run).name]
    assert configuration["start"] == edges.manifest["hash"]
    first = edges.manifest["configuration"]
    assert (first["task"]["path_weight"], first["task"]["edge_weight"]) == (0.0, 1.0)
    assert (first["training"]["epochs"], configuration["training"]["epochs"]) == (3, 2)
    assert configuration["task"]["edge_weight"] == 0.0
    assert "0 paths an epoch" in said


def test_the_figure_of_a_staged_training_has_its_edges_too(command):
    compared = ["--compare", "edges-first=0,3", "--figure", "staged.svg"]
    lines, said = command("paths", *QUICK, *compared)
    assert len(lines) == 5
    table = pl.read_csv("staged.csv").filter(metric="edge_recall")
    last = table.group_by("setting").agg(pl.col("epoch").max()).sort("setting")
    assert last["epoch"].to_list() == [2, 5]
    assert table.filter(setting=3)["stage"].to_list() == [1, 1, 2, 2]
    assert re.search(r"^3 +5 ", said, flags=re.MULTILINE)
    assert "edges alone before the dashed line" in Path("staged.svg").read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--compare", "pauses"], "give an option and at least two values, as in --compare pauses=0,2,4"),
        (["--compare", "pauses=3"], "give an option and at least two values"),
        (["--compare", "pauses=0,,2"], "give an option and at least two values"),
        (["--compare", "pauses=0,0"], "give each value once"),
        (["--compare", "seeds=1,2"], "but all that is compared has the same seeds"),
        (["--compare", "compare=a,b"], "but all that is compared has the same compare"),
        (["--compare", "pausez=0,2"], "unrecognized options: --pausez=0"),
        (["--compare", "pauses=0,two"], "invalid literal for int() with base 10: 'two'"),
        (["--compare", "pauses=0,-2"], "pauses is -2; give a whole number of at least 0"),
        (["--compare", "held-out=0.5,1"], "held_out is 1.0; give a share above 0 and below 1"),
        (["--compare", "directions=both,up"], "invalid choice 'up'"),
        (["--compare", "model=transformer,node2vec"], "'node2vec' cannot find paths"),
        (["--figure", "paths.png"], "figure is 'paths.png'; give a name that ends in .svg or .pdf"),
        (["--edges-first", "3", "--path-weight", "0"], "but path_weight is 0, so that no paths follow"),
        (["--edges-first", "-1"], "edges_first is -1; give a number of epochs, or 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence_before_anything_is_trained(command, tmp_path, options, complaint):
    lines, said = command("paths", *QUICK, *options, status=2)
    assert complaint in said
    assert (lines, said.count("\n")) == ([], 1)
    assert list(tmp_path.iterdir()) == []


def test_prompts_have_no_edges_to_come_first(command):
    _, said = command("paths", "in-context", "--edges-first", "2", status=2)
    assert "edges_first is 2, but prompts have no edges to train; leave it out." in said


def test_a_figure_that_cannot_be_written_is_one_sentence(command, tmp_path):
    (tmp_path / "taken").write_text("")
    _, said = command("paths", *QUICK, "--quiet", "--figure", "taken/a.svg", status=2)
    assert re.fullmatch(
        r"geomem: taken.a\.pdf could not be written \(Not a directory\); see to it and run this again.\n",
        said,
    )
    assert not Path("runs").exists()


def test_pictures_that_cannot_be_written_leave_no_page(command, tmp_path):
    (tmp_path / "taken").write_text("")
    (run,), _ = command("paths", *QUICK, "--quiet")
    _, said = command("report", run, "--figures", "taken", status=2)
    assert "could not be written (Not a directory)" in said
    assert not Path("report.html").exists()


def test_measure_and_report_of_a_fleet_that_finds_paths(command):
    (run,), _ = command("paths", *QUICK, "--quiet")
    shown, _ = command("measure", run)
    assert any(line.startswith("Held-out first hop") for line in shown)
    measured = json.loads("\n".join(command("measure", run, "--json")[0]))["measurements"]
    by_name = {row["name"]: row for row in measured}
    assert by_name["held_out_first_hop"]["null"] == "guesses"
    assert by_name["loss"]["mean"] > 0
    command("report", run, "--out", "report.html", "--figures", "pictures")
    page = Path("report.html").read_text(encoding="utf-8")
    assert "Held-out paths" in page
    assert "of all held-out paths." in page
    assert Path("pictures/paths/distances.csv").exists()
    view = view_fleet(read_run(run))
    names = [shown.name for shown in curve_sets(view)]
    assert names == ["Paths", "Tokens", "Geometry", "Loss"]
    # First hops among all tokens and among the arms, of trained leaves and of held-out ones.
    shown_of_paths = {line.metric for line in curve_sets(view)[0].lines}
    assert shown_of_paths >= {"held_out.first_hop", "held_out.first_hop_among_arms", "train.first_hop"}
    data = fleet_data(view)
    assert len(data["paths"]["leaves"]) == 3
    assert {line.metric for shown in curve_sets(view) for line in shown.lines} <= set(
        data["curves"]["metrics"]
    )


@pytest.mark.parametrize("text", COMMANDS)
def test_commands_of_the_page_can_be_meant(text):
    words = shlex.split(text)[2:]
    if "--start" in words:
        words[words.index("--start") : words.index("--start") + 2] = ["path-star"]
    job = read_arguments(words)
    if job.options.compare:
        for given in read_comparison(job.options.compare, PathOptions)[1].values():
            read_arguments([*words, *given])
