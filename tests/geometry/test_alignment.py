import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes

from geomem.geometry.alignment import (
    bottom_energy,
    energy_by_eigenspace,
    fiedler_alignment,
    fit_to_map,
    highest_modes_in_whole_eigenspaces,
    low_energy,
    lowest_modes_in_whole_eigenspaces,
    map_coordinates,
    mode_energies,
    procrustes_correlation,
)
from geomem.geometry.spectrum import distinct_eigenvalues, fiedler_modes, laplacian_spectrum, trivial_modes
from geomem.worlds.graphs.families import complete, cycle, grid, irregular, path_star
from oracles import train_node2vec
from random_graphs import disjoint_union

GRAPHS = {"star": path_star(), "grid": grid(), "cycle": cycle(), "irregular": irregular()}
SPECTRA = {name: laplacian_spectrum(graph) for name, graph in GRAPHS.items()}
NAMES = sorted(GRAPHS)


def plain_alignment(V, spectrum):
    """Section D word for word, with full singular vectors."""
    trivial = spectrum.eigenvectors[:, trivial_modes(spectrum)]
    fiedler = spectrum.eigenvectors[:, fiedler_modes(spectrum)]
    directions = np.linalg.svd(V - trivial @ trivial.T @ V)[0][:, : fiedler.shape[1]]
    return np.mean([np.linalg.norm(fiedler.T @ direction) ** 2 for direction in directions.T])


def test_fiedler_sets_of_the_paper_file():
    sizes = {name: len(fiedler_modes(spectrum)) for name, spectrum in SPECTRA.items()}
    assert sizes == {"star": 3, "grid": 2, "cycle": 2, "irregular": 2}
    irregular_values = -SPECTRA["irregular"].eigenvalues
    assert irregular_values[:4] == pytest.approx([0.024, 0, -0.224, -0.41], abs=6e-4)
    assert fiedler_modes(SPECTRA["irregular"]).tolist() == [2, 3]


@pytest.mark.parametrize("name", NAMES)
def test_calibration_exact_fiedler_coordinates_one_and_bottom_zero(name):
    spectrum = SPECTRA[name]
    fiedler = spectrum.eigenvectors[:, fiedler_modes(spectrum)]
    generator = np.random.default_rng(0)
    turned = fiedler @ np.linalg.qr(generator.normal(size=(fiedler.shape[1],) * 2))[0]
    wide = turned @ generator.normal(size=(fiedler.shape[1], 40))
    assert fiedler_alignment(wide, spectrum) == pytest.approx(1, abs=1e-9)
    trivial = spectrum.eigenvectors[:, trivial_modes(spectrum)]
    shifted = wide + trivial @ (1e3 * generator.normal(size=(trivial.shape[1], 40)))
    assert fiedler_alignment(shifted, spectrum) == pytest.approx(1, abs=1e-6)
    assert fiedler_alignment(spectrum.eigenvectors[:, -3:], spectrum) == pytest.approx(0, abs=1e-9)
    assert fiedler_alignment(trivial, spectrum) == 0
    assert fiedler_alignment(np.zeros((len(fiedler), 3)), spectrum) == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_alignment_equals_the_plain_definition(name, width):
    V = np.random.default_rng(width).normal(size=(4, GRAPHS[name].node_count, width))
    if width >= len(fiedler_modes(SPECTRA[name])):
        expected = [plain_alignment(run, SPECTRA[name]) for run in V]
        assert fiedler_alignment(V, SPECTRA[name]) == pytest.approx(expected, abs=1e-8)
    assert (fiedler_alignment(V, SPECTRA[name]) <= 1 + 1e-12).all()


