"""What `averager.Averager` computes, with torch."""

from dataclasses import dataclass

import torch

from geomem.models.layers import apply_linear


@dataclass(frozen=True, eq=False)
class SumCache:
    """Sum and number of the tokens so far."""

    total: torch.Tensor
    count: int


def apply_block(model, parameters, name, inputs, cache=None, *, first=0):
    before = cache or SumCache(inputs.new_zeros(len(inputs), 1, model.width), 0)
    totals = before.total[:, :, None] + inputs.cumsum(dim=2)
    counts = before.count + torch.arange(1, inputs.shape[2] + 1, dtype=inputs.dtype)
    means = (totals / counts[:, None])[:, :, first:]
    outputs = apply_linear(means.flatten(1, 2), parameters[f"{name}.weight"]).view(means.shape)
    total = totals[:, :, -1] if inputs.shape[2] else before.total
    return inputs[:, :, first:] + outputs, SumCache(total, before.count + inputs.shape[2])


def normalize_states(model, parameters, states):
    return states
