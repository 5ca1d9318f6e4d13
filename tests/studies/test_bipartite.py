"""The study of two sides on embeddings whose sides are known."""

import numpy as np
import pytest

from geomem.geometry.spectrum import laplacian_matrix
from geomem.studies import bipartite
from geomem.studies.sides import area, likeness, read_linearly, two_sides
from geomem.worlds.graphs.families import grid
from geomem.worlds.graphs.graph import component_labels, distance_matrix, node_degrees


@pytest.fixture(scope="module")
def zig_zag():
    """Low modes of the grid to read, the same with the signs of a chess board to answer with, and back."""
    graph = grid()
    modes = np.linalg.eigh(laplacian_matrix(graph, kind="normalized").toarray())[1]
    low, rows = modes[:, 1:5], np.arange(graph.node_count)
    board = (-1.0) ** distance_matrix(graph)[0][rows]
    # Every node has its place and its colour; what answers has the colour of the neighbours.
    one = np.column_stack([low * 3, board])
    return graph, one, np.column_stack([low * 3, -board])


def test_a_zig_zag_is_read_across_at_odd_distances_only(zig_zag):
    graph, read, answered = zig_zag
    found = {(question, side): score for question, side, score in bipartite.ask_whole(graph, read, answered)}
    assert found["neighbours", "across"] > 0.9 > found["neighbours", "same"]
    assert found["second neighbours", "same"] > found["second neighbours", "across"]


def test_one_table_has_one_side(zig_zag):
    _, read, _ = zig_zag
    for sides in (likeness(read, read), two_sides(read, read)):
        np.testing.assert_allclose(sides["same"].sum(), sides["across"].sum(), atol=1e-9)


def test_noise_reads_nothing():
    generator = np.random.default_rng(0)
    assert read_linearly(generator.normal(size=(300, 8)), generator.normal(size=300)) < 0.05
    assert abs(area(generator.normal(size=2000), generator.random(2000) < 0.3) - 0.5) < 0.05
    assert np.isnan(area(np.ones(3), np.zeros(3, dtype=bool)))


@pytest.mark.parametrize("name", bipartite.LINKED)
def test_held_out_edges_leave_the_graph_whole(name):
    kept, out = bipartite.divide(name)
    whole = bipartite.find_world(name)
    assert kept.edge_count + len(out) == whole.edge_count
    assert len(out) == pytest.approx(0.1 * whole.edge_count, abs=1)
    assert not component_labels(kept).any()
    assert node_degrees(kept).min() > 0


def test_a_memory_tied_late_starts_from_the_mean_of_both_tables(monkeypatch):
    monkeypatch.setattr(bipartite, "STEPS", 20)
    settings = {"world": "grid", "divided": True, "seeds": [0, 1]}
    found = bipartite.tie_late(settings, directory=None, device="cpu", on_progress=lambda share: None)
    assert found["averaged"].shape == found["late"].shape == (2, 16, 32)
    assert not np.allclose(found["averaged"], found["late"])
    assert found["late_recall"].mean() > found["averaged_recall"].mean()
