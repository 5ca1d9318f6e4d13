"""Greedy decoding in pieces: each token is passed once, and the vocabulary is read a chunk at a time."""

import torch
from jaxtyping import Int
from torch import Tensor

from geomem.errors import InputError
from geomem.models.architecture import Model
from geomem.models.layers import Parameters, count_runs
from geomem.models.loss import best_tokens
from geomem.models.sequences import advance_sequence, begin_sequence, count_shared, read_out_table

# Rows of all runs together: beyond some thousand, cache grows and speed does not.
ROWS_PER_PIECE = 2048


@torch.no_grad()
def decode_greedily(
    model: Model,
    parameters: Parameters,
    prefixes: Int[Tensor, "run_or_1 example seq"],
    length: int,
    *,
    rows_per_piece: int = ROWS_PER_PIECE,
) -> Int[Tensor, "run example length"]:
    """The `length` tokens that each run finds most likely, one after another, after every prefix.

    `rows_per_piece` examples times runs are decoded together, and what a token leaves in the cache of every
    block is never computed again. The prefix and all but the last of the new tokens must fit into the model's
    positions.

    >>> from geomem.models.configuration import Transformer
    >>> from geomem.models.model import initialize_parameters
    >>> sizes = dict(vocabulary_size=11, context_length=5, node_count=2)
    >>> model = Transformer(width=8)
    >>> parameters = initialize_parameters(model, **sizes, seeds=[0, 1, 2])
    >>> decode_greedily(model, parameters, torch.tensor([[[9, 0, 1], [9, 1, 0]]]), 3).shape
    torch.Size([3, 2, 3])
    """
    if length < 1 or rows_per_piece < 1:
        raise InputError(f"length is {length} and rows_per_piece {rows_per_piece}; give at least 1 of each.")
    table = read_out_table(model, parameters)
    shared = count_shared(prefixes.flatten(0, 1))
    examples_at_once = max(1, rows_per_piece // count_runs(parameters))
    pieces = []
    for piece in prefixes.split(examples_at_once, dim=1):
        states, cache = begin_sequence(model, parameters, piece, shared=shared)
        found = [best_tokens(states, table)]
        while len(found) < length:
            states, cache = advance_sequence(model, parameters, found[-1][:, :, None], cache)
            found.append(best_tokens(states[:, :, 0], table))
        pieces.append(torch.stack(found, dim=2))
    return torch.cat(pieces, dim=1)