def test_a_missing_direction_counts_as_zero():
    spectrum = SPECTRA["star"]
    one = spectrum.eigenvectors[:, [fiedler_modes(spectrum)[0]]] @ np.ones((1, 8))
    assert fiedler_alignment(one, spectrum) == pytest.approx(1 / 3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_alignment_ignores_turns_of_the_columns_and_relabelling(seed):
    generator = np.random.default_rng(seed)
    graph, spectrum = GRAPHS["star"], SPECTRA["star"]
    V = generator.normal(size=(graph.node_count, 6))
    turn = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    value = fiedler_alignment(V, spectrum)
    assert fiedler_alignment(3 * V @ turn, spectrum) == pytest.approx(value)
    order = generator.permutation(graph.node_count)
    relabelled = type(graph)(
        graph.name, tuple(graph.labels[node] for node in order), np.argsort(order)[graph.edges]
    )
    assert fiedler_alignment(V[order], laplacian_spectrum(relabelled)) == pytest.approx(value)


def test_each_component_of_a_graph_counts():
    graph = disjoint_union(cycle(20), cycle(9))
    spectrum = laplacian_spectrum(graph)
    rings = np.zeros((29, 4))
    for at, nodes, columns in ((0, 20, slice(0, 2)), (20, 9, slice(2, 4))):
        angles = 2 * np.pi * np.arange(nodes) / nodes
        rings[at : at + nodes, columns] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert fiedler_alignment(rings, spectrum) == pytest.approx(1)
    # One ring of the two is half of the directions.
    assert fiedler_alignment(rings[:, :2], spectrum) == pytest.approx(0.5)


@pytest.mark.parametrize("name", NAMES)
def test_node2vec_finds_the_fiedler_eigenspace(name):
    graph = GRAPHS[name]
    aligned = fiedler_alignment(train_node2vec(graph), SPECTRA[name])
    # .98 to 1.0 in the paper file.
    assert aligned >= 0.97


def test_random_embeddings_score_low_but_not_zero():
    for name in NAMES:
        draws = np.random.default_rng(1).normal(size=(200, GRAPHS[name].node_count, 32))
        scores = fiedler_alignment(draws, SPECTRA[name])
        assert 0.02 < scores.mean() < 0.3
        assert scores.max() < 0.75


@pytest.mark.parametrize("name", NAMES)
def test_energies_sum_to_one_and_do_not_depend_on_the_basis(name):
    spectrum = SPECTRA[name]
    V = np.random.default_rng(2).normal(size=(3, GRAPHS[name].node_count, 5))
    shares = energy_by_eigenspace(V, spectrum)
    assert shares.shape == (3, len(distinct_eigenvalues(spectrum)[0]))
    assert shares.sum(axis=1) == pytest.approx(1)
    groups = [spectrum.eigenvectors[:, spectrum.eigenspaces == group] for group in range(shares.shape[1])]
    for group, basis in enumerate(groups):
        turned = basis @ np.linalg.qr(np.random.default_rng(3).normal(size=(basis.shape[1],) * 2))[0]
        expected = np.linalg.norm(turned.T @ V[1]) ** 2 / np.linalg.norm(V[1]) ** 2
        assert shares[1, group] == pytest.approx(expected)
    assert mode_energies(V, spectrum).sum(axis=1) == pytest.approx((V**2).sum(axis=(1, 2)))
    assert energy_by_eigenspace(np.zeros_like(V), spectrum).max() == 0


def test_cuts_round_up_to_whole_eigenspaces_and_leave_trivial_modes_out():
    star = SPECTRA["star"]
    # 0 | 1 2 3 | 4 | 5 6 7 | 8 | 9 10 11 | 12 | 13 14 15 | 16 by B.3.6.
    assert lowest_modes_in_whole_eigenspaces(star, 3).tolist() == [1, 2, 3]
    assert lowest_modes_in_whole_eigenspaces(star, 5).tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert highest_modes_in_whole_eigenspaces(star, 1).tolist() == [16]
    assert highest_modes_in_whole_eigenspaces(star, 3).tolist() == [13, 14, 15, 16]
    full = laplacian_spectrum(complete(5))
    assert lowest_modes_in_whole_eigenspaces(full, 3).tolist() == [1, 2, 3, 4]
    assert highest_modes_in_whole_eigenspaces(full, 3).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", NAMES)
def test_low_and_bottom_energy_at_their_extremes(name):
    spectrum = SPECTRA[name]
    low = spectrum.eigenvectors[:, lowest_modes_in_whole_eigenspaces(spectrum, 3)]
    bottom = spectrum.eigenvectors[:, highest_modes_in_whole_eigenspaces(spectrum, 3)]
    assert (low_energy(low, spectrum), bottom_energy(low, spectrum)) == pytest.approx((1, 0), abs=1e-12)
    assert (low_energy(bottom, spectrum), bottom_energy(bottom, spectrum)) == pytest.approx((0, 1), abs=1e-12)
    assert low_energy(np.zeros((len(low), 2)), spectrum) == 0
    untied = train_node2vec(GRAPHS[name], tied=False, steps=3000)
    assert bottom_energy(untied, spectrum) > 2 * bottom_energy(train_node2vec(GRAPHS[name]), spectrum)


def test_procrustes_correlation_agrees_with_scipy():
    generator = np.random.default_rng(5)
    true = generator.normal(size=(12, 2))
    many = generator.normal(size=(6, 12, 2))
    expected = [np.sqrt(1 - procrustes(true, one)[2]) for one in many]
    assert procrustes_correlation(many, true) == pytest.approx(expected)
    assert procrustes_correlation(np.ones((12, 2)), true) == 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_moved_map_fits_perfectly_and_comes_back(seed):
    generator = np.random.default_rng(seed)
    true = generator.normal(size=(9, 2)) * 700 + 40
    turn = np.linalg.qr(generator.normal(size=(2, 2)))[0]
    fit = fit_to_map(0.01 * true @ turn + generator.normal(size=2), true)
    assert fit.correlation == pytest.approx(1)
    assert np.allclose(fit.aligned, true)


def test_alignment_of_a_map_minimises_squared_distances():
    generator = np.random.default_rng(6)
    true, learned = generator.normal(size=(10, 2)), generator.normal(size=(10, 2))
    fit = fit_to_map(learned, true)
    residual = ((fit.aligned - true) ** 2).sum() / ((true - true.mean(axis=0)) ** 2).sum()
    assert residual == pytest.approx(1 - fit.correlation**2)
    assert residual == pytest.approx(procrustes(true, learned)[2])


def test_map_coordinates_see_through_turn_and_width():
    generator = np.random.default_rng(7)
    true = generator.normal(size=(30, 2)) * [3, 1]
    hidden = true @ np.linalg.qr(generator.normal(size=(50, 2)))[0].T
    both = np.stack([hidden, hidden + 1e-3 * generator.normal(size=hidden.shape)])
    assert procrustes_correlation(map_coordinates(both), true) == pytest.approx([1, 1], abs=1e-3)
    assert map_coordinates(both).shape == (2, 30, 2)
