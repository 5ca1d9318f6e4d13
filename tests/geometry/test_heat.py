"""Heat along edges: against the matrix exponential, and against the training it stands for."""

import numpy as np
import pytest
from scipy.linalg import expm

from geomem.errors import InputError
from geomem.geometry.dynamics import ascend, target_distribution
from geomem.geometry.heat import heat_energies, heat_levels
from geomem.geometry.similarity import geometric_level
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum
from geomem.worlds.graphs.classics import karate_club
from geomem.worlds.graphs.families import cycle, grid, path_star
from geomem.worlds.tasks import EdgeMemorization, edge_examples


@pytest.mark.parametrize("graph", [grid(), path_star(), karate_club()], ids=lambda graph: graph.name)
def test_levels_are_those_of_the_matrix_exponential(graph):
    depths, own = np.array([0.0, 0.3, 2.0]), np.array([0.0, 0.5])
    found = heat_levels(graph, laplacian_spectrum(graph), depths, own)
    L = laplacian_matrix(graph).toarray()
    for depth, levels in zip(depths, found, strict=True):
        K = expm(-2 * depth * L)
        for share, level in zip(own, levels, strict=True):
            lengths = np.sqrt(np.diag(K) + share * np.diag(K).mean())
            cosines = K / np.outer(lengths, lengths)
            assert level == pytest.approx(cosines[graph.edges[:, 0], graph.edges[:, 1]].mean(), abs=1e-9)
    energies = heat_energies(laplacian_spectrum(graph), depths)
    assert energies == pytest.approx([np.diag(expm(-2 * depth * L)).mean() for depth in depths])


def test_node2vec_begins_as_heat_flows():
    """From long orthogonal rows, where every node answers itself."""
    graph, rate, steps = grid(), 0.001, 300
    spectrum = laplacian_spectrum(graph)
    targets = target_distribution(edge_examples(graph, EdgeMemorization()), graph.node_count)
    ascent = ascend(targets, spectrum.eigenvectors, length=20.0, learning_rate=rate, steps=steps)
    expected = heat_levels(graph, spectrum, np.array([rate * steps]), np.array([0.0]))[0, 0]
    assert geometric_level(ascent.embedding, graph.edges) == pytest.approx(expected, abs=2e-3)


def test_what_cannot_be_asked_is_refused():
    spectrum, depths = laplacian_spectrum(cycle(15)), np.array([1.0])
    with pytest.raises(InputError, match="The spectrum is of 15 nodes"):
        heat_levels(grid(), spectrum, depths, depths)
    with pytest.raises(InputError, match="below 0"):
        heat_levels(cycle(15), spectrum, -depths, depths)
