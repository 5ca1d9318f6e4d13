import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analytic_spectra as analytic
from geomem.errors import InputError
from geomem.geometry.filtering import energy_by_band, fiedler_share
from geomem.geometry.spectrum import fiedler_modes, laplacian_spectrum, trivial_modes
from geomem.worlds.graphs.families import barabasi_albert, complete, cycle, grid, path, path_star
from random_graphs import disjoint_union, edge_lists, graph_of, relabelled


def dense_energies(embedding, graph, edges, kind, **options):
    """Energy per band from the list of all eigenvectors."""
    spectrum = laplacian_spectrum(graph, kind, **options)
    energies = np.square(spectrum.eigenvectors.T @ embedding).sum(axis=1)
    return np.bincount(np.searchsorted(edges, spectrum.eigenvalues), energies, minlength=len(edges) + 1)


def edges_in_gaps(graph, kind, count, **options):
    """The middles of up to `count` of the widest gaps of the spectrum."""
    values = laplacian_spectrum(graph, kind, **options).eigenvalues
    widest = np.argsort(np.diff(values))[-count:]
    widest = np.sort(widest[np.diff(values)[widest] > 1e-6])
    return (values[widest] + values[widest + 1]) / 2


def planted(graph, arms, length, width, kind, seed=0):
    """An embedding in float32 with every kind of energy: a common shift, noise, the Fiedler eigenspace."""
    generator = np.random.default_rng(seed)
    (diagonal, joins), _ = analytic.path_star_tridiagonals(arms, length, kind)
    profile = np.linalg.eigh(np.diag(diagonal) + np.diag(joins, 1) + np.diag(joins, -1))[1][:, 0]
    embedding = generator.standard_normal((graph.node_count, width), dtype=np.float32) + 0.5
    directions = generator.standard_normal((arms, 1, width))
    embedding[analytic.arm_positions(graph, arms, length)] += 3 * profile[:, None] * directions
    return embedding


@given(edge_lists(), st.sampled_from(analytic.KINDS), st.booleans(), st.integers(0, 1000))
def test_bands_agree_with_the_list_of_eigenvectors(edges, kind, self_edges, seed):
    graph = graph_of(edges)
    embedding = np.random.default_rng(seed).standard_normal((graph.node_count, 3))
    cuts = edges_in_gaps(graph, kind, 3, self_edges=self_edges)
    measured = energy_by_band(embedding, graph, cuts, kind, self_edges=self_edges)
    exact = dense_energies(embedding, graph, cuts, kind, self_edges=self_edges)
    np.testing.assert_allclose(measured.energies, exact, rtol=0, atol=1e-8 * exact.sum())


@given(
    st.lists(st.floats(-1.0, 5.0), min_size=1, max_size=4, unique=True), st.integers(1, 12), st.integers(0, 9)
)
def test_the_exact_energy_lies_inside_the_bracket_however_few_the_steps(edges, steps, seed):
    graph, edges = barabasi_albert(60, 2), np.sort(edges)
    embedding = np.random.default_rng(seed).standard_normal((60, 2))
    measured = energy_by_band(embedding, graph, edges, step_limit=steps)
    exact = dense_energies(embedding, graph, edges, "random-walk")
    assert (np.abs(measured.energies - exact) <= measured.uncertainties + 1e-10 * exact.sum()).all()
    assert measured.energies.sum() == pytest.approx(exact.sum(), rel=1e-12)


def test_lost_orthogonality_does_no_harm():
    # Hubs give isolated eigenvalues; Lanczos finds them at once, loses orthogonality and finds them again.
    graph = barabasi_albert(400, 2)
    embedding = np.random.default_rng(0).standard_normal((400, 4))
    edges = edges_in_gaps(graph, "combinatorial", 4)
    edges = np.r_[edges, np.median(laplacian_spectrum(graph, "combinatorial").eigenvalues) + 1e-7]
    edges.sort()
    measured = energy_by_band(embedding, graph, edges, "combinatorial", tolerance=0.0, step_limit=399)
    assert measured.steps == 399
    exact = dense_energies(embedding, graph, edges, "combinatorial")
    assert (np.abs(measured.energies - exact) <= measured.uncertainties + 1e-11 * exact.sum()).all()
    assert measured.uncertainties[-2:].max() < 1e-11 * exact.sum()


def test_the_energy_of_an_eigenspace_at_an_edge_stays_undecided():
    graph, embedding = cycle(6), np.random.default_rng(0).standard_normal((6, 2))
    measured = energy_by_band(embedding, graph, np.array([1.0]), "combinatorial")
    spectrum = laplacian_spectrum(graph, "combinatorial")
    at_edge = np.square(spectrum.eigenvectors[:, 1:3].T @ embedding).sum()
    np.testing.assert_allclose(measured.uncertainties, at_edge / 2, rtol=1e-9)


