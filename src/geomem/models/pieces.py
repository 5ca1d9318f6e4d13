"""Pieces of sequences that pass a block together: their rows lie one after the other in one tensor.

What treats every row alike (normalisations, matrix products, activations) is done once for all pieces; only
what mixes tokens looks at one piece after the other. A step on two tasks with a shared prefix each is four
pieces, and would otherwise be four times as many operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Piece:
    """The next tokens of some sequences, all of one length."""

    shape: tuple[int, int]
    """Examples and positions that enter the block."""
    first: int = 0
    """Only outputs from this position of the piece on are computed, none if it is the length."""
    past: Any = None
    """What the block keeps of the tokens before, of its network's own type; None before the first token."""
    follows: bool = False
    """Whether the piece goes on from where the one before it in the list ends, and not from `past`."""

    @property
    def kept(self) -> tuple[int, int]:
        """Examples and positions of which outputs are computed."""
        return self.shape[0], self.shape[1] - self.first


def split_rows(
    rows: Float[Tensor, "run row width"], shapes: Sequence[tuple[int, int]]
) -> list[Float[Tensor, "run _ _ width"]]:
    """The rows of every piece, from the number of its examples and of its positions.

    >>> [part.shape[1:3] for part in split_rows(torch.zeros(1, 7, 2), [(1, 1), (3, 2)])]
    [torch.Size([1, 1]), torch.Size([3, 2])]
    """
    if len(shapes) == 1:
        return [rows.unflatten(1, shapes[0])]
    parts = rows.split([examples * length for examples, length in shapes], dim=1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]


def join_rows(parts: Sequence[Float[Tensor, "run _ _ width"]]) -> Float[Tensor, "run row width"]:
    """What `split_rows` takes apart."""
    if len(parts) == 1:
        return parts[0].flatten(1, 2)
    return torch.cat([part.flatten(1, 2) for part in parts], dim=1)


def keep_rows(
    rows: Float[Tensor, "run row width"], pieces: Sequence[Piece]
) -> Float[Tensor, "run kept width"]:
    """The rows of which outputs are computed.

    >>> keep_rows(torch.arange(6.0)[None, :, None], [Piece((2, 3), first=2)]).flatten().tolist()
    [2.0, 5.0]
    """
    if not any(piece.first for piece in pieces):
        return rows
    parts = split_rows(rows, [piece.shape for piece in pieces])
    kept = [part[:, :, piece.first :] for part, piece in zip(parts, pieces, strict=True) if piece.kept[1]]
    return join_rows(kept or [parts[0][:, :, :0]])
