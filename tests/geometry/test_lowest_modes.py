import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analytic_spectra as analytic
from geomem.errors import InputError
from geomem.geometry import lowest_modes as lowest
from geomem.geometry.lowest_modes import (
    distinct_high_eigenvalues,
    distinct_low_eigenvalues,
    fiedler_spectrum,
    highest_modes,
    lowest_modes,
)
from geomem.geometry.spectrum import (
    distinct_eigenvalues,
    fiedler_modes,
    laplacian_matrix,
    laplacian_spectrum,
    trivial_modes,
)
from geomem.worlds.graphs.families import barabasi_albert, complete, cycle, grid, path, path_star
from random_graphs import disjoint_union, edge_lists, graph_of


def check_pairs(spectrum, graph, **options):
    L, V = laplacian_matrix(graph, spectrum.kind, **options), spectrum.eigenvectors
    assert np.linalg.norm(L @ V - V * spectrum.eigenvalues, axis=0).max() < 1e-10
    np.testing.assert_allclose(V.T @ V, np.eye(V.shape[1]), atol=1e-12)


def test_the_bottom_of_a_grid_has_its_closed_form_and_is_not_cut_inside_an_eigenspace():
    graph = grid(70, 70)
    spectrum = lowest_modes(graph, 32, "combinatorial")
    # A square grid has its modes in pairs: the 32nd and the 33rd belong together.
    assert len(spectrum.eigenvalues) == 33
    np.testing.assert_allclose(
        spectrum.eigenvalues, analytic.grid_eigenvalues(70, 70)[:33], rtol=0, atol=1e-13
    )
    check_pairs(spectrum, graph)


@pytest.mark.parametrize("small", [path(9), cycle(15), complete(4)])
def test_the_fiedler_modes_of_components_are_listed_as_the_full_spectrum_has_them(small):
    graph = disjoint_union(grid(33, 34), small)
    whole, listed = laplacian_spectrum(graph), fiedler_spectrum(graph)
    expected, found = (s.eigenvectors[:, fiedler_modes(s)] for s in (whole, listed))
    assert len(listed.eigenvalues) < 20
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-7)


def test_too_many_components_are_not_listed():
    with pytest.raises(InputError, match="600 components of at least 4 nodes"):
        fiedler_spectrum(disjoint_union(*[cycle(5)] * 600))


@pytest.mark.parametrize("kind", analytic.KINDS)
def test_a_repeated_eigenvalue_is_listed_with_all_its_copies(kind):
    arms, length = 150, 9
    graph = path_star(arms, length)
    spectrum = lowest_modes(graph, 2, kind)
    expected = analytic.path_star_eigenvalues(arms, length, kind)
    assert len(spectrum.eigenvalues) == arms
    np.testing.assert_allclose(spectrum.eigenvalues, expected[:arms], rtol=0, atol=1e-11)
    assert fiedler_modes(spectrum).tolist() == list(range(1, arms))
    check_pairs(spectrum, graph)


def test_copies_that_the_solver_overlooked_are_found(monkeypatch):
    calls, solver = [], lowest.linalg.eigsh

    def forgetful(operator, k, **options):
        values, vectors = solver(operator, k, **options)
        calls.append(k)
        # The first answer lacks one copy of the double eigenvalue next to the bottom.
        return (
            (values, vectors) if len(calls) > 1 else (np.delete(values, -2), np.delete(vectors, -2, axis=1))
        )

    monkeypatch.setattr(lowest.linalg, "eigsh", forgetful)
    spectrum = lowest_modes(grid(36, 36), 8, "combinatorial")
    expected = analytic.grid_eigenvalues(36, 36)[: len(spectrum.eigenvalues)]
    np.testing.assert_allclose(spectrum.eigenvalues, expected, atol=1e-12)
    assert len(calls) > 1


@pytest.mark.parametrize("kind", analytic.KINDS)
@pytest.mark.parametrize("self_edges", [False, True])
def test_the_sparse_solver_agrees_with_the_dense_one(kind, self_edges):
    graph = disjoint_union(barabasi_albert(1100, 2), grid(3, 4), grid(5, 7))
    spectrum = lowest_modes(graph, 12, kind, self_edges=self_edges)
    dense = laplacian_spectrum(graph, kind, self_edges=self_edges)
    listed = len(spectrum.eigenvalues)
    assert listed >= 12
    np.testing.assert_allclose(spectrum.eigenvalues, dense.eigenvalues[:listed], rtol=0, atol=1e-11)
    np.testing.assert_array_equal(spectrum.eigenspaces, dense.eigenspaces[:listed])
    for group in range(spectrum.eigenspaces.max() + 1):
        ours = spectrum.eigenvectors[:, spectrum.eigenspaces == group]
        theirs = dense.eigenvectors[:, dense.eigenspaces == group]
        assert np.linalg.norm(ours.T @ theirs) ** 2 == pytest.approx(theirs.shape[1], abs=1e-9)
    if kind != "random-walk":
        assert len(trivial_modes(spectrum)) == 3
    check_pairs(spectrum, graph, self_edges=self_edges)


