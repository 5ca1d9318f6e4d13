"""The loss of models over tokens: examples on the device, exact cross-entropy, gradient by autograd."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.architecture import Model
from geomem.models.layers import Parameters
from geomem.models.model import compute_logits, compute_noisy_logits, trainable_names
from geomem.models.networks import network_of
from geomem.models.sequences import count_shared
from geomem.worlds.tasks import Examples


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the parameters do on the examples, without dropout."""

    losses: Float[Tensor, " run"]
    logits: Float[Tensor, "run example vocab"]


@dataclass(frozen=True, eq=False)
class Objective:
    """A fleet's loss as two functions over parameters that change in place."""

    differentiate: Callable[[int], Evaluation | None]
    """Write the gradient of every run's loss at this step into the flat buffer; return the evaluation if it
    falls off on the way."""
    evaluate: Callable[[], Evaluation]
    """Losses and logits of the parameters as they are now."""
    repeats: bool = False
    """Whether the gradient follows from the parameters alone, so that a GPU may record it and replay it."""


def make_objective(
    model: Model,
    parameters: Parameters,
    gradient: Float[Tensor, "run parameter"],
    examples: Examples,
    *,
    seeds: Sequence[int],
) -> Objective:
    """The objective of a fleet on its examples: its network's own, or exact cross-entropy by autograd.

    `gradient` is the flat buffer to write into: the trained tensors in the order of `trainable_names`, each
    flattened. `parameters` hold the tensors that training changes in place.
    """
    make = getattr(network_of(model), "make_objective", make_token_objective)
    return make(model, parameters, gradient, examples, seeds=seeds)


@dataclass(frozen=True, eq=False)
class ExampleTensors:
    """`Examples` on the device, with what is derived from them once."""

    prefixes: Int[Tensor, "example seq"]
    shared: int
    """Leading tokens that all prefixes have in common."""
    fact_examples: Int[Tensor, " fact"]
    fact_targets: Int[Tensor, " fact"]
    fact_cells: Int[Tensor, " fact"]
    """Place of each fact in the flattened [example, vocab] logits."""
    fact_weights: Float[Tensor, " fact"]
    example_weights: Float[Tensor, " example"]
    """Sum of the weights of an example's facts."""
    degrees: Int[Tensor, " example"]
    """Number of an example's facts."""
    most: int
    """The largest of them, on the host."""

    def pick(self, logits: Float[Tensor, "run example vocab"]) -> Float[Tensor, "run fact"]:
        """The logit of every fact's target after its prefix."""
        return logits.flatten(1).index_select(1, self.fact_cells)


def put_examples(
    examples: Examples, vocabulary_size: int, *, device: str | torch.device, dtype: torch.dtype
) -> ExampleTensors:
    """Examples as tensors; `vocabulary_size` is the number of logits per example."""
    count = examples.example_count
    weights = np.bincount(examples.fact_examples, examples.fact_weights, minlength=count)
    degrees = np.bincount(examples.fact_examples, minlength=count)
    prefixes = torch.tensor(examples.prefixes)
    return ExampleTensors(
        prefixes=prefixes.to(device),
        shared=count_shared(prefixes),
        fact_examples=torch.tensor(examples.fact_examples, device=device),
        fact_targets=torch.tensor(examples.fact_targets, device=device),
        fact_cells=torch.tensor(
            examples.fact_examples * vocabulary_size + examples.fact_targets, device=device
        ),
        fact_weights=torch.tensor(examples.fact_weights, device=device, dtype=dtype),
        example_weights=torch.tensor(weights, device=device, dtype=dtype),
        degrees=torch.tensor(degrees, device=device),
        most=int(degrees.max()),
    )


def cross_entropy(
    logits: Float[Tensor, "run example vocab"], examples: ExampleTensors
) -> Float[Tensor, " run"]:
    """Exact cross-entropy of each run: sum_f w_f (logsumexp(logits[e_f]) - logits[e_f, t_f]).

    The same number and gradient as one row per fact, but each prefix is normalised once.
    """
    return logits.logsumexp(dim=-1) @ examples.example_weights - examples.pick(logits) @ examples.fact_weights


def make_token_objective(
    model: Model,
    parameters: Parameters,
    gradient: Float[Tensor, "run parameter"],
    examples: Examples,
    *,
    seeds: Sequence[int],
) -> Objective:
    """The exact cross-entropy of models over tokens, differentiated by autograd."""
    data = put_examples(examples, examples.vocabulary_size, device=gradient.device, dtype=gradient.dtype)
    names = trainable_names(model)
    leaves = [parameters[name].detach().requires_grad_() for name in names]
    live = parameters | dict(zip(names, leaves, strict=True))

    def differentiate(step: int) -> Evaluation | None:
        noisy = compute_noisy_logits(model, live, data.prefixes, seeds=seeds, step=step)
        logits = compute_logits(model, live, data.prefixes, shared=data.shared) if noisy is None else noisy
        losses = cross_entropy(logits, data)
        # Runs share no parameter, so the gradient of the sum is every run's own gradient.
        gradients = torch.autograd.grad(losses.sum(), leaves, materialize_grads=True)
        torch.cat([part.flatten(1) for part in gradients], dim=1, out=gradient)
        return Evaluation(losses.detach(), logits.detach()) if noisy is None else None

    @torch.no_grad()
    def evaluate() -> Evaluation:
        logits = compute_logits(model, live, data.prefixes, shared=data.shared)
        return Evaluation(cross_entropy(logits, data), logits)

    with torch.no_grad():
        noise = compute_noisy_logits(model, parameters, data.prefixes, seeds=seeds, step=0)
    return Objective(differentiate, evaluate, repeats=noise is None)
