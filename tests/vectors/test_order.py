"""Rows without labels: which order was used, and when another one is named."""

import numpy as np
import pytest

from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.measure.vectors.order import describe_order, find_better_order, plausible_orders
from geomem.measure.vectors.reading import read_embeddings
from geomem.worlds.catalogue import NATURAL_ORDER, WORLDS
from geomem.worlds.graphs.families import cycle, grid, path_star, shuffled_ids, tree_star
from geomem.worlds.graphs.readers import graph_from


def ring(nodes, width=2, noise=0.0, seed=0):
    angles = 2 * np.pi * np.arange(nodes) / nodes
    rows = np.zeros((nodes, width))
    rows[:, :2] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return rows + noise * np.random.default_rng(seed).normal(size=rows.shape)


def shuffled_cycle(nodes, name):
    """A cycle whose edges come in another order, as a file may have them."""
    edges = [(name.format(node), name.format((node + 1) % nodes)) for node in range(nodes)]
    return graph_from([edges[at] for at in np.random.default_rng(5).permutation(nodes)])


def smooth(graph, width=8, seed=0):
    """Embeddings with the graph's own geometry: random mixtures of its smoothest modes."""
    spectrum = laplacian_spectrum(graph)
    modes = spectrum.eigenvectors[:, 1:6]
    return modes @ np.random.default_rng(seed).normal(size=(5, width))


@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize("name", ["n{}", "node {}", "x{}y"])
def test_natural_order_is_named_where_rows_follow_it(name, offset):
    graph = shuffled_cycle(15, name)
    sentence = find_better_order(ring(15, noise=0.02) + offset, graph)
    first, second, last = (name.format(node) for node in (0, 1, 14))
    order = f"in natural order (row 0 is {first!r}, row 1 is {second!r}, …, row 14 is {last!r})"
    assert sentence.startswith(
        f"Another order of the rows fits the graph far better: {order} distance explains "
    )
    assert sentence.endswith("name the rows with --labels FILE.")
    assert "\n" not in sentence


def test_the_other_orders_are_named_as_well():
    graph = shuffled_cycle(15, "{}")
    for name, nodes in plausible_orders(graph).items():
        rows = ring(15)[np.array([int(graph.labels[node]) for node in nodes])]
        sentence = find_better_order(rows, graph)
        assert sentence is None if name == "numeric order" else f"far better: in {name} (" in sentence


@pytest.mark.parametrize("seed", range(10))
def test_the_right_order_and_random_vectors_are_left_alone(seed):
    generator = np.random.default_rng(seed)
    for graph in (cycle(15), grid(4, 4), shuffled_cycle(15, "n{}"), path_star(4, 5, world_seed=None)):
        assert find_better_order(generator.normal(size=(graph.node_count, 16)), graph) is None
        own = smooth(graph, seed=seed)
        assert find_better_order(own + 0.5 * own.std() * generator.normal(size=own.shape), graph) is None


@pytest.mark.parametrize("family", [path_star, tree_star])
def test_rows_of_a_run_against_a_star_in_natural_order(family):
    natural, shuffled = family(world_seed=None), family(world_seed=0)
    rows = smooth(natural)
    ids = shuffled_ids(natural.node_count, world_seed=0)
    of_run = np.empty_like(rows)
    of_run[ids] = rows
    assert "order of a built-in star with --world-seed 0" in find_better_order(of_run, natural)
    assert "(row 0 is 'root', row 1 is '1" in find_better_order(rows, shuffled)
    assert find_better_order(of_run, shuffled) is None
    assert find_better_order(rows, natural) is None


def test_a_large_graph_costs_no_more(monkeypatch):
    graph = shuffled_cycle(6_000, "n{}")
    angles = 2 * np.pi * np.array([int(label[1:]) for label in graph.labels]) / 6_000
    assert find_better_order(np.stack([np.cos(angles), np.sin(angles)], axis=1), graph) is None
    assert "in natural order" in find_better_order(ring(6_000), graph)


def test_what_cannot_tell_is_no_reason_to_warn():
    assert find_better_order(np.ones((15, 3)), cycle(15)) is None
    assert find_better_order(np.zeros((15, 3)), cycle(15)) is None
    complete = graph_from([("b", "a"), ("b", "c"), ("c", "a")])
    assert find_better_order(np.random.default_rng(0).normal(size=(3, 2)), complete) is None


@pytest.mark.parametrize("name", WORLDS)
def test_built_in_worlds_are_in_natural_order(name):
    graph = WORLDS[name](**NATURAL_ORDER.get(name, {}))
    said = describe_order(graph)
    assert said.startswith(f"row 0 is {graph.labels[0]!r}, row 1 is {graph.labels[1]!r}, ")
    if graph.root is not None:
        assert graph.root == 0
    if graph.labels[0] in ("0", "1.1", "root"):
        assert said.endswith(("order)", "order of first appearance in the edges)")), said


@pytest.mark.parametrize("world_seed", [0, 3])
def test_rows_by_position_read_as_the_closed_form_says(tmp_path, world_seed):
    star = path_star(arms=4, length=5, world_seed=None)
    labelled = path_star(arms=4, length=5, world_seed=world_seed)
    spectrum = laplacian_spectrum(star)
    rows = spectrum.eigenvectors[:, 1:4]
    np.save(tmp_path / "v.npy", rows)
    by_position = read_embeddings(tmp_path / "v.npy", star)
    by_label = read_embeddings(tmp_path / "v.npy", labelled, labels=star.labels)
    for read in (by_position, by_label):
        assert fiedler_alignment(read.embeddings[0], laplacian_spectrum(read.graph)) == pytest.approx(1.0)
