"""Every failure signature is found where it is planted, and nowhere else."""

import numpy as np
import pytest
from scipy.stats import binomtest

from geomem.errors import InputError
from geomem.geometry.portrait import measure_embeddings
from geomem.geometry.reading import SIGNIFICANCE
from geomem.geometry.signatures import (
    MERGED_DISTANCE,
    SIGNATURES,
    adjacent_twins,
    find_divergence,
    find_merged_twins,
    find_random_first_token,
    find_unfinished_memorization,
    spread_over_runs,
)
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.worlds.graphs.families import complete, cycle, irregular, path, path_star
from geomem.worlds.graphs.graph import Graph


def modes(graph, chosen):
    """Embeddings along eigenvectors of the Laplacian, ascending."""
    return laplacian_spectrum(graph).eigenvectors[:, chosen]


def found(portrait, name):
    (signature,) = [signature for signature in portrait.signatures if signature.name == name]
    return signature


def spread_out(seed=0, runs=3, nodes=16, width=8):
    return np.random.default_rng(seed).normal(size=(runs, nodes, width))


def test_zig_zag_is_found_on_rough_modes_and_not_on_smooth_or_random_ones():
    graph = cycle(15)
    planted = np.stack(
        [modes(graph, [1, 2]), modes(graph, [-1, -2]), spread_out(runs=1, nodes=15, width=2)[0]]
    )
    portrait = measure_embeddings(planted, graph, permutations=99)
    signature = found(portrait, "zig-zag")
    assert signature.found.tolist() == [False, True, False]
    # The same word as the reading: one definition.
    assert signature.found.tolist() == [word == "zig-zag" for word in portrait.readings]
    assert signature.values == pytest.approx(portrait.centred_shells[:, 1] - portrait.centred_shells[:, 0])
    assert signature.sentence.startswith("1 of 3 runs: nodes two steps apart are more alike")
    assert f"{signature.values[1]:.2f}" in signature.sentence


def test_collapse_is_found_when_all_nodes_share_a_large_part():
    graph, spread = cycle(15), spread_out(runs=1, nodes=15)[0]
    planted = np.stack([spread, spread + 100, np.zeros_like(spread)])
    portrait = measure_embeddings(planted, graph, permutations=99)
    signature = found(portrait, "collapsed geometry")
    assert signature.found.tolist() == [False, True, True]
    # What tells the nodes apart knows nothing of the graph, with the common direction and without it.
    assert portrait.readings == ("associative", "associative", "collapsed")
    assert signature.values[1] > 0.95
    assert measure_embeddings(spread, graph, permutations=99).signatures[0].sentence == ""
    # A geometry with a common direction has not collapsed: the note says what hides it from raw cosines.
    shifted = measure_embeddings(modes(graph, [1, 2]) + 100, graph, permutations=99)
    assert shifted.reading == "geometric"
    assert not found(shifted, "collapsed geometry").found.any()
    assert "holds more than 99.99 % of the similarity" in shifted.notes[0]


def test_a_graph_without_second_neighbours_has_no_zig_zag():
    signature = found(measure_embeddings(spread_out(nodes=6), complete(6), permutations=99), "zig-zag")
    assert not signature.found.any()
    assert np.isnan(signature.values).all()


def test_adjacent_twins_are_neighbours_with_the_same_other_neighbours():
    # The complete graph of four nodes that hangs on the irregular graph by none of its twins.
    assert adjacent_twins(irregular()) == [(12, 13), (12, 14), (12, 15), (13, 14), (13, 15), (14, 15)]
    assert adjacent_twins(path(2)) == [(0, 1)]
    for graph in (path(3), cycle(5), path_star(arms=3, length=3)):
        assert adjacent_twins(graph) == []


def test_merged_twins_are_found_at_the_threshold_and_named():
    graph = irregular()
    planted = spread_out(1, runs=4)
    typical = [
        np.median(np.linalg.norm(run[:, None] - run, axis=-1)[np.triu_indices(16, 1)]) for run in planted
    ]
    direction = np.eye(8)[0]
    planted[1, 14] = planted[1, 12] + 0.5 * MERGED_DISTANCE * typical[1] * direction
    planted[2, 14] = planted[2, 12] + 2 * MERGED_DISTANCE * typical[2] * direction
    # Nodes in one place that are no twins are not this signature.
    planted[3, 1] = planted[3, 0]
    signature = find_merged_twins(planted, graph)
    assert signature.found.tolist() == [False, True, False, False]
    assert signature.values[1] == pytest.approx(0.5 * MERGED_DISTANCE, rel=0.1)
    assert signature.sentence.startswith("1 of 4 runs: ")
    assert signature.sentence.endswith("12 and 14.")
    # The unit of an embedding does not matter, and a run that knows all facts has lost none.
    assert find_merged_twins(1e6 * planted, graph).found.tolist() == signature.found.tolist()
    assert not find_merged_twins(planted, graph, np.ones(4)).found.any()
    assert find_merged_twins(planted, graph, np.array([0.9, 0.9, 0.9, 0.9])).found.tolist()[1]


