import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analytic_spectra as analytic
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum, trivial_modes
from geomem.geometry.trivial import trivial_eigenpairs, trivial_projection
from geomem.worlds.graphs.families import cycle, path, path_star
from geomem.worlds.graphs.graph import component_labels
from random_graphs import disjoint_union, edge_lists, graph_of


@given(edge_lists(), st.sampled_from(analytic.KINDS), st.booleans())
def test_trivial_eigenpairs_are_the_lowest_of_every_component(edges, kind, self_edges):
    graph = graph_of(edges)
    values, vector = trivial_eigenpairs(graph, kind, self_edges=self_edges)
    dense = laplacian_spectrum(graph, kind, self_edges=self_edges)
    labels = component_labels(graph)
    assert (vector > 0).all()
    for mode in trivial_modes(dense):
        component = dense.components[mode]
        assert values[component] == pytest.approx(dense.eigenvalues[mode], abs=1e-12)
        np.testing.assert_allclose(vector * (labels == component), dense.eigenvectors[:, mode], atol=1e-9)


def test_the_trivial_mode_of_a_star_with_a_great_hub():
    arms, length = 3000, 12
    graph = path_star(arms, length)
    values, vector = trivial_eigenpairs(graph)
    assert values[0] == pytest.approx(
        analytic.path_star_eigenvalues(arms, length, "random-walk")[0], abs=1e-11
    )
    assert np.linalg.norm(laplacian_matrix(graph) @ vector - values[0] * vector) < 1e-10


def test_projection_takes_out_the_trivial_modes_and_nothing_else():
    graph = disjoint_union(path(6), cycle(5))
    spectrum = laplacian_spectrum(graph)
    project = trivial_projection(trivial_eigenpairs(graph)[1], component_labels(graph))
    kept = project(spectrum.eigenvectors)
    trivial = trivial_modes(spectrum)
    assert np.abs(kept[:, trivial]).max() < 1e-12
    np.testing.assert_allclose(
        np.delete(kept, trivial, axis=1), np.delete(spectrum.eigenvectors, trivial, axis=1), atol=1e-12
    )
