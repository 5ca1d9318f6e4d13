"""The claims about Node2Vec and the paper's theory: their constructions, their measures, their verdicts."""

from dataclasses import replace

import numpy as np
import pytest

from bare_process import run_bare
from geomem.claims import complexity, dynamics, node2vec, theory, trajectory
from geomem.claims.claim import Scale, reach_verdict
from geomem.claims.evidence import Evidence, imagine_fleet, read_evidence
from geomem.claims.modes import (
    SURVIVORS,
    TRIVIAL,
    eigenvector_residual,
    graph_name,
    project_on_modes,
    relative_gradient,
    smooth_over_eigenspaces,
)
from geomem.claims.tiny_graphs import GRAPHS
from geomem.geometry.dynamics import node2vec_gradient_matrix
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum
from geomem.runs.edges import memorize
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.graphs.graph import adjacency_matrix

SCALE = Scale("quick", (0, 1, 2))
COMPUTED = [
    claim for group in (theory, trajectory, complexity) for claim in group.CLAIMS if claim.compute is not None
]
TRAINED = [*node2vec.CLAIMS, *dynamics.CLAIMS]


@pytest.mark.parametrize("claim", COMPUTED, ids=lambda claim: claim.id)
def test_what_is_computed_comes_out_as_expected_and_could_come_out_otherwise(claim):
    right = claim.judge(Evidence(arrays=claim.compute(SCALE)))
    wrong = claim.judge(claim.wrong(()))
    assert reach_verdict(claim, right).as_expected, right.sentence
    assert not reach_verdict(claim, wrong).as_expected, wrong.sentence


@pytest.fixture(scope="module")
def fleets(tmp_path_factory):
    """Every fleet of the trained claims, by what is asked of `memorize`."""
    directory = tmp_path_factory.mktemp("runs")

    def find(request):
        fleet = run_bare(
            memorize,
            request.world,
            model=request.model,
            task=request.task,
            training=request.training,
            seeds=request.seeds,
            directory=directory,
        )
        return read_evidence(request, fleet)

    return find


@pytest.mark.science
@pytest.mark.parametrize("claim", TRAINED, ids=lambda claim: claim.id)
def test_what_is_trained_comes_out_as_expected(claim, fleets):
    evidence = Evidence({request.key: fleets(request) for request in claim.fleets(SCALE)})
    verdict = reach_verdict(claim, claim.judge(evidence))
    assert verdict.as_expected, verdict.sentence


@pytest.mark.parametrize("nodes", complexity.CYCLES)
def test_the_circle_has_margin_one_and_the_diamond_is_a_cycle(nodes):
    Phi = complexity.circle(nodes)
    assert complexity.smallest_margin(Phi @ Phi.T, cycle(nodes)) == pytest.approx(1, abs=1e-9)
    if nodes % 4 == 0:
        code = complexity.diamond(nodes)
        assert complexity.count_wrong_pairs(code, cycle(nodes)) == 0
        assert np.ptp(code, axis=0).tolist() == [nodes / 2, nodes / 2]
        # A cycle through the same points in another order is not read off them.
        assert complexity.count_wrong_pairs(code[::-1] * [1, 2], cycle(nodes)) > 0


def test_the_pentagon_undercuts_the_papers_lower_bound():
    # Neighbours at 72 degrees, others at 144: margin 1 at r² = 1 / (cos 72° - cos 144°) = 2 / √5.
    norm = np.linalg.norm(complexity.circle(5))
    assert norm**2 == pytest.approx(5 * 2 / np.sqrt(5))
    assert norm < np.sqrt(5)


def test_a_margin_is_the_worst_lead_over_nodes():
    graph = path_star(arms=2, length=3, world_seed=None)
    logits = adjacency_matrix(graph).toarray() * 3.0
    assert complexity.smallest_margin(logits, graph) == 3
    logits[0, graph.edges[0, 1]] = 1.0
    assert complexity.smallest_margin(logits, graph) == 1
    logits[2, 4] = 5.0  # no edge: a wrong answer
    assert complexity.smallest_margin(logits, graph) < 0


def test_incidence_products_are_the_adjacency_and_degrees():
    for graph in GRAPHS.values():
        gram = complexity.incidence(graph) @ complexity.incidence(graph).T
        A = adjacency_matrix(graph).toarray()
        assert (gram == A + np.diag(A.sum(axis=1))).all()


@pytest.mark.parametrize("name", list(GRAPHS))
def test_a_trajectory_follows_the_gradient_and_depends_on_products_alone(name):
    path, graph = trajectory.ascend(name), GRAPHS[name]
    E, L = laplacian_spectrum(graph).eigenvectors, laplacian_matrix(graph).toarray()
    assert path["rates"][0] == pytest.approx(np.diag(-E.T @ L @ E), abs=1e-9)
    assert path["C"] == pytest.approx(node2vec_gradient_matrix(path["V"], theory.targets_of(graph)))
    assert path["P"].sum(axis=1) == pytest.approx(np.ones(graph.node_count))
    turned = trajectory.LENGTH * np.linalg.qr(np.random.default_rng(0).normal(size=E.shape))[0]
    for _ in range(5):
        turned = (
            turned + trajectory.RATE * node2vec_gradient_matrix(turned, theory.targets_of(graph)) @ turned
        )
    straight = trajectory.LENGTH * np.eye(graph.node_count)
    for _ in range(5):
        C = node2vec_gradient_matrix(straight, theory.targets_of(graph))
        straight = straight + trajectory.RATE * C @ straight
    assert turned @ turned.T == pytest.approx(straight @ straight.T, abs=1e-9)


def test_measures_do_not_depend_on_the_basis_of_an_eigenspace():
    values = np.array([[3.0, 4.0, 1.0]])
    smoothed = smooth_over_eigenspaces(values, np.array([0, 0, 1]))
    assert smoothed == pytest.approx(np.array([[np.sqrt(12.5), np.sqrt(12.5), 1.0]]))


def test_survivors_and_residual_on_embeddings_that_are_known():
    request = node2vec.request_baseline(SCALE)[2]
    assert graph_name(request.world) == "cycle"
    spectrum = laplacian_spectrum(request.world)
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(request.model.width, SURVIVORS["cycle"])))[0]
    kept = spectrum.eigenvectors[:, : SURVIVORS["cycle"]] * [7.0, 5.0, 5.0] @ turned.T
    fleet = imagine_fleet(request, "associative")
    known = replace(fleet, embeddings=np.stack([kept] * 3))
    norms = project_on_modes(known)[0]
    assert norms[: SURVIVORS["cycle"]] == pytest.approx([7.0, 5.0, 5.0])
    assert norms[SURVIVORS["cycle"] :] == pytest.approx(np.zeros(12), abs=1e-9)
    # All its matrices are circulant: P + Pᵀ keeps every eigenvector of V Vᵀ.
    assert eigenvector_residual(known)[0] < 1e-9
    assert relative_gradient(known)[0] > 0
    uneven = kept * np.linspace(0.2, 1, 15)[:, None]
    noisy = replace(fleet, embeddings=np.stack([uneven] * 3))
    assert eigenvector_residual(noisy)[0] > 0.01


def test_trivial_modes_are_one_per_component():
    for name, graph in GRAPHS.items():
        components = len(np.unique(laplacian_spectrum(graph).components))
        assert TRIVIAL[name] == components < SURVIVORS[name]
