"""The loss of models over tokens: examples on the device, exact cross-entropy, gradient by autograd."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.configuration import Associative, Bilinear, Mamba, Transformer
from geomem.models.model import (
    Evaluation,
    Objective,
    Parameters,
    compute_logits,
    compute_noisy_logits,
    count_shared,
    make_objective,
    trainable_names,
)
from geomem.worlds.tasks import Examples


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


def put_examples(
    examples: Examples, vocabulary_size: int, *, device: str | torch.device, dtype: torch.dtype
) -> ExampleTensors:
    """Examples as tensors; `vocabulary_size` is the number of logits per example."""
    count = examples.example_count
    weights = np.bincount(examples.fact_examples, examples.fact_weights, minlength=count)
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
        degrees=torch.tensor(np.bincount(examples.fact_examples, minlength=count), device=device),
    )


def pick_facts(
    logits: Float[Tensor, "run example vocab"], examples: ExampleTensors
) -> Float[Tensor, "run fact"]:
    """The logit of every fact's target after its prefix."""
    return logits.flatten(1).index_select(1, examples.fact_cells)


def cross_entropy(
    logits: Float[Tensor, "run example vocab"], examples: ExampleTensors
) -> Float[Tensor, " run"]:
    """Exact cross-entropy of each run: sum_f w_f (logsumexp(logits[e_f]) - logits[e_f, t_f]).

    The same number and gradient as one row per fact, but each prefix is normalised once.
    """
    return (
        logits.logsumexp(dim=-1) @ examples.example_weights
        - pick_facts(logits, examples) @ examples.fact_weights
    )


@make_objective.register(Transformer)
@make_objective.register(Mamba)
@make_objective.register(Bilinear)
@make_objective.register(Associative)
def make_token_objective(
    model: Transformer | Mamba | Bilinear | Associative,
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
        gradients = torch.autograd.grad(losses.sum(), leaves)
        torch.cat([part.flatten(1) for part in gradients], dim=1, out=gradient)
        return Evaluation(losses.detach(), logits.detach()) if noisy is None else None

    @torch.no_grad()
    def evaluate() -> Evaluation:
        logits = compute_logits(model, live, data.prefixes, shared=data.shared)
        return Evaluation(cross_entropy(logits, data), logits)

    return Objective(differentiate, evaluate)
