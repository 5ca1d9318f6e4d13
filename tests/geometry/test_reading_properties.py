"""What must not change the word, and what the word must never contradict."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from geomem.geometry.nulls import draw_permutations
from geomem.geometry.portrait import describe_raw_fall, measure_embeddings, measure_vectors, word_of_fleet
from geomem.geometry.reading import Reading, falls_strongly, profile_tables, read_embeddings
from geomem.geometry.similarity import centre, common_share, cosine_similarity, graph_shells
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.worlds.graphs.classics import karate_club
from geomem.worlds.graphs.families import cycle, grid, irregular, path_star
from geomem.worlds.graphs.graph import Graph, distance_matrix
from random_graphs import relabelled

GRAPHS = {graph.name: graph for graph in (path_star(), grid(), cycle(), irregular(), karate_club())}
PERMUTATIONS = 199


@st.composite
def embeddings(draw, graph):
    """Smooth and rough modes with noise in any proportion: all words come up."""
    width = draw(st.sampled_from([2, 8, 64]))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    modes = laplacian_spectrum(graph).eigenvectors
    smooth = draw(st.floats(0, 3)) * modes[:, 1:4] @ generator.normal(size=(3, width))
    rough = draw(st.floats(0, 3)) * modes[:, -3:] @ generator.normal(size=(3, width))
    return smooth + rough + draw(st.floats(0.01, 1)) * generator.normal(size=(graph.node_count, width))


@st.composite
def cases(draw):
    graph = GRAPHS[draw(st.sampled_from(sorted(GRAPHS)))]
    return graph, draw(embeddings(graph))


def word_of(embedding, graph):
    (reading,) = read_embeddings(embedding[None], graph, permutations=PERMUTATIONS)
    return reading.word


@settings(max_examples=40)
@given(cases(), st.floats(-6, 5), st.integers(0, 1000))
def test_a_shift_a_scale_and_a_rotation_do_not_change_the_word(case, exponent, seed):
    graph, embedding = case
    generator = np.random.default_rng(seed)
    word = word_of(embedding, graph)
    shift = 10**exponent * generator.normal(size=embedding.shape[1])
    assert word_of(embedding + shift, graph) == word
    assert word_of(10**exponent * embedding, graph) == word
    turn = ortho_group.rvs(embedding.shape[1], random_state=generator)
    assert word_of(embedding @ turn + shift, graph) == word


@settings(max_examples=25)
@given(cases(), st.integers(0, 1000))
def test_rows_and_labels_in_another_order_have_the_same_portrait(case, seed):
    graph, embedding = case
    order = np.random.default_rng(seed).permutation(graph.node_count)
    here = measure_embeddings(embedding, graph, permutations=PERMUTATIONS)
    there = measure_embeddings(embedding[order], relabelled(graph, order), permutations=PERMUTATIONS)
    assert there.readings == here.readings
    assert there.reasons == here.reasons
    for measured in here.measurements:
        if measured.name in there:  # the root of a star is not relabelled
            assert there[measured.name].mean == pytest.approx(measured.mean, abs=1e-9, nan_ok=True)
            assert there[measured.name].p_value == pytest.approx(measured.p_value, nan_ok=True)


@settings(max_examples=40)
@given(cases(), st.floats(-2, 3))
def test_a_table_that_falls_with_distance_is_never_associative(case, exponent):
    graph, embedding = case
    for portrait in (
        measure_embeddings(embedding + 10**exponent, graph, permutations=PERMUTATIONS),
        measure_vectors(np.stack([embedding, embedding + 10**exponent]), graph, permutations=PERMUTATIONS),
    ):
        refuse_associative_beside_a_fall(portrait)


def refuse_associative_beside_a_fall(portrait):
    for name in ("centred_distance_correlation", "distance_correlation"):
        if portrait[name].mean < -0.5 and portrait[name].p_value < 0.01 and portrait.reading == "associative":
            # Raw cosines depend on where the origin lies, and no shift may change the word: then it is said.
            assert name == "distance_correlation"
            assert "Cosines of rows as they are fall" in portrait.notes[0]


@settings(max_examples=30)
@given(cases(), st.floats(0, 3), st.integers(0, 1000))
def test_rows_of_any_length_leave_word_and_table_in_agreement(case, spread, seed):
    graph, embedding = case
    lengths = np.exp(spread * np.random.default_rng(seed).normal(size=(graph.node_count, 1)))
    portrait = measure_embeddings(embedding * lengths, graph, permutations=PERMUTATIONS)
    event(portrait.reading)
    refuse_associative_beside_a_fall(portrait)


@pytest.mark.parametrize("graph", [cycle(), grid(), cycle(40)], ids=lambda graph: graph.name)
def test_one_row_far_longer_than_all_others_makes_no_lookup_table(graph):
    modes = laplacian_spectrum(graph).eigenvectors[:, 1:3].copy()
    modes[0] *= 1000
    assert measure_embeddings(modes, graph)["centred_distance_correlation"].mean > -0.5
    for shift in (0, 1, [-30, 1e4]):
        assert word_of(modes + shift, graph) == "mixed"


def test_one_row_far_longer_makes_no_lookup_table_of_a_large_graph():
    graph = grid(40, 40)
    places = np.cos(np.pi * np.indices((40, 40)).reshape(2, -1).T / 40)
    places[7] *= 1e4
    for shift in (0, 1e3):
        portrait = measure_embeddings(places + shift, graph, permutations=199)
        assert portrait.reading == "mixed"
        assert "follow graph distance" in portrait.reasons[0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_counts_far_from_zero_lose_no_precision(dtype):
    graph = karate_club()
    A = np.zeros((34, 34))
    A[graph.edges[:, 0], graph.edges[:, 1]] = 1
    for rows in (np.eye(34), A + A.T):
        assert word_of((rows + 1e6).astype(dtype), graph) == word_of(rows, graph)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.3, 1.2))
def test_a_faint_fall_in_many_dimensions_is_no_lookup_table(seed, strength):
    graph = grid()
    generator = np.random.default_rng(seed)
    smooth = laplacian_spectrum(graph).eigenvectors[:, 1:3] @ generator.normal(size=(2, 2000))
    faint = strength * smooth + generator.normal(size=(16, 2000))
    shells, dealt = graph_shells(distance_matrix(graph)), draw_permutations(PERMUTATIONS, 16)
    falls = falls_strongly(profile_tables(cosine_similarity(centre(faint))[None], shells, dealt)[0], shells)
    event(f"falls strongly: {falls}")
    assert not falls or word_of(faint, graph) != "associative"


@settings(max_examples=3, deadline=None)
@given(st.floats(-3, 4), st.integers(0, 100))
def test_sampled_pairs_are_read_by_the_same_rule(exponent, seed):
    graph = grid(40, 40)
    places = np.indices((40, 40)).reshape(2, -1).T / 40
    generator = np.random.default_rng(seed)
    embedding = np.cos(np.pi * places) @ generator.normal(size=(2, 8)) + 0.1 * generator.normal(
        size=(1600, 8)
    )
    order = generator.permutation(1600)
    shifted = embedding + 10**exponent * generator.normal(size=8)
    portrait = measure_embeddings(shifted[order], relabelled(graph, order), permutations=49)
    assert portrait.reading == "geometric"


def test_a_ring_far_from_the_origin_is_a_geometry_until_precision_is_lost():
    angles = 2 * np.pi * np.arange(15) / 15
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    far = [word_of(ring + 10.0**exponent, cycle()) for exponent in range(14)]
    assert far == ["geometric"] * 14
    assert word_of(ring + 1e17, cycle()) == "collapsed"
    single = [word_of((ring + 10.0**exponent).astype(np.float32), cycle()) for exponent in range(6)]
    assert single == ["geometric"] * 6
    assert word_of((ring + 1e9).astype(np.float32), cycle()) == "collapsed"


def test_vectors_of_random_walks_are_geometric():
    """Skip-grams of walks share a direction; here their factorisation, with the share the tools leave in."""
    graph = karate_club()
    A = np.zeros((34, 34))
    A[graph.edges[:, 0], graph.edges[:, 1]] = 1
    A += A.T
    walk = A / A.sum(axis=1, keepdims=True)
    reached = sum(np.linalg.matrix_power(walk, step) for step in range(1, 6)) / A.sum(axis=0)
    values, vectors = np.linalg.eigh(np.log(reached * A.sum() / 5))
    main = np.argsort(-np.abs(values))[:16]
    rows = vectors[:, main] * np.sqrt(np.abs(values[main])) + 2
    portrait = measure_vectors(rows, graph)
    assert portrait["mean_cosine"].mean > 0.8
    assert portrait.reading == "geometric"
    assert "common direction" in portrait.notes[0]


def test_vectors_from_outside_are_measured_centred_with_raw_cosines_beside():
    graph = cycle()
    rows = np.random.default_rng(0).normal(size=(15, 6)) + 3
    outside, centred = measure_vectors(rows, graph), measure_embeddings(centre(rows), graph)
    own = measure_embeddings(rows, graph)
    for name in ("fiedler_alignment", "low_energy", "bottom_energy", "centred_distance_correlation"):
        assert outside[name].mean == pytest.approx(centred[name].mean)
        assert outside[name].null_high == pytest.approx(centred[name].null_high)
    for name in ("geometric_level", "distance_correlation", "mean_cosine", "common_share"):
        assert outside[name].mean == pytest.approx(own[name].mean)
    assert outside.readings == own.readings
    # The table leads with what is centred, and the alignment is one line among others.
    names = [measured.name for measured in outside.measurements]
    assert names[0] == "centred_distance_correlation"
    assert names.index("fiedler_alignment") > names.index("distance_correlation")


def test_centring_takes_out_what_rounding_leaves():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(3, 9, 4))
    assert centre(rows) == pytest.approx(rows - rows.mean(axis=1, keepdims=True))
    assert not centre(np.full((7, 3), 0.1)).any()
    assert not centre(np.full((7, 3), 0.1, dtype=np.float32)).any()
    middle = np.vstack([rows[0], rows[0].mean(axis=0)])
    for shift in (0, 1e6):
        assert not centre(middle + shift)[-1].any()
    assert centre(rows + 1e3) == pytest.approx(centre(rows), abs=1e-11)


def test_the_share_of_a_common_direction():
    rows = np.random.default_rng(1).normal(size=(12, 5)) + 1
    inner = rows @ rows.T
    assert common_share(rows) == pytest.approx(inner.mean() / np.diag(inner).mean())
    assert common_share(centre(rows)) == pytest.approx(0, abs=1e-15)
    assert common_share(np.zeros((4, 2))) == 0


def test_a_fleet_whose_mean_falls_is_not_associative():
    portrait = measure_embeddings(np.eye(15), cycle(), permutations=199)
    associative = [Reading("associative", "")] * 3
    falls = replace(portrait["centred_distance_correlation"], mean=-0.51, p_value=0.005)
    assert word_of_fleet(associative, [falls]) == "mixed"
    raw = replace(falls, name="distance_correlation")
    assert word_of_fleet(associative, [raw]) == "associative"
    assert "correlation -0.51" in describe_raw_fall("associative", [raw])
    assert not describe_raw_fall("associative", [replace(raw, p_value=0.01)])
    assert not describe_raw_fall("mixed", [raw])
    for other in (replace(falls, mean=-0.49), replace(falls, p_value=0.01), replace(falls, name="other")):
        assert word_of_fleet(associative, [other]) == "associative"
    assert word_of_fleet([Reading("zig-zag", "")], [falls]) == "zig-zag"


def test_components_of_cliques_have_no_correlation_to_fall():
    union = nx.disjoint_union_all([nx.complete_graph(4)] * 4)
    graph = Graph("cliques", tuple(map(str, union)), np.array(union.edges))
    portrait = measure_embeddings(np.random.default_rng(0).normal(size=(16, 5)), graph, permutations=99)
    assert "centred_distance_correlation" not in portrait
    assert portrait.reading in ("associative", "mixed")
