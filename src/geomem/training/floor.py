"""The lowest loss that any model can have on a task, by the objective of its training; no torch."""

import numpy as np

from geomem.geometry.recovery import loss_floor
from geomem.models.architecture import Model
from geomem.worlds.tasks import Examples


def lowest_loss(model: Model, examples: Examples) -> float:
    """The entropy of the targets in nats, which no model's loss can beat.

    Node2Vec's objective gives every node the same weight, however many neighbours it has (arXiv 2510.26745,
    equation 1); the others give every fact the weight of its example.

    >>> from geomem.models.configuration import Transformer
    >>> from geomem.worlds.graphs.families import path_star
    >>> from geomem.worlds.tasks import EdgeMemorization, edge_examples
    >>> round(lowest_loss(Transformer(), edge_examples(path_star(4, 5), EdgeMemorization())), 4)
    0.6931
    """
    weights = examples.fact_weights
    if model.scores == "nodes":
        totals = np.bincount(examples.fact_examples, weights=weights)
        weights = weights / (totals[examples.fact_examples] * examples.example_count)
    return loss_floor(examples.fact_examples, weights)
