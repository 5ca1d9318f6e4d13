"""Unique prefixes with exact target distributions against one row per fact."""

import pytest
import torch
import torch.nn.functional as F

from geomem.models.configuration import Bilinear, Transformer
from geomem.models.model import compute_logits, initialize_parameters, trainable_names
from geomem.models.objective import make_objective
from geomem.worlds.graphs.families import irregular, path_star
from geomem.worlds.tasks import EdgeMemorization, edge_examples

TASKS = [EdgeMemorization(), EdgeMemorization(directions="forward"), EdgeMemorization(self_edges=True)]


@pytest.mark.parametrize("task", TASKS, ids=["both", "forward", "self"])
@pytest.mark.parametrize("model", [Transformer(width=8, heads=2, layers=2), Bilinear(width=8)], ids=str)
@pytest.mark.parametrize("graph", [path_star(arms=4, length=5), irregular()], ids=["star", "irregular"])
def test_same_loss_and_gradient_as_one_row_per_fact(graph, model, task):
    examples = edge_examples(graph, task)
    parameters = initialize_parameters(
        model,
        vocabulary_size=examples.vocabulary_size,
        context_length=2,
        node_count=graph.node_count,
        seeds=[0, 1],
        scales=[1.0, 10.0],
        dtype=torch.float64,
    )
    names = trainable_names(model)
    gradient = torch.empty(2, sum(parameters[name][0].numel() for name in names), dtype=torch.float64)
    objective = make_objective(model, parameters, gradient, examples, seeds=[0, 1])
    evaluation = objective.differentiate(0)

    rows = torch.tensor(examples.prefixes[examples.fact_examples])
    targets = torch.tensor(examples.fact_targets)
    live = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
    logits = compute_logits(model, live, rows)
    losses = torch.stack([F.cross_entropy(run_logits, targets) for run_logits in logits])
    parts = torch.autograd.grad(losses.sum(), [live[name] for name in names])

    torch.testing.assert_close(evaluation.losses, losses.detach(), rtol=1e-10, atol=1e-12)
    expected = torch.cat([part.flatten(1) for part in parts], dim=1)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-12)
    again = objective.evaluate()
    torch.testing.assert_close(again.losses, evaluation.losses)
    assert again.logits.shape == (2, examples.example_count, examples.vocabulary_size)


def test_dropout_trains_on_the_mask_and_evaluates_without():
    examples = edge_examples(irregular(), EdgeMemorization())
    model = Bilinear(width=8, dropout=0.5)
    parameters = initialize_parameters(
        model,
        vocabulary_size=examples.vocabulary_size,
        context_length=2,
        node_count=16,
        seeds=[0],
        scales=[20.0],
    )
    gradient = torch.empty(1, sum(tensor[0].numel() for tensor in parameters.values()))
    objective = make_objective(model, parameters, gradient, examples, seeds=[0])
    seen = []
    for step in (0, 1, 0):
        assert objective.differentiate(step) is None
        seen.append(gradient.clone())
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(objective.evaluate().losses, objective.evaluate().losses)