def test_without_twins_or_in_one_place_nothing_can_merge():
    for embeddings, graph in ((spread_out(nodes=15), cycle(15)), (np.ones((3, 16, 2)), irregular())):
        signature = find_merged_twins(embeddings, graph)
        assert not signature.found.any()
        assert np.isnan(signature.values).all()
        assert signature.sentence == ""


def test_divergence_is_a_loss_or_embedding_without_number_or_a_loss_that_rose():
    losses = np.array([[3.0] * 5, [0.7, np.nan, np.inf, 3.1, 0.7]])
    embeddings = np.zeros((5, 4, 2))
    embeddings[4, 1, 1] = np.nan
    signature = find_divergence(losses, embeddings)
    assert signature.found.tolist() == [False, True, True, True, True]
    assert signature.sentence.startswith("4 of 5 runs")
    assert find_divergence(losses[:, :1], embeddings[:1]).sentence == ""


def test_unfinished_memorization_names_the_missing_facts_most_missed_first():
    facts, labels = np.array([[0, 1], [1, 0], [1, 2]]), ("x", "東京", "<b>")
    recalled = np.array([[True, True, True], [True, False, False], [True, True, False]])
    accuracies = np.array([1.0, 0.5, 0.75])
    signature = find_unfinished_memorization(accuracies, recalled, facts, labels)
    assert signature.found.tolist() == [False, True, True]
    assert signature.sentence == (
        "2 of 3 runs: not every fact is memorised; missing are 東京 → <b>, 東京 → x."
    )
    assert find_unfinished_memorization(accuracies).sentence == "2 of 3 runs: not every fact is memorised."
    assert not find_unfinished_memorization(np.array([1.0, np.float32(1), np.nan])).found.any()
    many = np.stack([np.arange(40), np.arange(40) + 1], axis=1)
    long = find_unfinished_memorization(
        np.array([0.0]), np.zeros((1, 40), bool), many, [str(n) for n in range(41)]
    )
    assert long.sentence.endswith("5 → 6 and 34 more.")


def test_random_first_token_needs_chance_at_the_fork_and_knowledge_after_it():
    paths, arms = 100, 5
    hops = np.array(
        [
            [0.20, 1.0, 0.98],  # planted: a fifth of the forks, all else right
            [1.00, 1.0, 1.00],  # knows the paths
            [0.20, 0.2, 0.20],  # knows nothing
            [0.40, 1.0, 1.00],  # looks ahead sometimes
            [0.00, 1.0, 1.00],
            [0.20, 1.0, 0.85],
        ]
    )
    signature = find_random_first_token(hops, paths=paths, arms=arms)
    assert signature.found.tolist() == [True, False, False, False, True, False]
    assert "chance gives 0.20" in signature.sentence
    with pytest.raises(InputError, match="1 hops"):
        find_random_first_token(hops[:, :1], paths=paths, arms=arms)


@pytest.mark.parametrize("right", range(0, 41, 4))
def test_the_first_token_is_put_to_the_binomial_test(right):
    p = binomtest(right, 40, 1 / 4, alternative="greater").pvalue
    signature = find_random_first_token(np.array([[right / 40, 1.0]]), paths=40, arms=4)
    assert signature.found[0] == (p > SIGNIFICANCE)


def test_first_tokens_at_chance_are_found_in_nearly_all_fleets():
    right = np.random.default_rng(0).binomial(200, 1 / 10, size=2000) / 200
    hops = np.stack([right, np.ones(2000)], axis=1)
    assert 0.93 < find_random_first_token(hops, paths=200, arms=10).found.mean() <= 1


def test_spread_over_runs_counts_all_runs():
    planted = spread_out(1, runs=2)
    planted[:, 14] = planted[:, 12]
    signature = find_merged_twins(planted, irregular())
    whole = spread_over_runs(signature, np.array([True, False, True]))
    assert whole.found.tolist() == [True, False, True]
    assert np.isnan(whole.values[1])
    assert whole.sentence == signature.sentence.replace("All 2 runs", "2 of 3 runs")


def test_labels_with_colons_survive_the_spread():
    graph = Graph("pair: a", ("a: 1", "b: 2", "c: 3"), np.array([[0, 1], [1, 2], [2, 0]]))
    planted = spread_out(runs=1, nodes=3)
    planted[0, 1] = planted[0, 0]
    signature = spread_over_runs(find_merged_twins(planted, graph), np.array([True, False]))
    assert signature.sentence.endswith("a: 1 and b: 2.")


def test_every_signature_has_a_rule():
    assert set(SIGNATURES) == {
        *("diverged", "unfinished memorisation", "collapsed geometry"),
        *("zig-zag", "merged twins", "random first token"),
    }
    signature = find_merged_twins(spread_out(), irregular())
    assert signature.rule == SIGNATURES["merged twins"]
