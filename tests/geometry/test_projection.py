import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.geometry.alignment import procrustes_correlation
from geomem.geometry.projection import column_signs, joint_pca, laplacian_coordinates, pca
from geomem.worlds.graphs.families import cycle, grid, irregular, path


@given(st.integers(0, 2**32 - 1), st.sampled_from([(9, 3), (9, 40), (5, 5)]))
@settings(max_examples=25, deadline=None)
def test_pca_is_the_singular_value_decomposition_of_the_centred_rows(seed, shape):
    embedding = np.random.default_rng(seed).normal(size=shape)
    view = pca(embedding)
    left, values, _ = np.linalg.svd(embedding - embedding.mean(axis=0), full_matrices=False)
    assert np.allclose(np.abs(view.coordinates), np.abs(left[:, :3] * values[:3]), atol=1e-6)
    assert np.allclose(view.explained, values[:3] ** 2 / (values**2).sum())
    assert np.allclose(view.coordinates.mean(axis=0), 0)


def test_signs_do_not_depend_on_the_turn_of_the_columns():
    generator = np.random.default_rng(0)
    embedding = generator.normal(size=(12, 6)) * np.arange(1, 7)
    turned = embedding @ np.linalg.qr(generator.normal(size=(6, 6)))[0]
    assert np.allclose(pca(embedding).coordinates, pca(embedding * [1, -1, 1, -1, -1, 1]).coordinates)
    assert np.allclose(pca(embedding).coordinates, pca(turned).coordinates)
    assert column_signs(pca(embedding).coordinates).tolist() == [1, 1, 1]


def test_missing_directions_are_zero_columns_not_noise():
    line = np.outer(np.arange(5.0), np.ones(4))
    view = pca(line)
    assert np.abs(view.coordinates[:, 1:]).max() == 0
    assert view.explained[0] == pytest.approx(1)
    assert pca(np.ones((4, 1))).coordinates.tolist() == [[0, 0, 0]] * 4
    with pytest.raises(InputError, match="dimensions was 0"):
        pca(line, dimensions=0)


def test_joint_axes_serve_all_snapshots():
    generator = np.random.default_rng(1)
    last = generator.normal(size=(10, 8))
    snapshots = np.stack([share * last for share in (0.0, 0.3, 1.0)])
    view = joint_pca(snapshots)
    assert view.coordinates.shape == (3, 10, 3)
    assert np.allclose(
        view.coordinates[1] - view.coordinates[0], 0.3 * (view.coordinates[2] - view.coordinates[0])
    )
    stacked = pca(snapshots.reshape(-1, 8))
    assert np.allclose(view.coordinates.reshape(-1, 3), stacked.coordinates)
    assert np.allclose(view.explained, stacked.explained)


def test_float32_snapshots_are_seen_in_float64():
    snapshots = np.random.default_rng(2).normal(size=(2, 6, 4)).astype(np.float32)
    assert joint_pca(snapshots).coordinates.dtype == np.float64


def test_laplacian_coordinates_draw_the_graph():
    circle = laplacian_coordinates(cycle(12), dimensions=2)
    angles = 2 * np.pi * np.arange(12) / 12
    true = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert procrustes_correlation(circle, true) == pytest.approx(1)
    square = laplacian_coordinates(grid(5, 5), dimensions=2)
    places = np.stack(np.divmod(np.arange(25), 5), axis=1).astype(float)
    assert procrustes_correlation(square, places) > 0.97
    line = laplacian_coordinates(path(9), dimensions=1)[:, 0]
    # The random-walk Laplacian folds the two ends back; between them the line is in order.
    assert (np.diff(line[1:-1]) < 0).all()
    # The first coordinate of a graph of two components tells them apart.
    apart = laplacian_coordinates(irregular())[:, 0]
    assert np.ptp(np.abs(apart[12:])) < 1e-9 < np.abs(apart[12:]).min()
    assert laplacian_coordinates(path(2)).shape == (2, 3)