def test_the_same_call_gives_the_same_modes():
    first, second = (lowest_modes(grid(40, 40), 5) for _ in range(2))
    np.testing.assert_array_equal(first.eigenvectors, second.eigenvectors)


def test_an_eigenspace_too_large_to_list_is_refused():
    with pytest.raises(
        InputError, match=r"eigenspace that reaches to mode 1,200, too many to list.*energy_by_band"
    ):
        lowest_modes(path_star(1200, 4), 5, "combinatorial")


@pytest.mark.parametrize("count", [0, 13])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(InputError, match="ask for 1 to 12"):
        lowest_modes(cycle(12), count)


@given(edge_lists(), st.sampled_from(analytic.KINDS), st.integers(1, 4))
def test_distinct_eigenvalues_and_their_dimensions_agree_with_the_full_spectrum(edges, kind, count):
    graph = graph_of(edges)
    dense = laplacian_spectrum(graph, kind)
    others = np.setdiff1d(np.arange(graph.node_count), trivial_modes(dense))
    expected, dimensions = np.unique(dense.eigenspaces[others], return_counts=True)
    all_values, _ = distinct_eigenvalues(dense)
    low = distinct_low_eigenvalues(graph, count, kind)
    np.testing.assert_allclose(low.values, all_values[expected[:count]], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(low.dimensions, dimensions[:count])
    assert (low.ends > low.values).all()
    following = all_values[expected[1 : count + 1]]
    assert (low.ends[: len(following)] < following).all()


def test_distinct_eigenvalues_of_a_path_star_by_symmetry():
    arms, length = 500, 8
    low = distinct_low_eigenvalues(path_star(arms, length), 4)
    expected = np.unique(analytic.path_star_eigenvalues(arms, length, "random-walk").round(9))[1:5]
    np.testing.assert_allclose(low.values, expected, rtol=0, atol=2e-9)
    assert low.dimensions.tolist() == [arms - 1, 1, arms - 1, 1]


def test_eigenvalues_too_close_to_tell_apart_are_refused(monkeypatch):
    monkeypatch.setattr(lowest, "KRYLOV_LIMIT", 10)
    with pytest.raises(InputError, match="too close together for 10 Lanczos steps; use the combinatorial"):
        distinct_low_eigenvalues(path(3000), 3)


def test_distinct_eigenvalues_need_a_count():
    with pytest.raises(InputError, match="at least 1"):
        distinct_low_eigenvalues(path(5), 0)


def test_a_graph_with_fewer_distinct_eigenvalues_than_asked_gives_those_it_has():
    # Rounding of the removed trivial mode once came back as an eigenvalue of 10^10, of dimension 0.
    graph = path_star(300, 6)
    low = distinct_low_eigenvalues(graph, 12)
    spectrum = laplacian_spectrum(graph)
    values, dimensions = distinct_eigenvalues(spectrum)
    assert low.dimensions.tolist() == dimensions[1:].tolist()
    assert low.values == pytest.approx(values[1:], abs=1e-8)


@pytest.mark.parametrize("graph", [path_star(30, 5), grid(20, 21), barabasi_albert(300, 2)])
def test_the_highest_modes_are_those_of_the_full_spectrum(graph):
    values, dimensions = distinct_eigenvalues(laplacian_spectrum(graph))
    high = distinct_high_eigenvalues(graph, 3)
    assert -high.values == pytest.approx(values[::-1][:3], abs=1e-8)
    assert high.dimensions.tolist() == dimensions[::-1][:3].tolist()
    listed, vectors = highest_modes(graph, 3)
    full = laplacian_spectrum(graph).eigenvalues[::-1][: len(listed)]
    assert listed == pytest.approx(full, abs=1e-8)
    assert vectors.T @ vectors == pytest.approx(np.eye(len(listed)), abs=1e-8)
