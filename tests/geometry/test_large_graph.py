import numpy as np
import pytest

from geomem.geometry import portrait as exact_portrait
from geomem.geometry.large_graph import measure_large
from geomem.geometry.lowest_modes import lowest_modes
from geomem.geometry.measurement import RANDOM_ROWS
from geomem.geometry.portrait import EXACT_NODES, assemble_portrait, measure_embeddings
from geomem.geometry.spectrum import fiedler_modes
from geomem.measure.edges import measure_snapshots
from geomem.worlds.graphs.families import barabasi_albert, complete, cycle, grid, path_star, random_regular
from geomem.worlds.graphs.graph import Graph
from random_graphs import disjoint_union


def sampled_portrait(V, graph, *, permutations, seed):
    """The portrait as if the graph were too large for all its pairs."""
    return assemble_portrait(V, graph, measure_large(V, V, graph, permutations, seed))


def smooth(graph, width=6, seed=0, noise=0.02):
    """Random mixtures of the lowest modes, with a little noise."""
    modes = lowest_modes(graph, 6)
    chosen = modes.eigenvectors[:, fiedler_modes(modes)[0] :]
    generator = np.random.default_rng(seed)
    mixed = chosen @ generator.standard_normal((chosen.shape[1], width)) * np.sqrt(len(chosen))
    return mixed + noise * generator.standard_normal((len(chosen), width))


def arms(graph, width=24, seed=0, zigzag=False):
    """A direction for every arm of a path-star, the same along it or with signs that alternate."""
    generator = np.random.default_rng(seed)
    rows = np.zeros((graph.node_count, width))
    directions = {}
    for node, label in enumerate(graph.labels):
        arm, _, position = label.partition(".")
        sign = (-1) ** int(position or 0) if zigzag else 1
        rows[node] = sign * directions.setdefault(arm, generator.standard_normal(width))
    return rows + 0.1 * generator.standard_normal(rows.shape)


