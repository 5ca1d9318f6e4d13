"""The uses of held facts, on runs and tables of which the answer is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from geomem.geometry.spectrum import laplacian_spectrum
from geomem.measure.uses import changing, learning, reading
from geomem.measure.uses.held import ask, hold, joined, measure_memory, recalled
from geomem.models.configuration import Transformer
from geomem.studies.benefit import LOOKUPS, differences, settle
from geomem.training.configuration import Training
from geomem.training.treatment import Settings
from geomem.worlds.graphs.families import cycle, grid, tree_star
from geomem.worlds.graphs.graph import distance_matrix
from geomem.worlds.language.ways import every_next
from geomem.worlds.tasks import EdgeMemorization

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def held():
    training = Training(steps=240, metric_every=240, snapshots=2)
    model = Transformer(width=16, position_scale=0.02)
    return hold(cycle(9), Settings(EdgeMemorization(), model, training), SEEDS)


def test_facts_are_held_in_three_tokens(held):
    found = measure_memory(held)
    assert found["recall"].tolist() == [1, 1]
    assert (found["level"] > 0.2).all()


def test_frozen_embeddings_stay_while_facts_are_learned():
    training = Training(steps=3, metric_every=3, snapshots=2)
    settings = Settings(EdgeMemorization(), Transformer(width=8), training)
    frozen, longer = (
        hold(cycle(6), replace(settings, training=replace(training, steps=steps)), SEEDS, frozen=True)
        for steps in (3, 4)
    )
    assert np.array_equal(frozen.embeddings(), longer.embeddings())
    assert frozen.model == Transformer(width=8), "further tasks train them too"


def test_embeddings_start_as_node2vecs():
    training = Training(steps=1, learning_rate=0.0, metric_every=1, snapshots=2)
    settings = Settings(EdgeMemorization(), Transformer(width=8), training)
    started = hold(cycle(9), settings, SEEDS, node2vec_steps=200)
    assert np.allclose(np.sqrt(np.square(started.embeddings()).mean(axis=(1, 2))), 0.2)
    assert (measure_memory(started)["level"] > 0.5).all()


def test_distances_are_read_from_places_and_not_from_noise():
    graph = grid(5, 5)
    pairs = reading.far_pairs(graph)
    distances = distance_matrix(graph)[pairs[:, 0], pairs[:, 1]]
    places = np.argwhere(np.ones((5, 5))).astype(float)
    noise = np.random.default_rng(0).normal(size=(25, 2))
    near, far = reading.read_pairs(np.stack([places, noise]), pairs, distances, SEEDS)
    assert near > 0.9
    assert far < 0.3


def test_hidden_edges_leave_one_piece(held):
    graph = cycle(9)
    edges = reading.hidden_edges(graph)
    cut = reading.without(graph, edges)
    assert len(edges) == 1
    assert cut.edge_count == 8
    # Answers that know the whole ring find the edge that is missing.
    assert reading.measure_links(replace(held, graph=cut), graph).tolist() == [1, 1]


def test_a_path_is_right_if_every_step_is():
    graph = cycle(7)
    right = every_next(distance_matrix(graph))
    steps = right.argmax(axis=-1)
    pairs = np.argwhere(distance_matrix(graph) >= 2)
    assert learning.follow(steps, right, pairs).all()
    steps[0, 3] = 6  # the long way round
    through = learning.follow(steps, right, pairs)
    assert [pair.tolist() for pair in pairs[~through]] == [[0, 3]]


def test_further_tasks_are_scored_on_what_was_not_asked(held, monkeypatch):
    monkeypatch.setattr(learning, "LEARNING", replace(learning.LEARNING, steps=8, metric_every=8))
    for measure in (learning.measure_two_hops, learning.measure_paths):
        scores = measure(held)
        assert scores.shape == (2,)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_a_change_stops_at_the_first_steps_that_suffice(held):
    looked = []

    def after_two_looks(after):
        looked.append(after)
        return np.array([True, len(looked) > 1])

    prompts = ask(held.graph, "[EDGE]", np.array([0]))
    wanted = np.zeros((1, held.vocabulary_size), dtype=bool)
    wanted[0, 4] = True
    examples = changing.make_examples(prompts, wanted, held.vocabulary_size)
    changed, done = changing.change(held, examples, after_two_looks)
    assert done.tolist() == [True, True]
    assert len(looked) == 2
    table = changed.weights["token_embedding"]
    assert np.array_equal(table[0], looked[0].weights["token_embedding"][0])
    assert np.array_equal(table[1], looked[1].weights["token_embedding"][1])


def test_changed_facts_are_in_place(held, monkeypatch):
    monkeypatch.setattr(changing, "CHANGES", 1)
    found = changing.measure_adding(held) | changing.measure_forgetting(held)
    assert found["adding-placed"].tolist() == found["forgetting-placed"].tolist() == [1, 1]
    assert all((values <= 1).all() for values in found.values())
    answers = held.answers(ask(held.graph, "[EDGE]", np.arange(9)))[..., :9]
    assert recalled(answers, joined(held.graph)).all(), "the runs themselves stay as they are"


def test_ancestors_are_asked_of_trees_alone(held):
    assert "ancestor" not in reading.measure_reading(held)
    tree = tree_star(2, 4)
    low = laplacian_spectrum(tree).eigenvectors[:, :4]
    pairs = reading.far_pairs(tree)
    depths = reading.ancestor_depths(tree, pairs)
    assert depths.min() == 0
    assert depths.max() == 2
    assert reading.read_pairs(low[None], pairs, depths, (0,))[0] > 0.5


@pytest.mark.parametrize(
    ("lifts", "settled"), [((1, 1, 0), 1), ((1, 0, 0), 0), ((-1, -1, 1), -1), ((1,), 1), ((1, -1, 1), 1)]
)
def test_the_rule_wants_two_worlds_or_the_only_one(lifts, settled):
    noise = (0.01, -0.01, 0.0)
    rows = [
        {"world": str(world), "arm": arm, "task": "links", "seed": seed, "score": score}
        for world, lift in enumerate(lifts)
        for seed in range(3)
        for arm, score in (("plain", lift + noise[seed]), *((lookup, 0.0) for lookup in LOOKUPS))
    ]
    table = pl.DataFrame(rows)
    assert settle(table, "links") == settled
    assert [one.sign for one in differences(table, "links", ("plain", LOOKUPS[0])).values()] == list(lifts)
