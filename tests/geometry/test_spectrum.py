import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analytic_spectra as analytic
from geomem.errors import InputError
from geomem.geometry import spectrum as spectra
from geomem.geometry.spectrum import (
    component_spectra,
    describe_fiedler_modes,
    distinct_eigenvalues,
    eigenspace_groups,
    fiedler_modes,
    laplacian_matrix,
    laplacian_spectrum,
    trivial_modes,
)
from geomem.worlds.graphs.families import complete, cycle, grid, irregular, path, path_star
from geomem.worlds.graphs.graph import Graph, component_labels
from random_graphs import disjoint_union, edge_lists, graph_of, relabelled

CLOSED_FORMS = [
    (path(2), "combinatorial", analytic.path_eigenvalues(2)),
    (path(37), "combinatorial", analytic.path_eigenvalues(37)),
    (path(37), "normalized", analytic.path_eigenvalues(37, "normalized")),
    *[
        (cycle(nodes), kind, analytic.cycle_eigenvalues(nodes, kind))
        for nodes in (15, 16)
        for kind in analytic.KINDS
    ],
    *[
        (complete(nodes), kind, analytic.complete_eigenvalues(nodes, kind))
        for nodes in (2, 9)
        for kind in analytic.KINDS
    ],
    (grid(4, 4), "combinatorial", analytic.grid_eigenvalues(4, 4)),
    (grid(6, 11), "combinatorial", analytic.grid_eigenvalues(6, 11)),
    *[
        (path_star(arms, length), kind, analytic.path_star_eigenvalues(arms, length, kind))
        for arms, length in [(4, 5), (7, 2), (31, 8)]
        for kind in analytic.KINDS
    ],
]


@pytest.mark.parametrize(("graph", "kind", "expected"), CLOSED_FORMS)
def test_eigenvalues_match_the_closed_forms(graph, kind, expected):
    measured = laplacian_spectrum(graph, kind).eigenvalues
    np.testing.assert_allclose(measured, expected, rtol=0, atol=1e-10)


def test_antisymmetric_modes_of_a_path_star_have_their_closed_form():
    values, multiplicities = distinct_eigenvalues(laplacian_spectrum(path_star(9, 6), "combinatorial"))
    np.testing.assert_allclose(values[multiplicities == 8], analytic.antisymmetric_eigenvalues(6), atol=1e-10)


# Eigenvalues of -L as the paper's release gives them (papers file, B.3.6), to the printed digit.
PRINTED = [
    (path_star(4, 5), [0.062, -0.095, -0.095, -0.095, -0.5, -1.213, -1.213, -1.213, -2], 0),
    (path_star(4, 5), [-4.062], -1),
    (grid(4, 4), [0.021, -0.414, -0.414, -0.975], 0),
    (cycle(15), [0, -0.173, -0.173, -0.662, -0.662], 0),
    (irregular(), [0.024, 0, -0.224, -0.41], 0),
]


@pytest.mark.parametrize(("graph", "printed", "start"), PRINTED)
def test_eigenvalues_of_minus_l_are_those_the_paper_prints(graph, printed, start):
    measured = -laplacian_spectrum(graph).eigenvalues
    chosen = measured[start:] if start < 0 else measured[: len(printed)]
    np.testing.assert_allclose(chosen, printed, rtol=0, atol=0.0006)


# Section D: eigenvalues of S = 2I - L without the largest, divided by the largest that is left.
NORMALISED = [
    (path_star(4, 5), False, [1, 1, 1, 0.787, *3 * [0.413], 0, *3 * [-0.413], -0.787, *3 * [-1], -1.082]),
    (grid(4, 4), False, [1, 1, 0.646, 0.423, 0.42, 0, 0, 0, 0, -0.42, -0.423, -0.646, -1, -1, -1.274]),
    (
        cycle(15),
        False,
        [1, 1, 0.732, 0.732, 0.338, 0.338, -0.114, -0.114, -0.547, -0.547, -0.886, -0.886, -1.071, -1.071],
    ),
    (
        irregular(),
        False,
        [1, 0.888, 0.795, 0.41, 0.33, 0.04, -0.15, -0.315, *3 * [-0.333], -0.565, -0.616, -0.857, -0.972],
    ),
    (cycle(15), True, [1, 1, 0.827, 0.827, 0.572, 0.572, 0.28, 0.28, 0, 0, -0.219, -0.219, -0.338, -0.338]),
]


