"""Path finding measured and drawn: pictures show their tables, tables the metrics, and labels stay text."""

import dataclasses
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from geomem.errors import InputError
from geomem.figures import save_figures, view_fleet
from geomem.figures.drawing import shortened
from geomem.figures.path_drawing import (
    draw_answers,
    draw_path_distances,
    draw_path_places,
    draw_path_run,
    draw_settings,
    name_settings,
    save_path_figures,
)
from geomem.figures.path_tables import (
    last_rows,
    place_by_umap,
    tabulate_path_distances,
    tabulate_path_places,
    tabulate_paths,
)
from geomem.figures.views import describe_model
from geomem.measure.edges import measure_fleet
from geomem.measure.paths import (
    distances_of_paths,
    measure_answers,
    path_chances,
    path_distances,
    stored_path_task,
)
from geomem.models.configuration import Transformer
from geomem.runs.paths import find_paths
from geomem.training.configuration import PathTraining
from geomem.worlds.graphs.families import path_star, tree_star
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding, split_paths
from handmade_fleets import HOSTILE_LABELS, make_fleet

MODEL = Transformer(layers=1, width=8, heads=2, position_scale=0.02)
SHORT = PathTraining(epochs=6, batches=2, metric_every=2, warmup_steps=2, snapshots=3, prompts=8)


