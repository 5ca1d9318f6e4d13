"""Pictures of a fleet: what they show is what was measured, and the files are the same every time."""

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from geomem.figures import (
    draw_heatmap,
    draw_map,
    draw_shells,
    drawing,
    map_side_by_side,
    save_figures,
    side_by_side,
    view_fleet,
    views,
)
from geomem.figures.drawing import save_figure
from geomem.figures.palette import DARK, LIGHT, THEMES, contrast_ratio, node_colours, rgb
from geomem.figures.places import place_labels
from geomem.figures.tables import (
    tabulate_curves,
    tabulate_dynamics,
    tabulate_edges,
    tabulate_embedding,
    tabulate_heatmap,
    tabulate_map,
    tabulate_shells,
    tabulate_spectrum,
)
from geomem.figures.views import display_order
from geomem.geometry.similarity import cosine_similarity
from geomem.worlds.graphs.families import cycle, erdos_renyi, path_star, tree_star
from geomem.worlds.graphs.graph import Graph, distance_matrix
from handmade_fleets import HOSTILE_LABELS, hostile_graph, make_fleet


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    return make_fleet(tmp_path_factory.mktemp("runs"), path_star(arms=4, length=5))


@pytest.fixture(scope="module")
def star_view(star):
    return view_fleet(star)


@pytest.fixture(scope="module")
def hostile_view(tmp_path_factory):
    return view_fleet(make_fleet(tmp_path_factory.mktemp("runs"), hostile_graph()))


def pixels(figure: Figure) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(float)


def test_places_keep_the_shape_of_the_embedding_where_three_axes_suffice(tmp_path):
    fleet = make_fleet(tmp_path, path_star(arms=3, length=4), steps=4000)
    view = view_fleet(fleet)
    final = fleet.embeddings()[0][view.nodes]
    centred = final - final.mean(axis=0)
    shown = view.places[0, -1]
    share = view.explained[0, -1]
    assert share > 0.9
    # Scaling is the only liberty taken: distances are the embedding's, but for what three axes miss.
    gaps = np.linalg.norm(centred[:, None] - centred[None], axis=-1)
    shown_gaps = np.linalg.norm(shown[:, None] - shown[None], axis=-1)
    assert np.corrcoef(gaps.ravel(), shown_gaps.ravel())[0, 1] > 0.99
    assert np.linalg.norm(view.places, axis=-1).max(axis=-1) == pytest.approx(1.0)


def test_laplacian_view_grows_with_what_the_embedding_puts_on_the_smooth_modes(star, star_view):
    sizes = np.linalg.norm(star_view.modes, axis=(2, 3))
    assert (sizes[:, -1] > 1.5 * sizes[:, 0]).all()
    # Each axis is an eigenvector of the graph, so columns are orthogonal whatever the embedding.
    final = star_view.modes[0, -1]
    assert final.T @ final == pytest.approx(np.diag(np.diag(final.T @ final)), abs=1e-9)


def test_display_order_walks_a_star_branch_by_branch():
    graph = tree_star(arms=2, length=3)
    order, words = display_order(graph)
    assert "root" in words
    assert order[0] == graph.root
    distances = distance_matrix(graph)
    tops = [node for node in order if distances[graph.root, node] == 1]
    where = {int(node): place for place, node in enumerate(order)}
    assert where[int(tops[0])] == 1
    assert sorted(order) == list(range(graph.node_count))


def test_display_order_brings_neighbours_together_in_a_shuffled_path():
    graph = path_star(arms=2, length=8, world_seed=3)
    nameless = Graph(name="path", labels=tuple(f"n{i}" for i in range(graph.node_count)), edges=graph.edges)
    order, words = display_order(nameless)
    assert "Fiedler" in words
    places = np.argsort(order)
    assert (np.abs(places[nameless.edges[:, 0]] - places[nameless.edges[:, 1]]) == 1).all()


