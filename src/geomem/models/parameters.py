"""Which tensors a model has, and what training them takes; no torch."""

from dataclasses import dataclass
from math import prod

from geomem.models.architecture import Model, Sizes
from geomem.models.architecture import ParameterDescription as ParameterDescription


def describe_parameters(
    model: Model, *, vocabulary_size: int, context_length: int, node_count: int
) -> dict[str, ParameterDescription]:
    """Every tensor of a model, by name: its shape, its start, and whether training changes it.

    The table of an architecture is that of its `tensors`; the page on models shows them all.

    >>> from geomem.models.configuration import Bilinear
    >>> table = describe_parameters(Bilinear(width=4), vocabulary_size=11, context_length=2, node_count=2)
    >>> {name: parameter.shape for name, parameter in table.items()}
    {'token_embedding': (11, 4), 'weight': (4, 4), 'bias': (4,)}
    """
    return model.tensors(Sizes(vocabulary_size, context_length, node_count))


CHUNK_NUMBERS = 1 << 24
"""Logits that a CPU holds at a time: 64 MiB of float32; with 60,000 tokens still 280 rows, enough for the
products' full speed."""
LIBRARY_BYTES = 50_000_000
"""What torch takes when it first computes, whatever the model: code, threads, buffers."""


@dataclass(frozen=True)
class Cost:
    """What training one fleet takes: counted, not measured."""

    trained_parameters: int
    """Trained numbers of one run."""
    memory_bytes: int
    """Parameters, gradient, optimizer state and activations of the whole fleet, and `LIBRARY_BYTES`."""
    flops_per_step: int
    """Multiplications and additions of one step of the whole fleet."""
    logit_copies: tuple[tuple[int, int], ...] = ()
    """Copies, and numbers in each, of the logits that are made in chunks, one of these at a time; a CPU
    holds a small chunk, as `memory_bytes` has it."""


def estimate_cost(
    model: Model,
    *,
    vocabulary_size: int,
    context_length: int,
    node_count: int,
    example_count: int,
    run_count: int = 1,
) -> Cost:
    """Memory and arithmetic of full-batch float32 training, announced before a run starts.

    Five numbers per trained parameter (itself, gradient, AdamW's two moments and its scratch space); the
    activations kept for the backward pass, of which the logits are three copies. A matrix of size [out, in]
    costs 2 · out · in operations for every vector it meets, three times that with the backward pass.

    >>> from geomem.models.configuration import Bilinear
    >>> sizes = dict(vocabulary_size=26, context_length=2, node_count=17, example_count=17)
    >>> estimate_cost(Bilinear(), **sizes).trained_parameters
    1888
    """
    described = describe_parameters(
        model, vocabulary_size=vocabulary_size, context_length=context_length, node_count=node_count
    )
    sizes = {name: prod(parameter.shape) for name, parameter in described.items()}
    trained = sum(size for name, size in sizes.items() if described[name].trained)
    frozen = sum(sizes.values()) - trained
    if model.scores == "nodes":
        # Scores, probabilities and C are [node, node]; scores and gradient are one product each per table.
        # Beside them what is measured on the way: softmax, ranks and the masks of facts.
        activations = 8 * node_count**2
        flops = 2 * 2 * node_count**2 * model.width * len(sizes)
    else:
        matrices = sum(size for name, size in sizes.items() if name.endswith("weight") and size > model.width)
        # A scan passes every position; one block of attention asks at the last alone.
        positions = example_count * (context_length if model.layers > 1 or model.recurrent else 1)
        activations = model.layers * positions * model.count_activations(context_length)
        activations += 3 * example_count * vocabulary_size
        flops = 6 * positions * (matrices + 4 * model.layers * model.count_scan())
        flops += 6 * example_count * vocabulary_size * model.width
    return Cost(
        trained_parameters=trained,
        memory_bytes=LIBRARY_BYTES + 4 * run_count * (5 * trained + frozen + activations),
        flops_per_step=run_count * (flops + 14 * trained),
    )
