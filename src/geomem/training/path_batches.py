"""Batches of edges and paths, gathered on the device by index: no collation, no wait for the device.

An epoch has every row of edges once and every training path once, in an order of each run's own; the batches
of all runs have the same sizes, which differ by one row at most. Prompts in context are new at every step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.errors import InputError
from geomem.models.randomness import generator_for
from geomem.training.configuration import PathTraining
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.in_context import InContextPathFinding, in_context_rows, in_context_vocabulary
from geomem.worlds.path_finding import EdgeRows, PathFinding, PathRows, edge_rows, path_rows, split_paths
from geomem.worlds.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class PathExamples:
    """Everything that path finding on one graph trains and tests, as arrays."""

    task: PathFinding
    node_count: int
    vocabulary_size: int
    edges: EdgeRows
    train: PathRows
    held_out: PathRows
    held_out_paths: Int[np.ndarray, "path seq"]
    """Root to leaf, whatever the task's target."""
    first_hops: Int[np.ndarray, " arm"]
    """The root's neighbours."""


def path_examples(graph: Graph, task: PathFinding) -> PathExamples:
    """Rows of edges, of training paths and of held-out paths.

    Raises `InputError` as `split_paths` does.

    >>> from geomem.worlds.graphs.families import path_star
    >>> examples = path_examples(path_star(arms=8, length=3), PathFinding())
    >>> len(examples.train.inputs), len(examples.held_out.inputs), len(examples.first_hops)
    (6, 2, 8)
    """
    train, held_out = split_paths(graph, task)
    return PathExamples(
        task=task,
        node_count=graph.node_count,
        vocabulary_size=Vocabulary(graph.labels).size,
        edges=edge_rows(graph, task),
        train=path_rows(graph, task, train),
        held_out=path_rows(graph, task, held_out),
        held_out_paths=held_out,
        first_hops=np.unique(np.concatenate([train[:, 1], held_out[:, 1]])),
    )


def context_length(examples: PathExamples | InContextPathFinding) -> int:
    """Positions of the longest input.

    >>> from geomem.worlds.graphs.families import path_star
    >>> context_length(path_examples(path_star(arms=8, length=3), PathFinding(pauses=1)))
    5
    """
    if isinstance(examples, InContextPathFinding):
        return in_context_rows(examples, 1, seed=0, step=0).inputs.shape[1]
    return max(2, examples.train.inputs.shape[1])


