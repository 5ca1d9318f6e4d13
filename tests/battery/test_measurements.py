"""One battery over the registry of measurements: whatever is registered is tested the day it is."""

import warnings

import numpy as np
import pytest

from geomem.errors import InputError
from geomem.geometry import portrait as portraits
from geomem.geometry.measurement import MEASUREMENTS, RANDOM, SECTIONS, defined_measurements
from geomem.geometry.portrait import measure_embeddings, measure_snapshots
from geomem.worlds.graphs.atlas import europe
from geomem.worlds.graphs.families import path_star
from geomem.worlds.graphs.graph import Graph

NAMES = list(MEASUREMENTS)
PERMUTATIONS = 39
STAR, MAP = path_star(5, 4), europe()


def rows_of(graph, runs=2, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(runs, graph.node_count, width))


@pytest.fixture(scope="module")
def portrait_of():
    """Portraits, each measured once: of all pairs or sampled, of changed embeddings."""
    kept = {}

    def measure(graph, change="", V=None, *, sampled=False):
        key = graph.name, change, sampled
        if key not in kept:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(portraits, "EXACT_NODES", 3 if sampled else 1500)
                V = rows_of(graph) if V is None else V
                kept[key] = measure_embeddings(V, graph, permutations=PERMUTATIONS)
        return kept[key]

    return measure


def graph_with(name):
    """The star, or the map for what needs coordinates."""
    return MAP if "coordinates" in MEASUREMENTS[name].needs else STAR


@pytest.mark.parametrize("name", NAMES)
def test_every_measurement_says_what_it_is(name):
    definition = MEASUREMENTS[name]
    assert definition.name == name
    assert definition.title[0].isupper()
    assert definition.explanation.endswith(".")
    assert definition.section in SECTIONS
    assert definition in defined_measurements()


@pytest.mark.parametrize("sampled", [False, True], ids=["whole", "sampled"])
@pytest.mark.parametrize("name", NAMES)
def test_values_intervals_and_nulls_have_their_shapes(name, sampled, portrait_of):
    portrait = portrait_of(graph_with(name), sampled=sampled)
    if name not in portrait:  # without an end of the spectrum, or with its share in its place
        assert sampled
        return
    measured = portrait[name]
    assert measured.values.shape == (2,)
    assert np.isfinite(measured.values).all()
    assert measured.low <= measured.mean <= measured.high
    assert measured.null_low <= measured.null_mean <= measured.null_high
    assert 1 / (PERMUTATIONS * 2 + 1) <= measured.p_value <= 1


@pytest.mark.parametrize("name", NAMES)
def test_random_rows_are_no_rarity(name, portrait_of):
    """The null holds: random rows are rarely rarer than one in a hundred."""
    graph = graph_with(name)
    values = [
        portrait_of(graph, f"seed {seed}", rows_of(graph, runs=1, width=5, seed=seed))[name].p_value
        for seed in range(8)
    ]
    assert np.median(values) > 0.06
    assert max(values) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_numbering_the_nodes_otherwise_changes_nothing(name, portrait_of):
    graph = graph_with(name)
    order = np.random.default_rng(7).permutation(graph.node_count)
    place = np.argsort(order)
    moved = Graph(
        graph.name,
        tuple(graph.labels[node] for node in order),
        place[graph.edges],
        root=None if graph.root is None else int(place[graph.root]),
        coordinates=None if graph.coordinates is None else graph.coordinates[order],
    )
    here, there = (portrait_of(graph)[name], portrait_of(moved, "renumbered", rows_of(graph)[:, order])[name])
    assert there.values == pytest.approx(here.values, abs=1e-9)
    assert there.p_value == pytest.approx(here.p_value)


@pytest.mark.parametrize("name", NAMES)
def test_permuting_rows_alone_changes_what_looks_at_the_graph(name, portrait_of):
    graph = graph_with(name)
    order = np.random.default_rng(8).permutation(graph.node_count)
    here = portrait_of(graph)[name]
    there = portrait_of(graph, "permuted", rows_of(graph)[:, order])[name]
    assert (np.abs(there.values - here.values) < 1e-9).all() == (here.null == RANDOM)


@pytest.mark.parametrize("name", NAMES)
def test_float32_gives_the_numbers_of_float64(name, portrait_of):
    graph = graph_with(name)
    single = rows_of(graph).astype(np.float32)
    here = portrait_of(graph, "rounded", single.astype(np.float64))[name]
    there = portrait_of(graph, "float32", single)[name]
    assert there.values.dtype == np.float64
    assert np.array_equal(there.values, here.values)
    assert there.values == pytest.approx(portrait_of(graph)[name].values, abs=1e-4)


@pytest.mark.parametrize("exponent", [900, -900])
@pytest.mark.parametrize("name", NAMES)
def test_scale_changes_nothing_at_the_ends_of_float64(name, exponent, portrait_of):
    graph = graph_with(name)
    here = portrait_of(graph)[name]
    there = portrait_of(graph, f"times 2^{exponent}", np.ldexp(rows_of(graph), exponent))[name]
    assert np.array_equal(there.values, here.values)


@pytest.mark.parametrize("sampled", [False, True], ids=["whole", "sampled"])
@pytest.mark.parametrize("kind", ["zeros", "equal rows", "one zero row", "one long row"])
def test_degenerate_rows_give_finite_numbers_or_nan_without_a_warning(kind, sampled, portrait_of):
    for graph in (STAR, MAP):
        V = rows_of(graph)
        if kind == "zeros":
            V[:] = 0
        elif kind == "equal rows":
            V[:] = V[:, :1]
        else:
            V[:, 3] *= 0 if kind == "one zero row" else 1e12
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            portrait = portrait_of(graph, kind, V, sampled=sampled)
        for measured in portrait.measurements:
            assert not np.isinf(measured.values).any()
            assert "correlation" in measured.name or np.isfinite(measured.values).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    V = rows_of(STAR)
    V[1, 2, 3] = value
    with pytest.raises(InputError, match="in run 1 holds NaN or infinity"):
        measure_embeddings(V, STAR)


@pytest.mark.parametrize("name", [name for name in NAMES if MEASUREMENTS[name].curve])
def test_curves_are_the_values_of_portraits(name, portrait_of):
    graph = graph_with(name)
    curves = measure_snapshots(np.stack([rows_of(graph), rows_of(graph) * np.nan]), graph)
    assert curves[name][0] == pytest.approx(portrait_of(graph)[name].values, abs=1e-9)
    assert np.isnan(curves[name][1]).all()
