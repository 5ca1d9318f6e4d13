"""Gated recurrent units along the run axis: one layer per block, a loop over tokens only.

What a block keeps of the tokens before (`StateCache`) is its state, a single vector: tokens that all
sequences share are passed once per run, and a long sequence may be passed in pieces.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from geomem.models.gru import Gru
from geomem.models.layers import Parameters, apply_linear


@dataclass(frozen=True, eq=False)
class StateCache:
    """What one block keeps of the tokens it has passed; its example axis may be 1, the same for all."""

    state: Float[Tensor, "run _ width"]


def apply_block(
    model: Gru,
    parameters: Parameters,
    name: str,
    inputs: Float[Tensor, "run example seq width"],
    cache: StateCache | None = None,
    *,
    first: int = 0,
) -> tuple[Float[Tensor, "run example out width"], StateCache]:
    """One block on a piece of every sequence, and what it keeps at the piece's end.

        r = σ(W_r x + b_r + U_r h + c_r),    z = σ(W_z x + b_z + U_z h + c_z),
        n = tanh(W_n x + b_n + r (U_n h + c_n)),    h = (1 - z) n + z h

    (Cho et al. 2014, equations 5 to 8, with the reset gate after the product, as `torch.nn.GRU` has it.)
    W, b are `input`, U, c `state`; h is zero before the first token and the output after each. Without
    `cache` the piece is the beginning. Only the outputs from position `first` of the piece on are given.
    """
    weight, bias = parameters[f"{name}.state.weight"], parameters[f"{name}.state.bias"]
    entering = apply_linear(
        inputs.flatten(1, 2), parameters[f"{name}.input.weight"], parameters[f"{name}.input.bias"]
    ).unflatten(1, inputs.shape[1:3])
    state = inputs.new_zeros(len(inputs), 1, model.width) if cache is None else cache.state
    outputs = []
    for token in range(inputs.shape[2]):
        own = apply_linear(state, weight, bias)
        gates = entering[:, :, token]
        reset, update = (
            (gates[..., : 2 * model.width] + own[..., : 2 * model.width]).sigmoid().chunk(2, dim=-1)
        )
        candidate = (gates[..., 2 * model.width :] + reset * own[..., 2 * model.width :]).tanh()
        state = candidate + update * (state - candidate)
        if token >= first:
            outputs.append(state)
    kept = inputs[:, :, first:]
    if not outputs:
        return kept, StateCache(state)
    stacked = torch.stack(outputs, dim=2)
    return kept + stacked if model.residual else stacked, StateCache(state)


def normalize_states(
    model: Gru, parameters: Parameters, states: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    """The states as they are: a gated unit's lie within ± 1 already."""
    return states
