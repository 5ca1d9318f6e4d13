"""The pieces of a network along the run axis: every function treats each run with its own weights."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def apply_linear(
    inputs: Float[Tensor, "run row input"],
    weight: Float[Tensor, "run output input"],
    bias: Float[Tensor, "run output"],
) -> Float[Tensor, "run row output"]:
    """y = W x + b for every row, as one `baddbmm` over all runs.

    >>> apply_linear(torch.ones(1, 1, 2), torch.ones(1, 3, 2), torch.zeros(1, 3)).tolist()
    [[[2.0, 2.0, 2.0]]]
    """
    return torch.baddbmm(bias[:, None], inputs, weight.transpose(1, 2))


def normalize_layer(
    inputs: Float[Tensor, "run row width"],
    weight: Float[Tensor, "run width"],
    bias: Float[Tensor, "run width"],
) -> Float[Tensor, "run row width"]:
    """LayerNorm over the width with epsilon 1e-5, GPT-2's, and one gain and bias per run."""
    normed = F.layer_norm(inputs, inputs.shape[-1:], eps=1e-5)
    return torch.addcmul(bias[:, None], normed, weight[:, None])


def look_up(
    table: Float[Tensor, "run vocab width"], tokens: Int[Tensor, " row"]
) -> Float[Tensor, "run row width"]:
    """Rows of every run's embedding table."""
    return table.index_select(1, tokens)


def read_out(
    states: Float[Tensor, "run example width"], table: Float[Tensor, "run vocab width"]
) -> Float[Tensor, "run example vocab"]:
    """Scores of every token: the products of its embedding with the state."""
    return torch.bmm(states, table.transpose(1, 2))
