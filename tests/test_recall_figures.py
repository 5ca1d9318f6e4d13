"""Figures on factual recall draw what their tables say, and their tables what formulas and memories say."""

import numpy as np
import polars as pl
import pytest

from block_superposition import binary_codes, block_superposition, random_answers
from geomem.cli import main
from geomem.constructions.answering import recall_every_fact
from geomem.constructions.dense import dense_superposition
from geomem.errors import InputError
from geomem.figures.bits_drawing import PRECISIONS, draw_bits, tabulate_bits
from geomem.figures.memory_drawing import draw_selector, draw_subject, tabulate_selector, tabulate_subject
from geomem.figures.portrait_drawing import PORTRAITS, TRANSFER, draw_portraits, tabulate_portraits
from geomem.figures.recall_drawing import draw_bits_per_weight, draw_surface, tabulate_surface
from geomem.figures.tradeoff_drawing import draw_trade_off, tabulate_trade_off
from geomem.geometry.superposition import fit_superposition
from geomem.measure.facts import question_names, recall_with
from geomem.memories.construct import construct_memory
from geomem.models.configuration import Recall
from geomem.report import write_memory_report
from geomem.runs.facts import learn_facts
from geomem.runs.run import read_run
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import random_bijections, random_permutations
from geomem.worlds.facts.table import FactTable, entropy_bits
from geomem.worlds.graphs.families import path_star
from handmade_fleets import make_fleet


def line(axes, label):
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return found.get_xydata()


def make_thresholds(law):
    cells = [{"subjects": N, "relations": R, "threshold": law(N, R)} for N in (16, 64) for R in (2, 4, 8)]
    return pl.DataFrame(cells).with_columns(
        mean_99=pl.col("threshold"), low_99=pl.col("threshold"), high_99=pl.col("threshold")
    )


def test_the_surface_shows_thresholds_law_and_what_is_left():
    def law(N, R):
        return 1.0 + R * np.log2(N) / 2

    thresholds = make_thresholds(lambda N, R: float(law(N, R)) + (0.5 if N == 64 else -0.5))
    curves = pl.DataFrame({"width": [1]})
    ground, cells = draw_surface(curves, thresholds, law).axes
    (dots, _) = [found for found in ground.collections if len(found.get_offsets()) != 1][-2:]
    np.testing.assert_array_equal(dots.get_offsets(), thresholds.select("relations", "subjects").to_numpy())
    np.testing.assert_allclose(dots.get_array(), thresholds["threshold"])
    assert [text.get_text() for text in cells.texts] == ["−0.5"] * 3 + ["+0.5"] * 3
    residuals = tabulate_surface(thresholds, law)["residual"].to_numpy()
    assert f"R² {1 - (residuals**2).sum() / len(thresholds) / thresholds['threshold'].var(ddof=0):.3f}" in (
        cells.get_title(loc="left")
    )


def test_the_surface_without_law_or_threshold_says_so():
    thresholds = make_thresholds(lambda N, R: float("nan") if N == 16 else 3.0)
    (ground,) = draw_surface(pl.DataFrame({"mlp_width": [1]}), thresholds).axes
    assert ground.get_title(loc="left") == "neurons at 0.99: too few thresholds for a law"
    assert [text.get_text() for text in ground.texts].count("–") == 3
    with pytest.raises(InputError, match="no cell to draw"):
        tabulate_surface(thresholds.head(0))


def test_bits_per_weight_are_bits_over_weights():
    curves = pl.DataFrame(
        {"subjects": [8, 8], "relations": [2, 2], "width": [1, 2], "recall": [0.5, 1.0]}
    ).with_columns(weights=pl.Series([10, 40]), bits=pl.Series([20.0, 20.0]))
    thresholds = pl.DataFrame({"bits_per_weight": [0.5, float("nan")]})
    (axes,) = draw_bits_per_weight(curves, thresholds).axes
    np.testing.assert_array_equal(line(axes, "2 relations"), [[2.0, 0.5], [0.5, 1.0]])
    assert line(axes, "mean at 0.99: 0.50")[0, 0] == 0.5