def test_numbers_as_labels_keep_their_natural_order():
    order, _ = display_order(cycle(12))
    assert order.tolist() == list(range(12))


def test_tables_hold_what_is_stored(star, star_view):
    order = star_view.nodes
    final = star.embeddings()
    heat = tabulate_heatmap(star_view)
    expected = cosine_similarity(final).mean(axis=0)[np.ix_(order, order)]
    assert heat["cosine"].to_numpy() == pytest.approx(expected.ravel(), abs=1e-6)
    assert heat["distance"].to_numpy() == pytest.approx(
        distance_matrix(star.graph)[np.ix_(order, order)].ravel()
    )
    assert tabulate_spectrum(star_view)["mean"].sum() == pytest.approx(1.0)
    assert tabulate_spectrum(star_view)["expected"].sum() == pytest.approx(1.0)
    shells = tabulate_shells(star_view)
    assert shells["distance"].to_list() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (shells["low"] <= shells["mean"]).all()
    assert (shells["mean"] <= shells["high"]).all()
    curves = tabulate_curves(star_view)
    last = star.final()["geometric_level"].mean()
    assert curves.filter(pl.col("metric") == "geometric_level")["mean"][-1] == pytest.approx(last)
    assert len(tabulate_edges(star_view)) == star.graph.edge_count
    steps, _ = star.snapshots()
    assert len(tabulate_embedding(star_view)) == len(star.seeds) * len(steps) * star.graph.node_count


def test_dynamics_end_where_the_embedding_does(star, star_view):
    table = tabulate_dynamics(star_view)
    final = table.filter(pl.col("step") == table["step"].max())
    energy = (final["projection"] ** 2 * final["multiplicity"]).sum()
    # Means over seeds of root mean squares, so not exactly the mean energy; within a per cent of it.
    assert energy == pytest.approx((star.embeddings() ** 2).sum(axis=(1, 2)).mean(), rel=0.02)
    assert (final["gradient"] >= 0).all()


def test_map_is_the_true_one_when_the_embedding_is(tmp_path):
    graph = hostile_graph()
    fleet = make_fleet(tmp_path, graph, steps=3000)
    view = view_fleet(fleet)
    assert view.map_correlations.min() > 0.9
    table = tabulate_map(view)
    gap = (table["true_x"] - table["learned_x"]) ** 2 + (table["true_y"] - table["learned_y"]) ** 2
    spread = (graph.coordinates - graph.coordinates.mean(axis=0)).ravel() @ graph.coordinates.ravel()
    assert gap.sum() / len(fleet.seeds) < 0.2 * spread


def test_save_figures_writes_the_same_bytes_twice_and_the_plotted_data(
    star_view, hostile_view, tmp_path, monkeypatch
):
    first = save_figures(star_view, tmp_path / "a")
    second = save_figures(star_view, tmp_path / "b")
    assert {path.suffix for path in first} == {".pdf", ".svg", ".csv"}
    assert {path.stem for path in first} == {
        *("embedding", "heatmap", "curves", "spectrum", "shells", "dynamics")
    }
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
        assert one.stat().st_size > 200
    read = pl.read_csv(tmp_path / "a" / "shells.csv")
    assert read["mean"].to_numpy() == pytest.approx(star_view.portrait.shells.mean(axis=0))
    assert (tmp_path / "a" / "curves.pdf").read_bytes()[:5] == b"%PDF-"
    monkeypatch.setattr(drawing, "save_figure", lambda figure, table, stem: [stem])
    assert "map" in {path.stem for path in save_figures(hostile_view, tmp_path)}


