"""What path finding will take: memory and arithmetic, counted from sizes before anything is made."""

from dataclasses import dataclass, replace
from math import ceil, prod

from geomem.models.configuration import Model
from geomem.models.parameters import CHUNK_NUMBERS, LIBRARY_BYTES, Cost, describe_parameters
from geomem.training.configuration import PathTraining
from geomem.worlds.in_context import InContextPathFinding, node_count
from geomem.worlds.path_finding import PathFinding, Target

SLOTS = 32
"""Targets of a row of edges, as `edge_rows` has them unless told otherwise."""


@dataclass(frozen=True)
class Sizes:
    """What the cost of path finding is counted from."""

    vocabulary_size: int
    node_count: int
    context_length: int
    read: int
    """Positions of an input at which something is asked."""
    train_rows: int
    """Paths trained in an epoch, or prompts."""
    held_out_rows: int
    edge_rows: int
    """Rows of edges in an epoch, each of at most `SLOTS` facts."""


def answer_length(target: Target, length: int) -> int:
    """Tokens that are asked for, of a path of so many nodes.

    >>> answer_length("path", 6), answer_length("first-hop", 6)
    (6, 1)
    """
    return 1 if target == "first-hop" else length


def context_length(task: PathFinding | InContextPathFinding, nodes: int) -> int:
    """Tokens of a question about paths of so many nodes, with the answer but its last.

    >>> context_length(PathFinding(), 6), context_length(InContextPathFinding(arms=2, length=5), 5)
    (10, 31)
    """
    read = answer_length(task.target, nodes)
    if isinstance(task, InContextPathFinding):
        return 3 * node_count(task) + read - 1
    return max(2, 2 + task.pauses + read - 1)


def estimate_path_cost(model: Model, sizes: Sizes, training: PathTraining, *, run_count: int) -> Cost:
    """Memory and arithmetic of path training, counted from sizes alone.

    | memory | numbers |
    |---|---|
    | trained number, gradient, two moments, scratch, gradient of a micro-batch, mean | 7, with a mean 8 |
    | position of one micro-batch and block, as `estimate_cost` counts | 16 vectors |
    | states that are read, with their gradient | 2 vectors |
    | logits | 3 copies of one chunk in training, 8 where held-out answers are decoded |

    and the rows of an epoch and each run's order of them, cosines of the
    held-out paths, snapshots. A matrix of size [out, in] costs 2 · out · in operations for every vector it
    meets, three times that with the backward pass; the read-out costs a fourth product, since its logits are
    computed in chunks.

    >>> sizes = Sizes(3010, 3001, 8, 4, 750, 250, 3032)
    >>> from geomem.models.configuration import path_models
    >>> model = path_models()["transformer"]
    >>> cost = estimate_path_cost(model, sizes, PathTraining(), run_count=1)
    >>> cost.trained_parameters, round(cost.memory_bytes / 1e6), round(cost.flops_per_step / 1e9, 1)
    (783104, 164, 5.9)
    """
    described = describe_parameters(
        model,
        vocabulary_size=sizes.vocabulary_size,
        context_length=sizes.context_length,
        node_count=sizes.node_count,
    )
    counts = {name: prod(parameter.shape) for name, parameter in described.items()}
    trained = sum(count for name, count in counts.items() if described[name].trained)
    frozen = sum(counts.values()) - trained
    matrices = sum(
        count
        for name, count in counts.items()
        if name.startswith("block") and len(described[name].shape) == 2 and name.endswith("weight")
    )
    pieces = training.batches * training.micro_batches
    path_rows, edge_rows = sizes.train_rows / pieces, sizes.edge_rows / pieces
    positions = path_rows * sizes.context_length + edge_rows * 2
    read_rows = path_rows * sizes.read + edge_rows
    vectors = model.count_activations(sizes.context_length)
    # Of all that is asked at a row of the metrics one block lives at a time, and one of the four of its scan.
    asked = sizes.held_out_rows * sizes.context_length * (vectors - 3 * model.count_scan())
    activations = max(model.layers * positions * vectors, asked) + 2 * read_rows * model.width
    # Held-out answers are decoded in pieces, with what the model keeps of their prefixes.
    logit_copies = tuple(
        (copies, ceil(run_count * rows * sizes.vocabulary_size))
        for copies, rows in ((3, read_rows), (8, sizes.held_out_rows))
    )
    cosines = 2 * sizes.held_out_rows**2
    snapshots = 4 * training.snapshots * sizes.node_count * model.width
    # Tokens and orders are whole numbers of eight bytes; slots have a weight as well.
    tables = 2 * (sizes.train_rows * (sizes.context_length + sizes.read) + sizes.edge_rows * (2 + SLOTS))
    tables += sizes.edge_rows * SLOTS
    orders = 2 * (sizes.train_rows + sizes.edge_rows)
    flops = training.micro_batches * (
        6 * positions * (matrices + 4 * model.layers * model.count_scan())
        + 8 * read_rows * sizes.vocabulary_size * model.width
    )
    per_run = (7 + bool(training.averaging)) * trained + frozen + activations + cosines + snapshots + orders
    cost = Cost(
        trained_parameters=trained,
        memory_bytes=LIBRARY_BYTES + ceil(4 * (run_count * per_run + tables)),
        flops_per_step=ceil(run_count * (flops + 14 * trained)),
        logit_copies=logit_copies,
    )
    return replace(cost, memory_bytes=cost.memory_bytes + logit_bytes(cost, CHUNK_NUMBERS))


def logit_bytes(cost: Cost, chunk_numbers: int) -> int:
    """Memory of logits where so many numbers are held at a time.

    >>> logit_bytes(Cost(0, 0, 0, logit_copies=((3, 10), (8, 2))), 5)
    64
    """
    return 4 * max((copies * min(chunk_numbers, numbers) for copies, numbers in cost.logit_copies), default=0)


def cost_with_chunks(cost: Cost, chunk_numbers: int) -> Cost:
    """The cost on a device that holds so many logits at a time (`models.loss.numbers_at_once`)."""
    more = logit_bytes(cost, chunk_numbers) - logit_bytes(cost, CHUNK_NUMBERS)
    return replace(cost, memory_bytes=cost.memory_bytes + more)
