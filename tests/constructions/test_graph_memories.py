"""The closed-form memories of propositions 1 to 4: their margins, their codes, what is read off them."""

import numpy as np
import pytest

from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.constructions.graph_memories import (
    adjacency_table,
    arm_lattice,
    circle,
    count_wrong_pairs,
    diamond,
    incidence,
    smallest_margin,
)
from geomem.errors import InputError
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.graphs.graph import adjacency_matrix


@pytest.mark.parametrize("nodes", [5, 8, 15, 30, 60, 120])
def test_the_circle_has_margin_one_and_the_diamond_is_a_cycle(nodes):
    Phi = circle(nodes)
    assert smallest_margin(Phi @ Phi.T, adjacency_table(cycle(nodes))) == pytest.approx(1, abs=1e-9)
    if nodes % 4 == 0:
        code = diamond(nodes)
        assert count_wrong_pairs(code, cycle(nodes)) == 0
        assert np.ptp(code, axis=0).tolist() == [nodes / 2, nodes / 2]
        # A cycle through the same points in another order is not read off them.
        assert count_wrong_pairs(code[::-1] * [1, 2], cycle(nodes)) > 0


def test_the_pentagon_undercuts_the_papers_lower_bound():
    # Neighbours at 72 degrees, others at 144: margin 1 at r² = 1 / (cos 72° - cos 144°) = 2 / √5.
    norm = np.linalg.norm(circle(5))
    assert norm**2 == pytest.approx(5 * 2 / np.sqrt(5))
    assert norm < np.sqrt(5)


def test_a_margin_is_the_worst_lead_over_nodes():
    graph = path_star(arms=2, length=3, world_seed=None)
    logits = adjacency_matrix(graph).toarray() * 3.0
    assert smallest_margin(logits, adjacency_table(graph)) == 3
    logits[0, graph.edges[0, 1]] = 1.0
    assert smallest_margin(logits, adjacency_table(graph)) == 1
    logits[2, 4] = 5.0  # no edge: a wrong answer
    assert smallest_margin(logits, adjacency_table(graph)) < 0


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_tables_have_the_norms_of_proposition_3(graph):
    for forward, count in ((True, graph.edge_count), (False, 2 * graph.edge_count)):
        table = adjacency_table(graph, forward=forward)
        assert np.linalg.norm(table) ** 2 == pytest.approx(count)
        assert smallest_margin(table, table) == 1


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_incidence_products_are_the_adjacency_and_degrees(graph):
    A = adjacency_matrix(graph).toarray()
    assert (incidence(graph) @ incidence(graph).T == A + np.diag(A.sum(axis=1))).all()


@pytest.mark.parametrize("arms", [1, 4, 16])
def test_the_path_star_is_read_off_its_lattice_alone(arms):
    graph, code = path_star(arms, 5, world_seed=None), arm_lattice(arms, 5)
    assert count_wrong_pairs(code, graph) == 0
    if arms > 3:
        assert count_wrong_pairs(code[:, :3], graph) > 0


@pytest.mark.parametrize(("build", "nodes"), [(circle, 3), (diamond, 6), (diamond, 0)])
def test_cycles_without_a_code_are_refused(build, nodes):
    with pytest.raises(InputError, match=rf"of {nodes} nodes"):
        build(nodes)