@pytest.mark.parametrize(("graph", "self_edges", "printed"), NORMALISED)
def test_normalised_spectra_are_those_of_the_papers_release(graph, self_edges, printed):
    values = (2 - laplacian_spectrum(graph, self_edges=self_edges).eigenvalues)[1:]
    np.testing.assert_allclose(values / values[0], printed, rtol=0, atol=0.0051)


@given(edge_lists(), st.sampled_from(analytic.KINDS), st.booleans())
def test_modes_are_orthonormal_eigenvectors_each_on_one_component(edges, kind, self_edges):
    graph = graph_of(edges)
    spectrum = laplacian_spectrum(graph, kind, self_edges=self_edges)
    L = laplacian_matrix(graph, kind, self_edges=self_edges).toarray()
    V, labels = spectrum.eigenvectors, component_labels(graph)
    np.testing.assert_array_equal(L, L.T)
    np.testing.assert_allclose(L @ V, V * spectrum.eigenvalues, atol=1e-12 * graph.node_count)
    np.testing.assert_allclose(V.T @ V, np.eye(graph.node_count), atol=1e-12)
    assert (np.diff(spectrum.eigenvalues) >= 0).all()
    for mode, component in enumerate(spectrum.components):
        assert not V[labels != component, mode].any()


@given(edge_lists(), st.sampled_from(analytic.KINDS))
def test_one_trivial_mode_of_one_sign_per_component(edges, kind):
    graph = graph_of(edges)
    spectrum = laplacian_spectrum(graph, kind)
    labels, trivial = component_labels(graph), trivial_modes(spectrum)
    assert sorted(spectrum.components[trivial]) == list(range(labels.max() + 1))
    for mode in trivial:
        assert (spectrum.eigenvectors[labels == spectrum.components[mode], mode] > 0).all()
    if kind != "random-walk":
        assert (spectrum.eigenvalues[trivial] == 0).all()
    else:
        assert (spectrum.eigenvalues[trivial] < 1e-12).all()


@given(edge_lists(), st.sampled_from(analytic.KINDS), st.randoms(use_true_random=False))
def test_relabelling_nodes_moves_the_eigenspaces_with_them(edges, kind, random):
    graph = graph_of(edges)
    order = list(range(graph.node_count))
    random.shuffle(order)
    before, after = (
        laplacian_spectrum(graph, kind),
        laplacian_spectrum(relabelled(graph, np.array(order)), kind),
    )
    np.testing.assert_allclose(after.eigenvalues, before.eigenvalues, atol=1e-12 * graph.node_count)
    np.testing.assert_array_equal(after.eigenspaces, before.eigenspaces)
    for group in range(before.eigenspaces.max() + 1):
        old = before.eigenvectors[order][:, before.eigenspaces == group]
        new = after.eigenvectors[:, after.eigenspaces == group]
        # Drawn graphs may have eigenvalues 1e-4 apart, between which rounding mixes vectors a little.
        np.testing.assert_allclose(new @ new.T, old @ old.T, atol=1e-8)


@pytest.mark.parametrize(
    ("graph", "printed"),
    [
        (path_star(4, 5), [-0.095, -0.095, -0.095]),
        (grid(4, 4), [-0.414, -0.414]),
        (cycle(15), [-0.173, -0.173]),
        (irregular(), [-0.224, -0.410]),
    ],
)
def test_fiedler_eigenspaces_of_the_tiny_graphs(graph, printed):
    spectrum = laplacian_spectrum(graph)
    np.testing.assert_allclose(-spectrum.eigenvalues[fiedler_modes(spectrum)], printed, atol=0.0006)


