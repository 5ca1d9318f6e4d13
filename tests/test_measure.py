import numpy as np
import polars as pl
import pytest

from geomem.errors import InputError
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.recovery import associative_accuracy, cross_entropy, loss_floor
from geomem.geometry.similarity import distance_shells, effective_rank
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.measure.edges import (
    measure_curves,
    measure_fleet,
    measure_snapshots,
    portrait_table,
    sound_runs,
    stored_task,
)
from geomem.runs.directory import configuration_hash
from geomem.runs.run import write_run
from geomem.worlds.graphs.families import complete, cycle, path_star
from geomem.worlds.graphs.graph import distance_matrix
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples
from geomem.worlds.vocabulary import Vocabulary
from handmade_fleets import make_fleet
from oracles import train_node2vec

RUNS = 3


def stored(folder, graph, kind, weights, snapshots, metrics, task=None):
    """A finished fleet on disk, without training one."""
    task = task or EdgeMemorization()
    configuration = {
        "world": {"name": graph.name, "digest": graph.digest},
        "task": {
            "kind": "edge-memorization",
            "directions": task.directions,
            "self_edges": task.self_edges,
            "task_token": task.task_token,
        },
        "model": {"kind": kind},
        "training": {"steps": 20},
        "seeds": list(range(RUNS)),
    }
    manifest = {
        "format": 1,
        "name": f"{graph.name}-{kind}",
        "hash": configuration_hash(configuration),
        "configuration": configuration,
    }
    return write_run(
        folder / f"{graph.name}-{kind}",
        manifest=manifest,
        world=graph,
        metrics=metrics,
        metric_steps=np.array([0, 20]),
        weights=weights,
        snapshots=snapshots.astype(np.float32),
        snapshot_steps=np.array([0, 7, 20]),
    )


def bilinear_fleet(folder, graph, task=None, kind="bilinear"):
    """Node2Vec's embeddings with W the identity: a bilinear model whose whole function is geometric."""
    V = np.stack(
        [train_node2vec(graph, seed=seed, width=24, steps=1500, self_edges=True) for seed in range(RUNS)]
    )
    specials = np.random.default_rng(0).normal(
        size=(RUNS, Vocabulary(graph.labels).size - graph.node_count, 24)
    )
    weights = {
        "token_embedding": np.concatenate([V, 100 * specials], axis=1).astype(np.float32),
        "weight": np.tile(np.eye(24, dtype=np.float32), (RUNS, 1, 1)),
        "bias": np.zeros((RUNS, 24), dtype=np.float32),
    }
    examples = edge_examples(graph, task or EdgeMemorization())
    logits = V @ np.swapaxes(V, 1, 2)
    parts = examples.fact_examples, examples.fact_targets
    last = {
        "loss": cross_entropy(logits, *parts, examples.fact_weights),
        "associative_accuracy": associative_accuracy(logits, *parts),
        "top1_accuracy": np.array([0.1, 0.2, 0.3]),
        "geometric_level": np.array([0.5, 0.6, 0.7]),
    }
    metrics = {name: np.stack([np.full(RUNS, 9.0), values]) for name, values in last.items()}
    generator = np.random.default_rng(1)
    snapshots = np.stack([generator.normal(size=V.shape), 0.5 * V + generator.normal(size=V.shape), V])
    return stored(folder, graph, kind, weights, snapshots, metrics, task), last, V


def test_a_fleet_adds_what_it_recalls_to_its_portrait(tmp_path):
    graph = path_star()
    fleet, last, V = bilinear_fleet(tmp_path, graph)
    portrait = measure_fleet(fleet, permutations=99)
    for name in ("loss", "associative_accuracy", "top1_accuracy"):
        assert portrait[name].values == pytest.approx(last[name])
        assert portrait[name].null == ""
        assert np.isnan(portrait[name].p_value)
        assert portrait[name].low <= portrait[name].mean <= portrait[name].high
    examples = edge_examples(graph, EdgeMemorization())
    floor = loss_floor(examples.fact_examples, examples.fact_weights)
    assert portrait["excess_loss"].values == pytest.approx(last["loss"] - floor)
    assert "0.6931" in portrait["excess_loss"].explanation
    assert "0.5312" in portrait["top1_accuracy"].explanation
    assert portrait.reading == "geometric"
    assert portrait["leaf_retrieval"].mean == 1
    expected = fiedler_alignment(V.astype(np.float32).astype(float), laplacian_spectrum(graph))
    assert portrait["fiedler_alignment"].values == pytest.approx(expected)
    # W is the identity, so keeping it diagonal in E's basis changes nothing; the loud specials take no part.
    assert portrait["skewed_margin"].values == pytest.approx(portrait["margin"].values, abs=1e-4)
    assert portrait["margin"].mean > 0
    assert portrait["skewed_accuracy"].mean == 1


def test_node2vec_has_its_own_floor_and_no_margin(tmp_path):
    graph = path_star()
    portrait = measure_fleet(bilinear_fleet(tmp_path, graph, kind="node2vec")[0], permutations=99)
    assert "margin" not in portrait
    # Node mean of log degree: (1 log 4 + 12 log 2 + 4 log 1) / 17 = .571 in the paper file.
    assert "0.5708" in portrait["excess_loss"].explanation


def test_the_task_comes_from_the_manifest(tmp_path):
    task = EdgeMemorization(directions="forward", self_edges=True, task_token=False)
    fleet = bilinear_fleet(tmp_path, cycle(9), task)[0]
    assert stored_task(fleet) == task
    portrait = measure_fleet(fleet, permutations=99)
    assert "0.6931" in portrait["excess_loss"].explanation