def test_the_trade_off_draws_formulas_and_the_bound_holds():
    """Sizes of A4 and both halves of L2, written out for N = 4,096, R = 2."""
    table = tabulate_trade_off(4096, 2, 8)
    k = np.arange(1, 9)
    expected = {"flat": 2**k * 12, "chain of thought": 0 * k + 24, "wide": 0 * k + 24}
    vector, other, stored = draw_trade_off(table).axes
    for model, bits in expected.items():
        np.testing.assert_array_equal(line(vector, model), np.stack([k, bits], axis=1))
    np.testing.assert_array_equal(line(other, "wide")[:, 1], 4096 * 2**k * 12)
    bound = line(vector, "bound L2: one of the two")
    np.testing.assert_allclose(bound[:, 1], 5 / 12 * 2**k * np.log2(2048))
    np.testing.assert_allclose(line(other, "bound L2: one of the two")[:, 1], 5 / 96 * 4096 * np.log2(2048))
    met = (table["vector_bits"] >= table["vector_bound"]) | (table["other_bits"] >= table["other_bound"])
    assert met.filter(table["model"] != "chain of thought").all()
    assert not met.filter((table["model"] == "chain of thought") & (table["hops"] > 2)).any()
    assert "10⁶" in [text.get_text() for text in stored.get_yticklabels()]
    assert other.get_yticklabels()[0].get_text() == "0"
    assert tabulate_trade_off(16, 2, 3).filter(hops=3)["other_bound"].is_nan().all()
    with pytest.raises(InputError, match="up to 0 hops"):
        tabulate_trade_off(16, 2, 0)


def test_rounded_tables_lose_what_they_lose():
    facts, parts = random_bijections(64, 4), []
    for seed in (0, 1):
        weights = dense_superposition(facts, 24, seed=seed).weights
        parts.append(
            tabulate_bits(
                *(weights, lambda weights: recall_every_fact(weights, facts).recall),
                memory="dense",
                facts_bits=entropy_bits(facts),
                seed=seed,
            )
        )
    table = pl.concat(parts)
    assert table["bits"].to_list() == [*PRECISIONS] * 2
    single = table.filter(seed=0)
    assert single["stored_bits"][0] == 32 * 64 * 24
    assert single["recall"][0] > single["recall"][3]
    left, right = draw_bits(table).axes
    means = table.group_by("bits").agg(pl.col("recall").mean()).sort("bits")
    np.testing.assert_allclose(line(left, "dense"), means.to_numpy())
    np.testing.assert_allclose(
        line(right, "dense")[:, 0] * entropy_bits(facts), sorted(single["stored_bits"])
    )
    with pytest.raises(InputError, match="bits; give facts"):
        tabulate_bits(weights, lambda weights: 1.0, memory="none", facts_bits=0.0)


def test_portraits_are_means_and_ranges_over_runs():
    sizes = {"subjects": 16.0, "relations": 2.0, "width": 8.0, "ratio": 8 / (2 * np.log(16))}
    rows = pl.DataFrame(
        [
            sizes | {"transfer_ridge": 0.25, "embedding_only_trained": float("nan")},
            sizes | {"transfer_ridge": 0.75, "embedding_only_trained": 0.5},
            sizes | {"width": 16.0, "ratio": 2 * sizes["ratio"], "transfer_ridge": 1.0},
        ]
    )
    table = tabulate_portraits(rows, TRANSFER)
    assert table.schema["width"] == pl.Int64
    np.testing.assert_allclose(table["chance"], 1 / 16)
    assert table.select("number", "width", "mean", "low", "high", "runs").rows() == [
        ("embedding_only_trained", 8, 0.5, 0.5, 0.5, 1),
        ("transfer_ridge", 8, 0.5, 0.25, 0.75, 2),
        ("transfer_ridge", 16, 1.0, 1.0, 1.0, 1),
    ]
    axes = draw_portraits(table, TRANSFER).axes[0]
    np.testing.assert_allclose(
        line(axes, "written by ridge"), [[sizes["ratio"], 0.5], [2 * sizes["ratio"], 1.0]]
    )
    for empty, said in (
        (rows.head(0), "no portrait"),
        (rows.select(list(sizes)), "no number for the picture"),
    ):
        with pytest.raises(InputError, match=said):
            tabulate_portraits(empty, TRANSFER)


def test_parts_of_a_subject_add_up():
    answers = random_answers(128, 2)
    weights = block_superposition(answers, binary_codes(128))
    vectors = weights["subject_embedding"]
    fit = fit_superposition(vectors, weights["output_embedding"], answers)
    table = tabulate_subject(fit, vectors, answers, relations=["left over", "left over"], subject=5)
    strips = table.drop_nulls("coordinate")["value"].to_numpy().reshape(5, -1)
    np.testing.assert_allclose(strips[1] + strips[2], strips[3], atol=1e-12)
    np.testing.assert_allclose(strips[3] + strips[4], strips[0], atol=1e-12)
    np.testing.assert_allclose(strips[0], np.sort(vectors[5] - fit.intercept))
    assert np.abs(strips[4]).max() < 1e-2
    image, bars = draw_subject(table).axes[:2]
    np.testing.assert_array_equal(image.images[0].get_array(), strips)
    expected = [*fit.shares, fit.score, fit.shuffled_scores.mean()]
    np.testing.assert_allclose([patch.get_width() for patch in bars.patches], expected)
    with pytest.raises(InputError, match="1 names were given for 2 relations"):
        tabulate_subject(fit, vectors, answers, relations=["one"])


