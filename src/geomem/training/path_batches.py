"""Batches of edges, paths and texts, gathered on the device by index: no collation, no wait for the device.

An epoch has every row of edges, every training path, or every text once, in an order of each run's own; of
ways told in sentences it has no more than of facts, others in each epoch. The batches of all runs have the
same sizes, which differ by one row at most. Prompts in context are new at every step.
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
from geomem.worlds.language.telling import Told
from geomem.worlds.language.tokens import PADDING
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


Examples = PathExamples | InContextPathFinding | Told
"""What is trained in epochs: edges and paths of one graph, fresh prompts, or a graph told in sentences."""


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


def context_length(examples: Examples) -> int:
    """Positions of the longest input.

    >>> from geomem.worlds.graphs.families import path_star
    >>> context_length(path_examples(path_star(arms=8, length=3), PathFinding(pauses=1)))
    5
    """
    if isinstance(examples, InContextPathFinding):
        return in_context_rows(examples, 1, seed=0, step=0).inputs.shape[1]
    if isinstance(examples, Told):
        return examples.context_length
    return max(2, examples.train.inputs.shape[1])


def count_vocabulary(examples: Examples) -> tuple[int, int]:
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
    examples: Examples,
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
    return _epoch_batches(examples, training, seeds, device, dtype)


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows of one kind, each once in an epoch, and what is asked for at the last positions of each."""

    name: str
    tokens: Int[np.ndarray, "row seq"]
    first_read: int
    targets: Int[np.ndarray, "row read slot"]
    weights: Float[np.ndarray, "row read slot"]
    drawn: int
    """Rows of an epoch: all, or so many of them, others each time."""


def streams_of(examples: PathExamples | Told) -> list[Stream]:
    """What is trained on: edges and paths, as far as they have a weight, or texts."""
    if isinstance(examples, Told):
        facts = examples.fact_texts
        parts = [("texts", slice(facts), facts)]
        if examples.drawn_ways:
            parts.append(("ways", slice(facts, None), examples.drawn_ways))
        return [
            _texts(name, examples.texts[rows], examples.weights[rows], count, examples)
            for name, rows, count in parts
        ]
    task, edges, paths = examples.task, examples.edges, examples.train
    found = []
    if task.edge_weight:
        weights = (edges.weights * task.edge_weight)[:, None]
        found.append(Stream("edges", edges.prefixes, 1, edges.targets[:, None], weights, len(weights)))
    if task.path_weight:
        weights = np.full((*paths.targets.shape, 1), task.path_weight)
        targets = paths.targets[..., None]
        found.append(Stream("paths", paths.inputs, paths.first_read, targets, weights, len(weights)))
    return found


def _texts(
    name: str,
    texts: Int[np.ndarray, "text seq"],
    weights: Float[np.ndarray, "text next"],
    drawn: int,
    told: Told,
) -> Stream:
    """Texts without the padding that all of them have."""
    longest = int((texts != told.tokenizer.numbers[PADDING]).any(axis=0).sum())
    texts, weights = texts[:, :longest], weights[:, : longest - 1]
    return Stream(name, texts[:, :-1], 0, texts[:, 1:, None], weights[..., None], drawn)


def _epoch_batches(
    examples: PathExamples | Told,
    training: PathTraining,
    seeds: Sequence[int],
    device: str | torch.device,
    dtype: torch.dtype,
) -> Batches:
    streams = streams_of(examples)
    pieces = training.batches * training.micro_batches
    for stream in streams:
        if pieces > stream.drawn:
            raise InputError(
                f"batches is {training.batches} and micro_batches {training.micro_batches}, but there are "
                f"{stream.drawn} rows of {stream.name} to put into them; give fewer of either."
            )
    tokens, targets, weights, sums = [], [], [], []
    for stream in streams:
        tokens.append(torch.tensor(stream.tokens, device=device))
        targets.append(torch.tensor(stream.targets, device=device))
        weights.append(torch.tensor(stream.weights, device=device, dtype=dtype))
        sums.append(weights[-1].sum(dim=(1, 2)))
    drawn: list[Int[Tensor, "run row"]] = []
    drawn_epoch = -1

    def draw_orders(epoch: int) -> None:
        nonlocal drawn_epoch
        drawn.clear()
        for stream in streams:
            orders = [
                torch.randperm(
                    len(stream.tokens), generator=generator_for(seed, f"order/{stream.name}/{epoch}")
                )[: stream.drawn]
                for seed in seeds
            ]
            drawn.append(torch.stack(orders).to(device))
        drawn_epoch = epoch

    def cut(number: int, first: int, last: int) -> Int[Tensor, "run row"]:
        """The rows of pieces `first` to `last` of an epoch, in each run's order."""
        count = streams[number].drawn
        return drawn[number][:, count * first // pieces : count * last // pieces]

    def make_part(number: int, piece: int, totals: Float[Tensor, "run 1 1"]) -> Part:
        rows, stream = cut(number, piece, piece + 1), streams[number]
        return Part(
            tokens=tokens[number][rows],
            first_read=stream.first_read,
            shared=1,
            targets=targets[number][rows].flatten(1, 2),
            weights=weights[number][rows].flatten(1, 2) / totals,
            most=ceil(stream.drawn / pieces),
        )

    def draw(step: int) -> list[list[Part]]:
        epoch, batch = divmod(step, training.batches)
        if epoch != drawn_epoch:
            draw_orders(epoch)
        first = batch * training.micro_batches
        totals = torch.zeros(len(seeds), device=device, dtype=dtype)
        for number in range(len(streams)):
            totals = totals + sums[number][cut(number, first, first + training.micro_batches)].sum(dim=1)
        return [
            [make_part(number, piece, totals[:, None, None]) for number in range(len(streams))]
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
