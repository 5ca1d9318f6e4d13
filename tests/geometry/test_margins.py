import numpy as np
import pytest

from geomem.errors import InputError
from geomem.geometry.margins import bilinear_logits, measure_margins, skewed_weight
from geomem.worlds.graphs.families import complete, cycle
from geomem.worlds.tasks import EdgeMemorization, directed_facts

RING = cycle(9)
FACTS = directed_facts(RING, EdgeMemorization())


def random_model(runs=2, nodes=9, width=5):
    generator = np.random.default_rng(0)
    shapes = (runs, nodes, width), (runs, width, width), (runs, width)
    return [generator.normal(size=shape) for shape in shapes]


def test_logits_are_the_models_orientation_with_its_bias():
    E, W, b = random_model()
    logits = bilinear_logits(E, W, b)
    for run, u, v in ((0, 1, 2), (1, 8, 0)):
        assert logits[run, u, v] == pytest.approx(E[run, v] @ (W[run] @ E[run, u] + b[run]))


def test_margins_equal_a_plain_loop_and_never_count_a_node_itself():
    E, W, b = random_model()
    facts = np.concatenate([FACTS, np.stack([np.arange(9)] * 2, axis=1)])
    logits = bilinear_logits(E, W, b)
    logits[:, np.arange(9), np.arange(9)] = 1e6
    found = measure_margins(logits, facts)
    for run in range(2):
        leads = []
        for u in range(9):
            true = {int(v) for s, v in facts if s == u and v != u}
            others = set(range(9)) - true - {u}
            leads.append(max(logits[run, u, v] for v in true) - max(logits[run, u, v] for v in others))
        assert found.margin[run] == pytest.approx(np.mean(leads))
        assert found.accuracy[run] == pytest.approx(np.mean(np.array(leads) > 0))


def test_skewed_weight_is_diagonal_in_the_singular_basis():
    E, W, _ = random_model()
    V = np.linalg.svd(E[0])[2]
    turned = V @ skewed_weight(E, W)[0] @ V.T
    assert np.allclose(turned, np.diag(np.diag(turned)))
    assert np.allclose(np.diag(turned), np.diag(V @ W[0] @ V.T))
    assert np.allclose(skewed_weight(E, skewed_weight(E, W)), skewed_weight(E, W))
    wide = np.random.default_rng(1).normal(size=(4, 9))
    assert np.linalg.matrix_rank(skewed_weight(wide, np.eye(9))) == 4


def test_a_geometry_survives_skewing_and_a_lookup_table_does_not():
    angles = 2 * np.pi * np.arange(9) / 9
    circle = np.stack([np.cos(angles), 1.1 * np.sin(angles)], axis=1)
    zero = np.zeros(2)
    geometry = measure_margins(bilinear_logits(circle, skewed_weight(circle, np.eye(2)), zero), FACTS)
    assert geometry.margin > 0
    assert geometry.accuracy == 1
    ring = cycle(15)
    facts = directed_facts(ring, EdgeMemorization())
    E = np.random.default_rng(2).normal(size=(20, 15, 64)) / 8
    adjacency = np.zeros((15, 15))
    adjacency[facts[:, 0], facts[:, 1]] = 1
    inverse = np.linalg.pinv(E)
    table = inverse @ adjacency @ np.swapaxes(inverse, 1, 2)
    whole = measure_margins(bilinear_logits(E, table, np.zeros((20, 64))), facts)
    skewed = measure_margins(bilinear_logits(E, skewed_weight(E, table), np.zeros((20, 64))), facts)
    assert whole.margin == pytest.approx(1)
    assert whole.accuracy == pytest.approx(1)
    assert np.abs(skewed.margin).max() < 0.1
    assert skewed.accuracy.mean() < 0.6


def test_a_complete_graph_has_no_margin():
    facts = directed_facts(complete(4), EdgeMemorization())
    with pytest.raises(InputError, match="not complete"):
        measure_margins(np.zeros((4, 4)), facts)
