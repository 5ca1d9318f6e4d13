"""Training a fleet on edges and paths, or on texts: one program along the `run` axis, whatever the recipe.

The loss of a batch is one mean over everything asked in it, an edge or a token of a path, each with its
task's weight: edges and paths in every batch are the paper's mixed recipe, edges alone and then paths alone
its staged one. Logits exist for a few rows at a time (`geomem.models.loss`), so memory does not grow
with batch times vocabulary, and `micro_batches` cuts down what the network itself keeps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from geomem.errors import InputError
from geomem.models.configuration import Model, check_reads_sequences
from geomem.models.loss import chunked_cross_entropy, given_cross_entropy
from geomem.models.model import Parameters, initialize_parameters, node_embeddings, trainable_names
from geomem.models.sequences import Reading, read_out_table, read_together
from geomem.training.capture import StaticStep, replays
from geomem.training.configuration import PathTraining, RunSettings, check_training, loop_training
from geomem.training.loop import (
    FleetState,
    Problem,
    Progress,
    Row,
    Trained,
    copy_to_host,
    cut_parameters,
    join_parameters,
    train_problem,
)
from geomem.training.path_batches import (
    Examples,
    Part,
    PathExamples,
    context_length,
    count_vocabulary,
    make_batches,
    pad_part,
)
from geomem.training.path_metrics import make_measure
from geomem.training.sentences import name_embeddings
from geomem.training.start import start_from
from geomem.training.treated import UNTREATED, Treated, start_treated, treat_problem
from geomem.worlds.language.telling import Told


def train_paths(
    model: Model,
    examples: Examples,
    runs: Sequence[RunSettings],
    training: PathTraining,
    *,
    start: Mapping[str, Float[np.ndarray, "run ..."]] | None = None,
    treated: Treated = UNTREATED,
    state: FleetState | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[FleetState], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    device: str = "cpu",
) -> Trained:
    """Train every run on edges and paths of one graph, on fresh prompts, or on a graph told in sentences.

    `start` gives the weights to begin with, of every run (staged training); else they are drawn from the
    seeds; `treated` is what interventions do beside. Learning rate and weight decay are those of `runs`. The
    rest is as in `geomem.training.loop.train_problem`, and the metrics are those of
    `geomem.training.path_metrics`; with `stop_at` the training ends when they say so (`is_enough`).

    Raises `InputError` for invalid settings, and for a model that reads no sequences.
    """
    check_training(training)
    check_reads_sequences(model)
    if not runs:
        raise InputError("The fleet has no run; give at least one seed.")
    vocabulary_size, node_count = count_vocabulary(examples)
    parameters = initialize_parameters(
        model,
        vocabulary_size=vocabulary_size,
        context_length=context_length(examples),
        node_count=node_count,
        seeds=[run.seed for run in runs],
        scales=[run.scale for run in runs],
        device=device,
    )
    seeds, names = [run.seed for run in runs], trainable_names(model)
    parameters = start_treated(parameters, treated, seeds)
    if start is not None:
        parameters = start_from(parameters, start)
    flat, parameters = join_parameters(parameters, names, state)
    problem, kept = make_path_problem(
        model, examples, flat, parameters, training, seeds=seeds, node_count=node_count
    )
    curves = train_problem(
        treat_problem(problem, treated, {name: parameters[name] for name in names}, seeds),
        runs,
        loop_training(training),
        state=state,
        on_progress=on_progress,
        on_checkpoint=on_checkpoint,
        should_stop=should_stop,
        enough=lambda row: is_enough(row, examples, training),
    )
    return Trained(parameters=copy_to_host(kept), **curves.as_fields())


def make_path_problem(
    model: Model,
    examples: Examples,
    flat: Float[Tensor, "run parameter"],
    parameters: Parameters,
    training: PathTraining,
    *,
    seeds: Sequence[int],
    node_count: int,
) -> tuple[Problem, Parameters]:
    """The mixed loss as a problem for the training loop, and the parameters that are measured and kept.

    `parameters` are views of `flat` where trained. What is kept is they, or with `averaging` their mean.
    """
    device, names = flat.device, trainable_names(model)
    average, kept = (
        join_parameters({name: tensor.clone() for name, tensor in parameters.items()}, names)
        if training.averaging
        else (None, parameters)
    )
    gradient = torch.zeros_like(flat)
    leaves = {name: parameters[name].detach().requires_grad_() for name in names}
    low = product_names(parameters) if training.precision == "bfloat16" else set()
    draw = make_batches(examples, training, seeds, device=device, dtype=flat.dtype)
    measure = make_measure(model, kept, examples)

    def differentiate_batch(micro_batches: Sequence[Sequence[Part]]) -> None:
        # One pass makes all weights small, once per step and not once per use.
        if low:
            leaves.update(
                (name, tensor.requires_grad_())
                for name, tensor in cut_parameters(flat.bfloat16(), leaves).items()
                if name in low
            )
        for number, micro_batch in enumerate(micro_batches):
            loss = lose(model, parameters | leaves, micro_batch, training.precision)
            # Runs share no parameter, so the gradient of the sum is every run's own gradient.
            found = torch.autograd.grad(loss.sum(), list(leaves.values()), materialize_grads=True)
            parts = [part.flatten(1) for part in found]
            if number:
                gradient.add_(torch.cat(parts, dim=1))
            else:
                torch.cat(parts, dim=1, out=gradient)

    static = StaticStep(gradient)

    def differentiate(step: int) -> None:
        with short_products(training.precision):
            differentiate_drawn(draw(step))

    def differentiate_drawn(micro_batches: Sequence[Sequence[Part]]) -> None:
        if not replays(device):
            differentiate_batch(micro_batches)
            return
        padded = [[pad_part(part) for part in micro_batch] for micro_batch in micro_batches]
        tensors = [
            tensor
            for micro_batch in padded
            for part in micro_batch
            for tensor in (part.tokens, part.targets, part.weights)
        ]

        def compute(*tensors: Tensor) -> None:
            left = iter(tensors)
            differentiate_batch(
                [
                    [
                        replace(part, tokens=next(left), targets=next(left), weights=next(left))
                        for part in micro_batch
                    ]
                    for micro_batch in padded
                ]
            )

        static(compute, tensors)

    problem = Problem(
        flat=flat,
        gradient=gradient,
        differentiate=differentiate,
        measure=lambda step, found: measure(),
        snapshot=lambda: (
            name_embeddings(kept, examples)
            if isinstance(examples, Told)
            else node_embeddings(model, kept, node_count)
        ),
        average=average,
        averaging=training.averaging,
    )
    return problem, kept


def lose(
    model: Model, parameters: Parameters, micro_batch: Sequence[Part], precision: str
) -> Float[Tensor, " run"]:
    """The loss of every run on the parts of a micro-batch, which pass the model together."""
    readings = [Reading(part.tokens, part.first_read, part.shared) for part in micro_batch]
    table = read_out_table(model, parameters)
    losses = []
    for part, states in zip(micro_batch, read_together(model, parameters, readings), strict=True):
        if table is None:
            losses.append(given_cross_entropy(states.flatten(1, 2), part.targets, part.weights))
            continue
        # The products with the vocabulary are most of the work.
        rows = states.flatten(1, 2).to(torch.bfloat16 if precision == "bfloat16" else states.dtype)
        losses.append(chunked_cross_entropy(rows, table, part.targets, part.weights))
    return torch.stack(losses).sum(dim=0)


@contextmanager
def short_products(precision: str) -> Iterator[None]:
    """Inside, with `tf32`, a GPU takes 10 bits of each number in the products of float32 matrices.

    >>> with short_products("tf32"):
    ...     torch.get_float32_matmul_precision()
    'high'
    >>> torch.get_float32_matmul_precision()
    'highest'
    """
    before = torch.get_float32_matmul_precision()
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def product_names(parameters: Parameters) -> set[str]:
    """The weights and biases of the matrix products in the blocks; the rest stays in float32.

    >>> product_names({"block_0.a.weight": torch.ones(1, 2, 2), "block_0.a_norm.weight": torch.ones(1, 2)})
    {'block_0.a.weight'}
    """
    weights = {
        name
        for name, tensor in parameters.items()
        if name.startswith("block") and name.endswith(".weight") and tensor.ndim == 3
    }
    # A convolution's taps are three numbers a channel.
    weights = {name for name in weights if not name.endswith("convolution.weight")}
    biases = {name.removesuffix("weight") + "bias" for name in weights}
    return weights | (biases & parameters.keys())


def is_enough(row: Row, examples: Examples, training: PathTraining) -> bool:
    """Whether every run answers as well as `stop_at` asks.

    That is its share of right first hops on held-out paths, and where whole paths are asked also of whole
    paths, of which a share of 0.9 is enough; edges alone are known by `edge_recall`, told facts by
    `train.names_recalled`, and told ways by `ways.names_recalled`.
    """
    if not training.stop_at:
        return False
    if isinstance(examples, Told):
        told = [f"{part}.names_recalled" for part in ("train", "ways") if part in examples.questions]
        return all(bool((row[name] >= training.stop_at).all()) for name in told)
    if isinstance(examples, PathExamples) and not examples.task.path_weight:
        return bool((row["edge_recall"] >= training.stop_at).all())
    return bool(
        (row["held_out.first_hop"] >= training.stop_at).all()
        and (row["held_out.exact_match"] >= min(training.stop_at, 0.9)).all()
    )
