"""The loss and its gradient on unique prefixes against one row per fact."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from benchmarks.row import Row
from geomem.models.configuration import Transformer
from geomem.models.model import compute_logits, initialize_parameters
from geomem.worlds.graphs.families import path_star
from geomem.worlds.tasks import EdgeMemorization, Examples, edge_examples

REPEATS = 5


def loss_by_prefix(logits: torch.Tensor, examples: Examples) -> torch.Tensor:
    """Cross-entropy of each prefix with the exact distribution of its targets."""
    rows, targets = torch.as_tensor(examples.fact_examples), torch.as_tensor(examples.fact_targets)
    weights = torch.as_tensor(examples.fact_weights, dtype=logits.dtype)
    return ((logits.logsumexp(-1)[rows] - logits[rows, targets]) * weights).sum()


def seconds_per_step(step: Callable[[], torch.Tensor]) -> tuple[float, float]:
    """Best time of a loss with its gradient, and the loss."""
    step().backward()
    best, loss = float("inf"), float("nan")
    for _ in range(REPEATS):
        start = time.perf_counter()
        value = step()
        value.backward()
        best, loss = min(best, time.perf_counter() - start), value.item()
    return best, loss


def rows() -> list[Row]:
    """Forward plus backward on a path-star of 1000 arms, both directions and forward only from a root."""
    table = []
    for length, directions in ((5, "both"), (2, "forward")):
        graph = path_star(arms=1000, length=length)
        examples = edge_examples(graph, EdgeMemorization(directions=directions))
        parameters = initialize_parameters(
            Transformer(),
            vocabulary_size=examples.vocabulary_size,
            context_length=examples.prefixes.shape[1],
            node_count=graph.node_count,
            seeds=[0],
        )
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        prefixes = torch.as_tensor(examples.prefixes)
        rows_of_facts = torch.as_tensor(examples.prefixes[examples.fact_examples])
        targets = torch.as_tensor(examples.fact_targets)

        def by_prefix(leaves=leaves, prefixes=prefixes, examples=examples) -> torch.Tensor:
            return loss_by_prefix(compute_logits(Transformer(), leaves, prefixes)[0], examples)

        def by_fact(leaves=leaves, rows_of_facts=rows_of_facts, targets=targets) -> torch.Tensor:
            return functional.cross_entropy(compute_logits(Transformer(), leaves, rows_of_facts)[0], targets)

        ours, our_loss = seconds_per_step(by_prefix)
        theirs, their_loss = seconds_per_step(by_fact)
        if not np.isclose(our_loss, their_loss, rtol=1e-5):
            raise AssertionError(f"The two losses differ: {our_loss} and {their_loss}.")
        table.append(
            Row(
                what=f"loss and gradient, path-star of 1000 arms of length {length}, {directions}: "
                f"{examples.example_count} unique prefixes; theirs: {examples.fact_count} rows, one per fact",
                ours=f"{1000 * ours:.1f} ms",
                theirs=f"{1000 * theirs:.1f} ms",
                ratio=theirs / ours,
            )
        )
    return table