def train(directory, world, **options):
    settings = {"model": MODEL, "training": SHORT, "seeds": 2, **options}
    return find_paths(world, directory=directory, **settings)


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs"), path_star(arms=20, length=4))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    task = PathFinding(split="first-hop", target="first-hop")
    return train(tmp_path_factory.mktemp("runs"), tree_star(arms=6, length=4), task=task)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geomem.training.path_metrics.PROMPTS", 20)
        world = InContextPathFinding(arms=2, length=3, node_tokens=9)
        return train(tmp_path_factory.mktemp("runs"), world)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A star of four arms whose labels try to be markup, template or formula."""
    edges = np.array([[0, 1], [1, 2], [0, 3], [3, 4], [0, 5], [5, 6], [0, 7], [7, 8]])
    graph = Graph("<i>hostile</i>", (*HOSTILE_LABELS, "plain"), edges, root=0)
    return train(tmp_path_factory.mktemp("runs"), graph, task=PathFinding(held_out=0.5))


def lines_of(axes):
    """Data of the solid lines, by label."""
    return {line.get_label(): line.get_xydata() for line in axes.get_lines() if line.get_linestyle() == "-"}


def test_the_task_is_read_from_the_manifest(star, prompts, tmp_path):
    assert stored_path_task(star) == PathFinding()
    assert stored_path_task(prompts) == InContextPathFinding(arms=2, length=3, node_tokens=9)
    edges = make_fleet(tmp_path, path_star(arms=3, length=3))
    assert stored_path_task(edges) is None
    assert path_distances(edges) is None
    with pytest.raises(ValueError, match="not trained to find paths"):
        path_chances(edges)


def test_chances_are_those_of_guessing(star, tree, prompts):
    assert path_chances(star)["held_out.first_hop"] == path_chances(star)["train.exact_match"] == 1 / 20
    assert path_chances(star)["retrieval"] == 1 / 5
    # Six arms of four leaves; two whole arms are held out, and only the first hop is asked for.
    assert path_chances(tree)["held_out.exact_match"] == 1 / 6
    assert path_chances(tree)["retrieval"] == 1 / 2
    assert path_chances(prompts)["held_out.exact_match"] == 1 / 2
    assert "retrieval" not in path_chances(prompts)


def test_measurements_are_the_last_metrics_beside_guesses(star):
    found = {measured.name: measured for measured in measure_answers(star)}
    for name in ("held_out.first_hop", "held_out.exact_match", "retrieval", "edge_recall", "path_own"):
        np.testing.assert_array_equal(found[name.replace(".", "_")].values, star.final()[name])
    guessed = found["held_out_first_hop"]
    assert guessed.null == "guesses"
    assert guessed.null_mean == pytest.approx(1 / 20, abs=0.01)
    assert guessed.null_low <= 1 / 20 <= guessed.null_high
    assert found["edge_recall"].null == ""


def test_a_fleet_of_paths_has_a_portrait_with_its_answers(star, tree, prompts):
    for fleet in (star, tree, prompts):
        portrait = measure_fleet(fleet, permutations=9)
        assert "held_out_first_hop" in portrait
        assert np.isfinite(portrait["geometric_level"].mean)
    # The star of a prompt has five nodes, and the four other tokens are none of it.
    assert sum(portrait.multiplicities) == 5


def test_answers_right_but_for_the_first_hop_are_said(star, monkeypatch):
    right = {f"held_out.forced_token_{place}": np.ones(2) for place in range(1, 5)}
    right |= {"held_out.first_hop": np.array([0.0, 1.0]), "edge_recall": np.ones(2)}
    monkeypatch.setattr("geomem.runs.run.Run.final", lambda run: right)
    from geomem.measure.paths import find_first_token_guessed

    (signature,) = find_first_token_guessed(star)
    assert signature.name == "random first token"
    assert signature.found.tolist() == [True, False]


def test_distances_are_those_of_pairs_of_nodes():
    embeddings = np.random.default_rng(0).normal(size=(2, 9, 5))
    paths = np.array([[0, 1, 2, 3], [0, 4, 5, 6]])
    leaf_first, path_path = distances_of_paths(embeddings, paths)

    def distance(run, first, second):
        a, b = embeddings[run, first], embeddings[run, second]
        return 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    for run, i, j in np.ndindex(2, 2, 2):
        assert leaf_first[run, i, j] == pytest.approx(distance(run, paths[i, -1], paths[j, 1]))
        pairs = [
            distance(run, first, second)
            for first in paths[i, 1:]
            for second in paths[j, 1:]
            if first != second
        ]
        assert path_path[run, i, j] == pytest.approx(np.mean(pairs))
    assert distances_of_paths(embeddings, paths[:, :2])[1] is None


def test_shown_distances_agree_with_the_metrics(star):
    """All five held-out paths are shown, so that the means over the heatmaps are the stored metrics."""
    shown = path_distances(star)
    assert shown.held_out == len(shown.paths) == len(split_paths(star.graph, PathFinding())[1]) == 5
    last = last_rows(tabulate_paths({"": star}))
    own = shown.leaf_first[:, range(5), range(5)]
    other = shown.path_path[:, ~np.eye(5, dtype=bool)]
    for name, values in (("leaf_first_own", own), ("path_other", other)):
        assert last.filter(metric=name)["mean"].item() == pytest.approx(values.mean(), abs=1e-5)
    few = path_distances(star, count=3, seed=1)
    assert len(few.paths) == 3
    assert not np.array_equal(few.paths, path_distances(star, count=3, seed=2).paths)


def test_the_table_is_mean_and_range_of_the_metrics(star, prompts):
    table = tabulate_paths({"star": star, "prompts": prompts})
    metrics = star.curves()
    assert table.filter(setting="star")["epoch"].max() == 6
    for name in ("loss", "held_out.token_2"):
        for row in table.filter(setting="star", metric=name).iter_rows(named=True):
            values = metrics[name][star.steps == int(row["epoch"] * 2)]
            assert (row["mean"], row["low"], row["high"]) == pytest.approx(
                (values.mean(), values.min(), values.max())
            )
    assert table.filter(metric="loss")["chance"].null_count() == len(table.filter(metric="loss"))
    assert set(table.filter(metric="held_out.first_hop")["chance"]) == {1 / 20, 1 / 2}


def test_settings_are_named_so_that_none_is_called_as_another(star, tree, prompts):
    named = name_settings({"a": star, "b": prompts, "c": star, "d": tree})
    assert named["a"] == "in weights\npath-star-20-4-seed0\ntransformer 1"
    assert named["b"] == "in context\npath-star-2-3\ntransformer"
    assert named["c"].endswith("transformer 3")
    assert named["d"] == "in weights\ntree-star-6-4-seed0\ntransformer"
    (axes,) = draw_answers(tabulate_paths({"a": star, "b": prompts}), names=named).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == [named["a"], named["b"]]


def test_stages_go_on_where_the_one_before_ended(star, tmp_path):
    """The edges alone stop at once, so that both stages have a row at the last epoch of the first."""
    task, once = PathFinding(edge_weight=0.0), dataclasses.replace(SHORT, epochs=2)
    after = train(tmp_path, star.graph, task=task, training=once, start=star)
    table = tabulate_paths({"staged": [star, after], "alone": star})
    staged = table.filter(setting="staged", metric="retrieval")
    assert staged["epoch"].to_list() == [0, 2, 4, 6, 6, 8]
    assert staged["stage"].to_list() == [1, 1, 1, 1, 2, 2]
    assert staged["mean"][3] == staged["mean"][4]
    assert last_rows(table).filter(metric="retrieval")["epoch"].to_list() == [8, 6]
    assert set(last_rows(tabulate_paths({"": [star, star]}))["stage"]) == {2}
    axes = draw_settings(table).axes[0]
    (line,) = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert list(line.get_xdata()) == [6, 6]
    beginning = [axes.get_xlabel() for axes in draw_settings(table).axes]
    assert beginning[2:] == ["epoch; edges alone before the dashed line"] * 2
    assert draw_settings(table.filter(setting="alone")).axes[2].get_xlabel() == "epoch"


def test_the_first_hop_alone_is_never_called_a_whole_path(star, tree):
    table = tabulate_paths({"star": star, "tree": tree})
    assert set(table.filter(metric="held_out.exact_match")["setting"]) == {"star"}
    assert "held_out_exact_match" in {measured.name for measured in measure_answers(star)}
    assert "held_out_exact_match" not in {measured.name for measured in measure_answers(tree)}
    assert "held_out.exact_match" not in view_fleet(tree).curves
    (axes,) = draw_answers(table).axes
    last = last_rows(table).filter(metric="held_out.first_hop")["mean"].to_list()
    whole = last_rows(table).filter(metric="held_out.exact_match")["mean"].to_list()
    assert [patch.get_height() for patch in axes.patches] == pytest.approx([*last, *whole, 1 / 20, 1 / 6])


def test_pictures_of_answers_draw_the_table(star, prompts):
    table = tabulate_paths({"in weights": star, "in context": prompts})
    (axes,) = draw_answers(table).axes
    heights = [patch.get_height() for patch in axes.patches]
    last = last_rows(table)
    expected = [
        last.filter(metric=metric, setting=setting)["mean"].item()
        for metric in ("held_out.first_hop", "held_out.exact_match")
        for setting in ("in weights", "in context")
    ]
    assert heights == pytest.approx([*expected, 1 / 20, 1 / 2])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["in weights", "in context"]


def test_pictures_of_tokens_and_settings_draw_the_table(star, tree, prompts):
    table = tabulate_paths({"20": star, "6": tree, "2": prompts})
    own = table.filter(setting="20")
    left = draw_path_run(own).axes[0]
    tokens = lines_of(left)
    (among_arms,) = [
        line for line in left.get_lines() if line.get_linestyle() == "-." and len(line.get_xdata())
    ]
    rows = own.filter(metric="held_out.first_hop_among_arms").select("epoch", "mean")
    np.testing.assert_array_equal(among_arms.get_xydata(), rows.to_numpy())
    assert [text.get_text() for text in left.get_legend().get_texts()][-2:] == [
        "given those before",
        "first hop among arms",
    ]
    for place in range(1, 5):
        rows = own.filter(metric=f"held_out.token_{place}").select("epoch", "mean")
        np.testing.assert_array_equal(tokens[f"token {place}"], rows.to_numpy())
    figure = draw_settings(table, title="arms", theme="dark")
    assert len(figure.axes) == 4
    for axes, metric in zip(
        figure.axes, ("held_out.first_hop", "held_out.exact_match", "edge_recall", "retrieval"), strict=True
    ):
        for setting in ("20", "6", "2"):
            rows = table.filter(metric=metric, setting=setting).select("epoch", "mean")
            np.testing.assert_array_equal(lines_of(axes)[setting], rows.to_numpy().reshape(-1, 2))
    # Numbers are coloured in order, names apart; prompts alone have neither edges nor a retrieval.
    assert len(draw_settings(table.filter(setting="2")).axes) == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_heatmaps_draw_the_table(star, theme):
    table = tabulate_path_distances(star)
    figure = draw_path_distances(table, title="5 of 5", theme=theme)
    heatmaps = [axes for axes in figure.axes if axes.images]
    for axes, name in zip(heatmaps, ("leaf_first", "path_path"), strict=True):
        (image,) = axes.images
        assert image.get_clim()[0] == 0.0
        np.testing.assert_array_equal(np.asarray(image.get_array()).ravel(), table[name].to_numpy())
        assert np.isfinite(table[name].to_numpy()).all()
    leaf = next(row for row in table.iter_rows(named=True) if row["row"] == row["column"])
    # The column's first hop is that of its leaf: labels are arm.place.
    assert leaf["first_hop"] == leaf["column"].partition(".")[0] + ".1"


def test_paths_of_two_nodes_have_one_heatmap(tmp_path):
    fleet = train(tmp_path, path_star(arms=8, length=2))
    table = tabulate_path_distances(fleet)
    assert table["path_path"].null_count() == len(table)
    assert len([axes for axes in draw_path_distances(table).axes if axes.images]) == 1


def test_places_are_principal_components_of_the_coloured_paths(star):
    table = tabulate_path_places(star, run=1)
    coloured = table.drop_nulls("path")
    assert coloured["path"].n_unique() == 5
    assert coloured["place"].unique().sort().to_list() == [1, 2, 3]
    assert len(table) == star.graph.node_count - 1 + len(coloured)
    points = coloured.select("x", "y").to_numpy()
    vectors = star.embeddings()[1][coloured["node"].to_numpy()]
    centred = vectors - vectors.mean(axis=0)
    variances = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    np.testing.assert_allclose((points**2).sum(axis=0), variances[:2], rtol=1e-9)
    assert table["share"][0] == pytest.approx(variances[:2].sum() / variances.sum())
    drawn = draw_path_places(table).axes[0]
    np.testing.assert_array_equal(lines_of(drawn)["_child1"], coloured.filter(path=0).select("x", "y"))


def test_umap_is_an_extra_seeded_and_called_an_illustration(star, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match=r"UMAP is not installed; .*geomem\[umap\]"):
        place_by_umap(np.eye(4))
    given = {}

    class Reducer:
        def __init__(self, **options):
            given.update(options)

        def fit_transform(self, embeddings):
            return embeddings[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Reducer))
    table = tabulate_path_places(star, "umap")
    assert given == {"n_neighbors": 15, "min_dist": 0.1, "random_state": 0, "n_jobs": 1}
    assert table["share"].null_count() == len(table)
    assert "illustration" in draw_path_places(table).axes[0].get_xlabel()


def test_files_hold_what_is_drawn_and_labels_stay_text(hostile, prompts, tmp_path):
    fleets = {"<b>&amp;": hostile, "$\\frac{1}{2}$": prompts}
    written = save_path_figures(dict(zip(("a", "b"), fleets.values(), strict=True)), tmp_path)
    names = {path.stem for path in written}
    assert names == {"answers", "a-tokens", "a-distances", "a-places", "b-tokens"}
    for path in written:
        if path.suffix == ".svg":
            tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
            assert not tags & {"script", "img", "b", "i"}
    kept = pl.read_csv(tmp_path / "a-distances.csv")
    assert_frame_equal(kept, tabulate_path_distances(hostile))
    assert set(kept["row"]) <= {*HOSTILE_LABELS, "plain"}
    texts = {element.text for element in ElementTree.parse(tmp_path / "a-distances.svg").iter()}
    assert {shortened(label, 16) for label in (*kept["row"], *kept["first_hop"])} <= texts
    (axes,) = draw_answers(tabulate_paths(fleets)).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == list(fleets)


def test_the_other_pictures_of_a_fleet_work_too(star, prompts, tmp_path):
    for number, fleet in enumerate((star, prompts)):
        view = view_fleet(fleet, measure_fleet(fleet, permutations=9))
        assert (view.paths is None) == (fleet is prompts)
        written = save_figures(view, tmp_path / str(number))
        assert all(path.stat().st_size for path in written)
    assert any("path-star of its own" in said for said in view.omissions)


def test_models_are_described_with_what_they_were_asked(star, tree, prompts):
    def described(fleet):
        configuration = fleet.manifest["configuration"]
        return describe_model(configuration)

    assert described(star) == "Transformer, 1 layer, width 8, paths, 3 pauses"
    assert described(tree).endswith("first hops, 3 pauses, whole subtrees held out")
    assert described(prompts).endswith("paths, in context")
