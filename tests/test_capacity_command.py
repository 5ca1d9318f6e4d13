"""`geomem capacity` on the command line: its tables and figure, its cache, one sentence for bad input."""

import re

import numpy as np
import polars as pl
import pytest

from geomem.cli import main
from geomem.figures.recall_drawing import draw_capacity, information_limits, tabulate_capacity
from geomem.sweep.thresholds import fit_thresholds

TINY = ["--subjects", "6", "10", "--relations", "2", "--sizes", "1", "8", "--seeds", "2", "--steps", "80"]
TINY += ["--learning-rate", "0.03", "--warmup-steps", "4", "--processes", "1"]


def test_tables_figure_and_cache(tmp_path, capsys):
    command = ["capacity", *TINY, "--directory", str(tmp_path), "--out", str(tmp_path / "figure.svg")]
    assert main(command) == 0
    printed, said = capsys.readouterr()
    assert re.search(r"8 runs in 1 fleet; about [\d.]+ s, one at a time, [\d.]+ MB memory\n", said)
    assert printed.splitlines()[0].split()[:2] == ["subjects", "relations"]
    assert printed.splitlines()[-1].endswith("figure.csv")
    (directory,) = (path for path in tmp_path.iterdir() if path.is_dir())
    curves = pl.read_csv(directory / "curves.csv")
    assert curves.shape[0] == 4
    assert pl.read_parquet(directory / "runs.parquet").shape[0] == 8
    assert pl.read_csv(directory / "thresholds.csv").shape[0] == 2
    for kind in ("svg", "pdf", "csv"):
        assert (tmp_path / f"figure.{kind}").stat().st_size > 500
    assert main([*command, "--quiet"]) == 0
    again = capsys.readouterr()
    assert again.out == printed
    assert again.err == ""


def test_tied_tables_are_given_permutations(tmp_path, capsys):
    command = ["capacity", *TINY, "--tied", "--sizes", "12", "--directory", str(tmp_path), "--quiet"]
    assert main(command) == 0
    (found,) = tmp_path.glob("*/runs.parquet")
    runs = pl.read_parquet(found)
    # Two tables, of subjects and relations, four matrices of the head, an MLP of 4 d neurons.
    assert (runs["weights"] == (runs["subjects"] + 2) * 12 + 12 * 12**2 + 5 * 12).all()
    assert (runs["recall"] == 1.0).all()
    assert capsys.readouterr().err == ""


def test_the_figure_shows_every_cell_and_the_law():
    rows = [
        {
            "subjects": N,
            "relations": R,
            "width": width,
            "runs": 1,
            "recall": min(1.0, width / (R + 2)),
            "lowest": 0.1,
            "highest": min(1.0, width / (R + 2)),
            "weights": 10 * width,
            "bits": 10.0 * R,
        }
        for N in (16, 64)
        for R in (2, 4, 8)
        for width in (1, 4, 8, 12)
    ]
    curves = pl.DataFrame(rows)
    cells = curves.group_by("subjects", "relations", maintain_order=True).agg(pl.col("bits").first())
    thresholds = cells.with_columns(
        threshold=pl.col("relations") + 2.0,
        best_99=pl.col("relations") + 2.0,
        mean_99=pl.col("relations") + 2.0,
        low_99=pl.col("relations") + 1.0,
        high_99=pl.col("relations") + 3.0,
        bits_per_weight=pl.lit(1.0),
    )
    fit = fit_thresholds(thresholds)
    figure = draw_capacity(curves, thresholds, fit.at)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "16 subjects",
        "64 subjects",
        "where recall reaches 0.99",
        "width at 0.99: dots measured, ground the law",
        "measured less law, R² 1.000",
        "recall over bits per weight",
    ]
    none = thresholds.with_columns(
        pl.lit(float("nan")).alias(name) for name in thresholds.columns if thresholds[name].dtype.is_float()
    )
    figure = draw_capacity(curves, none.with_columns(bits=thresholds["bits"]))
    assert [text.get_text() for text in figure.axes[2].texts] == ["at none of these sizes"]
    assert "measured less law" not in [axes.get_title(loc="left") for axes in figure.axes]
    np.testing.assert_allclose(fit.at(np.array([16.0]), np.array([4.0])), [6.0])
    # 10 R bits at one bit per weight are R / 1 widths of 10 weights each.
    assert information_limits(curves, thresholds)["limit"].to_list() == [2.0, 4.0, 8.0] * 2
    table = tabulate_capacity(curves, thresholds, fit.at)
    assert len(table) == len(curves)
    np.testing.assert_allclose(table["residual"], 0, atol=1e-12)
    np.testing.assert_allclose(table["bits_per_weight_of_point"], table["relations"] / table["width"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--subjects", "0"], "subjects is [0]"),
        (["--out", "figure.png"], "ends in .svg or .pdf"),
        (["--varied", "mlp-width"], "numbers of neurons to try"),
        (["--stepz", "3"], "did you mean --steps?"),
        (["--batch-subjects", "99"], "batch_subjects is 99"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["capacity", "--subjects", "4", "--relations", "2", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
