"""GPT-2's blocks along the run axis: causal attention and an MLP over a piece of every sequence.

What a block keeps of the tokens before is a value of its own (`KeyValueCache`): tokens that all sequences
share are passed once per run and their cache goes on to every sequence; causality makes their states the
same. After the keys and values, only
the positions read are computed.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from geomem.models.layers import Parameters, apply_linear, normalize_layer
from geomem.models.transformer import Transformer

# With one query and a few keys, thousands of matrix products of a single row cost twice the multiplications.
FEW_KEYS = 4


@dataclass(frozen=True, eq=False)
class KeyValueCache:
    """What one block keeps of the tokens it has passed; its example axis may be 1, the same for all."""

    keys_values: Float[Tensor, "run _ past twice_width"]
    """Keys, then values, of every token so far."""


def apply_block(
    model: Transformer,
    parameters: Parameters,
    name: str,
    inputs: Float[Tensor, "run example seq width"],
    cache: KeyValueCache | None = None,
    *,
    first: int = 0,
) -> tuple[Float[Tensor, "run example out width"], KeyValueCache | None]:
    """One block on a piece of every sequence, and what it keeps at the piece's end.

        x = x + Attention(LN x),    x = x + MLP(LN x)

    (Radford et al. 2019: pre-LayerNorm, tanh-GELU.) Without `cache` the piece is the beginning. Only the
    outputs from position `first` of the piece on are computed, none if it is the piece's length. A model
    without attention keeps nothing.
    """
    kept = inputs[:, :, first:]
    rows = kept.flatten(1, 2)
    if model.attention:
        normed = _normalize(model, parameters, f"{name}.attention_norm", inputs.flatten(1, 2))
        normed = normed.view(inputs.shape)
        cache = _keep(parameters, name, normed, cache)
        if first == inputs.shape[2]:
            return kept, cache
        attended = _attend(model, parameters, name, normed[:, :, first:], cache)
        rows = rows + attended if model.residual else attended
    hidden = _normalize(model, parameters, f"{name}.mlp_norm", rows)
    hidden = F.gelu(_linear(parameters, f"{name}.mlp.expand", hidden), approximate="tanh")
    hidden = _linear(parameters, f"{name}.mlp.contract", hidden)
    return (rows + hidden if model.residual else hidden).view(kept.shape), cache


def normalize_states(
    model: Transformer, parameters: Parameters, states: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    """The LayerNorm between the last block and the read-out."""
    return _normalize(model, parameters, "final_norm", states)


def _keep(
    parameters: Parameters,
    name: str,
    normed: Float[Tensor, "run example seq width"],
    cache: KeyValueCache | None,
) -> KeyValueCache:
    """Keys and values of the piece, after those of the tokens before."""
    keys_values = _linear(parameters, f"{name}.attention.key_value", normed.flatten(1, 2))
    keys_values = keys_values.unflatten(1, normed.shape[1:3])
    if cache is not None:
        past = cache.keys_values.expand(-1, normed.shape[1], -1, -1)
        keys_values = torch.cat([past, keys_values], dim=2)
    return KeyValueCache(keys_values)


def _attend(
    model: Transformer,
    parameters: Parameters,
    name: str,
    asking: Float[Tensor, "run example asked width"],
    cache: KeyValueCache,
) -> Float[Tensor, "run row width"]:
    """Causal attention of the last tokens kept over all up to themselves: softmax(Q Kᵀ / √d_head) V."""
    runs, examples, asked, width = asking.shape
    seen, head_width = cache.keys_values.shape[2], width // model.heads
    queries = _linear(parameters, f"{name}.attention.query", asking.flatten(1, 2))
    queries = queries.view(runs * examples, asked, model.heads, head_width)
    keys, values = cache.keys_values.reshape(runs * examples, seen, 2, model.heads, head_width).unbind(2)
    if asked == 1 and seen <= FEW_KEYS:
        scores = (queries * head_width**-0.5 * keys).sum(-1, keepdim=True)
        mixed = (scores.softmax(dim=1) * values).sum(1)
    else:
        whole = asked == seen
        mask = None
        if asked > 1 and not whole:
            mask = torch.ones(asked, seen, dtype=torch.bool, device=asking.device).tril(seen - asked)
        mixed = F.scaled_dot_product_attention(
            queries.transpose(1, 2),
            keys.transpose(1, 2),
            values.transpose(1, 2),
            attn_mask=mask,
            is_causal=whole and asked > 1,
        ).transpose(1, 2)
    return _linear(parameters, f"{name}.attention.output", mixed.reshape(runs, examples * asked, width))


def _linear(parameters: Parameters, name: str, inputs: Float[Tensor, "run row input"]) -> Tensor:
    return apply_linear(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def _normalize(
    model: Transformer, parameters: Parameters, name: str, inputs: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    if not model.layer_norm:
        return inputs
    return normalize_layer(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
