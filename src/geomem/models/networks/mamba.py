"""Mamba-1 along the run axis: a causal convolution and a selective scan per block, in plain torch.

The scan is a loop over tokens, never over examples or runs, and what a block keeps of the tokens before
is a value of its own (`ScanCache`): tokens that all prefixes share are passed once per run and their cache
goes on to every prefix, and a long sequence may be passed in pieces.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from geomem.models.layers import Parameters, apply_linear, normalize_layer, normalize_root_mean_square
from geomem.models.mamba import Mamba


@dataclass(frozen=True, eq=False)
class ScanCache:
    """What one block keeps of the tokens it has passed; its example axis may be 1, the same for all."""

    signal: Float[Tensor, "run _ past channel"]
    """The last inputs of the convolution, one fewer than it has taps; zeros before the first token."""
    state: Float[Tensor, "run _ channel state"]
    """The scan's state after the last token."""


def apply_block(
    model: Mamba,
    parameters: Parameters,
    name: str,
    inputs: Float[Tensor, "run example seq width"],
    cache: ScanCache | None = None,
    *,
    first: int = 0,
) -> tuple[Float[Tensor, "run example out width"], ScanCache]:
    """One block on a piece of every sequence, and what it keeps at the piece's end.

        (u, z) = W_in LN(x),    u = SiLU(conv(u)),    (δ, B, C) = W_select u,
        Δ = softplus(W_step δ + b_step),    A = -exp(log_decay),
        y = scan(u, Δ, A, B, C) + D u,    out = W_out (y · SiLU(z))

    (Gu and Dao 2023, section 3.4 and algorithm 2.) Without `cache` the piece is the beginning. Only the
    outputs from position `first` of the piece on are computed, none if it is the piece's length. A long
    sequence passed in pieces gives what it gives as a whole.
    """
    get = {
        part: parameters[f"{name}.{part}"]
        for part in ("convolution.weight", "convolution.bias", "step_size.bias", "log_decay", "skip")
    }
    state_size = get["log_decay"].shape[-1]
    rank = parameters[f"{name}.step_size.weight"].shape[-1]
    length = inputs.shape[2]

    normed = _normalize(model, parameters, f"{name}.norm", inputs.flatten(1, 2))
    signal, gate = (
        _linear(parameters, f"{name}.input", normed).unflatten(1, inputs.shape[1:3]).chunk(2, dim=-1)
    )
    past = (
        signal.new_zeros(*signal.shape[:2], model.convolution - 1, signal.shape[-1])
        if cache is None
        else cache.signal.expand(-1, len(signal[0]), -1, -1)
    )
    signal = torch.cat([past, signal], dim=2)
    # [run, example, seq, channel, tap]: a view of the signal, no copy.
    windows = signal.unfold(2, model.convolution, 1)
    channels = F.silu(
        (windows * get["convolution.weight"][:, None, None]).sum(-1) + get["convolution.bias"][:, None, None]
    )
    selected = _linear(parameters, f"{name}.selection", channels.flatten(1, 2)).unflatten(
        1, channels.shape[1:3]
    )
    low_rank, B, C = selected.split([rank, state_size, state_size], dim=-1)
    steps = apply_linear(
        low_rank.flatten(1, 2), parameters[f"{name}.step_size.weight"], get["step_size.bias"]
    ).view(channels.shape)
    scanned, state = scan_selectively(
        channels,
        F.softplus(steps),
        -get["log_decay"].exp(),
        B,
        C,
        None if cache is None else cache.state,
        first=first,
    )
    cache = ScanCache(signal[:, :, length:], state)
    kept = inputs[:, :, first:]
    if first == length:
        return kept, cache
    gated = (scanned + channels[:, :, first:] * get["skip"][:, None, None]) * F.silu(gate[:, :, first:])
    outputs = _linear(parameters, f"{name}.output", gated.flatten(1, 2)).view(kept.shape)
    return kept + outputs if model.residual else outputs, cache


def normalize_states(
    model: Mamba, parameters: Parameters, states: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    """The normalisation between the last block and the read-out, if the model has one."""
    return _normalize(model, parameters, "final_norm", states) if model.final_norm else states


def scan_selectively(
    signal: Float[Tensor, "run example seq channel"],
    steps: Float[Tensor, "run example seq channel"],
    decay: Float[Tensor, "run channel state"],
    entry: Float[Tensor, "run example seq state"],
    exit: Float[Tensor, "run example seq state"],
    state: Float[Tensor, "run _ channel state"] | None = None,
    *,
    first: int = 0,
) -> tuple[Float[Tensor, "run example out channel"], Float[Tensor, "run example channel state"]]:
    """The selective scan's outputs, and its state after the last token.

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t,    y_t = C_t · h_t    (Gu and Dao 2023, equations 2 and 4)

    with zero-order hold for A and Euler's rule for B, as in the published implementation; u is `signal`, Δ
    `steps`, A `decay`, B `entry`, C `exit`. It starts from `state`, or from zero. Only the outputs from
    token `first` on are computed. One pass over the tokens, each a few operations over all runs and examples.

    >>> one, two = torch.ones(1, 1, 2, 1), torch.tensor([[[[1.0], [2.0]]]])
    >>> outputs, state = scan_selectively(two, one, torch.tensor([[[-1.0]]]), one, one)
    >>> outputs.flatten().tolist(), state.item()
    ([1.0, 2.3678793907165527], 2.3678793907165527)
    """
    A, length = decay[:, None], signal.shape[2]
    entering = (steps * signal).unsqueeze(-1) * entry.unsqueeze(-2)
    outputs = []
    for token in range(length):
        if state is None:
            state = entering[:, :, token]
        else:
            state = torch.exp(steps[:, :, token, :, None] * A) * state + entering[:, :, token]
        if token >= first:
            outputs.append((state @ exit[:, :, token, :, None]).squeeze(-1))
    assert state is not None, "a sequence has at least one token"
    return torch.stack(outputs, dim=2) if outputs else signal[:, :, length:], state


def _linear(parameters: Parameters, name: str, inputs: Float[Tensor, "run row input"]) -> Tensor:
    return apply_linear(inputs, parameters[f"{name}.weight"])


def _normalize(
    model: Mamba, parameters: Parameters, name: str, inputs: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    if model.norm == "root-mean-square":
        return normalize_root_mean_square(inputs, parameters[f"{name}.weight"])
    return normalize_layer(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