def test_a_complete_graph_is_measured_without_margins(tmp_path):
    portrait = measure_fleet(bilinear_fleet(tmp_path, complete(6))[0], permutations=99)
    assert "margin" not in portrait
    assert portrait["associative_accuracy"].values.shape == (RUNS,)


def test_curves_over_training(tmp_path):
    graph = path_star()
    fleet, _, V = bilinear_fleet(tmp_path, graph)
    curves = measure_curves(fleet)
    assert curves.columns == ["run", "step", "metric", "value"]
    assert curves.schema == pl.Schema(
        {"run": pl.Int32, "step": pl.Int64, "metric": pl.String, "value": pl.Float64}
    )
    assert curves["step"].unique().sort().to_list() == [0, 7, 20]
    stored_V = V.astype(np.float32).astype(float)
    shells = distance_shells(stored_V, distance_matrix(graph))[1]
    expected = {
        "geometric_level": shells[:, 0],
        "second_neighbour_cosine": shells[:, 1],
        "fiedler_alignment": fiedler_alignment(stored_V, laplacian_spectrum(graph)),
        "effective_rank": effective_rank(stored_V),
    }
    assert set(curves["metric"].unique()) == set(expected)
    for metric, values in expected.items():
        last = curves.filter((pl.col("metric") == metric) & (pl.col("step") == 20)).sort("run")["value"]
        assert last.to_numpy() == pytest.approx(values)


def test_a_diverged_run_leaves_a_gap_in_its_own_curve():
    snapshots = np.random.default_rng(2).normal(size=(3, 2, 15, 4))
    sound = measure_snapshots(snapshots, cycle())
    snapshots[1, 0, 3, 2] = np.nan
    snapshots[2] = np.inf
    curves = measure_snapshots(snapshots, cycle())
    for name, values in curves.items():
        assert np.isnan(values[1, 0])
        assert np.isnan(values[2]).all()
        assert values[0] == pytest.approx(sound[name][0])
        assert values[1, 1] == pytest.approx(sound[name][1, 1])
    assert set(measure_snapshots(snapshots[:, :, :4], complete(4))) == {
        "geometric_level",
        "effective_rank",
        "fiedler_alignment",
    }


def test_table_has_one_row_per_measurement_and_no_nan(tmp_path):
    portrait = measure_fleet(bilinear_fleet(tmp_path, path_star())[0], permutations=99)
    table = portrait_table(portrait)
    assert table["name"].to_list() == [measurement.name for measurement in portrait.measurements]
    assert table.columns[-2:] == ["values", "explanation"]
    assert table["values"].list.len().unique().to_list() == [RUNS]
    row = table.row(by_predicate=pl.col("name") == "loss", named=True)
    assert row["p_value"] is None
    assert row["null_mean"] is None
    assert row["mean"] == pytest.approx(portrait["loss"].mean)
    for column in table.select(pl.col(pl.Float64)).columns:
        assert table[column].is_nan().sum() == 0


def signature_of(portrait, name):
    return next(signature for signature in portrait.signatures if signature.name == name)


def test_signatures_of_a_fleet_see_every_run_and_measurements_the_sound_ones(tmp_path):
    graph = path_star()
    sound, broken = (
        make_fleet(tmp_path / name, graph, seeds=(0, 1, 2), diverged=diverged)
        for name, diverged in (("sound", ()), ("broken", (1,)))
    )
    names = ["diverged", "unfinished memorisation", "collapsed geometry", "zig-zag", "merged twins"]
    portrait, partly = (measure_fleet(fleet, permutations=99) for fleet in (sound, broken))
    assert [signature.name for signature in portrait.signatures] == names
    assert not signature_of(portrait, "diverged").found.any()
    assert len(portrait.readings) == 3
    assert signature_of(partly, "diverged").found.tolist() == [False, True, False]
    # A diverged run does not count as one that has not finished.
    assert not signature_of(partly, "unfinished memorisation").found[1]
    assert all(len(signature.found) == 3 for signature in partly.signatures)
    assert partly.readings == (portrait.readings[0], portrait.readings[2])
    whole = portrait["fiedler_alignment"].values
    assert partly["fiedler_alignment"].values == pytest.approx(whole[[0, 2]])
    assert sound_runs(sound) is sound
    assert sound_runs(broken).seeds == (0, 2)
    for learns in (True, False):  # an associative fleet has margins, which have no meaning here
        nothing = make_fleet(tmp_path / "nothing", graph, learns=learns, diverged=(0, 1))
        assert sound_runs(nothing).seeds == (0, 1)
        with pytest.raises(InputError, match="NaN or infinity"):
            measure_fleet(nothing)


def test_recalled_facts_are_named_and_must_be_those_of_the_task(tmp_path):
    graph = path_star()
    fleet = bilinear_fleet(tmp_path, graph)[0]
    steps, snapshots = fleet.snapshots()
    metrics = {name: np.full((1, RUNS), 0.5) for name in ("loss", "associative_accuracy", "top1_accuracy")}

    def write(facts):
        recalled = np.ones((RUNS, facts), dtype=bool)
        recalled[1, 0] = False
        return write_run(
            fleet.path,
            manifest=fleet.manifest,
            world=graph,
            metrics=metrics,
            metric_steps=np.array([20]),
            weights=fleet.weights(),
            snapshots=snapshots,
            snapshot_steps=steps,
            recalled=recalled,
        )

    source, target = directed_facts(graph, EdgeMemorization())[0]
    sentence = signature_of(measure_fleet(write(32), permutations=99), "unfinished memorisation").sentence
    assert sentence.endswith(f"missing is {graph.labels[source]} → {graph.labels[target]}.")
    with pytest.raises(InputError, match="recalled has 31 facts, not 32"):
        measure_fleet(write(31), permutations=99)
