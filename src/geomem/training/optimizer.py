"""AdamW, gradient descent and Muon over one flat [run, parameter] buffer, learning rate and decay per run."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.adamw import adamw

MUON_MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of a polynomial that is steep at 0: Jordan's."""


@dataclass(frozen=True, eq=False)
class Rates:
    """The hyperparameters that differ between runs, as columns that broadcast over parameters."""

    learning_rates: Float[Tensor, "run #parameter"]
    weight_decays: Float[Tensor, "run #parameter"]
    decaying: bool
    """Whether any run decays its weights at all."""


@dataclass(frozen=True)
class MatrixPlace:
    """Where a matrix stands in the buffer."""

    first: int
    rows: int
    columns: int

    def view(self, buffer: Float[Tensor, "run parameter"]) -> Float[Tensor, "run row column"]:
        """The matrix of every run."""
        part = buffer[:, self.first : self.first + self.rows * self.columns]
        return part.view(len(buffer), self.rows, self.columns)


@dataclass(frozen=True, eq=False)
class Rules:
    """What is said of single parameters, beside the rates of the runs."""

    rate_factors: Float[Tensor, " parameter"]
    weight_decays: Float[Tensor, " parameter"]
    """Added to those of the runs."""
    muon: tuple[MatrixPlace, ...] = ()
    """The matrices that Muon updates in AdamW's place."""

    def refine(self, rates: Rates) -> Rates:
        """The rates of runs as rates of every parameter."""
        decays = rates.weight_decays + self.weight_decays
        decaying = rates.decaying or bool(self.weight_decays.any())
        return Rates(rates.learning_rates * self.rate_factors, decays, decaying)


@dataclass(frozen=True, eq=False)
class AdamState:
    """AdamW's running means, changed in place; `scratch` carries nothing from step to step."""

    first_moment: Float[Tensor, "run parameter"]
    second_moment: Float[Tensor, "run parameter"]
    scratch: Float[Tensor, "run parameter"]
    momentum: Float[Tensor, "run parameter"] | None = None
    """Muon's own running mean."""


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
    muon: Sequence[MatrixPlace] = (),
) -> None:
    """One step of AdamW (Loshchilov and Hutter 2019) in place, as torch.optim.AdamW does it.

    p ← p (1 - η λ), m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g²,
    p ← p - η (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε), with η = `factor` · the run's learning rate.
    `step` counts from 0, so t = step + 1. The matrices of `muon` go along `muon_direction` instead.
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
    if state.momentum is not None:
        state.momentum.lerp_(gradient, 1 - MUON_MOMENTUM)
        for place in muon:
            direction = muon_direction(place.view(gradient), place.view(state.momentum))
            place.view(state.scratch).copy_(-direction)
    parameters.addcmul_(state.scratch, rates.learning_rates, value=factor)


def muon_direction(
    gradient: Float[Tensor, "run row column"], momentum: Float[Tensor, "run row column"]
) -> Float[Tensor, "run row column"]:
    """What Muon (Jordan et al. 2024) subtracts at learning rate one, as torch.optim.Muon does it.

        .2 √max(rows, columns) · orthogonalize((1 - μ) g + μ m)

    with m already updated (Nesterov). The factor makes the step about as large as AdamW's, so that one
    learning rate serves both ("match_rms_adamw").
    """
    size = 0.2 * max(gradient.shape[1:]) ** 0.5
    return size * orthogonalize(gradient.lerp(momentum, MUON_MOMENTUM))


def orthogonalize(matrices: Float[Tensor, "run row column"]) -> Float[Tensor, "run row column"]:
    """All singular values brought to between about .7 and 1.2, by five steps of Newton and Schulz.

    X ← a X + (b A + c A²) X with A = X Xᵀ, from X / ‖X‖, in float32 (torch.optim.Muon: in bfloat16).

    >>> torch.linalg.svdvals(orthogonalize(torch.diag(torch.tensor([3.0, 1.0]))[None]))[0].round(decimals=1)
    tensor([1.1000, 0.8000])
    """
    wide = matrices.shape[1] <= matrices.shape[2]
    found = matrices if wide else matrices.mT
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        square = found @ found.mT
        found = a * found + (b * square + c * square @ square) @ found
    return found if wide else found.mT


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
