import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.nulls import (
    bootstrap_interval,
    draw_permutations,
    p_value,
    permutation_null,
    random_null,
)
from geomem.geometry.similarity import effective_rank, geometric_level
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.worlds.graphs.families import cycle, watts_strogatz


def test_permutations_are_permutations_uniform_and_seeded():
    drawn = draw_permutations(6000, 3)
    assert (np.sort(drawn, axis=1) == np.arange(3)).all()
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts - 1000).max() < 150
    assert (draw_permutations(4, 9, seed=3) == draw_permutations(4, 9, seed=3)).all()
    assert (draw_permutations(4, 9, seed=3) != draw_permutations(4, 9, seed=4)).any()


def test_permutation_null_is_the_plain_loop_whatever_the_chunks(monkeypatch):
    graph = cycle(9)
    embedding = np.random.default_rng(0).normal(size=(9, 4))
    expected = [geometric_level(embedding[order], graph.edges) for order in draw_permutations(50, 9, seed=5)]

    def null():
        return permutation_null(lambda x: geometric_level(x, graph.edges), embedding, count=50, seed=5)

    assert null() == pytest.approx(expected)
    monkeypatch.setattr("geomem.geometry.nulls.CHUNK_NUMBERS", 100)
    assert null() == pytest.approx(expected)


def test_random_null_is_seeded_and_does_not_depend_on_chunks(monkeypatch):
    whole = random_null(effective_rank, (6, 3), count=20, seed=1)
    monkeypatch.setattr("geomem.geometry.nulls.CHUNK_NUMBERS", 40)
    assert random_null(effective_rank, (6, 3), count=20, seed=1) == pytest.approx(whole)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.integers(-3, 3))
@settings(max_examples=60, deadline=None)
def test_p_value_counts_the_observed_value_among_the_draws(null, value):
    null = np.array(null, dtype=float)
    greater = p_value(float(value), null)
    less = p_value(float(value), null, alternative="less")
    assert greater == pytest.approx((1 + (null >= value).sum()) / (1 + len(null)))
    assert less == pytest.approx((1 + (null <= value).sum()) / (1 + len(null)))
    assert p_value(float(value), null, alternative="two-sided") == pytest.approx(
        min(1, 2 * min(greater, less))
    )


def test_p_value_without_draws_says_so():
    with pytest.raises(InputError, match="no draw"):
        p_value(1.0, np.array([]))


def test_p_values_of_random_embeddings_are_uniform():
    graph = cycle(12)
    values = []
    for draw in range(200):
        embedding = np.random.default_rng(draw).normal(size=(12, 5))
        null = permutation_null(lambda x: geometric_level(x, graph.edges), embedding, count=99, seed=draw)
        values.append(p_value(float(geometric_level(embedding, graph.edges)), null))
    values = np.array(values)
    assert 0.02 <= (values <= 0.1).mean() <= 0.18
    assert 0.4 <= values.mean() <= 0.6


def test_interval_of_the_mean():
    values = np.random.default_rng(2).normal(size=40)
    low, high = bootstrap_interval(values)
    error = values.std() / np.sqrt(40)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    assert bootstrap_interval(values) == (low, high)
    narrow = bootstrap_interval(values, confidence=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert bootstrap_interval(np.full(5, 0.25)) == (0.25, 0.25)
    assert np.isnan(bootstrap_interval(np.array([0.3]))).all()
    assert np.isnan(bootstrap_interval(np.array([0.3, np.nan]))).all()
    with pytest.raises(InputError, match="confidence was 95"):
        bootstrap_interval(values, confidence=95.0)


def test_999_permutations_of_50_nodes_are_one_call():
    """A statistic called once per permutation would take some hundred times as long."""
    graph = watts_strogatz(50, 4, 0.1)
    spectrum = laplacian_spectrum(graph)
    embedding = np.random.default_rng(3).normal(size=(50, 50))
    shapes = []

    def statistic(rows):
        shapes.append(rows.shape)
        return fiedler_alignment(rows, spectrum)

    assert permutation_null(statistic, embedding).shape == (999,)
    assert shapes == [(999, 50, 50)]
