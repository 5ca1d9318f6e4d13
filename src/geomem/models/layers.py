"""The pieces of a network along the run axis: every function treats each run with its own weights."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Parameters = dict[str, Tensor]
"""Tensors by the names of `geomem.models.parameters.describe_parameters`, each with a leading `run` axis."""


def count_runs(parameters: Parameters) -> int:
    """Number of runs that the tensors are of."""
    return len(next(iter(parameters.values())))


class _Product(torch.autograd.Function):
    """x Wᵀ + b, whose backward pass writes the gradient of W as it is stored.

    Autograd through `W.transpose(1, 2)` makes a transposed gradient, and copying it into place took a third
    of a step at width 512. With weights in bfloat16 the product is one, whatever the inputs are.
    """

    @staticmethod
    def forward(ctx, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        inputs = inputs.to(weight.dtype)
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
    inputs = inputs.to(weight.dtype)
    if len(inputs) == len(weight) == 1:
        # Torch's own gain and bias, which spare the passes for their gradients.
        return F.layer_norm(inputs, inputs.shape[-1:], weight.squeeze(0), bias.squeeze(0), eps=1e-5)
    normed = F.layer_norm(inputs, inputs.shape[-1:], eps=1e-5)
    return torch.addcmul(bias[:, None], normed, weight[:, None])


def normalize_root_mean_square(
    inputs: Float[Tensor, "run row width"], weight: Float[Tensor, "run width"]
) -> Float[Tensor, "run row width"]:
    """RMSNorm over the width, x / sqrt(mean(x²) + 1e-5), with one gain per run.

    >>> normalize_root_mean_square(torch.tensor([[[3.0, 3.0]]]), torch.ones(1, 2)).round(decimals=3).tolist()
    [[[1.0, 1.0]]]
    """
    return F.rms_norm(inputs.to(weight.dtype), inputs.shape[-1:], eps=1e-5) * weight[:, None]


class _OwnRows(torch.autograd.Function):
    """Rows of each run's table by each run's own tokens; the gradient is added row by row.

    Autograd of plain indexing would sort the tokens first, and a flat table would be a copy: the tables of a
    fleet lie apart in its buffer of parameters.
    """

    @staticmethod
    def forward(ctx, table: Tensor, tokens: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.rows = table.shape[1]
        return table[torch.arange(len(table), device=table.device)[:, None], tokens]

    @staticmethod
    def backward(ctx, *upstreams: Tensor) -> tuple[Tensor, None]:
        (upstream,) = upstreams
        (tokens,) = ctx.saved_tensors
        runs = len(upstream)
        places = tokens + torch.arange(runs, device=tokens.device)[:, None] * ctx.rows
        gradient = upstream.new_zeros(runs * ctx.rows, upstream.shape[2])
        gradient.index_add_(0, places.flatten(), upstream.flatten(0, 1))
        return gradient.unflatten(0, (runs, ctx.rows)), None


def embed(
    table: Float[Tensor, "run vocab width"], tokens: Int[Tensor, " row"] | Int[Tensor, "run row"]
) -> Float[Tensor, "run row width"]:
    """Rows of every run's embedding table, by the same tokens or by each run's own.

    >>> embed(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([[0, 0], [1, 0]])).tolist()
    [[[1.0], [1.0]], [[4.0], [3.0]]]
    """
    return table.index_select(1, tokens) if tokens.ndim == 1 else _OwnRows.apply(table, tokens)


def unembed(
    states: Float[Tensor, "run example width"], table: Float[Tensor, "run vocab width"] | None
) -> Float[Tensor, "run example vocab"]:
    """Scores of every token: the products of its embedding with the state; without a table the states."""
    return states if table is None else _Product.apply(states, table, None)
