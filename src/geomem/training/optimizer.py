"""AdamW and gradient descent over one flat [run, parameter] buffer, learning rate and decay per run."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.adamw import adamw


@dataclass(frozen=True, eq=False)
class Rates:
    """The hyperparameters that differ between runs, as columns that broadcast over parameters."""

    learning_rates: Float[Tensor, "run 1"]
    weight_decays: Float[Tensor, "run 1"]
    decaying: bool
    """Whether any run decays its weights at all."""


@dataclass(frozen=True, eq=False)
class AdamState:
    """AdamW's running means, changed in place; `scratch` carries nothing from step to step."""

    first_moment: Float[Tensor, "run parameter"]
    second_moment: Float[Tensor, "run parameter"]
    scratch: Float[Tensor, "run parameter"]


def adamw_update(
    parameters: Float[Tensor, "run parameter"],
    gradient: Float[Tensor, "run parameter"],
    state: AdamState,
    rates: Rates,
    *,
    step: int,
    factor: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> None:
    """One step of AdamW (Loshchilov and Hutter 2019) in place, as torch.optim.AdamW does it.

    p ← p (1 - η λ), m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g²,
    p ← p - η (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε), with η = `factor` · the run's learning rate.
    `step` counts from 0, so t = step + 1.
    """
    decay_weights(parameters, rates, factor=factor)
    # One pass of torch's own kernel finds the step at learning rate one; each run's rate then scales it.
    state.scratch.zero_()
    adamw(
        [state.scratch],
        [gradient],
        [state.first_moment],
        [state.second_moment],
        [],
        [torch.full((), float(step), device=gradient.device)],
        fused=True,
        amsgrad=False,
        beta1=betas[0],
        beta2=betas[1],
        lr=1.0,
        weight_decay=0.0,
        eps=epsilon,
        maximize=False,
    )
    parameters.addcmul_(state.scratch, rates.learning_rates, value=factor)


def gradient_descent_update(
    parameters: Float[Tensor, "run parameter"],
    gradient: Float[Tensor, "run parameter"],
    rates: Rates,
    *,
    factor: float,
) -> None:
    """One step of gradient descent in place, p ← p (1 - η λ) - η g, with η = `factor` · learning rate."""
    decay_weights(parameters, rates, factor=factor)
    parameters.addcmul_(gradient, rates.learning_rates, value=-factor)


def decay_weights(parameters: Float[Tensor, "run parameter"], rates: Rates, *, factor: float) -> None:
    """p ← p (1 - η λ) in place, decoupled from the gradient."""
    if rates.decaying:
        parameters.mul_(1 - factor * rates.learning_rates * rates.weight_decays)
