"""Node2Vec's closed-form gradient against finite differences and autograd."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from geomem.geometry.dynamics import node2vec_gradient_matrix, target_distribution
from geomem.models.configuration import Node2Vec
from geomem.models.model import initialize_parameters, trainable_names
from geomem.models.objective import make_objective
from geomem.worlds.graphs.families import cycle, grid, irregular, path_star
from geomem.worlds.tasks import EdgeMemorization, edge_examples

TASKS = [
    EdgeMemorization(),
    EdgeMemorization(directions="forward"),
    EdgeMemorization(self_edges=True, task_token=False),
]


def prepared(graph, task, model, seeds=(0, 1)):
    """Objective, parameters as views of one buffer, and the gradient buffer, in float64."""
    examples = edge_examples(graph, task)
    fresh = initialize_parameters(
        model,
        vocabulary_size=examples.vocabulary_size,
        context_length=2,
        node_count=graph.node_count,
        seeds=seeds,
        dtype=torch.float64,
    )
    gradient = torch.zeros(len(seeds), sum(t[0].numel() for t in fresh.values()), dtype=torch.float64)
    return examples, fresh, gradient, make_objective(model, fresh, gradient, examples, seeds=seeds)


@pytest.mark.parametrize("task", TASKS, ids=["both", "forward", "self"])
@pytest.mark.parametrize("tied", [True, False])
def test_gradient_matches_finite_differences(task, tied):
    graph = path_star(arms=3, length=3)
    model = Node2Vec(width=5, tied=tied, embedding_scale=0.5)
    examples, parameters, gradient, objective = prepared(graph, task, model)
    targets = target_distribution(examples, graph.node_count)
    asked = targets.sum()  # every asked row sums to one

    def total_losses():
        return objective.evaluate().losses * asked

    assert objective.differentiate(0) is None
    closed_form = gradient.clone()
    numerical, step = torch.zeros_like(gradient), 1e-5
    column = 0
    for name in trainable_names(model):
        entries = parameters[name].flatten(1)
        for index in range(entries.shape[1]):
            entries[:, index] += step
            above = total_losses()
            entries[:, index] -= 2 * step
            numerical[:, column] = (above - total_losses()) / (2 * step)
            entries[:, index] += step
            column += 1
    assert (closed_form - numerical).norm() / numerical.norm() < 1e-6


def test_gradient_is_minus_c_v_and_the_printed_plus_sign_is_wrong():
    graph = irregular()
    examples, parameters, gradient, objective = prepared(graph, EdgeMemorization(), Node2Vec(width=5))
    objective.differentiate(0)
    V = parameters["token_embedding"].numpy()
    T = target_distribution(examples, graph.node_count)
    C = node2vec_gradient_matrix(V, T)
    ascent = -gradient.view(V.shape).numpy()
    np.testing.assert_allclose(ascent, C @ V, rtol=1e-10, atol=1e-10)
    both = T + T.T
    printed = 2 * both - C  # (T + Tᵀ) + (P + Pᵀ)
    assert np.linalg.norm(ascent - printed @ V) / np.linalg.norm(ascent) > 0.5


@pytest.mark.parametrize("task", TASKS, ids=["both", "forward", "self"])
def test_the_reported_loss_is_the_mean_over_asked_nodes(task):
    graph = cycle(nodes=6)
    examples, parameters, _, objective = prepared(graph, task, Node2Vec(width=4))
    T = target_distribution(examples, graph.node_count)
    evaluation = objective.evaluate()
    for run in range(2):
        V = parameters["token_embedding"][run].numpy()
        log_P = log_softmax(V @ V.T, axis=1)
        losses = [-(T[i] @ log_P[i]) for i in range(6) if T[i].any()]
        assert evaluation.losses[run].item() == pytest.approx(np.mean(losses), rel=1e-12)


def test_a_node_competes_with_itself_only_where_self_edges_are_facts():
    graph = grid(rows=2, columns=2)
    for task in TASKS:
        _, _, _, objective = prepared(graph, task, Node2Vec(width=4))
        hidden = objective.evaluate().logits.isneginf()
        assert hidden.any() == (not task.self_edges)
        assert hidden.sum(dim=-1).max() <= 1
