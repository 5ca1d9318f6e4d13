"""AdamW and gradient descent over one flat [run, parameter] buffer, learning rate and decay per run."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


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
    beta1, beta2 = betas
    m, v, scratch = state.first_moment, state.second_moment, state.scratch
    decay_weights(parameters, rates, factor=factor)
    m.lerp_(gradient, 1 - beta1)
    v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    # √(v / c²) + ε = (√v + c ε) / c: the corrections become scalars and cost no pass over memory.
    c = (1 - beta2 ** (step + 1)) ** 0.5
    torch.sqrt(v, out=scratch)
    scratch.add_(c * epsilon)
    torch.div(m, scratch, out=scratch)
    parameters.addcmul_(scratch, rates.learning_rates, value=-factor * c / (1 - beta1 ** (step + 1)))


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
