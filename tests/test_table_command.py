"""`geomem sweep` of a study file, `table` and `plot`: the study of the docs, from dry run to pictures."""

import re
from pathlib import Path

import polars as pl
import pytest

from geomem.cli import main
from geomem.errors import InputError
from geomem.figures import tabulate_fields, tabulate_points
from geomem.sweep import open_table, tabulate
from geomem.sweep.table import measurements_in, settings_of, varied_settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
KEPT = Path(__file__).parent / "kept_runs"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study of the docs, its steps cut to a tenth."""
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    path = tmp_path_factory.mktemp("study") / "study.toml"
    path.write_text(text.replace("steps = 100", "steps = 25"))
    return path


@pytest.fixture(scope="module")
def trained(study):
    """Its sweep's directory."""
    arguments = [
        "sweep",
        str(study),
        "--processes",
        "1",
        "--quiet",
        "--directory",
        str(study.parent / "sweeps"),
    ]
    assert main(arguments) == 0
    (path,) = (study.parent / "sweeps").iterdir()
    return path


def test_a_dry_run_says_what_it_takes_and_writes_nothing(study, capsys, tmp_path):
    assert main(["sweep", str(study), "--dry-run", "--directory", str(tmp_path / "new")]) == 0
    said = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert list(said) == ["runs", "fleets", "time", "memory", "directory"]
    assert said["runs"] == "72"
    assert said["fleets"].startswith("9, ")
    assert re.search(r" s \(.* hours\)$", said["time"])
    assert not list(tmp_path.iterdir())


def test_the_study_of_the_docs_is_one_table(trained, tmp_path, capsys):
    assert main(["table", str(trained), "-o", str(tmp_path / "new" / "a.parquet")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'new' / 'a.parquet'}\n"
    table = pl.read_parquet(tmp_path / "new" / "a.parquet")
    assert len(table) == 72
    assert table.columns[:4] == ["directory", "world", "task", "model"]
    assert varied_settings(table)[:5] == ["world", "task", "model", "width", "learning_rate"]
    assert {"steps", "subject_scale"} <= set(settings_of(table))
    assert {"associative_accuracy", "recall"} <= set(measurements_in(table))
    assert table["steps"].unique().to_list() == [25]
    assert table.schema["width"] == pl.Int64
    facts = table.filter(task="fact-recall")
    assert facts["task_token"].is_null().all()
    assert facts["hops"].unique().to_list() == [1]
    assert main(["table", str(trained), "-o", str(tmp_path / "a.csv")]) == 0
    assert (
        open_table(tmp_path / "a.csv")
        .select("world", "width", "seed")
        .equals(table.select("world", "width", "seed"))
    )


def test_runs_and_sweeps_share_a_table(trained):
    runs = [KEPT / name for name in ("edges", "paths", "facts")]
    (sweep,) = (KEPT / "sweeps").iterdir()
    table = tabulate([*runs, sweep, trained])
    assert table.group_by("directory", maintain_order=True).len()["len"].to_list() == [2, 2, 2, 16, 72]
    edges = table.filter(directory="edges")
    assert edges["model"].to_list() == ["node2vec"] * 2
    assert not edges["top1_accuracy"].is_null().any()
    assert table.filter(directory=sweep.name)["width"].to_list() == [4] * 4 + [6] * 4 + [4] * 4 + [6] * 4
    assert table.filter(directory="paths")["held_out_first_hop"].null_count() == 0


def test_an_unfinished_sweep_says_so(trained, tmp_path, caplog):
    part = tmp_path / trained.name
    part.mkdir()
    for name in ("manifest.json", "fleet-00002.parquet"):
        (part / name).write_bytes((trained / name).read_bytes())
    assert len(tabulate([part])) == 8
    assert "1 of 9 fleets" in caplog.text
    (part / "fleet-00002.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"fleet-00002\.parquet is damaged"):
        tabulate([part])


@pytest.mark.parametrize(
    "words",
    [
        ["--x", "width", "--y", "learning-rate", "--colours", "recall"],
        ["--view", "curves", "--x", "learning-rate", "--y", "associative-accuracy", "--by", "model"],
        ["--view", "points", "--x", "geometric_level", "--y", "loss", "--by", "width"],
    ],
)
def test_every_view_is_drawn_with_its_data(words, trained, tmp_path, capsys):
    assert main(["plot", str(trained), *words, "-o", str(tmp_path / "a.svg")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.svg'}\n"
    assert {file.name for file in tmp_path.iterdir()} == {"a.svg", "a.pdf", "a.csv"}
    data = pl.read_csv(tmp_path / "a.csv")
    if "curves" in words:
        assert data.shape == (8, 6)
        assert set(data["runs"]) == {8}
    elif "points" in words:
        assert data.columns == ["width", "geometric_level", "loss"]
    else:
        assert data["recall"].null_count() == 0


def test_curves_leave_out_what_is_not_finite():
    table = pl.DataFrame({"width": [4, 4, 8], "seed": [0, 1, 0], "loss": [1.0, float("nan"), 0.5]})
    assert tabulate_fields(table, "width", "loss")["runs"].to_list() == [1, 1]
    assert len(tabulate_points(table, "width", "loss")) == 2
    with pytest.raises(InputError, match="No run has both"):
        tabulate_fields(table.filter(pl.col("loss").is_nan()), "width", "loss")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table"], "Give a sweep or a run directory"),
        (["table", "nowhere"], "nowhere does not exist"),
        (["table", "nowhere", "-o", "a.xlsx"], "ends in .parquet or .csv"),
        (["plot"], "Give a table, a sweep or a run directory"),
        (["plot", "a.csv", "-o", "a.png"], "ends in .html, .svg or .pdf"),
        (["plot", "a.csv"], "There is no file a.csv"),
        (["plot", "b.csv"], "has no column seed"),
        (["plot", "b.parquet"], "b.parquet is no table"),
        (["plot", "c.csv", "--by", "width"], "--by is about curves and points"),
        (["plot", "c.csv"], "name columns with --x and --y"),
        (["plot", "c.csv", "--view", "curves", "--y", "los"], "did you mean loss"),
        (["plot", "c.csv", "--view", "curves", "--y", "reading"], "The column reading holds no numbers"),
        (["sweep", "b.toml"], "There is no file b.toml"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.parquet").write_text("a,b\n1,2\n")
    (tmp_path / "c.csv").write_text("width,seed,loss,reading\n4,0,1.5,mixed\n8,0,0.5,mixed\n")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 3
