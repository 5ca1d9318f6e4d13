"""GPT-2 along the run axis, computed only where the loss looks: after the last token of each prefix.

Positions that all prefixes share (the task token) are computed once per run, not once per prefix; causality
makes their states the same. In the last block only the last position asks and passes the MLP.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.configuration import Transformer
from geomem.models.layers import apply_linear, look_up, normalize_layer, read_out
from geomem.models.model import Parameters, compute_logits, count_shared


@compute_logits.register(Transformer)
def compute_transformer_logits(
    model: Transformer,
    parameters: Parameters,
    prefixes: Int[Tensor, "example seq"],
    *,
    shared: int | None = None,
) -> Float[Tensor, "run example vocab"]:
    """Logits after the last token; a block is x += Attention(LN x), x += MLP(LN x); then LN, read-out."""
    positions = parameters.get("position_embedding")
    if model.attention:
        shared = count_shared(prefixes) if shared is None else shared
    else:
        # Without attention no other position can reach the last one.
        positions = None if positions is None else positions[:, prefixes.shape[1] - 1 :]
        prefixes, shared = prefixes[:, -1:], 0
    examples, length = prefixes.shape
    table = parameters["token_embedding"]
    states = look_up(table, prefixes[:, shared:].reshape(-1)).unflatten(1, (examples, length - shared))
    if positions is not None:
        states = states + positions[:, None, shared:length]
    common = None
    if shared:
        common = look_up(table, prefixes[0, :shared])
        common = (common if positions is None else common + positions[:, :shared])[:, None]
    for block in range(model.layers):
        last = block == model.layers - 1
        next_states = _apply_block(model, parameters, f"block_{block}", states, common, last=last)
        if common is not None and not last:
            common = _apply_block(model, parameters, f"block_{block}", common, None, last=False)
        states = next_states
    final = _normalize(model, parameters, "final_norm", states[:, :, -1])
    return read_out(final, table if model.tied else parameters["output_embedding"])


def _apply_block(
    model: Transformer,
    parameters: Parameters,
    name: str,
    states: Float[Tensor, "run example seq width"],
    common: Float[Tensor, "run 1 shared width"] | None,
    *,
    last: bool,
) -> Float[Tensor, "run example out width"]:
    """One pre-LayerNorm block; with `last` it returns the last position alone."""
    kept = states[:, :, -1:] if last else states
    rows = kept.flatten(1, 2)
    if model.attention:
        attended = _attend(model, parameters, name, states, common, last=last)
        rows = rows + attended if model.residual else attended
    hidden = _normalize(model, parameters, f"{name}.mlp_norm", rows)
    hidden = F.gelu(_linear(parameters, f"{name}.mlp.expand", hidden), approximate="tanh")
    hidden = _linear(parameters, f"{name}.mlp.contract", hidden)
    return (rows + hidden if model.residual else hidden).view(kept.shape)


def _attend(
    model: Transformer,
    parameters: Parameters,
    name: str,
    states: Float[Tensor, "run example seq width"],
    common: Float[Tensor, "run 1 shared width"] | None,
    *,
    last: bool,
) -> Float[Tensor, "run row width"]:
    """Causal attention of each prefix over the shared positions and its own: softmax(Q Kᵀ / √d_head) V."""
    runs, examples, length, width = states.shape
    head_width = width // model.heads
    asked = 1 if last else length

    normed = _normalize(model, parameters, f"{name}.attention_norm", states.flatten(1, 2))
    asking = normed.unflatten(1, (examples, length))[:, :, -1] if last else normed
    # [run, head, example, position, head width]; the scale goes to the queries, the smallest of the tensors.
    queries = (_linear(parameters, f"{name}.attention.query", asking) * head_width**-0.5).view(
        runs, examples, asked, model.heads, head_width
    )
    queries = queries.permute(0, 3, 1, 2, 4)
    keys_values = _linear(parameters, f"{name}.attention.key_value", normed)
    keys, values = keys_values.view(runs, examples, length, 2, model.heads, head_width).permute(
        3, 0, 4, 1, 2, 5
    )
    scores = _dot(queries, keys)
    if asked > 1:
        future = torch.ones(length, length, dtype=torch.bool, device=states.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    if common is None:
        mixed = _mix(scores.softmax(dim=-1), values)
    else:
        shared = common.shape[2]
        normed = _normalize(model, parameters, f"{name}.attention_norm", common[:, 0])
        keys_values = _linear(parameters, f"{name}.attention.key_value", normed)
        common_keys, common_values = keys_values.view(runs, shared, 2, model.heads, head_width).permute(
            2, 0, 3, 1, 4
        )
        common_scores = queries.flatten(2, 3) @ common_keys.transpose(-1, -2)
        weights = torch.cat([common_scores.unflatten(2, (examples, asked)), scores], dim=-1).softmax(dim=-1)
        mixed = _mix(weights[..., shared:], values)
        mixed = mixed + (weights[..., :shared].flatten(2, 3) @ common_values).unflatten(2, (examples, asked))
    mixed = mixed.permute(0, 2, 3, 1, 4).reshape(runs, examples * asked, width)
    return _linear(parameters, f"{name}.attention.output", mixed)


def _dot(queries: Tensor, keys: Tensor) -> Tensor:
    """Q Kᵀ; a single key needs no matrix product, and thousands of products of one by one are slow."""
    return (queries * keys).sum(-1, keepdim=True) if keys.shape[-2] == 1 else queries @ keys.transpose(-1, -2)


def _mix(weights: Tensor, values: Tensor) -> Tensor:
    """Weights times values, likewise."""
    return weights * values if values.shape[-2] == 1 else weights @ values


def _linear(parameters: Parameters, name: str, inputs: Float[Tensor, "run row input"]) -> Tensor:
    return apply_linear(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def _normalize(
    model: Transformer, parameters: Parameters, name: str, inputs: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    if not model.layer_norm:
        return inputs
    return normalize_layer(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