def chequered(graph, columns, width=6, seed=0):
    """A grid's smooth mixture with the sign of a chessboard: neighbours opposite, second neighbours alike."""
    node = np.arange(graph.node_count)
    sign = (-1.0) ** (node // columns + node % columns)
    return smooth(graph, width, seed) * sign[:, None]


def numbers(portrait):
    return [
        (m.name, *m.values, m.mean, m.null_mean, m.null_low, m.null_high, m.p_value)
        for m in portrait.measurements
    ]


MIDDLE = {
    "grid": lambda: (grid(20, 25), smooth(grid(20, 25))),
    "zig-zag": lambda: (grid(20, 25), chequered(grid(20, 25), 25)),
    "path-star": lambda: (path_star(80, 6), arms(path_star(80, 6))),
    "hubs": lambda: (barabasi_albert(500, 2), smooth(barabasi_albert(500, 2))),
    "random": lambda: (grid(20, 25), np.random.default_rng(5).standard_normal((500, 32))),
}


@pytest.mark.parametrize("case", MIDDLE)
def test_sampled_agrees_with_exact(case):
    graph, V = MIDDLE[case]()
    whole = measure_embeddings(V, graph, permutations=199)
    sampled = sampled_portrait(V[None], graph, permutations=199, seed=1)
    assert sampled.readings == whole.readings
    assert sampled.shell_distances.tolist() == whole.shell_distances.tolist()
    for name in ("geometric_level", "mean_cosine", "effective_rank"):
        assert sampled[name].mean == pytest.approx(whole[name].mean, abs=1e-9)
    # Half of the nodes are sources, so near shells hold hundreds of pairs and the far ones a few.
    assert sampled.shells[0, :6] == pytest.approx(whole.shells[0, :6], abs=0.06)
    assert sampled["distance_correlation"].mean == pytest.approx(whole["distance_correlation"].mean, abs=0.05)
    shared = [name for name in ("fiedler_alignment", "low_energy", "bottom_energy") if name in sampled]
    assert "low_energy" in shared
    assert "bottom_energy" in shared
    for name in shared:
        assert sampled[name].mean == pytest.approx(whole[name].mean, abs=2e-3)
        assert sampled[name].null == RANDOM_ROWS
        assert sampled[name].null_mean == pytest.approx(whole[name].null_mean, rel=0.3, abs=2e-3)
    if "leaf_retrieval" in whole:
        assert sampled["leaf_retrieval"].mean == whole["leaf_retrieval"].mean
    assert sampled.energies.sum(axis=1) == pytest.approx(1)
    assert sampled.multiplicities.sum() == graph.node_count


def test_a_fiedler_eigenspace_too_large_to_list_is_measured_by_its_share():
    graph = path_star(80, 6)
    V = arms(graph)
    sampled = sampled_portrait(V[None], graph, permutations=99, seed=0)
    assert "fiedler_alignment" not in sampled
    whole = measure_embeddings(V, graph, permutations=19)
    place = int(np.argmax(whole.multiplicities == 79))
    share = whole.energies[0, place] / (1 - whole.energies[0, 0])
    assert sampled["fiedler_share"].mean == pytest.approx(share, abs=1e-6)
    assert sampled.band_edges is not None
    assert len(sampled.band_edges) + 2 == len(sampled.eigenvalues)
    assert sampled.eigenvalues[:4] == pytest.approx(whole.eigenvalues[:4], abs=1e-8)
    assert sampled.energies[:, :4] == pytest.approx(whole.energies[:, :4], abs=1e-6)


@pytest.mark.parametrize(
    ("graph", "embed", "word"),
    [
        (path_star(500, 6), arms, "geometric"),
        (path_star(500, 6), lambda graph: arms(graph, zigzag=True), "zig-zag"),
        (grid(50, 52), smooth, "geometric"),
        (grid(50, 52), lambda graph: chequered(graph, 52), "zig-zag"),
        (
            grid(50, 52),
            lambda graph: np.random.default_rng(3).standard_normal((graph.node_count, 24)),
            "associative",
        ),
        (grid(50, 52), lambda graph: 1 + 0.01 * smooth(graph), "geometric"),
        (grid(50, 52), lambda graph: np.full((graph.node_count, 8), 0.1), "collapsed"),
    ],
)
def test_planted_embeddings_of_2600_nodes(graph, embed, word):
    assert graph.node_count > EXACT_NODES
    portrait = measure_embeddings(embed(graph), graph, permutations=199)
    assert portrait.reading == word, portrait.reasons
    assert "pairs of nodes" in portrait.sampled
    assert all(m.explanation.endswith(".") for m in portrait.measurements)


def test_same_seed_same_numbers_and_other_seeds_agree():
    graph = grid(40, 40)
    V = np.stack([smooth(graph, seed=seed) for seed in range(2)])
    first, again = (measure_embeddings(V, graph, permutations=99) for _ in range(2))
    assert np.array_equal([row[1:] for row in numbers(first)], [row[1:] for row in numbers(again)])
    assert np.array_equal(first.energies, again.energies)
    other = measure_embeddings(V, graph, permutations=99, seed=7)
    assert other.shells[:, :4] == pytest.approx(first.shells[:, :4], abs=0.03)
    assert first["fiedler_alignment"].p_value == pytest.approx(0.01)


def test_up_to_the_limit_nothing_is_sampled(monkeypatch):
    small = measure_embeddings(np.eye(9), cycle(9), permutations=19)
    assert small.sampled == ""
    assert small.band_edges is None
    monkeypatch.setattr(exact_portrait, "EXACT_NODES", 8)
    assert measure_embeddings(np.eye(9), cycle(9), permutations=19).sampled != ""


@pytest.mark.parametrize(
    "graph",
    [
        complete(30),
        disjoint_union(cycle(40), path_star(5, 4)),
        random_regular(40, 3),
        Graph("couples", tuple("abcd"), np.array([[0, 1], [2, 3]])),
    ],
    ids=lambda graph: graph.name,
)
def test_odd_graphs_and_embeddings_pass(graph):
    V = np.random.default_rng(0).standard_normal((2, graph.node_count, 4))
    portrait = sampled_portrait(V, graph, permutations=99, seed=0)
    assert portrait.energies.sum(axis=1) == pytest.approx(1)
    assert portrait.multiplicities.sum() == graph.node_count
    for flat in (np.zeros_like(V), np.ones_like(V)):
        assert sampled_portrait(flat, graph, permutations=19, seed=0).reading == "collapsed"


def test_a_graph_that_cannot_be_factorised_is_measured_in_plain_bands():
    graph = random_regular(5000, 6)
    V = np.random.default_rng(0).standard_normal((graph.node_count, 8))
    portrait = measure_embeddings(V, graph, permutations=19)
    assert "dimensions estimated" in portrait.sampled
    assert "low_energy" not in portrait
    assert portrait.multiplicities.sum() == 5000
    expected = portrait.multiplicities / 5000
    assert portrait.energies[0] == pytest.approx(expected, abs=0.02)


def test_snapshots_of_a_large_graph():
    graph = grid(40, 40)
    V = smooth(graph)
    curves = measure_snapshots(np.stack([V, np.full_like(V, np.nan)])[:, None], graph)
    portrait = measure_embeddings(V, graph, permutations=19)
    for name in ("geometric_level", "second_neighbour_cosine", "fiedler_alignment", "effective_rank"):
        assert curves[name][0, 0] == pytest.approx(portrait[name].mean, abs=1e-9)
        assert np.isnan(curves[name][1, 0])
