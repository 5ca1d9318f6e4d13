"""Models over sequences: states at every position read, and decoding that never passes a token twice.

One walk serves every architecture. Each block passes a piece of every sequence and gives what it keeps at the
piece's end (its cache), which the next piece goes on from. The tokens that all sequences share are the first
piece, passed once per run. In the last block only the positions read are computed.
"""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from geomem.errors import InputError
from geomem.models.architecture import Model
from geomem.models.layers import Parameters, embed, unembed
from geomem.models.networks import network_of

BlockCache = Any
"""What one block keeps of the tokens before, of its network's own type; None before the first token."""


@dataclass(frozen=True, eq=False)
class SequenceCache:
    """What a model keeps of the tokens it has passed."""

    length: int
    """Number of tokens passed."""
    blocks: tuple[BlockCache, ...]


def read_states(
    model: Model,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example seq"],
    *,
    first_read: int,
    shared: int = 1,
) -> Float[Tensor, "run example read width"]:
    """States before the read-out at positions `first_read` to the end, each from the tokens up to itself.

    The first `shared` tokens must be the same in every example and run; they are computed once per run.

    >>> import torch
    >>> from geomem.models.configuration import Transformer
    >>> from geomem.models.model import initialize_parameters
    >>> sizes = dict(vocabulary_size=11, context_length=4, node_count=2)
    >>> model = Transformer(layers=2, width=8)
    >>> parameters = initialize_parameters(model, **sizes, seeds=[0, 1])
    >>> tokens = torch.tensor([[[9, 0, 1, 1], [9, 1, 0, 0]]])
    >>> read_states(model, parameters, tokens, first_read=2).shape
    torch.Size([2, 2, 2, 8])
    """
    return _read(model, parameters, tokens, first_read, shared)[0]


def begin_sequence(
    model: Model, parameters: Parameters, tokens: Int[Tensor, "run_or_1 example seq"], *, shared: int = 1
) -> tuple[Float[Tensor, "run example width"], SequenceCache]:
    """The state before the read-out after the last token, and the cache to go on from."""
    states, cache = _read(model, parameters, tokens, tokens.shape[2] - 1, shared)
    return states[:, :, 0], cache


def advance_sequence(
    model: Model, parameters: Parameters, tokens: Int[Tensor, "run_or_1 example piece"], cache: SequenceCache
) -> tuple[Float[Tensor, "run example piece width"], SequenceCache]:
    """States before the read-out after each of the next tokens, and the cache after them."""
    return _pass_piece(model, parameters, tokens, cache, first=0)


def count_shared(prefixes: Int[Tensor, "example seq"]) -> int:
    """Number of leading tokens, never the last, that all prefixes have in common.

    >>> import torch
    >>> count_shared(torch.tensor([[9, 1], [9, 2]]))
    1
    """
    differs = (prefixes != prefixes[:1]).any(dim=0)[:-1].tolist()
    return differs.index(True) if True in differs else len(differs)


def read_out_table(model: Model, parameters: Parameters) -> Float[Tensor, "run vocab width"]:
    """The table whose products with a state are the logits: the token embedding, if tied."""
    return parameters["token_embedding" if model.tied else "output_embedding"]


def compute_sequence_logits(
    model: Model, parameters: Parameters, prefixes: Int[Tensor, "example seq"], *, shared: int | None = None
) -> Float[Tensor, "run example vocab"]:
    """Logits after the last token of every prefix."""
    shared = count_shared(prefixes) if shared is None else shared
    states, _ = begin_sequence(model, parameters, prefixes[None], shared=shared)
    return unembed(states, read_out_table(model, parameters))


def _read(
    model: Model,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example seq"],
    first_read: int,
    shared: int,
) -> tuple[Float[Tensor, "run example read width"], SequenceCache]:
    """Whole sequences: the shared tokens first, then the others from their cache."""
    cache = SequenceCache(0, (None,) * model.layers)
    passed = min(shared, first_read)
    if not model.reads_past:
        passed = first_read
        cache = SequenceCache(passed, cache.blocks)
    elif passed:
        _, cache = _pass_piece(model, parameters, tokens[:1, :1, :passed], cache, first=passed)
    return _pass_piece(model, parameters, tokens[:, :, passed:], cache, first=first_read - passed)


def _pass_piece(
    model: Model,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example piece"],
    cache: SequenceCache,
    *,
    first: int,
) -> tuple[Float[Tensor, "run example out width"], SequenceCache]:
    states = _embed(parameters, tokens, cache.length)
    network, blocks = network_of(model), []
    for block in range(model.layers):
        # What nobody reads is not computed; in the blocks before, later positions still read it.
        from_here = first if block == model.layers - 1 else 0
        states, kept = network.apply_block(
            model, parameters, f"block_{block}", states, cache.blocks[block], first=from_here
        )
        blocks.append(kept)
    if states.shape[2]:
        states = network.normalize_states(model, parameters, states.flatten(1, 2)).view(states.shape)
    return states, SequenceCache(cache.length + tokens.shape[2], tuple(blocks))


def _embed(
    parameters: Parameters, tokens: Int[Tensor, "run_or_1 example piece"], start: int
) -> Float[Tensor, "run example piece width"]:
    """Token embeddings, plus those of the positions from `start` on if the model has positions."""
    end = start + tokens.shape[2]
    rows = tokens[0].flatten() if len(tokens) == 1 else tokens.flatten(1)
    states = embed(parameters["token_embedding"], rows).unflatten(1, tokens.shape[1:])
    positions = parameters.get("position_embedding")
    if positions is None:
        return states
    if end > positions.shape[1]:
        raise InputError(
            f"The sequence has {end} tokens and the model {positions.shape[1]} positions; "
            "give shorter sequences or a model made for longer ones."
        )
    return states + positions[:, None, start:end]
