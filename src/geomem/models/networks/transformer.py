"""GPT-2's blocks along the run axis: causal attention and an MLP over a piece of every sequence.

What a block keeps of the tokens before is a value of its own (`KeyValueCache`): tokens that all sequences
share are passed once per run and their cache goes on to every sequence; causality makes their states the
same. After the keys and values, only the positions read are computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from geomem.models.layers import Parameters, apply_linear, normalize_layer
from geomem.models.pieces import Piece, join_rows, keep_rows, split_rows
from geomem.models.transformer import Transformer

# With one query and a few keys, thousands of matrix products of a single row cost twice the multiplications.
FEW_KEYS = 4


@dataclass(frozen=True, eq=False)
class KeyValueCache:
    """What one block keeps of the tokens it has passed; its example axis may be 1, the same for all."""

    keys_values: Float[Tensor, "run _ past twice_width"]
    """Keys, then values, of every token so far."""


def apply_pieces(
    model: Transformer,
    parameters: Parameters,
    name: str,
    rows: Float[Tensor, "run row width"],
    pieces: Sequence[Piece],
) -> tuple[Float[Tensor, "run kept width"], Sequence[KeyValueCache | None]]:
    """One block on the rows of all pieces, and what it keeps at the end of each.

        x = x + Attention(LN x),    x = x + MLP(LN x)

    (Radford et al. 2019: pre-LayerNorm, tanh-GELU.) A model without attention keeps nothing.
    """
    kept, caches = keep_rows(rows, pieces), [piece.past for piece in pieces]
    if model.attention:
        normed = _normalize(model, parameters, f"{name}.attention_norm", rows)
        caches = _keep(parameters, name, normed, pieces)
        if not kept.shape[1]:
            return kept, caches
        attended = _attend(model, parameters, name, keep_rows(normed, pieces), pieces, caches)
        kept = kept + attended if model.residual else attended
    hidden = _normalize(model, parameters, f"{name}.mlp_norm", kept)
    hidden = F.gelu(_linear(parameters, f"{name}.mlp.expand", hidden), approximate="tanh")
    hidden = _linear(parameters, f"{name}.mlp.contract", hidden)
    return kept + hidden if model.residual else hidden, caches


def normalize_states(
    model: Transformer, parameters: Parameters, states: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    """The LayerNorm between the last block and the read-out."""
    return _normalize(model, parameters, "final_norm", states)


def _keep(
    parameters: Parameters, name: str, normed: Float[Tensor, "run row width"], pieces: Sequence[Piece]
) -> list[KeyValueCache]:
    """Keys and values of every piece, after those of the tokens before."""
    keys_values = _linear(parameters, f"{name}.attention.key_value", normed)
    caches = []
    for own, piece in zip(split_rows(keys_values, [one.shape for one in pieces]), pieces, strict=True):
        past = caches[-1] if piece.follows else piece.past
        if past is not None:
            own = torch.cat([past.keys_values.expand(-1, piece.shape[0], -1, -1), own], dim=2)
        caches.append(KeyValueCache(own))
    return caches


def _attend(
    model: Transformer,
    parameters: Parameters,
    name: str,
    asking: Float[Tensor, "run kept width"],
    pieces: Sequence[Piece],
    caches: Sequence[KeyValueCache],
) -> Float[Tensor, "run kept width"]:
    """Causal attention of the last tokens kept over all up to themselves: softmax(Q Kᵀ / √d_head) V."""
    queries = _linear(parameters, f"{name}.attention.query", asking)
    parts = split_rows(queries, [piece.kept for piece in pieces])
    asked = [(own, cache.keys_values) for own, cache in zip(parts, caches, strict=True) if own.shape[2]]
    longest = max(seen.shape[2] for _, seen in asked)
    # A single token brings its own value, whatever it asks; but each weight has to be used somewhere.
    mixed = [
        seen[..., own.shape[3] :] if seen.shape[2] == 1 < longest else _mix(own, seen, model.heads)
        for own, seen in asked
    ]
    return _linear(parameters, f"{name}.attention.output", join_rows(mixed))


def _mix(
    queries: Float[Tensor, "run example asked width"],
    keys_values: Float[Tensor, "run _ seen twice_width"],
    heads: int,
) -> Float[Tensor, "run example asked width"]:
    """What the queries of one piece, those of its last tokens, bring together."""
    runs, examples, asked, width = queries.shape
    seen, head_width = keys_values.shape[2], width // heads
    keys, values = keys_values.reshape(runs * examples, seen, 2, heads, head_width).unbind(2)
    queries = queries.reshape(runs * examples, asked, heads, head_width)
    if asked == 1 and seen <= FEW_KEYS:
        scores = (queries * head_width**-0.5 * keys).sum(-1, keepdim=True)
        mixed = (scores.softmax(dim=1) * values).sum(1)
    else:
        whole = asked == seen
        mixed = F.scaled_dot_product_attention(
            queries.transpose(1, 2),
            keys.transpose(1, 2),
            values.transpose(1, 2),
            attn_mask=None if asked == 1 or whole else _look_back(asked, seen, queries.device, queries.dtype),
            is_causal=whole and asked > 1,
        ).transpose(1, 2)
    return mixed.reshape(runs, examples, asked, width)


# Without a bound: a recorded step goes on reading the tensor it was recorded with.
@cache
def _look_back(
    asked: int, seen: int, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "asked seen"]:
    """What is added to the scores: -infinity where a token would look ahead. The same in every block."""
    return torch.full((asked, seen), float("-inf"), device=device, dtype=dtype).triu(seen - asked + 1)


def _linear(parameters: Parameters, name: str, inputs: Float[Tensor, "run row input"]) -> Tensor:
    return apply_linear(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def _normalize(
    model: Transformer, parameters: Parameters, name: str, inputs: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    if not model.layer_norm:
        return inputs
    return normalize_layer(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
