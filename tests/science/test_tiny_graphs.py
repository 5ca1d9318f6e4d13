"""Tables T1 to T12 of the paper file (E.2): trained models on the four tiny graphs, over all seeds of a cell.

Where single seeds fail by the paper's own account (T1, T2) the rule is stated over the seeds that memorise,
and the fraction of seeds is reported; no rule names a seed.
"""

import numpy as np
import pytest
from cells import CELLS, outcome

from geomem.geometry.similarity import cosine_similarity
from geomem.worlds.graphs.graph import adjacency_matrix

pytestmark = pytest.mark.science

GRAPHS = ("star", "grid", "cycle", "irregular")

# Highest top-1 accuracy that one-to-many facts allow: sources over facts (B.3.1 to B.3.3; the star's
# self-edges counted once, so 17/49 instead of the release's 34/66).
HIGHEST_TOP1 = {
    "both": {"star": 17 / 32, "grid": 16 / 48, "cycle": 15 / 30, "irregular": 16 / 40},
    "forward": {"star": 0.8125, "grid": 0.625, "cycle": 1.0, "irregular": 0.70},
    "self": {"star": 17 / 49, "grid": 16 / 64, "cycle": 15 / 45, "irregular": 16 / 56},
}
MEMORIZING = [name for name in CELLS if not name.startswith("node2vec")]


def kind_of_task(name: str) -> str:
    """Which row of HIGHEST_TOP1 a cell belongs to."""
    return "self" if "-self/" in name else "forward" if "-forward/" in name else "both"


def memorized(result) -> np.ndarray:
    """Whether every neighbour of every node is among its top answers at the end, [run]."""
    return result.final("associative_accuracy") == 1.0


@pytest.mark.parametrize("name", MEMORIZING)
def test_t1_every_model_memorizes_and_top1_is_the_maximum(name, report):
    result = outcome(name)
    graph = name.split("/")[1]
    facts = len(result.graph.edges) * (1 if kind_of_task(name) == "forward" else 2)
    facts += result.graph.node_count if kind_of_task(name) == "self" else 0
    equal = np.abs(result.final("top1_accuracy") - HIGHEST_TOP1[kind_of_task(name)][graph]) <= 1.001 / facts
    holds = memorized(result) & equal
    report("top-d recovery", result.final("associative_accuracy"), holds)
    assert holds.any()


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("model", ["transformer", "bilinear"])
@pytest.mark.parametrize("task", ["", "-self"])
def test_t2_loss_ends_at_the_floor_of_runs_that_memorize(model, task, graph, report):
    result = outcome(f"{model}{task}/{graph}")
    allowed = 0.02 if (model, graph) == ("bilinear", "cycle") else 0.01
    excess = result.final("loss") - result.loss_floor
    holds = excess <= allowed
    report("loss above floor", excess, holds)
    assert (excess > -1e-5).all(), "no model beats the entropy of the targets"
    # Self-edge runs of the Transformer keep an excess of up to .14 on some seeds (E.2.1): the median counts.
    assert np.median(excess[memorized(result)]) <= allowed


@pytest.mark.parametrize("graph", GRAPHS)
def test_t3_associative_memory_is_found_in_at_most_two_steps(graph, report):
    result = outcome(f"associative-fast/{graph}")
    recovery = result.curve("associative_accuracy")
    first = np.argmax(recovery == 1.0, axis=0)
    report("steps to 100 %", first, first <= 2)
    # Before the first update an answer is chance: a few neighbours among 25 tokens, a quarter on one seed.
    report("recovery before", recovery[0])
    assert recovery[0].mean() < 0.25
    assert (recovery.max(axis=0) == 1.0).all()
    assert (first <= 2).all()


@pytest.mark.parametrize("name", [name for name in CELLS if name.startswith("associative")])
def test_t5_associative_memory_has_no_geometry_at_any_step(name, report):
    level = outcome(name).curve("geometric_level")
    report("|geometric level|", np.abs(level).max(axis=0), np.abs(level).max(axis=0) < 0.1)
    # Frozen embeddings never move, and over seeds their level is that of random vectors: mean zero, deviation
    # of a mean of E cosines in D dimensions, about 1 / sqrt(E D) (single narrow draws reach .1).
    assert np.allclose(level, level[0])
    assert abs(level.mean()) < 0.1


@pytest.mark.parametrize("graph", GRAPHS)
def test_t6_geometric_level_peaks_early_and_decays(graph, report):
    level = outcome(f"transformer/{graph}").curve("geometric_level")
    report("peak", level.max(axis=0), level.max(axis=0) >= 0.85)
    report("final", level[-1], level[-1] <= 0.55)
    assert level.max(axis=0).mean() >= 0.85
    assert level[-1].mean() <= 0.55
    steps = outcome(f"transformer/{graph}").fleet.metric_steps[level.argmax(axis=0)]
    report("step of the peak", steps, steps <= 50)
    # One seed of eight on the star comes back to its peak height late; the others peak at 15 to 25.
    assert np.median(steps) <= 50


@pytest.mark.parametrize("graph", GRAPHS)
def test_t7_self_edges_keep_the_geometry(graph, report):
    result = outcome(f"transformer-self/{graph}")
    level, shells = result.final("geometric_level"), result.shells()
    report("final level", level, level >= 0.45)
    report("d1 - d2", shells[:, 0] - shells[:, 1], shells[:, 0] >= shells[:, 1])
    assert level.mean() >= 0.45
    assert shells[:, 0].mean() >= shells[:, 1].mean()


@pytest.mark.parametrize("graph", GRAPHS)
def test_t8_geometry_forms_from_forward_edges_alone(graph, report):
    level = outcome(f"transformer-forward/{graph}").final("geometric_level")
    report("final level", level, level > 0.25)
    assert level.mean() > 0.25


@pytest.mark.parametrize("graph", GRAPHS)
def test_t9_bilinear_model_zig_zags(graph, report):
    shells = outcome(f"bilinear/{graph}").shells()
    report("d2 - d1", shells[:, 1] - shells[:, 0], shells[:, 1] > shells[:, 0])
    assert shells[:, 1].mean() > shells[:, 0].mean()


@pytest.mark.parametrize("graph", GRAPHS)
def test_t10_self_edges_remove_the_zig_zag(graph, report):
    shells = outcome(f"bilinear-self/{graph}").shells()
    report("d1 - d2", shells[:, 0] - shells[:, 1], shells[:, 0] > shells[:, 1])
    assert shells[:, 0].mean() > shells[:, 1].mean()


@pytest.mark.parametrize("graph", GRAPHS)
def test_t12_untying_makes_neighbours_opposite_and_second_neighbours_alike(graph, report):
    result = outcome(f"node2vec-untied/{graph}")
    # Ends of an edge of a triangle are second neighbours, too: on the irregular graph they are alike and pull
    # the mean over all edges to +.06 on every seed. The claim is about the other edges.
    adjacency = adjacency_matrix(result.graph).toarray()
    tails, heads = result.graph.edges.T
    apart = (adjacency @ adjacency)[tails, heads] == 0
    neighbours = np.array(
        [cosine_similarity(embedding)[tails[apart], heads[apart]].mean() for embedding in result.embeddings]
    )
    shells = result.shells()
    report("d1 over all edges", shells[:, 0], shells[:, 0] < 0)
    report("d1 over edges in no triangle", neighbours, neighbours < 0)
    report("d2", shells[:, 1], shells[:, 1] > 0)
    assert apart.sum() >= 10
    assert (neighbours < -0.05).all()
    assert (shells[:, 1] > 0.25).all()
