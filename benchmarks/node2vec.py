"""Node2Vec on its closed-form gradient against autograd with a Python loop over nodes.

Theirs follows the structure of the paper's release: per node the mean over its neighbours of -log softmax,
summed over nodes, one backward pass, a plain gradient step by hand, the loss written down every step.
"""

import time

import torch
from torch.nn import functional

from benchmarks.row import Row
from geomem.models.configuration import Node2Vec
from geomem.training.configuration import RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.worlds.graphs.families import path_star
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

RUNS = 64
OUR_STEPS = 400
THEIR_STEPS = 100


def train_by_autograd(facts, node_count: int, seed: int, steps: int) -> list[float]:
    """The loss at every step of full-batch gradient descent, node by node."""
    torch.manual_seed(seed)
    embedding = torch.nn.Embedding(node_count, 100)
    torch.nn.init.normal_(embedding.weight)
    neighbours = [[int(target) for source, target in facts if source == node] for node in range(node_count)]
    history = []
    for _ in range(steps):
        losses = []
        for node in range(node_count):
            scores = embedding.weight @ embedding(torch.tensor(node))
            log_probabilities = functional.log_softmax(scores, dim=0)
            losses.append(-log_probabilities[torch.tensor(neighbours[node])].mean())
        total = torch.stack(losses).sum()
        embedding.zero_grad()
        total.backward()
        with torch.no_grad():
            embedding.weight -= 0.01 * embedding.weight.grad
        history.append(total.item() / node_count)
    return history


def rows() -> list[Row]:
    """Training steps per second and run, for a fleet and for a run alone."""
    graph, task = path_star(arms=4, length=5), EdgeMemorization()
    facts, examples = directed_facts(graph, task), edge_examples(graph, task)

    def our_rate(runs: int) -> float:
        training = Training(
            steps=OUR_STEPS, schedule="constant", optimizer="gradient-descent", metric_every=100, snapshots=2
        )
        settings = [
            RunSettings(seed=seed, learning_rate=0.01, weight_decay=0.0, scale=1.0) for seed in range(runs)
        ]
        start = time.process_time()
        train_fleet(Node2Vec(), examples, facts, graph.node_count, settings, training)
        return runs * OUR_STEPS / (time.process_time() - start)

    our_rate(1)
    alone, fleet = our_rate(1), our_rate(RUNS)
    train_by_autograd(facts, graph.node_count, seed=0, steps=2)
    start = time.process_time()
    train_by_autograd(facts, graph.node_count, seed=0, steps=THEIR_STEPS)
    theirs = THEIR_STEPS / (time.process_time() - start)
    what = "Node2Vec on the tiny path-star, closed form, {}; theirs: autograd, a Python loop over nodes"
    return [
        Row(
            what=what.format(f"fleet of {RUNS}"),
            ours=f"{fleet:,.0f} steps/s",
            theirs=f"{theirs:,.0f} steps/s",
            ratio=fleet / theirs,
            required="at least 100 times",
            holds=fleet >= 100 * theirs,
        ),
        Row(
            what=what.format("one run alone"),
            ours=f"{alone:,.0f} steps/s",
            theirs=f"{theirs:,.0f} steps/s",
            ratio=alone / theirs,
        ),
    ]