def count_vocabulary(examples: PathExamples | InContextPathFinding) -> tuple[int, int]:
    """Number of all tokens, and of those that are nodes.

    >>> count_vocabulary(InContextPathFinding(node_tokens=50))
    (59, 50)
    """
    if isinstance(examples, InContextPathFinding):
        return in_context_vocabulary(examples).size, examples.node_tokens
    return examples.vocabulary_size, examples.node_count


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of one length that pass the model together, with what is asked for where it is read."""

    tokens: Int[Tensor, "run example seq"]
    first_read: int
    shared: int
    """Leading tokens that are the same in all examples."""
    targets: Int[Tensor, "run row slot"]
    """A row for every position that is read, example by example."""
    weights: Float[Tensor, "run row slot"]
    """Weight of each target in the loss; the parts of one batch add up to 1 in every run."""
    most: int
    """Examples of the largest such part of any batch."""


def pad_part(part: Part) -> Part:
    """The part with as many examples as the largest such part has; those added have weight 0."""
    examples = part.tokens.shape[1]
    missing = part.most - examples
    if not missing:
        return part
    rows = missing * (part.targets.shape[1] // examples)

    def extend(tensor: Tensor, count: int) -> Tensor:
        return torch.cat([tensor, tensor[:, :1].expand(-1, count, -1)], dim=1)

    weights = part.weights.new_zeros(len(part.weights), rows, part.weights.shape[2])
    return Part(
        tokens=extend(part.tokens, missing),
        first_read=part.first_read,
        shared=part.shared,
        targets=extend(part.targets, rows),
        weights=torch.cat([part.weights, weights], dim=1),
        most=part.most,
    )


Batches = Callable[[int], list[list[Part]]]
"""The micro-batches of a step, each a list of parts."""


def make_batches(
    examples: PathExamples | InContextPathFinding,
    training: PathTraining,
    seeds: Sequence[int],
    *,
    device: str | torch.device,
    dtype: torch.dtype,
) -> Batches:
    """The batches of a fleet, a function of the step alone.

    Raises `InputError` if there are more batches than rows to put into them.
    """
    if isinstance(examples, InContextPathFinding):
        return _prompt_batches(examples, training, seeds, device, dtype)
    return _mixed_batches(examples, training, seeds, device, dtype)


def _mixed_batches(
    examples: PathExamples,
    training: PathTraining,
    seeds: Sequence[int],
    device: str | torch.device,
    dtype: torch.dtype,
) -> Batches:
    task = examples.task
    row_counts = {"edges": len(examples.edges.prefixes), "paths": len(examples.train.inputs)}
    weights = {"edges": task.edge_weight, "paths": task.path_weight}
    streams = [stream for stream in row_counts if weights[stream] > 0]
    pieces = training.batches * training.micro_batches
    for stream in streams:
        if pieces > row_counts[stream]:
            raise InputError(
                f"batches is {training.batches} and micro_batches {training.micro_batches}, but there are "
                f"{row_counts[stream]} rows of {stream} to put into them; give fewer of either."
            )
    most = {stream: ceil(count / pieces) for stream, count in row_counts.items()}
    edge_tokens = torch.tensor(examples.edges.prefixes, device=device)
    edge_targets = torch.tensor(examples.edges.targets, device=device)
    edge_weights = torch.tensor(examples.edges.weights * task.edge_weight, device=device, dtype=dtype)
    edge_sums = edge_weights.sum(dim=1)
    path_tokens = torch.tensor(examples.train.inputs, device=device)
    path_targets = torch.tensor(examples.train.targets, device=device)
    read = path_targets.shape[1]
    drawn: dict[str, Int[Tensor, "run row"]] = {}
    drawn_epoch = -1

    def draw_orders(epoch: int) -> None:
        nonlocal drawn_epoch
        for stream in streams:
            orders = [
                torch.randperm(row_counts[stream], generator=generator_for(seed, f"order/{stream}/{epoch}"))
                for seed in seeds
            ]
            drawn[stream] = torch.stack(orders).to(device)
        drawn_epoch = epoch

    def cut(stream: str, first: int, last: int) -> Int[Tensor, "run row"]:
        """The rows of pieces `first` to `last` of an epoch, in each run's order."""
        count = row_counts[stream]
        return drawn[stream][:, count * first // pieces : count * last // pieces]

    def edge_part(rows: Int[Tensor, "run row"], totals: Float[Tensor, "run 1 1"]) -> Part:
        return Part(edge_tokens[rows], 1, 1, edge_targets[rows], edge_weights[rows] / totals, most["edges"])

    def path_part(rows: Int[Tensor, "run row"], totals: Float[Tensor, "run 1 1"]) -> Part:
        targets = path_targets[rows].flatten(1).unsqueeze(-1)
        shares = (task.path_weight / totals).expand(targets.shape)
        return Part(path_tokens[rows], examples.train.first_read, 1, targets, shares, most["paths"])

    make_part = {"edges": edge_part, "paths": path_part}

    def draw(step: int) -> list[list[Part]]:
        epoch, batch = divmod(step, training.batches)
        if epoch != drawn_epoch:
            draw_orders(epoch)
        first = batch * training.micro_batches
        totals = torch.zeros(len(seeds), device=device, dtype=dtype)
        for stream in streams:
            rows = cut(stream, first, first + training.micro_batches)
            totals = totals + (
                edge_sums[rows].sum(dim=1) if stream == "edges" else task.path_weight * rows.shape[1] * read
            )
        return [
            [make_part[stream](cut(stream, piece, piece + 1), totals[:, None, None]) for stream in streams]
            for piece in range(first, first + training.micro_batches)
        ]

    return draw


def _prompt_batches(
    task: InContextPathFinding,
    training: PathTraining,
    seeds: Sequence[int],
    device: str | torch.device,
    dtype: torch.dtype,
) -> Batches:
    if training.micro_batches > training.prompts:
        raise InputError(
            f"micro_batches is {training.micro_batches} but a batch has {training.prompts} prompts; "
            "give fewer micro-batches."
        )
    bounds = [
        training.prompts * piece // training.micro_batches for piece in range(training.micro_batches + 1)
    ]

    most = max(last - first for first, last in pairwise(bounds))

    def draw(step: int) -> list[list[Part]]:
        # Prompts of step 0 are for the test.
        rows = [in_context_rows(task, training.prompts, seed=seed, step=step + 1) for seed in seeds]
        tokens = torch.tensor(np.stack([row.inputs for row in rows])).to(device)
        targets = torch.tensor(np.stack([row.targets for row in rows])).to(device)
        weight = torch.full((1, 1, 1), 1 / (targets.shape[1] * targets.shape[2]), device=device, dtype=dtype)
        micro_batches = []
        for first, last in pairwise(bounds):
            asked = targets[:, first:last].flatten(1).unsqueeze(-1)
            shares = weight.expand(len(seeds), *asked.shape[1:])
            part = Part(tokens[:, first:last], rows[0].first_read, 0, asked, shares, most)
            micro_batches.append([part])
        return micro_batches

    return draw