def test_component_spectra_are_those_of_the_components_alone():
    parts = component_spectra(laplacian_spectrum(disjoint_union(cycle(6), path(4), cycle(6))))
    for part, graph in zip(parts, (cycle(6), path(4), cycle(6)), strict=True):
        alone = laplacian_spectrum(graph)
        np.testing.assert_allclose(part.eigenvalues, alone.eigenvalues, atol=1e-13)
        np.testing.assert_array_equal(part.eigenspaces, alone.eigenspaces)
        assert part.eigenvectors.shape == (16, graph.node_count)


def test_the_fiedler_eigenspace_of_two_equal_components_has_both():
    spectrum = laplacian_spectrum(disjoint_union(cycle(6), cycle(6)))
    assert trivial_modes(spectrum).tolist() == [0, 1]
    assert fiedler_modes(spectrum).tolist() == [2, 3, 4, 5]


def test_every_component_with_a_smooth_mode_gives_its_slowest():
    # Three of the long path's modes are slower than the slowest of the short one.
    spectrum = laplacian_spectrum(disjoint_union(path(30), path(9)))
    modes = fiedler_modes(spectrum)
    assert sorted(spectrum.components[modes].tolist()) == [0, 1]
    for component, graph in enumerate((path(30), path(9))):
        slowest = laplacian_spectrum(graph).eigenvalues[1]
        (own,) = modes[spectrum.components[modes] == component]
        assert spectrum.eigenvalues[own] == pytest.approx(slowest, abs=1e-12)
    assert describe_fiedler_modes(spectrum) == (
        "Fiedler modes of 2 components: 1 on one of 30 nodes (eigenvalue -0.010), "
        "1 on one of 9 nodes (eigenvalue 0.095)."
    )


@pytest.mark.parametrize(
    ("small", "places"),
    [
        (complete(4), 2),
        (complete(12), 2),
        (path_star(6, 2), 2),
        (path(4), 2),
        (path(3), 1),
        (path(2), 1),
        (complete(3), 1),
    ],
)
def test_a_component_without_a_smooth_mode_leaves_its_place_and_a_tiny_one_has_none(small, places):
    spectrum = laplacian_spectrum(disjoint_union(path(30), small))
    modes = fiedler_modes(spectrum)
    assert len(modes) == places
    smooth = laplacian_spectrum(small).eigenvalues[1] < 2 - 1e-9
    assert (spectrum.components[modes] == 1).any() == smooth


@given(edge_lists())
def test_a_connected_graph_has_its_first_eigenspace(edges):
    spectrum = laplacian_spectrum(graph_of(edges))
    for part in component_spectra(spectrum):
        if len(part.eigenvalues) > 1:
            first = np.flatnonzero(part.eigenspaces == part.eigenspaces[1])
            assert fiedler_modes(part).tolist() == first[first > 0].tolist()
            assert describe_fiedler_modes(part) == ""


def test_groups_split_at_the_tolerance():
    step = 2 * spectra.EIGENSPACE_TOLERANCE
    assert eigenspace_groups(np.array([0.0, step, 2 * step]), width=1.0).tolist() == [0, 1, 2]
    assert eigenspace_groups(np.array([0.0, step, 2 * step]), width=4.0).tolist() == [0, 0, 0]


def test_a_node_without_edge_is_refused():
    graph = Graph(name="lonely", labels=("a", "b", "c"), edges=np.array([[0, 1]]))
    with pytest.raises(
        InputError, match=r"'lonely' has a node without an edge \('c'\).*leave such nodes out"
    ):
        laplacian_matrix(graph)


def test_a_full_spectrum_of_too_many_nodes_is_refused():
    with pytest.raises(InputError, match=r"5,000 nodes .* at most 4,000; ask lowest_modes"):
        laplacian_spectrum(path(5000))


def test_fiedler_modes_need_a_mode_beyond_the_trivial():
    spectrum = laplacian_spectrum(path(2))
    only = spectra.Spectrum(
        "random-walk", spectrum.eigenvalues[:1], spectrum.eigenvectors[:, :1], np.array([0]), np.array([0])
    )
    with pytest.raises(InputError, match="all of them trivial"):
        fiedler_modes(only)