def test_labels_in_a_picture_stay_text(hostile_view, tmp_path):
    save_figure(draw_map(hostile_view), tabulate_map(hostile_view), tmp_path / "map")
    svg = (tmp_path / "map.svg").read_text()
    assert "<script" not in svg
    assert "&lt;b&gt;bold" in svg


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
def test_pictures_are_not_blank_in_either_theme(star_view, hostile_view):
    for theme, colours in THEMES.items():
        for figure in (
            side_by_side(star_view, star_view, theme=theme),
            map_side_by_side(hostile_view, theme=theme),
        ):
            image = pixels(figure)
            assert image[0, 0] == pytest.approx(255 * rgb(colours.card), abs=1)
            drawn = (np.abs(image - image[0, 0]).max(axis=2) > 40).mean()
            assert 0.005 < drawn < 0.5
    for draw in (draw_heatmap, draw_shells):
        assert pixels(draw(star_view)).std() > 10


def test_a_fleet_without_map_or_dynamics_says_so(star_view, tmp_path):
    plain = view_fleet(make_fleet(tmp_path, cycle(6), learns=False))
    assert plain.dynamics is None
    with pytest.raises(ValueError, match="no Node2Vec dynamics"):
        tabulate_dynamics(plain)
    with pytest.raises(ValueError, match="no coordinates"):
        draw_map(star_view)
    with pytest.raises(ValueError, match="no coordinates"):
        tabulate_map(star_view)


def test_large_graphs_are_bounded_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "DRAWN_NODES", 30)
    monkeypatch.setattr(views, "DRAWN_EDGES", 25)
    monkeypatch.setattr(views, "HEATMAP_NODES", 10)
    monkeypatch.setattr(views, "SNAPSHOT_NUMBERS", 60 * 24 * 2 * 4)
    graph = erdos_renyi(60, 0.15)
    view = view_fleet(make_fleet(tmp_path, graph, steps=10))
    assert len(view.nodes) == 30
    assert len(view.edges) <= 25
    assert view.cosines.shape[2:] == (10, 10) == view.distances.shape
    assert view.places.shape[2] == 30
    assert len(view.omissions) == 4
    assert view.places.shape[1] == len(view.steps) == 4
    assert view.steps[-1] == 10
    shown = set(view.nodes.tolist())
    drawn = {tuple(sorted(view.nodes[edge].tolist())) for edge in view.edges}
    assert drawn <= {tuple(sorted(edge)) for edge in graph.edges.tolist()}
    assert all(node in shown for edge in drawn for node in edge)


def test_labels_never_cover_each_other():
    points = np.random.default_rng(0).uniform(0, 300, size=(60, 2))
    lengths = [8] * 60
    offsets = place_labels(lengths, points, 6.0)
    wide, high = 8 * 6.0 * 0.6, 6.0 * 1.1 * 0.8
    corners = [p + o for p, o in zip(points, offsets, strict=True) if o is not None]
    assert len(corners) > 30
    for i, one in enumerate(corners):
        for other in corners[:i]:
            assert (np.abs(one - other) >= [wide - 1e-9, high - 1e-9]).any()
    within = place_labels(lengths, points, 6.0, (0.0, 300.0))
    starts = [p[0] + o[0] for p, o in zip(points, within, strict=True) if o is not None]
    assert min(starts) >= 0
    assert max(starts) <= 300 - wide


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_text_has_the_contrast_that_accessibility_asks_for(theme):
    for text in (theme.ink, theme.muted, theme.accent, theme.warm, theme.gold, theme.slate):
        for ground in (theme.paper, theme.card):
            assert contrast_ratio(text, ground) >= 4.5
    lightness = [float(rgb(colour) @ [0.2126, 0.7152, 0.0722]) for colour in theme.ramp]
    assert lightness == sorted(lightness)


def test_branches_have_a_colour_each_and_the_root_that_of_the_text():
    colours = node_colours(np.zeros(5), [-1, 0, 0, 1, 2], LIGHT)
    assert colours[0] == LIGHT.ink
    assert colours[1] == colours[2]
    assert len(set(colours)) == 4


def test_hostile_labels_survive_the_tables(hostile_view):
    assert set(tabulate_map(hostile_view)["label"]) == set(HOSTILE_LABELS)