def test_gates_stand_by_the_relation_that_opens_them():
    rates = np.array([[0.2, 0.9, 0.0, 0.6], [0.1, 0.0, 1.0, 0.4]])
    cosines = np.array([[1.0, 0.25], [0.25, 1.0]])
    table = tabulate_selector(cosines, np.eye(2), rates, relations=["a", "b"])
    gates = table.filter(panel="gates", relation="a")
    assert gates["column"].to_list() == ["1", "3", "0", "2"]
    images = [axes.images[0] for axes in draw_selector(table, theme="dark").axes if axes.images]
    np.testing.assert_array_equal(images[0].get_array(), cosines)
    np.testing.assert_array_equal(images[2].get_array(), rates[:, [1, 3, 0, 2]])
    without = tabulate_selector(cosines, np.eye(2), np.zeros((2, 0)), relations=["a", "b"])
    assert set(without["panel"]) == {"maps", "read-out"}
    with pytest.raises(InputError, match="3 names"):
        tabulate_selector(cosines, np.eye(2), rates, relations=["a", "b", "c"])


@pytest.fixture(scope="module")
def memories(tmp_path_factory):
    """Two widths of the same facts, and a memory written down whose labels try to be markup."""
    runs = tmp_path_factory.mktemp("runs")
    trained = [
        learn_facts(
            random_bijections(24, 2),
            model=Recall(width=width, mlp_width=2 * width),
            training=RecallTraining(steps=40),
            seeds=[0, 1],
            directory=runs,
        )
        for width in (4, 12)
    ]
    labels = tuple(f"<b>{number}</b>" for number in range(8))
    facts = np.array([[x, r, (x + 3 * r + 1) % 8] for x in range(8) for r in range(2)])
    table = FactTable("<i>h</i>", labels, ("<script>alert(1)</script>", "$x$ & left over"), labels, facts)
    return [*trained, construct_memory(table, runs / "written")]


def test_the_report_of_memories_holds_their_numbers_and_asks_for_nothing(memories, tmp_path):
    shown = memories[1:]  # three pictures each, in two themes and two formats
    out = write_memory_report(shown, tmp_path / "report.html", tmp_path / "figures", training_steps=4)
    page = out.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "&lt;i&gt;h&lt;/i&gt;, width" in page
    assert page.count("<img ") == 3 + 2 * 3
    table = pl.read_csv(tmp_path / "figures" / "superposition.csv")
    assert table.filter(number="superposition")["width"].to_list() == [memories[2].model.width, 12]
    assert table.filter(number="superposition")["runs"].to_list() == [1, 2]
    written = pl.read_csv(next((tmp_path / "figures").glob("2-*")) / "bits.csv")
    assert written["recall"].to_list() == [1.0] * 4
    assert {path.suffix for path in (tmp_path / "figures").rglob("*.*")} == {".pdf", ".svg", ".csv"}


def test_pictures_of_memories_without_a_place_leave_no_page(memories, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match=r"taken.* could not be written"):
        write_memory_report(memories, tmp_path / "report.html", taken)
    assert not (tmp_path / "report.html").exists()


def test_report_on_the_command_line_tells_facts_from_graphs(memories, tmp_path, capsys, monkeypatch):
    """A whole report of a memory on the command line is made in tests/test_kept_runs.py."""
    graph = make_fleet(tmp_path / "runs", path_star(arms=3, length=3))
    where = ["--out", str(tmp_path / "report.html")]
    assert main(["report", str(memories[0].path), str(graph.path), *where]) == 2
    assert "two reports" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()
    asked = []
    monkeypatch.setattr("geomem.report.write_memory_report", lambda *given: asked.append(given) or given[1])
    assert main(["report", str(memories[2].path), *where]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert [run.path for run in asked[0][0]] == [memories[2].path]
    with pytest.raises(InputError, match="No memory was given"):
        write_memory_report([], tmp_path / "report.html")
    with pytest.raises(InputError, match="is a directory"):
        write_memory_report(memories, tmp_path)


def test_recall_with_changed_weights_and_names_of_paths(memories, tmp_path):
    weights = {name: values[0] for name, values in memories[2].weights().items()}
    assert recall_with(memories[2], weights) == 1.0
    assert recall_with(memories[2], weights | {"subject_embedding": 0 * weights["subject_embedding"]}) == 0.0
    hops = learn_facts(
        random_permutations(8, 2),
        model=Recall(width=4, mlp_width=8, hops=2),
        training=RecallTraining(steps=5, warmup_steps=2),
        seeds=[0],
        directory=tmp_path,
    )
    a, b = hops.table.relations
    assert question_names(read_run(hops.path)) == [f"{a}, {a}", f"{a}, {b}", f"{b}, {a}", f"{b}, {b}"]
    assert PORTRAITS.keys() == {"superposition", "selector", "transfer"}