@pytest.mark.parametrize("kind", analytic.KINDS)
def test_a_planted_embedding_of_a_path_star_by_the_symmetry_of_its_arms(kind):
    arms, length, width = 400, 8, 40
    graph = path_star(arms, length)
    embedding = planted(graph, arms, length, width, kind)
    values, exact, antisymmetric = analytic.path_star_energies(embedding, graph, arms, length, kind)
    order = np.argsort(values)
    edges = (values[order][:-1] + values[order][1:]) / 2
    edges = edges[np.diff(values[order]) > 1e-6]
    bands = energy_by_band(embedding, graph, edges, kind)
    expected = np.bincount(np.searchsorted(edges, values), exact)
    np.testing.assert_allclose(bands.energies, expected, rtol=0, atol=1e-9 * exact.sum())
    share = fiedler_share(embedding, graph, kind)
    # The lowest symmetric mode is the trivial one; the lowest antisymmetric eigenvalue is Fiedler's.
    trivial = exact[~antisymmetric][0]
    assert share.share == pytest.approx(exact[antisymmetric][0] / (exact.sum() - trivial), abs=1e-9)
    assert share.eigenvalue == pytest.approx(values[antisymmetric][0], abs=1e-9)
    assert share.dimension == arms - 1
    assert share.chance == pytest.approx((arms - 1) / (graph.node_count - 1))


@given(edge_lists(), st.sampled_from(analytic.KINDS), st.integers(0, 1000))
def test_fiedler_share_agrees_with_the_list_of_eigenvectors(edges, kind, seed):
    graph = graph_of(edges)
    spectrum = laplacian_spectrum(graph, kind)
    embedding = np.random.default_rng(seed).standard_normal((graph.node_count, 2)) + 1
    energies = np.square(spectrum.eigenvectors.T @ embedding).sum(axis=1)
    rest = np.delete(energies, trivial_modes(spectrum)).sum()
    measured = fiedler_share(embedding, graph, kind)
    assert measured.share == pytest.approx(energies[fiedler_modes(spectrum)].sum() / rest, abs=1e-8)
    assert measured.dimension == len(fiedler_modes(spectrum))


def test_fiedler_coordinates_have_share_one_and_the_rough_end_has_none():
    graph = disjoint_union(grid(6, 6), cycle(9))
    spectrum = laplacian_spectrum(graph)
    fiedler = spectrum.eigenvectors[:, fiedler_modes(spectrum)]
    assert fiedler_share(fiedler + 2.0 * (spectrum.components[0] >= 0), graph).share <= 1.0
    assert fiedler_share(fiedler, graph).share == pytest.approx(1.0, abs=1e-12)
    assert fiedler_share(spectrum.eigenvectors[:, -3:], graph).share == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("graph", [grid(40, 40), disjoint_union(path(300), grid(36, 36))])
def test_a_short_list_closes_what_the_steps_leave_open(graph):
    embedding = np.random.default_rng(0).standard_normal((graph.node_count, 4))
    spectrum = laplacian_spectrum(graph)
    energies = np.square(spectrum.eigenvectors.T @ embedding).sum(axis=1)
    exact = energies[fiedler_modes(spectrum)].sum() / np.delete(energies, trivial_modes(spectrum)).sum()
    measured = fiedler_share(embedding, graph, step_limit=6)
    assert measured.uncertainty == 0
    assert measured.share == pytest.approx(exact, rel=1e-8)


def test_a_long_list_is_left_open_and_said():
    measured = fiedler_share(
        np.random.default_rng(0).standard_normal((1401, 4)), path_star(200, 8), step_limit=3
    )
    assert measured.dimension == 199
    assert measured.uncertainty > 1e-3


def test_a_complete_graph_has_one_eigenspace_beyond_the_trivial():
    embedding = np.random.default_rng(0).standard_normal((7, 3))
    measured = fiedler_share(embedding, complete(7))
    assert (measured.share, measured.dimension, measured.chance) == (pytest.approx(1.0), 6, 1.0)


def test_relabelling_nodes_with_their_rows_changes_nothing():
    graph, generator = grid(5, 8), np.random.default_rng(3)
    embedding, order = generator.standard_normal((40, 5)), generator.permutation(40)
    edges = edges_in_gaps(graph, "random-walk", 4)
    before = energy_by_band(embedding, graph, edges)
    after = energy_by_band(embedding[order], relabelled(graph, order), edges)
    np.testing.assert_allclose(after.energies, before.energies, rtol=1e-9)


def test_columns_of_zeros_and_many_blocks_are_no_trouble():
    graph = path(30)
    embedding = np.random.default_rng(0).standard_normal((30, 75))
    embedding[:, [0, 40, *range(64, 75)]] = 0
    edges = edges_in_gaps(graph, "normalized", 5)
    measured = energy_by_band(embedding, graph, edges, "normalized")
    exact = dense_energies(embedding, graph, edges, "normalized")
    np.testing.assert_allclose(measured.energies, exact, rtol=0, atol=1e-8 * exact.sum())


@pytest.mark.parametrize(
    ("embedding", "edges", "message"),
    [
        (np.ones((5, 2)), [1.0], "5 rows and the graph 'cycle-6' 6 nodes"),
        (np.full((6, 2), np.nan), [1.0], "NaN or infinity"),
        (np.full((6, 2), -np.inf), [1.0], "NaN or infinity"),
        (np.ones((6, 2)), [], "give one number or more, ascending"),
        (np.ones((6, 2)), [2.0, 1.0], "give one number or more, ascending"),
        (np.ones((6, 2)), [np.nan], "give one number or more, ascending"),
    ],
)
def test_what_cannot_be_measured_is_refused(embedding, edges, message):
    with pytest.raises(InputError, match=message):
        energy_by_band(embedding, cycle(6), np.array(edges))


@pytest.mark.parametrize("embedding", [np.ones((6, 2)), np.zeros((6, 2))])
def test_an_embedding_without_differences_has_no_fiedler_share(embedding):
    with pytest.raises(InputError, match="is made of trivial modes alone"):
        fiedler_share(embedding, cycle(6))
