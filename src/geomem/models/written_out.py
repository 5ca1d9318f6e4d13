"""Layers of torch in operations that `torch.func.vmap` knows well.

`LSTM`, `GRU` and `RNN` are one fused operation each, which cannot be computed for several sets of weights at
once; written out they are a loop over tokens. A `Linear` layer takes all positions as rows of one product:
otherwise its weights would be copied for every position.
"""

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)


def write_out(module: nn.Module) -> None:
    """Let every recurrent and linear layer of torch within a module compute the same by plain operations.

    Dropout between its layers is left out. A packed sequence raises `TypeError`.

    >>> layer, inputs = nn.LSTM(3, 4), torch.ones(5, 2, 3)
    >>> outputs = layer(inputs)[0]
    >>> write_out(layer)
    >>> torch.allclose(layer(inputs)[0], outputs, atol=1e-6)
    True
    """
    for part in module.modules():
        if type(part) in RECURRENT:
            part.forward = MethodType(_forward, part)
        elif type(part) is nn.Linear:
            part.forward = MethodType(_multiply, part)


def _multiply(self: Any, input: Tensor) -> Tensor:
    return _product(input, self.weight, self.bias)


def _product(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = F.linear(inputs.reshape(-1, inputs.shape[-1]), weight, bias)
    return rows.view(*inputs.shape[:-1], rows.shape[-1])


def _forward(self: Any, input: Any, hx: Any = None) -> tuple[Tensor, Any]:
    if not isinstance(input, Tensor):
        raise TypeError(f"{type(self).__name__} was given {type(input).__name__}")
    alone = input.ndim == 2
    rows = input[:, None] if alone else input.transpose(0, 1) if self.batch_first else input
    begun = None if hx is None else hx if isinstance(self, nn.LSTM) else (hx,)
    if begun is not None and alone:
        begun = tuple(part[:, None] for part in begun)
    ends = []
    for layer in range(self.num_layers):
        outputs = []
        for direction in range(2 if self.bidirectional else 1):
            place = len(ends)
            state = None if begun is None else tuple(part[place] for part in begun)
            passed, end = _pass(self, f"_l{layer}{'_reverse' * direction}", rows, state)
            outputs.append(passed)
            ends.append(end)
        rows = torch.cat(outputs, dim=-1)
    last = [torch.stack(parts) for parts in zip(*ends, strict=True)]
    if alone:
        rows, last = rows[:, 0], [part[:, 0] for part in last]
    elif self.batch_first:
        rows = rows.transpose(0, 1)
    return rows, tuple(last) if isinstance(self, nn.LSTM) else last[0]


def _pass(
    layer: Any, suffix: str, rows: Tensor, state: tuple[Tensor, ...] | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Outputs of one layer in one direction over [token, example, input], and the state after the last."""
    weight = getattr(layer, f"weight_hh{suffix}")
    bias = getattr(layer, f"bias_hh{suffix}") if layer.bias else None
    bias_input = getattr(layer, f"bias_ih{suffix}") if layer.bias else None
    entering = _product(rows, getattr(layer, f"weight_ih{suffix}"), bias_input).unbind()
    projection = getattr(layer, f"weight_hr{suffix}") if getattr(layer, "proj_size", 0) else None
    order = range(len(rows))
    outputs = {}
    for token in reversed(order) if suffix.endswith("reverse") else order:
        # Before the first token the state is zero, and so is its product.
        own = bias if state is None else F.linear(state[0], weight, bias)
        state = _step(layer, entering[token], own, state)
        if projection is not None:
            state = (F.linear(state[0], projection), *state[1:])
        outputs[token] = state[0]
    assert state is not None
    return torch.stack([outputs[token] for token in order]), state


def _step(
    layer: Any, entering: Tensor, own: Tensor | None, state: tuple[Tensor, ...] | None
) -> tuple[Tensor, ...]:
    """The state after a token, from what enters and what the state before adds (torch's equations)."""
    if isinstance(layer, nn.GRU):
        reset, update, candidate = entering.chunk(3, dim=-1)
        if own is not None:
            own_reset, own_update, own_candidate = own.chunk(3, dim=-1)
            candidate = candidate + (reset + own_reset).sigmoid() * own_candidate
            update = update + own_update
        update, candidate = update.sigmoid(), candidate.tanh()
        kept = 0 if state is None else update * state[0]
        return ((1 - update) * candidate + kept,)
    gates = entering if own is None else entering + own
    if isinstance(layer, nn.RNN):
        return (gates.tanh() if layer.nonlinearity == "tanh" else gates.relu(),)
    # One operation more for the candidate's place is faster than three on parts.
    enters, forgets, _, shown = gates.sigmoid().chunk(4, dim=-1)
    cell = enters * gates.chunk(4, dim=-1)[2].tanh()
    if state is not None:
        cell = cell + forgets * state[1]
    return shown * cell.tanh(), cell
