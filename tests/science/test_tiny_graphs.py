"""Claims on the four tiny graphs by models trained with more seeds than `geomem reproduce` has.

The checks are those of the claims, thresholds included. Where single seeds fail by the paper's own account
(T1), the fraction of seeds is reported and some must succeed; no rule names a seed.
"""

import numpy as np
import pytest
from cells import SCALE, SEEDS, cell, evidence

from geomem.claims.catalogue import CLAIMS
from geomem.claims.claim import reach_verdict
from geomem.claims.evidence import excess_loss, final, memorized, shells
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.claims.memorize_geometrically.zigzag import edges_in_triangles
from geomem.geometry.similarity import cosine_similarity

pytestmark = pytest.mark.science

JUDGED = (
    "memorization/top1-ceiling",
    "memorization/transformer-loss",
    "memorization/bilinear-loss",
    "race/associative-two-steps",
    "geometry/associative-level",
    "geometry/early-peak",
    "geometry/decay",
    "geometry/self-edges",
    "geometry/forward-only",
    "zigzag/bilinear",
    "zigzag/self-edges",
    "zigzag/untied-node2vec",
    "zigzag/triangles",
)
MEMORIZING = [
    f"{name}/{graph}"
    for name in (
        *("transformer", "transformer-forward", "transformer-self"),
        *("bilinear", "bilinear-self", "associative", "associative-self", "associative-fast"),
    )
    for graph in GRAPHS
]


@pytest.mark.parametrize("name", JUDGED)
def test_the_claim_comes_out_with_more_seeds(name, runs_directory, report):
    claim = CLAIMS[name]
    judgement = claim.judge(evidence(claim.fleets(SCALE), runs_directory))
    for quantity in judgement.quantities:
        report(quantity.name, quantity.values, quantity.held)
    assert reach_verdict(claim, judgement).as_expected, judgement.sentence


@pytest.mark.parametrize("name", MEMORIZING)
def test_t1_every_model_memorizes_on_some_seed(name, runs_directory, report):
    # On some graphs one or two seeds in eight memorise, and rounding decides which. Where none does the next
    # ones are trained, up to the 35th, so that it is no lottery.
    count = len(SEEDS)
    for first in range(0, 7 * count, count):
        fleet = cell(name, runs_directory, seeds=tuple(range(first, first + count)))
        report("top-d recovery", final(fleet, "associative_accuracy"), memorized(fleet))
        assert (excess_loss(fleet) > -1e-5).all(), "no model beats the entropy of the targets"
        if memorized(fleet).any():
            return
    pytest.fail("no seed memorises")


@pytest.mark.parametrize("graph", GRAPHS)
def test_t3_recovery_starts_at_chance(graph, runs_directory, report):
    recovery = cell(f"associative-fast/{graph}", runs_directory).metrics["associative_accuracy"]
    # Before the first update an answer is chance: a few neighbours among 25 tokens, a quarter on one seed.
    report("recovery before", recovery[0])
    assert recovery[0].mean() < 0.25
    assert (recovery.max(axis=0) == 1.0).all()


@pytest.mark.parametrize("name", [name for name in MEMORIZING if name.startswith("associative")])
def test_t5_frozen_embeddings_never_move(name, runs_directory):
    level = cell(name, runs_directory).metrics["geometric_level"]
    # Over seeds their level is that of random vectors: mean zero, deviation of a mean of E cosines in D
    # dimensions, about 1 / sqrt(E D) (single narrow draws reach .1).
    assert np.allclose(level, level[0])
    assert abs(level.mean()) < 0.1


@pytest.mark.parametrize("graph", GRAPHS)
def test_t12_untying_makes_neighbours_opposite_on_every_seed(graph, runs_directory, report):
    fleet = cell(f"node2vec-untied/{graph}", runs_directory)
    # Ends of an edge of a triangle are second neighbours, too: on the irregular graph they are alike and pull
    # the mean over all edges to +.06 on every seed. The claim is about the other edges.
    apart = ~edges_in_triangles(fleet.request.world)
    tails, heads = fleet.request.world.edges[apart].T
    neighbours = cosine_similarity(fleet.embeddings)[:, tails, heads].mean(axis=1)
    report("d1 over edges in no triangle", neighbours, neighbours < 0)
    assert apart.sum() >= 10
    assert (neighbours < -0.05).all()
    assert (shells(fleet)[:, 1] > 0.25).all()
