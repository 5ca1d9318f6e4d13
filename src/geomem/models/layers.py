"""The pieces of a network along the run axis: every function treats each run with its own weights."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


class _Product(torch.autograd.Function):
    """x Wᵀ + b, whose backward pass writes the gradient of W as it is stored.

    Autograd through `W.transpose(1, 2)` makes a transposed gradient, and copying it into place took a third
    of a step at width 512.
    """

    @staticmethod
    def forward(ctx, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        if bias is None:
            return torch.bmm(inputs, weight.transpose(1, 2))
        return torch.baddbmm(bias[:, None], inputs, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx, *upstreams: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (upstream,) = upstreams
        inputs, weight = ctx.saved_tensors
        for_inputs, for_weight, for_bias = ctx.needs_input_grad
        return (
            torch.bmm(upstream, weight) if for_inputs else None,
            torch.bmm(upstream.transpose(1, 2), inputs) if for_weight else None,
            upstream.sum(dim=1) if for_bias else None,
        )


def apply_linear(
    inputs: Float[Tensor, "run row input"],
    weight: Float[Tensor, "run output input"],
    bias: Float[Tensor, "run output"] | None = None,
) -> Float[Tensor, "run row output"]:
    """y = W x + b for every row, as one `baddbmm` over all runs; without a bias y = W x.

    >>> apply_linear(torch.ones(1, 1, 2), torch.ones(1, 3, 2), torch.zeros(1, 3)).tolist()
    [[[2.0, 2.0, 2.0]]]
    """
    return _Product.apply(inputs, weight, bias)


def normalize_layer(
    inputs: Float[Tensor, "run row width"],
    weight: Float[Tensor, "run width"],
    bias: Float[Tensor, "run width"],
) -> Float[Tensor, "run row width"]:
    """LayerNorm over the width with epsilon 1e-5, GPT-2's, and one gain and bias per run."""
    normed = F.layer_norm(inputs, inputs.shape[-1:], eps=1e-5)
    return torch.addcmul(bias[:, None], normed, weight[:, None])


def normalize_root_mean_square(
    inputs: Float[Tensor, "run row width"], weight: Float[Tensor, "run width"]
) -> Float[Tensor, "run row width"]:
    """RMSNorm over the width, x / sqrt(mean(x²) + 1e-5), with one gain per run.

    >>> normalize_root_mean_square(torch.tensor([[[3.0, 3.0]]]), torch.ones(1, 2)).round(decimals=3).tolist()
    [[[1.0, 1.0]]]
    """
    return F.rms_norm(inputs, inputs.shape[-1:], eps=1e-5) * weight[:, None]


def look_up(
    table: Float[Tensor, "run vocab width"], tokens: Int[Tensor, " row"]
) -> Float[Tensor, "run row width"]:
    """Rows of every run's embedding table."""
    return table.index_select(1, tokens)


def read_out(
    states: Float[Tensor, "run example width"], table: Float[Tensor, "run vocab width"]
) -> Float[Tensor, "run example vocab"]:
    """Scores of every token: the products of its embedding with the state."""
    return _Product.apply(states, table, None)
